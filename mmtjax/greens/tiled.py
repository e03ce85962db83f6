"""The Green's operator streamed over tiles of sensors: Q is never held."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import DEFAULT_TOLERANCE, TILE, FieldPlan, plan_field, tile_count
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import TileFrame, parts_of_rows
from mmtjax.linalg.arrays import take_or_zero
from mmtjax.linalg.pieces import Piece
from mmtjax.precision import AnyArray, on_accelerator
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns

#: Columns of one block, in bytes. Blocks below 32 MiB are taken from memory that the process has already; larger ones
#: are mapped anew each time, which costs as much as a third of making them. Many unknowns need more all the same, or
#: the matrix of the normal equations is read and written too often.
_BLOCK_BYTES = 24 * 2**20
_BLOCK_ROWS = 2048

#: The same on an accelerator, which smaller ones would not fill.
_ACCELERATOR_BYTES = 2**30

_DOUBLE = np.dtype(np.float64).itemsize


def block_tiles_for(unknowns: int, *, block_bytes: int | None, most: int) -> int:
    """Return the tiles of one block of columns of so many bytes, by default of what is fastest; one at least."""
    wanted = block_bytes_for(unknowns) if block_bytes is None else block_bytes
    return int(np.clip(wanted // (_DOUBLE * unknowns * TILE * TILE), 1, most))


def block_bytes_for(unknowns: int) -> int:
    """Return the size of the blocks of columns for so many unknowns, in bytes."""
    return max(_ACCELERATOR_BYTES if on_accelerator() else _BLOCK_BYTES, _DOUBLE * _BLOCK_ROWS * unknowns)


class RowBlock(eqx.Module):
    """Some rows of Q: ``columns`` is (unknown, row), of the sensors with the flat indices ``sensor``.

    Rows that fill up a tile beyond the grid have the index of no sensor, the size of the grid.
    """

    columns: Float[Array, "unknown row"]
    sensor: Int[np.ndarray, " row"]


class TiledGreen(AbstractGreen):
    """Rows of Q made tile by tile, each block forgotten when the next is made.

    Parameters
    ----------
    sources, grid
        Sources and sensors; positions, standoff and spacing may be traced.
    tolerance
        Error of a coefficient as a share of the peak of its source.
    block_bytes
        Size of the columns that are held at a time; by default what is fastest.
    reuse_plan
        As for `plan_field`.
    frame
        Blocks of rows, to be stacked with another operator; by default as `block_bytes` says.

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> green = TiledGreen(grains, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    >>> green.gram().shape
    (3, 3)
    """

    sources: AbstractSource
    grid: SensorGrid
    plan: FieldPlan
    frame: TileFrame

    def __init__(
        self,
        sources: AbstractSource,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        block_bytes: int | None = None,
        reuse_plan: FieldPlan | None = None,
        frame: TileFrame | None = None,
    ) -> None:
        self.sources = sources
        self.grid = grid
        self.plan = plan_field(sources, grid, tolerance=tolerance, reuse_plan=reuse_plan)
        tiles = block_tiles_for(sources.unknowns.size, block_bytes=block_bytes, most=tile_count(grid))
        self.frame = TileFrame(grid, tiles) if frame is None else frame

    @property
    def unknowns(self) -> Unknowns:
        """The components of all sources."""
        return Unknowns((self.sources.unknowns,))

    @property
    def sweep_order(self) -> Int[np.ndarray, " unknown"]:
        """Numbers of the unknowns in their own order."""
        return np.arange(self.unknowns.size)

    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """Yield all rows of Q, a block of tiles at a time."""
        for tiles, sensor in self.frame.blocks():
            columns = columns_on_tiles(self.plan, self.grid, tiles=tiles)
            yield RowBlock(columns, sensor)
            if progress is not None:
                # The next block is made on the host: without waiting, progress would run ahead of the device.
                jax.block_until_ready(columns)
                progress(min(self.grid.size, (int(tiles[-1]) + 1) * TILE * TILE), self.grid.size)

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT."""
        parts, sensors = [], []
        for block in self.row_blocks(progress):
            parts.append(_field(block.columns, jnp.asarray(values)))
            sensors.append(block.sensor)
        order = np.argsort(np.concatenate(sensors), kind="stable")[: self.grid.size]
        return jnp.concatenate(parts, axis=-1)[..., order].reshape(*values.shape[:-1], *self.grid.shape)

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several."""
        total = jnp.zeros((*field.shape[:-2], self.unknowns.size))
        for block in self.row_blocks(progress):
            here = take_or_zero(field, block.sensor, beside=block.columns)
            total = _add_moments(total, block.columns, jnp.asarray(here))
        return total

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several, in one pass over the columns."""
        total = jnp.zeros(values.shape)
        for block in self.row_blocks():
            weights = jnp.asarray(take_or_zero(weight, block.sensor, beside=block.columns))
            total = _add_moments(total, block.columns, weights**2 * _field(block.columns, jnp.asarray(values)))
        return total

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rows of W Q, a block of tiles at a time."""
        for block in self.row_blocks(progress):
            yield from parts_of_rows(block.columns, weight, block.sensor)


@jax.jit
def _field(columns: Float[Array, "unknown row"], values: Float[Array, "*map unknown"]) -> Float[Array, "*map row"]:
    return values @ columns


@jax.jit
def _add_moments(
    total: Float[Array, "*map unknown"], columns: Float[Array, "unknown row"], field: Float[Array, "*map row"]
) -> Float[Array, "*map unknown"]:
    return total + (columns @ field if field.ndim == 1 else field @ columns.T)
