"""The matrix AᵀA (Gram matrix, or matrix of the normal equations) of rows A that come in pieces."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg import get_blas_funcs

from mmtjax.linalg.arrays import array_namespace
from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.sharded import ShardedSums

#: Number of rows in one call of BLAS.
_ROWS = 2048

(_syrk,) = get_blas_funcs(("syrk",), dtype=np.float64)


def gram_of_pieces(pieces: Iterable[Piece], size: int) -> Float[Array, "size size"]:
    """Return AᵀA for the rows A of some pieces, each row multiplied by its weight.

    Parameters
    ----------
    pieces
        The rows.
    size
        Number of unknowns, the columns of A.

    Examples
    --------
    >>> gram_of_pieces([Piece(np.array([[1.0, 2.0], [0.0, 3.0]]))], 2).tolist()
    [[5.0, 6.0], [6.0, 9.0]]
    """
    total: _Sum | None = None
    for piece in pieces:
        total = _sum_for(piece, size) if total is None else total
        total.add(piece)
    return jnp.zeros((size, size)) if total is None else total.result()


class _Sum(ABC):
    """The sum of aᵀa over rows a."""

    @abstractmethod
    def add(self, piece: Piece) -> None:
        """Add aᵀa for the rows a of a piece."""

    @abstractmethod
    def result(self) -> Array:
        """Return the sum as a symmetric matrix."""


def _sum_for(piece: Piece, size: int) -> _Sum:
    """Return an empty sum for pieces that are stored like this one."""
    if piece.is_sharded:
        return _ShardedSum(piece, size)
    others = () if piece.weight is None else (piece.weight,)
    return _HostSum(size) if array_namespace(piece.columns, *others) is np else _DeviceSum(size)


class _HostSum(_Sum):
    """A sum in main memory: BLAS updates its upper triangle in place.

    A product by XLA computes both triangles, writes a new matrix for every piece, and on one core takes three times as
    long as ``dsyrk``.
    """

    def __init__(self, size: int) -> None:
        self.upper = np.zeros((size, size))
        self.weighted: np.ndarray | None = None

    def add(self, piece: Piece) -> None:
        columns, weight = np.asarray(piece.columns), None if piece.weight is None else np.asarray(piece.weight)
        if piece.place is None:
            self._add_whole(columns, np.ones(columns.shape[1]) if weight is None else weight)
            return
        columns = columns if weight is None else columns * weight
        _add_block(self.upper, piece.place, columns @ columns.T)

    def _add_whole(self, columns: np.ndarray, weight: np.ndarray) -> None:
        """Add rows that contain all unknowns, a few at a time, so that they stay in the cache of the processor."""
        unknowns, count = columns.shape
        if self.weighted is None:
            self.weighted = np.empty((unknowns, _ROWS))
        for start in range(0, count, _ROWS):
            rows = slice(start, min(start + _ROWS, count))
            full = rows.stop - start == _ROWS
            part = self.weighted if full else np.empty((unknowns, rows.stop - start))
            np.multiply(columns[:, rows], weight[rows], out=part)
            # BLAS stores columns contiguously: for it, the upper triangle is the lower one of the transpose.
            self.upper = _syrk(1.0, part.T, beta=1.0, c=self.upper.T, trans=1, lower=1, overwrite_c=1).T

    def result(self) -> Array:
        return jnp.asarray(self.upper + np.triu(self.upper, 1).T)


def _add_block(
    total: Float[np.ndarray, "size size"], place: Int[np.ndarray, " place"], block: Float[np.ndarray, "place place"]
) -> None:
    """Add the upper triangle of a symmetric block to rows and columns with ascending numbers, in place."""
    if len(place) == len(total):
        total += np.triu(block)
        return
    # Indexing one row at a time is many times as fast as indexing rows and columns at once, and twice as fast again if
    # the row is a variable of its own.
    for number, row in enumerate(place):
        own = total[row]
        own[place[number:]] += block[number, number:]


class _DeviceSum(_Sum):
    """A sum by JAX, for traced rows or on an accelerator."""

    def __init__(self, size: int) -> None:
        self.total = jnp.zeros((size, size))

    def add(self, piece: Piece) -> None:
        columns, weight = piece.jax_arrays()
        if piece.place is None:
            self.total = _add_squares(self.total, columns, weight)
            return
        weighted = columns * weight
        self.total = self.total.at[np.ix_(piece.place, piece.place)].add(weighted @ weighted.T)

    def result(self) -> Array:
        return self.total


@partial(jax.jit, donate_argnums=0)
def _add_squares(total: Array, columns: Array, weight: Array) -> Array:
    """Return a sum with weighted rows added."""
    weighted = columns * weight
    return total + weighted @ weighted.T


def _add_own_squares(sums: Array, columns: Array, weight: Array, _: Array | None) -> Array:
    """Return the sum of one device with its own weighted rows added."""
    weighted = columns * weight
    return sums + weighted @ weighted.T


class _ShardedSum(_Sum):
    """A sum of rows on several devices: each device adds its own rows, and these sums are added once at the end."""

    def __init__(self, piece: Piece, size: int) -> None:
        self.sums = ShardedSums.like(piece.columns, (size, size))

    def add(self, piece: Piece) -> None:
        self.sums.add(_add_own_squares, *piece.jax_arrays())

    def result(self) -> Array:
        return self.sums.total()
