"""The forward model: the map of Bz of sources with given components."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.errors import InputError, require_type
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.precision import ArrayLike, float64_array, is_concrete, on_accelerator
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource

#: Number of sensors along an edge of the parts of a map that are computed one after another.
_EDGE = 512

#: Size of Q, in bytes, up to which an accelerator computes all rows, block by block, instead of compressed columns.
_STREAMED = 2**36


def forward(
    sources: AbstractSource, values: ArrayLike, grid: SensorGrid, *, tolerance: float = DEFAULT_TOLERANCE
) -> Float[Array, "ny nx"]:
    """Return the map of Bz, nT, of sources with given components: φ = Q m (equation 4).

    No more of Q is in memory than the compressed columns of a part of the map of 512 × 512 sensors.

    Parameters
    ----------
    sources
        The sources; may be traced.
    values
        Components of each source, (source, component): magnetizations (grain, 3) in A/m for grains.
    grid
        The sensors; may be traced.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For values of another shape, for sources above the sensors, and for a tolerance outside (0, 0.01].

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> grid = SensorGrid(origin=(-1, -1), spacing=1, shape=(3, 3), height=1)
    >>> round(float(forward(grains, [[0, 0, 1000.0]], grid)[1, 1]), 3)
    7287.435
    """
    require_type(sources, AbstractSource, name="sources")
    require_type(grid, SensorGrid, name="grid")
    known = float64_array(values, name="values")
    shape = len(sources), len(sources.components)
    if known.shape != shape:
        units = ", ".join(dict.fromkeys(one.unit for one in sources.components))
        msg = f"values of {sources.name} must be (source, component) = {shape}, in {units}; got shape {known.shape}"
        raise InputError(msg)
    vector = jnp.asarray(known).ravel()
    # An accelerator computes all rows faster than compressed columns can be copied from it.
    streamed = on_accelerator() and vector.nbytes * grid.size <= _STREAMED
    if streamed or not is_concrete(sources, grid):
        return TiledGreen(sources, grid, tolerance=tolerance).mv(vector)
    rows, columns = ([slice(start, start + _EDGE) for start in range(0, count, _EDGE)] for count in grid.shape)

    def part(row: slice, column: slice) -> Float[Array, "part_ny part_nx"]:
        """Return the map of some rows and columns of sensors."""
        return CompressedGreen(sources, grid.window(row, column), tolerance=tolerance, whole=grid).mv(vector)

    return jnp.block([[part(row, column) for column in columns] for row in rows])
