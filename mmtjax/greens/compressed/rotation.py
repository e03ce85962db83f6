"""Orthonormal bases on the tree of squares, in which most rows of the Green's matrix hold nearby grains only."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from mmtjax.greens.compressed.tree import Square, leaf_vandermonde
from mmtjax.physics.chebyshev import transfer
from mmtjax.precision import AnyArray

#: Bases that are remembered of leaves and of squares above, 1.3 and 2.5 MB each. A map of uniform weights has a few of
#: each, which the blocks of a large sample and all its windows share.
_LEAVES, _ABOVE = 16, 64


@dataclass(frozen=True, eq=False)
class Basis:
    """Orthonormal weighted polynomials of a square.

    Attributes
    ----------
    orthonormal
        Their values: at the sensors of a leaf; above, in the bases of the squares within, one after another.
    triangle
        From the factors of a polynomial to those in this basis.
    complement
        Orthonormal directions of all that is no polynomial; None for a leaf, where they are as many as sensors.
    """

    orthonormal: Float[np.ndarray, "row term"]
    triangle: Float[np.ndarray, "term term"]
    complement: Float[np.ndarray, "row rest"] | None = None

    def parted(self, columns: AnyArray) -> tuple[AnyArray, AnyArray]:
        """Return columns (unknown, row) along the polynomials (unknown, term), and along all else (unknown, rest)."""
        inside = columns @ self.orthonormal
        if self.complement is None:
            return inside, columns - inside @ self.orthonormal.T
        return inside, columns @ self.complement


def bases(levels: list[list[Square]], weights: list[Float[np.ndarray, " sensor"]]) -> list[list[Basis]]:
    """Return the bases of all squares by level, for the weights of the sensors of each leaf.

    The polynomials of a square are among those of the squares within it. So the weighted rows of Q turn, without any
    loss, into those along what is no polynomial of a leaf, then into those along what is one of each square within a
    larger one but none of the larger, and in the end into those along the polynomials of the root. A distant source is
    a polynomial and has no part in the others.
    """
    grown = [[_of_leaf(weight.tobytes()) for weight in weights]]
    for below, level in zip(levels, levels[1:], strict=False):
        found = list(zip(grown[-1], (square.quarter for square in below), strict=True))
        grown.append([_above(tuple(found[own] for own in square.children)) for square in level])
    return grown


@lru_cache(_LEAVES)
def _of_leaf(weights: bytes) -> Basis:
    return Basis(*np.linalg.qr(np.frombuffer(weights)[:, None] * leaf_vandermonde()))


@lru_cache(_ABOVE)
def _above(children: tuple[tuple[Basis, tuple[int, int]], ...]) -> Basis:
    """Return the basis of a square from those of the squares within it, and which quarters they are."""
    rows = np.concatenate([basis.triangle @ transfer(*quarter) for basis, quarter in children])
    rotation, triangle = np.linalg.qr(rows, mode="complete")
    terms = min(rows.shape)
    return Basis(rotation[:, :terms].copy(), triangle[:terms], rotation[:, terms:].copy())
