"""The triangular factor of rows with few unknowns each, which are reduced from one side of the map to the other."""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.linalg.qr import triangularize
from mmtjax.precision import AnyArray

#: Largest share of all unknowns in one piece for which a sweep is faster than the reduction of all rows at once.
SWEPT = 0.7

#: Alignment, in bytes, of arrays that JAX uses without a copy.
_ALIGNED = 64


class Staircase(NamedTuple):
    """Rows that are zero except for some unknowns, sorted by the first unknown of each (row echelon form).

    Attributes
    ----------
    place
        Numbers of these unknowns, ascending.
    lead
        The first unknown of each row, ascending.
    rows
        Coefficients of these unknowns, (row, place).
    """

    place: Int[np.ndarray, " place"]
    lead: Int[np.ndarray, " row"]
    rows: Float[AnyArray, "row place"]


def staircase_of(place: Int[np.ndarray, " place"], rows: Float[AnyArray, "row place"]) -> Staircase:
    """Return rows with some unknowns in ascending order, reduced to a triangle if there are more rows than unknowns.

    Parameters
    ----------
    place
        Numbers of the unknowns, in any order.
    rows
        Coefficients of these unknowns; may be overwritten.
    """
    order = np.argsort(place)
    place, rows = place[order], rows[:, order]
    if isinstance(rows, np.ndarray):
        rows = np.ascontiguousarray(rows)
    if len(rows) <= len(place):
        return Staircase(place, np.repeat(place[:1], len(rows)), rows)
    reduced = triangularize(rows, np.zeros(len(rows), int), [len(place)])[0]
    return Staircase(place, place[: len(reduced)], reduced.copy())


def swept(pieces: list[Staircase]) -> list[Staircase]:
    """Return an orthonormal rotation of all rows to blocks of an upper triangular factor.

    In the order of their first unknown, pieces are collected until they have as many rows as unknowns, and are then
    reduced. The rows of unknowns that occur in no later piece are final. The work is proportional to the square of the
    number of unknowns that are collected at a time, which is far less than their total number.

    Parameters
    ----------
    pieces
        The rows. The list is emptied, so that memory is freed as soon as rows are used.
    """
    ahead = sorted(pieces, key=lambda piece: piece.place[0], reverse=True)
    pieces.clear()
    return list(_sweep(ahead))


def _sweep(pieces: list[Staircase]) -> Iterator[Staircase]:
    """Yield final rows, block by block; pieces are taken from the end of the list."""
    waiting: list[Staircase] = []
    new_rows, front = 0, np.arange(0)
    while pieces:
        piece = pieces.pop()
        waiting.append(piece)
        new_rows, front = new_rows + len(piece.rows), np.union1d(front, piece.place)
        last = not pieces
        ahead = front[-1] + 1 if last else pieces[-1].place[0]
        done = int(np.searchsorted(front, ahead))
        if last or (done and new_rows >= len(front)):
            final, others = _reduced(front, waiting, done)
            if len(final.rows):
                yield final
            waiting, new_rows, front = ([others], 0, others.place) if len(others.rows) else ([], 0, np.arange(0))


def _reduced(front: Int[np.ndarray, " place"], pieces: list[Staircase], done: int) -> tuple[Staircase, Staircase]:
    """Return the final rows, of the first `done` unknowns of the front, and the remaining rows, of the others.

    Parameters
    ----------
    front
        Numbers of the unknowns of all pieces, ascending.
    pieces
        Rows to reduce.
    done
        Number of unknowns, at the beginning of the front, that occur in no other piece.
    """
    columns = [np.searchsorted(front, piece.place) for piece in pieces]
    lead = np.concatenate([np.searchsorted(front, piece.lead) for piece in pieces])
    order = np.argsort(lead, kind="stable")
    stack = _stacked([piece.rows for piece in pieces], columns, len(front), order)
    final, others = triangularize(stack, lead[order], [done, len(front)])
    # Without the copies, both would keep the whole stack in memory.
    final, others = final.copy(), others[:, done:].copy()
    return Staircase(front, front[: len(final)], final), Staircase(front[done:], front[done:][: len(others)], others)


def _stacked(
    parts: list[AnyArray], columns: list[np.ndarray], size: int, order: Int[np.ndarray, " row"]
) -> Float[AnyArray, "row size"]:
    """Return a matrix of some rows, each placed in its own columns, sorted by `order`."""
    if not isinstance(parts[0], np.ndarray):
        spread = [
            jnp.zeros((len(part), size)).at[:, place].set(part) for part, place in zip(parts, columns, strict=True)
        ]
        return jnp.concatenate(spread)[order]
    stack, target, start = _zeros(len(order), size), np.argsort(order), 0
    for part, place in zip(parts, columns, strict=True):
        stack[target[start : start + len(part), None], place] = part
        start += len(part)
    return stack


def triangular(pieces: list[Staircase], unknown: Int[np.ndarray, " size"]) -> Float[Array, "size size"]:
    """Return the square triangular factor of all pieces, with the unknowns in another order.

    If there are too few rows, the last rows of the factor are zero.

    Parameters
    ----------
    pieces
        The rows. The list is emptied, so that memory is freed as soon as rows are stacked.
    unknown
        For each number of an unknown in the pieces, its number in the factor.
    """
    size = len(unknown)
    pieces = pieces or [Staircase(np.arange(size), np.arange(0), np.zeros((0, size)))]
    count = sum(len(piece.rows) for piece in pieces)
    stack = _stacked(
        [piece.rows for piece in pieces], [unknown[piece.place] for piece in pieces], size, np.arange(count)
    )
    pieces.clear()
    factor = triangularize(stack, np.zeros(count, int), [size])[0]
    if isinstance(factor, np.ndarray):
        # No copy: it would need memory in addition to the stack.
        factor = jnp.from_dlpack(factor)
    return factor if len(factor) == size else jnp.zeros((size, size)).at[: len(factor)].set(factor)


def _zeros(rows: int, size: int) -> Float[np.ndarray, "row size"]:
    """Return zeros at an address at which JAX uses an array without a copy."""
    memory = np.zeros(8 * rows * size + _ALIGNED, np.uint8)
    first = -memory.ctypes.data % _ALIGNED
    return memory[first : first + 8 * rows * size].view(np.float64).reshape(rows, size)
