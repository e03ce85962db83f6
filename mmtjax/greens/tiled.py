"""The Green's operator streamed over tiles of sensors: Q is never held."""

from collections.abc import Iterator

import equinox as eqx
import jax
import numpy as np

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import DEFAULT_TOLERANCE, TILE, FieldPlan, plan_field, tile_corners, tile_count
from mmtjax.greens.rows import AbstractRows, RowBlock
from mmtjax.precision import on_accelerator
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

#: Columns of one block, in bytes. Blocks below 32 MiB are taken from memory that the process has already; larger ones
#: are mapped anew each time, which costs as much as a third of making them. Many unknowns need more all the same, or
#: the matrix of the normal equations is read and written too often.
_BLOCK_BYTES = 24 * 2**20
_BLOCK_ROWS = 2048

#: The same on an accelerator, which smaller ones would not fill.
_ACCELERATOR_BYTES = 2**30


def block_tiles_for(grains: int, *, block_bytes: int | None, most: int) -> int:
    """Tiles of one block of columns of so many bytes, by default of what is fastest; one at least."""
    wanted = block_bytes_for(3 * grains) if block_bytes is None else block_bytes
    return int(np.clip(wanted // (24 * grains * TILE * TILE), 1, most))


def block_bytes_for(unknowns: int) -> int:
    """Size of the blocks of columns for so many unknowns, in bytes."""
    return max(_ACCELERATOR_BYTES if on_accelerator() else _BLOCK_BYTES, 8 * _BLOCK_ROWS * unknowns)


class TiledGreen(AbstractRows):
    """Rows of Q made tile by tile, each block forgotten when the next is made.

    Parameters
    ----------
    grains, grid
        Sources and sensors; positions, standoff and spacing may be traced.
    tolerance
        Error of a coefficient as a share of the peak of its grain.
    block_bytes
        Size of the columns that are held at a time; by default what is fastest.
    reuse_plan
        As for `plan_field`.

    Examples
    --------
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> green = TiledGreen(grains, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    >>> green.gram().shape
    (3, 3)
    """

    grains: Grains
    grid: SensorGrid
    plan: FieldPlan
    block_tiles: int = eqx.field(static=True)

    def __init__(
        self,
        grains: Grains,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        block_bytes: int | None = None,
        reuse_plan: FieldPlan | None = None,
    ) -> None:
        self.grains = grains
        self.grid = grid
        self.plan = plan_field(grains, grid, tolerance=tolerance, reuse_plan=reuse_plan)
        self.block_tiles = block_tiles_for(len(grains), block_bytes=block_bytes, most=tile_count(grid))

    @property
    def unknowns(self) -> int:
        """Number of unknowns, three for each grain."""
        return 3 * len(self.grains)

    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """All rows of Q, `block_tiles` tiles at a time."""
        total = tile_count(self.grid)
        for start in range(0, total, self.block_tiles):
            tiles = np.arange(start, min(start + self.block_tiles, total))
            columns = columns_on_tiles(self.plan, self.grid, tiles=tiles)
            yield RowBlock(columns, sensors_of_tiles(self.grid, tiles))
            if progress is not None:
                # The next block is made on the host: without waiting, progress would run ahead of the device.
                jax.block_until_ready(columns)
                progress(min(self.grid.size, (int(tiles[-1]) + 1) * TILE * TILE), self.grid.size)


def sensors_of_tiles(grid: SensorGrid, tiles: np.ndarray) -> np.ndarray:
    """Flat indices of the sensors of `tiles`, (tile · sensor,); `grid.size` where a tile leaves the grid."""
    first = tile_corners(grid, tiles)
    row = first[:, 0, None, None] + np.arange(TILE)[:, None]
    column = first[:, 1, None, None] + np.arange(TILE)
    inside = (row < grid.shape[0]) & (column < grid.shape[1])
    return np.where(inside, row * grid.shape[1] + column, grid.size).ravel()
