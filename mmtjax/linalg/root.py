"""The triangular factor R of rows A that come in pieces, RᵀR = AᵀA, without forming AᵀA."""

import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.qr import triangularize
from mmtjax.linalg.sharded import ShardedSums
from mmtjax.linalg.sweep import SWEPT, Staircase, staircase_of, swept, triangular
from mmtjax.precision import AnyArray

#: Number of rows for each unknown that are collected before the triangular factor is updated.
_ROWS_PER_UNKNOWN = 2


def root_of_pieces(pieces: Iterable[Piece], order: Int[np.ndarray, " size"]) -> Float[Array, "size size"]:
    """Return the triangular factor of the rows of some pieces, each row multiplied by its weight.

    If the pieces contain all unknowns, the factor is updated with some of them at a time (TSQR). Pieces of few unknowns
    are reduced together with those that share unknowns, in the given order of the unknowns.

    Parameters
    ----------
    pieces
        The rows. Either all pieces contain all unknowns, or each lists its own.
    order
        Numbers of the unknowns in the order of the reduction; unknowns that share pieces should be close to each other.

    Examples
    --------
    >>> root = root_of_pieces([Piece(np.array([[3.0, 4.0]]))], np.arange(1))
    >>> abs(float(root[0, 0]))
    5.0
    """
    size, following = len(order), iter(pieces)
    first = next(following, None)
    if first is None:
        return jnp.zeros((size, size))
    every = itertools.chain([first], following)
    # No reference to the first piece may remain: it may be as large as the factor.
    sharded, whole = first.is_sharded, first.place is None
    del first
    if sharded:
        return _sharded_root(every, size)
    return _whole_root(every, size) if whole else _swept_root(every, order)


def _whole_root(pieces: Iterable[Piece], size: int) -> Float[Array, "size size"]:
    """Return the factor of pieces that contain all unknowns."""
    factor: AnyArray = np.zeros((0, size))
    waiting: list[AnyArray] = []
    for piece in pieces:
        rows = piece.weighted_rows()
        # Rows are overwritten; without weights, they are still the columns of the operator.
        waiting.append(rows.copy() if piece.weight is None else rows)
        # Each update reduces the factor again, together with the new rows: it should have many of them.
        if sum(len(rows) for rows in waiting) >= _ROWS_PER_UNKNOWN * size:
            factor, waiting = _updated(factor, waiting), []
    factor = jnp.asarray(_updated(factor, waiting) if waiting else factor)
    missing = size - len(factor)
    return jnp.pad(factor, ((0, missing), (0, 0))) if missing else factor


def _updated(factor: Float[AnyArray, "_ size"], rows: list[Float[AnyArray, "_ size"]]) -> Float[AnyArray, "_ size"]:
    """Return the triangular factor of another factor and new rows."""
    if all(isinstance(part, np.ndarray) for part in rows):
        parts = [np.asarray(factor), *rows] if len(factor) else rows
        stack = np.concatenate(parts) if len(parts) > 1 else np.asarray(parts[0])
        return triangularize(stack, np.zeros(len(stack), int), [stack.shape[1]])[0].copy()
    return _reduced(jnp.asarray(factor), [jnp.asarray(part) for part in rows])


@jax.jit
def _reduced(factor: Array, rows: list[Array]) -> Array:
    """Return the triangular factor of another factor and new rows, by JAX."""
    return jnp.linalg.qr(jnp.concatenate([factor, *rows]), mode="r")


def _swept_root(pieces: Iterable[Piece], order: Int[np.ndarray, " size"]) -> Float[Array, "size size"]:
    """Return the factor of pieces that contain few unknowns each."""
    rank = np.argsort(order)
    blocks = [_swept_block(own, rank) for _, own in itertools.groupby(pieces, key=lambda piece: piece.block)]
    if len(blocks) == 1:
        return triangular(blocks[0], order)
    narrow: list[Staircase] = []
    wide: list[Staircase] = []
    for own in blocks:
        for rows in own:
            (narrow if len(rows.place) < SWEPT * len(order) else wide).append(rows)
        own.clear()
    return triangular(swept(narrow) + wide, order)


def _swept_block(pieces: Iterable[Piece], rank: Int[np.ndarray, " size"]) -> list[Staircase]:
    """Return the rows of one block; while pieces have few unknowns, each level is reduced with all lower levels."""
    levels: dict[int, list[Staircase]] = {}
    for piece in pieces:
        rows = piece.weighted_rows()
        if rows.size and piece.place is not None:
            levels.setdefault(piece.level, []).append(staircase_of(rank[piece.place], rows))
    gathered: list[Staircase] = []
    for level in sorted(levels):
        own = levels.pop(level)
        unknowns, count = sum(len(rows.place) for rows in own), len(own)
        gathered += own
        own.clear()
        if unknowns < SWEPT * len(rank) * count:
            gathered = swept(gathered)
    return gathered


def _sharded_root(pieces: Iterable[Piece], size: int) -> Float[Array, "size size"]:
    """Return the factor of rows on several devices: that of the factors of all devices (TSQR over devices)."""
    factors: ShardedSums | None = None
    for piece in pieces:
        factors = ShardedSums.like(piece.columns, (size, size)) if factors is None else factors
        factors.add(_add_own_rows, *piece.jax_arrays())
    return jnp.zeros((size, size)) if factors is None else factors.joined_factor()


def _add_own_rows(factors: Array, columns: Array, weight: Array, _: Array | None) -> Array:
    """Return the factor of one device, updated with its own weighted rows."""
    return jnp.linalg.qr(jnp.concatenate([factors[0], (columns * weight).T]), mode="r")[None]
