"""Normal equations and orthogonal factor of ready columns, against BLAS and LAPACK on the same numbers."""

from functools import partial

import jax
import numpy as np
import scipy

from benchmarks.measure import interleaved, median_ratio, note, one_core_clock, record
from benchmarks.samples import grains_of, hundred_grains, large_grid
from mmtjax.greens.tiled import TiledGreen
from mmtjax.linalg.gram import gram_of_pieces
from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.root import root_of_pieces

_ROUNDS = 9

#: Rows of the smaller matrix on which both factorizations are timed.
_FACTORED_ROWS = 32_768


def one_core() -> None:
    """Products of the columns of 100 grains at 501 × 501 sensors, on one core."""
    grid = large_grid()
    green = TiledGreen(grains_of(hundred_grains()), grid)
    # Made beforehand, so that only the products with them are timed.
    ready = list(green.pieces(np.ones(grid.shape)))
    # The columns of sensors beyond the grid fill up tiles: ours has to multiply them too, the peer does not.
    inside = [np.asarray(piece.columns)[:, np.asarray(piece.weight) > 0] for piece in ready]
    # Indexed by a mask and joined, arrays of NumPy need not be in C order, and dsyrk would time a copy.
    columns = np.ascontiguousarray(np.concatenate(inside, axis=1))
    compare_gram(ready, columns)
    compare_root(ready, columns)


def compare_gram(ready: list[Piece], columns: np.ndarray) -> None:
    """The normal equations against one call of dsyrk, which computes one triangle."""
    ours = partial(normal_matrix, ready, len(columns))
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


def normal_matrix(ready: list[Piece], size: int) -> jax.Array:
    """Return the matrix QᵀQ of ready columns with weights, block by block."""
    return jax.block_until_ready(gram_of_pieces(ready, size))


def compare_root(ready: list[Piece], columns: np.ndarray) -> None:
    """The orthogonal factor of all rows, and of some of them against the QR of LAPACK."""
    some = columns[:, :_FACTORED_ROWS]
    ours = partial(triangular_factor, [Piece(some)], len(columns))
    rows = np.asfortranarray(some.T)
    peer = partial(scipy.linalg.qr, rows, mode="r", check_finite=False)
    whole = partial(triangular_factor, ready, len(columns))
    for work in (ours, peer, whole):
        work()
    times = interleaved(whole, ours, peer, rounds=3, clock=one_core_clock)
    record("root_s", np.median(times[:, 0]), "s")
    record("root_share_of_qr", median_ratio(times[:, 2], times[:, 1]), "times")


def triangular_factor(ready: list[Piece], size: int) -> jax.Array:
    """Return the triangular factor of ready columns."""
    return jax.block_until_ready(root_of_pieces(ready, np.arange(size)))
