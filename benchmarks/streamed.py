"""The dense matrix streamed through BLAS, on a share of its rows: what the compressed operator is held against."""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np
from jaxtyping import Int

from benchmarks.measure import note, seconds
from benchmarks.products import ReadyColumns
from mmtjax import Grains, SensorGrid
from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import tile_count
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.rows import AbstractRows, RowBlock
from mmtjax.greens.tiled import TiledGreen, sensors_of_tiles
from mmtjax.progress import Progress

#: Blocks of which the product alone is timed.
_PRODUCTS = 4


class SomeRows(AbstractRows):
    """Some full blocks of rows of a tiled operator; the others are left out as if their sensors were masked."""

    green: TiledGreen
    grid: SensorGrid
    unknowns: int
    first: Int[np.ndarray, " block"]

    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """The blocks that begin with the tiles `first`."""
        for start in self.first:
            tiles = np.arange(start, start + self.green.block_tiles)
            columns = columns_on_tiles(self.green.plan, self.grid, tiles=tiles)
            yield RowBlock(columns, sensors_of_tiles(self.grid, tiles))


def streamed_seconds(
    grains: Grains, grid: SensorGrid, *, share: float, tolerance: float, root: bool = False
) -> tuple[float, float]:
    """Seconds for all rows, columns made and multiplied, and for their products alone, from a share of the rows.

    The blocks are spread evenly over the grid, so that sensors are as near to grains as in the whole. What takes its
    time once, as the matrix that is filled, would be scaled up with the rest: the time of a block is the difference of
    what many take and what one takes. `root` times the triangular factor in place of the normal equations.
    """
    green = TiledGreen(grains, grid, tolerance=tolerance)
    blocks = max(1, tile_count(grid) // green.block_tiles)
    count = min(blocks, max(2, round(share * blocks)))
    chosen = np.linspace(0, blocks, count, endpoint=False).astype(int) * green.block_tiles
    if blocks == 1:
        note("all rows fit in one block, which is made and multiplied whole")
        whole = SomeRows(green, grid, green.unknowns, chosen)
        work = partial(reduce_rows, whole, root=root)
        work()
        ready = ReadyColumns(grid, green.unknowns, list(whole.row_blocks()))
        return seconds(work), seconds(partial(reduce_rows, ready, root=root))
    note(f"the dense matrix is streamed on {count} of {blocks} blocks of rows, and scaled to all of them")
    scale = tile_count(grid) / green.block_tiles

    def block_seconds(some: AbstractGreen, one: AbstractGreen, number: int) -> float:
        reduce_rows(one, root=root)
        once = seconds(partial(reduce_rows, one, root=root))
        return (seconds(partial(reduce_rows, some, root=root)) - once) / (number - 1)

    some, one = (SomeRows(green, grid, green.unknowns, places) for places in (chosen, chosen[:1]))
    both = scale * block_seconds(some, one, count)
    block = next(one.row_blocks())
    several, single = (ReadyColumns(grid, green.unknowns, [block] * number) for number in (_PRODUCTS, 1))
    return both, scale * block_seconds(several, single, _PRODUCTS)


def reduce_rows(green: AbstractGreen, *, root: bool) -> None:
    """The triangular factor or the matrix of the normal equations, waited for."""
    jax.block_until_ready(green.root() if root else green.gram())
