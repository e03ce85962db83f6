"""The forward model: the map of grains whose magnetization is known."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.precision import float64_array, is_concrete, on_accelerator
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

#: Sensors along the edges of the parts of a map that are worked out one after another.
_EDGE = 512

#: Bytes of Q up to which an accelerator makes all of its columns, one block after another.
_STREAMED = 2**36


def forward(
    grains: Grains, magnetization: object, grid: SensorGrid, *, tolerance: float = DEFAULT_TOLERANCE
) -> Float[Array, "ny nx"]:
    """The map of Bz (nT) of grains with a magnetization (grain, 3) in A/m: φ = Q M (equation 4).

    Of Q no more is held than the compressed columns of a part of the map of 512 × 512 sensors.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For a magnetization of another shape, and as `greens_matrix`.

    Examples
    --------
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> grid = SensorGrid(origin=(-1, -1), spacing=1, shape=(3, 3), height=1)
    >>> round(float(forward(grains, [[0, 0, 1000.0]], grid)[1, 1]), 3)
    7287.435
    """
    values = float64_array(magnetization, name="magnetization")
    if values.shape != (len(grains), 3):
        raise ValueError(f"magnetization must be (grain, 3) = ({len(grains)}, 3), in A/m; got shape {values.shape}")
    vector = jnp.asarray(values).ravel()
    # Columns come from an accelerator faster than those near a leaf, and polynomials, can be copied from it.
    streamed = on_accelerator() and 24 * len(grains) * grid.size <= _STREAMED
    if streamed or not is_concrete(grains, grid):
        return TiledGreen(grains, grid, tolerance=tolerance).mv(vector)
    rows, columns = ([slice(start, start + _EDGE) for start in range(0, count, _EDGE)] for count in grid.shape)

    def part(row: slice, column: slice) -> Float[Array, "part_ny part_nx"]:
        return CompressedGreen(grains, grid.window(row, column), tolerance=tolerance, whole=grid).mv(vector)

    return jnp.block([[part(row, column) for column in columns] for row in rows])
