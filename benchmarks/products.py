"""Normal equations and orthogonal factor of ready columns, against BLAS and LAPACK on the same numbers."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy

from benchmarks.measure import interleaved, median_ratio, note, one_core_clock, record
from benchmarks.samples import grains_of, hundred_grains, large_grid
from mmtjax import SensorGrid
from mmtjax.greens.rows import AbstractRows, RowBlock
from mmtjax.greens.tiled import TiledGreen
from mmtjax.progress import Progress

_ROUNDS = 9

#: Rows of the smaller matrix on which both factorizations are timed.
_FACTORED_ROWS = 32_768


class ReadyColumns(AbstractRows):
    """Blocks of rows made beforehand, so that what the operator does with them is timed and nothing else."""

    grid: SensorGrid
    unknowns: int
    blocks: list[RowBlock]

    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """The blocks, as they are."""
        yield from self.blocks


def one_core() -> None:
    """Products of the columns of 100 grains at 501 × 501 sensors, on one core."""
    grid = large_grid()
    green = TiledGreen(grains_of(hundred_grains()), grid)
    ready = ReadyColumns(grid, green.unknowns, list(green.row_blocks()))
    # The columns of sensors beyond the grid fill up tiles: ours has to multiply them too, the peer does not.
    inside = [np.asarray(block.columns)[:, block.sensor < grid.size] for block in ready.blocks]
    # Indexed by a mask and joined, arrays of NumPy need not be in C order, and dsyrk would time a copy.
    columns = np.ascontiguousarray(np.concatenate(inside, axis=1))
    compare_gram(ready, columns)
    compare_root(ready, columns)


def compare_gram(ready: ReadyColumns, columns: np.ndarray) -> None:
    """The normal equations against one call of dsyrk, which computes one triangle."""
    one = jnp.ones(ready.grid.shape)
    ours = partial(normal_matrix, ready, one)
    # The transpose of rows in C order is a matrix in the order of Fortran: nothing is copied.
    peer = partial(scipy.linalg.blas.dsyrk, 1.0, columns.T, trans=1, lower=1)
    expected, found = peer(), np.asarray(ours())
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    difference = np.max(np.abs(np.tril(found - expected)) / scale)
    note(f"largest difference of the normal matrices, equilibrated: {difference:.1e}")
    if not difference < 1e-12:
        raise AssertionError(f"the normal matrices differ by {difference:.1e}")
    times = interleaved(ours, peer, rounds=_ROUNDS, clock=one_core_clock)
    flops = columns.shape[0] ** 2 * columns.shape[1]
    record("gram_gflops", flops / np.median(times[:, 0]) / 1e9, "GFLOP/s")
    record("dsyrk_gflops", flops / np.median(times[:, 1]) / 1e9, "GFLOP/s")
    record("gram_share_of_dsyrk", median_ratio(times[:, 1], times[:, 0]), "times")


def normal_matrix(ready: ReadyColumns, one: jax.Array) -> jax.Array:
    """The matrix QᵀQ of ready columns with weights, block by block."""
    return jax.block_until_ready(ready.gram(one))


def compare_root(ready: ReadyColumns, columns: np.ndarray) -> None:
    """The orthogonal factor of all rows, and of some of them against the QR of LAPACK."""
    grid = SensorGrid(origin=(0, 0), spacing=1, shape=(1, _FACTORED_ROWS), height=0)
    some = columns[:, :_FACTORED_ROWS]
    block = RowBlock(jnp.asarray(some), np.arange(_FACTORED_ROWS))
    ours = partial(root_of, ReadyColumns(grid, len(columns), [block]))
    rows = np.asfortranarray(some.T)
    peer = partial(scipy.linalg.qr, rows, mode="r", check_finite=False)
    whole = partial(root_of, ready)
    for work in (ours, peer, whole):
        work()
    times = interleaved(whole, ours, peer, rounds=3, clock=one_core_clock)
    record("root_s", np.median(times[:, 0]), "s")
    record("root_share_of_qr", median_ratio(times[:, 2], times[:, 1]), "times")


def root_of(ready: ReadyColumns) -> jax.Array:
    """The triangular factor of ready columns."""
    return jax.block_until_ready(ready.root())
