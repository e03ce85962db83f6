"""Triangular factor of rows that hold few unknowns each: they are reduced from one side of the map to the other."""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mmtjax.linalg.qr import triangularize
from mmtjax.precision import AnyArray

#: Share of the unknowns that pieces hold up to which it pays to sweep them before all rows are reduced.
SWEPT = 0.7

#: Bytes that the addresses of what JAX takes over are multiples of.
_ALIGNED = 64


class Staircase(NamedTuple):
    """Rows that are zero but for some unknowns.

    Attributes
    ----------
    place
        The unknowns, ascending.
    lead
        The first unknown of each row, ascending.
    rows
        (row, place).
    """

    place: Int[np.ndarray, " place"]
    lead: Int[np.ndarray, " row"]
    rows: Float[AnyArray, "row place"]


def staircase_of(place: Int[np.ndarray, " place"], rows: Float[AnyArray, "row place"]) -> Staircase:
    """Rows in some unknowns, in any order, as a piece; reduced to a triangle if there are more rows than unknowns."""
    order = np.argsort(place)
    place, rows = place[order], rows[:, order]
    if isinstance(rows, np.ndarray):
        rows = np.ascontiguousarray(rows)
    if len(rows) <= len(place):
        return Staircase(place, np.repeat(place[:1], len(rows)), rows)
    reduced = triangularize(rows, np.zeros(len(rows), int), [len(place)])[0]
    return Staircase(place, place[: len(reduced)], reduced.copy())


def swept(pieces: list[Staircase]) -> list[Staircase]:
    """The same rows, rotated, with no more of them than unknowns: blocks of an upper triangular factor.

    The list is emptied, so that rows are given back as they are used.

    In the order of their first unknown, pieces are collected until there are as many rows as unknowns in them, and
    reduced. Unknowns that occur in no later piece are then done with, and their rows final. So the work goes with the
    square of the number of unknowns within reach of each other, not of all.
    """
    ahead = sorted(pieces, key=lambda piece: piece.place[0], reverse=True)
    pieces.clear()
    return list(_sweep(ahead))


def _sweep(pieces: list[Staircase]) -> Iterator[Staircase]:
    """Rows that are final, block by block; pieces are taken from the end of the list."""
    waiting: list[Staircase] = []
    fresh, front = 0, np.arange(0)
    while pieces:
        piece = pieces.pop()
        waiting.append(piece)
        fresh, front = fresh + len(piece.rows), np.union1d(front, piece.place)
        last = not pieces
        ahead = front[-1] + 1 if last else pieces[-1].place[0]
        done = int(np.searchsorted(front, ahead))
        if last or (done and fresh >= len(front)):
            final, others = _reduced(front, waiting, done)
            if len(final.rows):
                yield final
            waiting, fresh, front = ([others], 0, others.place) if len(others.rows) else ([], 0, np.arange(0))


def _reduced(front: Int[np.ndarray, " place"], pieces: list[Staircase], done: int) -> tuple[Staircase, Staircase]:
    """Rows that are final, of the first unknowns of the front, and those that are left in the others."""
    columns = [np.searchsorted(front, piece.place) for piece in pieces]
    lead = np.concatenate([np.searchsorted(front, piece.lead) for piece in pieces])
    order = np.argsort(lead, kind="stable")
    stack = _stacked([piece.rows for piece in pieces], columns, len(front), order)
    final, others = triangularize(stack, lead[order], [done, len(front)])
    # As parts of the stack they would keep all of it.
    final, others = final.copy(), others[:, done:].copy()
    return Staircase(front, front[: len(final)], final), Staircase(front[done:], front[done:][: len(others)], others)


def _stacked(
    parts: list[AnyArray], columns: list[np.ndarray], size: int, order: Int[np.ndarray, " row"]
) -> Float[AnyArray, "row size"]:
    """Rows one below the other, each in its columns, in some order."""
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


def triangular(pieces: list[Staircase], unknown: Int[np.ndarray, " size"]) -> Float[AnyArray, "size size"]:
    """The square triangular factor of all pieces in another order of the unknowns, the place of each in which is given.

    Rows of zeros stand at its end where there are too few. The list is emptied, so that rows are given back as soon as
    they are stacked.
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
        # A copy would be held beside the stack, which JAX gives back when it likes.
        factor = jnp.from_dlpack(factor)
    return factor if len(factor) == size else jnp.zeros((size, size)).at[: len(factor)].set(factor)


def _zeros(rows: int, size: int) -> Float[np.ndarray, "row size"]:
    """Zeros at an address at which JAX takes them over without a copy."""
    memory = np.zeros(8 * rows * size + _ALIGNED, np.uint8)
    first = -memory.ctypes.data % _ALIGNED
    return memory[first : first + 8 * rows * size].view(np.float64).reshape(rows, size)
