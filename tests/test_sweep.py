"""Rows that hold few unknowns each, reduced from one side to the other, against QR of all of them in one piece."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.qr import triangularize
from mmtjax.linalg.root import root_of_pieces
from mmtjax.linalg.sweep import staircase_of, swept, triangular

SIZE = 60


def rows_along_a_line(count: int, reach: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows in some of the unknowns within reach of a place that moves from the first to the last, in any order."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        first = int(rng.integers(0, SIZE - reach + 1))
        place = rng.permutation(first + rng.choice(reach, size=rng.integers(1, reach), replace=False))
        drawn.append((place, rng.normal(size=(int(rng.integers(0, 9)), len(place)))))
    return drawn


def whole(drawn: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """All rows with their zeros."""
    stack = []
    for place, rows in drawn:
        spread = np.zeros((len(rows), SIZE))
        spread[:, place] = rows
        stack.append(spread)
    return np.concatenate(stack)


@pytest.mark.parametrize(
    ("as_array", "count", "reach"),
    [*((np.array, count, reach) for count, reach in [(120, 12), (40, 60), (3, 20), (0, 20)]), (jnp.asarray, 20, 12)],
)
def test_rows_are_swept(as_array, count, reach):
    drawn = rows_along_a_line(count, reach, seed=count)
    pieces = [staircase_of(place, as_array(rows)) for place, rows in drawn if len(rows)]
    reduced = swept(pieces)
    stack = whole([(np.arange(SIZE), np.zeros((0, SIZE))), *drawn])
    gram = stack.T @ stack
    again = whole([(piece.place, np.asarray(piece.rows)) for piece in reduced]) if reduced else stack
    assert len(again) <= min(len(stack), SIZE)
    np.testing.assert_allclose(again.T @ again, gram, atol=1e-12)
    order = np.random.default_rng(1).permutation(SIZE)
    factor = np.asarray(triangular(reduced, order))
    assert factor.shape == (SIZE, SIZE)
    np.testing.assert_array_equal(factor, np.triu(factor))
    inverse = np.argsort(order)
    np.testing.assert_allclose(factor.T @ factor, gram[np.ix_(inverse, inverse)], atol=1e-12)


def test_columns_of_pieces_are_not_changed():
    columns = np.random.default_rng(2).normal(size=(5, 40))
    before = columns.copy()
    factor = np.asarray(root_of_pieces([Piece(columns)], np.arange(5)))
    np.testing.assert_array_equal(columns, before)
    np.testing.assert_allclose(factor.T @ factor, before @ before.T, atol=1e-12)


def test_the_work_stays_within_reach():
    """Rows of a swept factor end where no row that began before them reached further."""
    reach = 10
    drawn = rows_along_a_line(300, reach, seed=3)
    for piece in swept([staircase_of(place, rows) for place, rows in drawn if len(rows)]):
        assert len(piece.place) < 4 * reach


@pytest.mark.parametrize("rows", [7, 500, 900])
@pytest.mark.parametrize("staircase", [False, True])
def test_rows_are_made_triangular(rows, staircase):
    """Several panels and chunks; columns of very different length, whose digits must all survive."""
    rng, size = np.random.default_rng(rows), 450
    lead = np.sort(rng.integers(0, size, rows)) if staircase else np.zeros(rows, int)
    stack = np.where(np.arange(size) >= lead[:, None], rng.normal(size=(rows, size)), 0) * 10.0 ** rng.uniform(
        -9, 0, size
    )
    length = np.linalg.norm(stack, axis=0) + (stack == 0).all(axis=0)
    above, below = triangularize(stack.copy(), lead, [150, size])
    reduced = np.concatenate([above, below])
    assert len(reduced) <= min(rows, size)
    assert not below[:, :150].any()
    np.testing.assert_allclose(
        (reduced / length).T @ (reduced / length), (stack / length).T @ (stack / length), atol=1e-13
    )
    np.testing.assert_array_equal(reduced, np.triu(reduced))
