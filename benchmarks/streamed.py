"""The dense matrix streamed through BLAS, on a share of its rows: what the compressed operator is held against."""

from collections.abc import Iterable, Iterator
from functools import partial

import jax
import numpy as np

from benchmarks.measure import note, seconds
from mmtjax import Grains, SensorGrid
from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import tile_count
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import parts_of_rows, sensors_of_tiles
from mmtjax.greens.tiled import TiledGreen
from mmtjax.linalg.gram import gram_of_pieces
from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.root import root_of_pieces

#: Blocks of which the product alone is timed.
_PRODUCTS = 4


def some_rows(green: TiledGreen, first: np.ndarray) -> Iterator[Piece]:
    """Yield the full blocks of rows of a tiled operator that begin with some tiles, as if others were masked."""
    weight = np.ones(green.grid.shape)
    for start in first:
        tiles = np.arange(start, start + green.frame.block_tiles)
        columns = columns_on_tiles(green.plan, green.grid, tiles=tiles)
        yield from parts_of_rows(columns, weight, sensors_of_tiles(green.grid, tiles))


def streamed_seconds(
    grains: Grains, grid: SensorGrid, *, share: float, tolerance: float, root: bool = False
) -> tuple[float, float]:
    """Seconds for all rows, columns made and multiplied, and for their products alone, from a share of the rows.

    The blocks are spread evenly over the grid, so that sensors are as near to grains as in the whole. What takes its
    time once, as the matrix that is filled, would be scaled up with the rest: the time of a block is the difference of
    what many take and what one takes. `root` times the triangular factor in place of the normal equations.
    """
    green = TiledGreen(grains, grid, tolerance=tolerance)
    blocks = max(1, tile_count(grid) // green.frame.block_tiles)
    count = min(blocks, max(2, round(share * blocks)))
    chosen = np.linspace(0, blocks, count, endpoint=False).astype(int) * green.frame.block_tiles
    unknowns = green.unknowns.size
    if blocks == 1:
        note("all rows fit in one block, which is made and multiplied whole")

        def work() -> None:
            reduce_pieces(some_rows(green, chosen), unknowns, root=root)

        work()
        ready = list(some_rows(green, chosen))
        return seconds(work), seconds(partial(reduce_pieces, ready, unknowns, root=root))
    note(f"the dense matrix is streamed on {count} of {blocks} blocks of rows, and scaled to all of them")
    scale = tile_count(grid) / green.frame.block_tiles

    def made_seconds(first: np.ndarray) -> float:
        return seconds(lambda: reduce_pieces(some_rows(green, first), unknowns, root=root))

    def ready_seconds(ready: list[Piece]) -> float:
        return seconds(partial(reduce_pieces, ready, unknowns, root=root))

    made_seconds(chosen[:1])
    both = (made_seconds(chosen) - made_seconds(chosen[:1])) / (count - 1)
    block = list(some_rows(green, chosen[:1]))
    ready_seconds(block)
    product = (ready_seconds(_PRODUCTS * block) - ready_seconds(block)) / (_PRODUCTS - 1)
    return scale * both, scale * product


def reduce_pieces(pieces: Iterable[Piece], size: int, *, root: bool) -> None:
    """Compute the triangular factor or the matrix of the normal equations of rows in pieces, and wait for it."""
    jax.block_until_ready(root_of_pieces(pieces, np.arange(size)) if root else gram_of_pieces(pieces, size))


def reduce_rows(green: AbstractGreen, *, root: bool) -> None:
    """Compute the triangular factor or the matrix of the normal equations of an operator, and wait for it."""
    jax.block_until_ready(green.root() if root else green.gram())
