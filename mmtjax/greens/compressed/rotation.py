"""Orthonormal bases on a tree of squares, in which most rows of the Green's matrix contain nearby sources only."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from mmtjax.greens.compressed.tree import Square, leaf_vandermonde
from mmtjax.physics.chebyshev import transfer
from mmtjax.precision import AnyArray

#: Numbers of bases of leaves and of larger squares in the caches; they take 1.3 and 2.5 MB each. A map of uniform
#: weights has only a few different ones, which the blocks of a large sample and all its windows share.
_LEAVES, _ABOVE = 16, 64


@dataclass(frozen=True, eq=False)
class Basis:
    """An orthonormal basis of the weighted polynomials of a square.

    Attributes
    ----------
    orthonormal
        The basis vectors: values at the sensors for a leaf; for a larger square, coefficients in the bases of the
        squares inside it, one after another.
    triangle
        Matrix from the factors of a polynomial to its coefficients in this basis.
    complement
        Orthonormal basis of all directions that are not polynomials; None for a leaf, where all directions are used.
    """

    orthonormal: Float[np.ndarray, "row term"]
    triangle: Float[np.ndarray, "term term"]
    complement: Float[np.ndarray, "row rest"] | None = None

    def split(self, columns: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return the components of columns (unknown, row) along the polynomials, and along all other directions."""
        inside = columns @ self.orthonormal
        if self.complement is None:
            return inside, columns - inside @ self.orthonormal.T
        return inside, columns @ self.complement


def bases(levels: list[list[Square]], weights: list[Float[np.ndarray, " sensor"]]) -> list[list[Basis]]:
    """Return the bases of all squares by level, for the weights of the sensors of each leaf.

    The polynomials of a square are also polynomials of the squares inside it. A rotation therefore divides the weighted
    rows of Q into those along directions that are not polynomials of a leaf, those that are polynomials of a square but
    not of the next larger one, level by level, and those that are polynomials of the largest square. The column of a
    distant source is a polynomial, so that it is zero in all directions that are not polynomials.

    Parameters
    ----------
    levels
        The squares by level, leaves first.
    weights
        The weights of the sensors of each leaf.
    """
    grown = [[_of_leaf(weight.tobytes()) for weight in weights]]
    for below, level in zip(levels, levels[1:], strict=False):
        found = list(zip(grown[-1], (square.quarter for square in below), strict=True))
        grown.append([_above(tuple(found[own] for own in square.children)) for square in level])
    return grown


@lru_cache(_LEAVES)
def _of_leaf(weights: bytes) -> Basis:
    """Return the basis of a leaf from the memory of its weights."""
    return Basis(*np.linalg.qr(np.frombuffer(weights)[:, None] * leaf_vandermonde()))


@lru_cache(_ABOVE)
def _above(children: tuple[tuple[Basis, tuple[int, int]], ...]) -> Basis:
    """Return the basis of a square from the basis and the quarter [row, column] of each square inside it."""
    rows = np.concatenate([basis.triangle @ transfer(*quarter) for basis, quarter in children])
    rotation, triangle = np.linalg.qr(rows, mode="complete")
    terms = min(rows.shape)
    return Basis(rotation[:, :terms].copy(), triangle[:terms], rotation[:, terms:].copy())
