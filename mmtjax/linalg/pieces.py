"""Triangular factor of rows that hold few unknowns each: they are reduced from one side of the map to the other."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dgeqrf, dgeqrf_lwork
from threadpoolctl import ThreadpoolController

AnyArray = np.ndarray | Array

#: Share of the unknowns that pieces hold up to which it pays to sweep them before all rows are reduced.
SWEPT = 0.7

#: Columns that are reduced before the others are updated: fewer make thin products, more a slow panel.
_PANEL = 192

#: Rows that are updated at a time: the product of more comes in memory fresh from the system.
_CHUNK = 512

#: Bytes that the addresses of what JAX takes over are multiples of.
_ALIGNED = 64


class Piece(NamedTuple):
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


def piece_of(place: Int[np.ndarray, " place"], rows: Float[AnyArray, "row place"]) -> Piece:
    """Rows in some unknowns, in any order, as a piece; reduced to a triangle if there are more rows than unknowns."""
    order = np.argsort(place)
    place, rows = place[order], rows[:, order]
    if isinstance(rows, np.ndarray):
        rows = np.ascontiguousarray(rows)
    if len(rows) <= len(place):
        return Piece(place, np.repeat(place[:1], len(rows)), rows)
    reduced = triangularize(rows, np.zeros(len(rows), int), [len(place)])[0]
    return Piece(place, place[: len(reduced)], reduced.copy())


def swept(pieces: list[Piece]) -> list[Piece]:
    """The same rows, rotated, with no more of them than unknowns: blocks of an upper triangular factor.

    The list is emptied, so that rows are given back as they are used.

    In the order of their first unknown, pieces are collected until there are as many rows as unknowns in them, and
    reduced. Unknowns that occur in no later piece are then done with, and their rows final. So the work goes with the
    square of the number of unknowns within reach of each other, not of all.
    """
    ahead = sorted(pieces, key=lambda piece: piece.place[0], reverse=True)
    pieces.clear()
    return list(_sweep(ahead))


def _sweep(pieces: list[Piece]) -> Iterator[Piece]:
    """Rows that are final, block by block; pieces are taken from the end of the list."""
    waiting: list[Piece] = []
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


def _reduced(front: Int[np.ndarray, " place"], pieces: list[Piece], done: int) -> tuple[Piece, Piece]:
    """Rows that are final, of the first unknowns of the front, and those that are left in the others."""
    columns = [np.searchsorted(front, piece.place) for piece in pieces]
    lead = np.concatenate([np.searchsorted(front, piece.lead) for piece in pieces])
    order = np.argsort(lead, kind="stable")
    stack = _stacked([piece.rows for piece in pieces], columns, len(front), order)
    final, others = triangularize(stack, lead[order], [done, len(front)])
    # As parts of the stack they would keep all of it.
    final, others = final.copy(), others[:, done:].copy()
    return Piece(front, front[: len(final)], final), Piece(front[done:], front[done:][: len(others)], others)


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


def triangular(pieces: list[Piece], unknown: Int[np.ndarray, " size"]) -> Float[AnyArray, "size size"]:
    """The square triangular factor of all pieces in another order of the unknowns, the place of each in which is given.

    Rows of zeros stand at its end where there are too few. The list is emptied, so that rows are given back as soon as
    they are stacked.
    """
    size = len(unknown)
    pieces = pieces or [Piece(np.arange(size), np.arange(0), np.zeros((0, size)))]
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


def triangularize(
    rows: Float[AnyArray, "row size"], lead: Int[np.ndarray, " row"], ends: list[int]
) -> list[Float[AnyArray, "left size"]]:
    """What is left of rows when they are made upper triangular, parted at the columns where their first values lie.

    Householder's reflections, a panel of columns at a time, of the rows that have begun by then; zeros before `lead`
    (ascending) cost nothing. NumPy's rows are overwritten.

    Parameters
    ----------
    rows
        Rows to reduce.
    lead
        Number of zeros at the beginning of each, ascending.
    ends
        Columns before which each part of the result ends, ascending, the last of them the number of columns.
    """
    if not isinstance(rows, np.ndarray):
        reduced = jnp.linalg.qr(rows, mode="r")
        return jnp.split(reduced, [min(end, len(reduced)) for end in ends[:-1]])
    top, parts = 0, []
    for start, end in zip([0, *ends], ends, strict=False):
        first = top
        for column in range(start, end, _PANEL):
            stop = min(column + _PANEL, end)
            begun = int(np.searchsorted(lead, stop))
            top += _reflect(rows[top:begun, column:], stop - column)
        parts.append(rows[first:top])
    return parts


def _reflect(rows: Float[np.ndarray, "row size"], width: int) -> int:
    """Make the first columns of some rows upper triangular, in place; how many rows are then final."""
    if len(rows) == 0 or width == 0:
        return 0
    others = rows[:, width:]
    # Panels are thin: threads wait for each other there longer than they work. And SciPy has a BLAS of its own, whose
    # threads, once woken, would spin beside those of NumPy's that make the products below.
    with _thread_pools().limit(limits=1, user_api="blas"):
        vectors, scale = _panel(np.array(rows[:, :width], order="F"))
        count = len(scale)
        rows[:count, :width] = np.triu(vectors[:count])
        rows[count:, :width] = 0
        if not others.size:
            return count
        vectors = vectors[:, :count]
        vectors[:count] = np.tril(vectors[:count], -1)
        np.fill_diagonal(vectors, 1)
        # The product of the reflections is 1 - V T Vᵀ, with 1/T the upper triangle of VᵀV and 1/scale on its diagonal.
        inner = np.eye(count) + scale[:, None] * np.triu(vectors.T @ vectors, 1)
        turn = solve_triangular(inner, np.diag(scale)).T
    along = turn @ (vectors.T @ others)
    for start in range(0, len(others), _CHUNK):
        others[start : start + _CHUNK] -= vectors[start : start + _CHUNK] @ along
    return count


def _panel(columns: Float[np.ndarray, "row width"]) -> tuple[np.ndarray, np.ndarray]:
    """LAPACK's reflections of some columns, which are overwritten."""
    # The workspace that LAPACK is given by default is too small for it to work by panels.
    size, _ = dgeqrf_lwork(*columns.shape)
    vectors, scale, _, _ = dgeqrf(columns, lwork=int(size), overwrite_a=True)
    return vectors, scale


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()
