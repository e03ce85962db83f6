"""The Green's matrix held whole: the reference, and the form for small cases that are visited again and again."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.rows import AbstractRows, RowBlock
from mmtjax.greens.tiled import TiledGreen
from mmtjax.precision import in_main_memory
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains


class DenseGreen(AbstractRows):
    """The whole of Q, transposed: (3 grains, sensor), with the grid it belongs to."""

    transposed: Float[Array, "unknown sensor"]
    grid: SensorGrid

    @classmethod
    def from_operator(cls, green: AbstractRows, *, progress: Progress | None = None) -> "DenseGreen":
        """All rows of another form of the operator, in the order of the sensors."""
        host, device = None, None
        # One block at a time is held beside the whole.
        for block in green.row_blocks(progress):
            if in_main_memory(block.columns):
                host = np.empty((green.unknowns, green.grid.size)) if host is None else host
                inside = block.sensor < green.grid.size
                host[:, block.sensor[inside]] = np.asarray(block.columns)[:, inside]
            else:
                device = jnp.zeros((green.unknowns, green.grid.size)) if device is None else device
                device = _placed(device, block.columns, block.sensor)
        return cls(jnp.asarray(host) if device is None else device, green.grid)

    @property
    def unknowns(self) -> int:
        """Number of unknowns, three for each grain."""
        return self.transposed.shape[0]

    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """The whole of Q as one block."""
        yield RowBlock(self.transposed, np.arange(self.grid.size))
        if progress is not None:
            progress(self.grid.size, self.grid.size)


@partial(jax.jit, donate_argnums=0)
def _placed(
    whole: Float[Array, "unknown sensor"], columns: Float[Array, "unknown row"], sensor: Int[Array, " row"]
) -> Float[Array, "unknown sensor"]:
    """Columns of some rows written where they belong."""
    return whole.at[:, sensor].set(columns, mode="drop")


def greens_matrix(
    grains: Grains, grid: SensorGrid, *, tolerance: float = DEFAULT_TOLERANCE
) -> Float[Array, "sensor unknown"]:
    """The Green's matrix Q, (ny · nx, 3 grains), nT per A/m (equation 3).

    Each entry is the mean of Bz over a sensor per unit of one component of the magnetization of one grain. Rows follow
    the flattened map [y, x], columns are ordered ``3 g + i``.

    Parameters
    ----------
    grains, grid
        Sources and sensors; positions, standoff and spacing may be traced and differentiated.
    tolerance
        Error of a coefficient as a share of the peak of its grain.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For grains above the sensors or a tolerance outside (0, 0.01].

    Examples
    --------
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> grid = SensorGrid(origin=(-1, -1), spacing=1, shape=(3, 3), height=1)
    >>> greens_matrix(grains, grid).shape
    (9, 3)
    """
    return DenseGreen.from_operator(TiledGreen(grains, grid, tolerance=tolerance)).transposed.T
