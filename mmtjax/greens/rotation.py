"""Orthonormal bases on the tree of squares, in which most rows of the Green's matrix hold nearby grains only."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mmtjax.field.polynomial import transfer
from mmtjax.greens.tree import Square


@dataclass(frozen=True)
class Basis:
    """Orthonormal weighted polynomials of a square.

    Attributes
    ----------
    orthonormal
        Their values: at the sensors of a leaf; above, in the bases of the squares within, one after another.
    triangle
        From the factors of a polynomial to those in this basis.
    """

    orthonormal: Float[np.ndarray, "row term"]
    triangle: Float[np.ndarray, "term term"]


def bases(
    levels: list[list[Square]],
    polynomials: Float[np.ndarray, "sensor term"],
    weights: list[Float[np.ndarray, " sensor"]],
) -> list[list[Basis]]:
    """Bases of all squares by level, for the weights of the sensors of each leaf.

    The polynomials of a square are among those of the squares within it. So the weighted rows of Q turn, without any
    loss, into those along what is no polynomial of a leaf, then into those along what is one of each square within a
    larger one but none of the larger, and in the end into those along the polynomials of the root. A distant grain is
    a polynomial and has no part in the others.
    """
    # Squares with the same weights have the same basis; most of them do.
    known: dict[object, tuple[int, Basis]] = {}

    def shared(key: object, rows: Callable[[], np.ndarray]) -> tuple[int, Basis]:
        if key not in known:
            known[key] = len(known), Basis(*np.linalg.qr(rows()))
        return known[key]

    grown = [[shared(weight.tobytes(), lambda w=weight: w[:, None] * polynomials) for weight in weights]]
    for below, level in zip(levels, levels[1:], strict=False):
        previous = grown[-1]
        grown.append(
            [
                shared(
                    tuple((previous[child][0], below[child].quarter) for child in square.children),
                    lambda square=square, below=below, previous=previous: np.concatenate(
                        [previous[child][1].triangle @ transfer(*below[child].quarter) for child in square.children]
                    ),
                )
                for square in level
            ]
        )
    return [[basis for _, basis in level] for level in grown]
