"""Pieces: rows of a matrix that are zero but for some unknowns, the form in which operators hand out their rows."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from mmtjax.linalg.arrays import array_namespace
from mmtjax.precision import AnyArray


class Piece(NamedTuple):
    """Some rows of a matrix, which are zero but for some unknowns.

    Attributes
    ----------
    columns
        Values (place, row): each line holds one unknown in all of these rows.
    place
        Numbers of the unknowns, ascending; None where they are all unknowns.
    weight
        Factor of each row that is not in `columns` yet; None for one.
    level
        How many unknowns reach across: pieces of a lower level are reduced before those of a higher one.
    block
        Number of the part of the map that the rows belong to; pieces of one block come one after another.
    """

    columns: Float[AnyArray, "place row"]
    place: Int[np.ndarray, " place"] | None = None
    weight: Float[AnyArray, " row"] | None = None
    level: int = 0
    block: int = 0

    def weighted_rows(self) -> Float[AnyArray, "row place"]:
        """Return the rows (row, place) with their weights."""
        if self.weight is None:
            return self.columns.T
        if array_namespace(self.columns, self.weight) is not np:
            return (self.columns * self.weight).T
        rows = np.empty(self.columns.shape[::-1])
        np.multiply(np.asarray(self.columns), np.asarray(self.weight), out=rows.T)
        return rows

    @property
    def is_sharded(self) -> bool:
        """Whether the rows lie on several devices."""
        columns = self.columns
        if not isinstance(columns, jax.Array) or isinstance(columns, jax.core.Tracer):
            return False
        return len(columns.sharding.device_set) > 1


def side_by_side(pieces: tuple[Piece, ...], offsets: tuple[int, ...]) -> Piece:
    """Join pieces of the same rows that hold unknowns of different operators.

    Parameters
    ----------
    pieces
        One piece of each operator, with the same rows, weights, level and block.
    offsets
        Number of the first unknown of each operator among all.

    Examples
    --------
    >>> left, right = Piece(np.ones((2, 5)), np.array([0, 3])), Piece(np.ones((1, 5)), np.array([0]))
    >>> side_by_side((left, right), (0, 7)).place.tolist()
    [0, 3, 7]
    """
    first = pieces[0]
    xp = array_namespace(*(piece.columns for piece in pieces))
    columns = xp.concatenate([piece.columns for piece in pieces])
    if first.place is None:
        return first._replace(columns=columns)
    place = [offset + piece.place for piece, offset in zip(pieces, offsets, strict=True)]
    return first._replace(columns=columns, place=np.concatenate(place))
