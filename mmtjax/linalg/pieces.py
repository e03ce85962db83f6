"""Pieces, in which operators yield their rows: some rows of a matrix that are zero except for some unknowns."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from mmtjax.linalg.arrays import array_namespace
from mmtjax.precision import AnyArray


class Piece(NamedTuple):
    """Some rows of a matrix that are zero except for some unknowns.

    Attributes
    ----------
    columns
        The transposed rows, (place, row): the coefficients of each of these unknowns.
    place
        Numbers of these unknowns, ascending; None if they are all unknowns.
    weight
        Factor of each row that `columns` does not include yet; None for a factor of one.
    level
        Pieces of a lower level are reduced before those of a higher level, which extend over more unknowns.
    block
        Number of the part of the map that the rows belong to; the pieces of one block follow one another.
    """

    columns: Float[AnyArray, "place row"]
    place: Int[np.ndarray, " place"] | None = None
    weight: Float[AnyArray, " row"] | None = None
    level: int = 0
    block: int = 0

    def weighted_rows(self) -> Float[AnyArray, "row place"]:
        """Return the rows, each multiplied by its weight."""
        if self.weight is None:
            return self.columns.T
        if array_namespace(self.columns, self.weight) is not np:
            return (self.columns * self.weight).T
        rows = np.empty(self.columns.shape[::-1])
        np.multiply(np.asarray(self.columns), np.asarray(self.weight), out=rows.T)
        return rows

    def jax_arrays(self) -> tuple[Float[Array, "place row"], Float[Array, " row"]]:
        """Return the columns and the weights as arrays of JAX."""
        columns = jnp.asarray(self.columns)
        return columns, jnp.ones(columns.shape[1]) if self.weight is None else jnp.asarray(self.weight)

    @property
    def is_sharded(self) -> bool:
        """Whether the rows are divided over several devices."""
        columns = self.columns
        if not isinstance(columns, jax.Array) or isinstance(columns, Tracer):
            return False
        return len(columns.sharding.device_set) > 1


def side_by_side(pieces: tuple[Piece, ...], offsets: tuple[int, ...]) -> Piece:
    """Return one piece with the unknowns of several pieces of the same rows.

    Parameters
    ----------
    pieces
        One piece of each operator, with the same rows, weights, level and block.
    offsets
        Number of the first unknown of each operator among those of all operators.

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
    place = [
        offset + (np.arange(len(piece.columns)) if piece.place is None else piece.place)
        for piece, offset in zip(pieces, offsets, strict=True)
    ]
    return first._replace(columns=columns, place=np.concatenate(place))
