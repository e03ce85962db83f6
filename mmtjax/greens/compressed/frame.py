"""The frame of a compressed operator: rows rotated on a tree of squares, so that most contain nearby sources only."""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.greens.compressed.rotation import Basis, bases
from mmtjax.greens.compressed.tree import Square, empty_tree, leaf_sensors, leaf_vandermonde
from mmtjax.greens.frames import AbstractFrame, columns_at
from mmtjax.linalg.arrays import array_namespace
from mmtjax.linalg.pieces import Piece
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import unknowns_of


class TreeColumns(NamedTuple):
    """The columns of an operator on a tree of squares.

    Attributes
    ----------
    levels
        Squares by level, leaves first, with the near and far sources of each.
    leaves
        For each leaf, the columns of its near sources at its sensors.
    polynomials
        For each square, by level, the polynomials of its far sources.
    components
        Number of components of a source.
    """

    levels: list[list[Square]]
    leaves: list[Float[AnyArray, "near_unknown sensor"]]
    polynomials: list[list[Float[AnyArray, "far_unknown term"]]]
    components: int


class TreeFrame(AbstractFrame):
    """A frame of rows rotated on a tree of squares: a piece for each square, without its polynomials."""

    grid: SensorGrid

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rotated rows of a complete matrix, whose columns count as near to all squares.

        Parameters
        ----------
        columns
            The transposed matrix, (unknown, sensor).
        weight
            The weight of each sensor, not traced.

        Raises
        ------
        ValueError
            For traced weights.
        """
        levels = empty_tree(self.grid, near=len(columns))
        leaves = [columns_at(columns, sensor) for sensor in leaf_sensors(self.grid, levels[0])]
        nothing = np.zeros((0, leaf_vandermonde().shape[1]))
        yield from self.rotated(TreeColumns(levels, leaves, [[nothing] * len(level) for level in levels], 1), weight)

    def rotated(
        self, columns: TreeColumns, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None
    ) -> Iterator[Piece]:
        """Yield a piece for each square, after the squares inside it, and a last one for polynomials of the largest.

        All rows together are an orthonormal rotation of the rows of W Q.

        Parameters
        ----------
        columns
            The columns on the tree.
        weight
            The weight of each sensor, not traced.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.

        Raises
        ------
        ValueError
            For traced weights.
        """
        if not is_concrete(weight):
            msg = (
                "the weights of sensors are traced by JAX, but the rotation of rows needs their numbers; use TiledGreen"
            )
            raise InputError(msg)
        padded = np.append(np.asarray(weight, np.float64).ravel(), 0.0)
        weights = [padded[sensor] for sensor in leaf_sensors(self.grid, columns.levels[0])]
        rotation = _Rotation(columns, weights, bases(columns.levels, weights))
        finished, leaves = 0, len(columns.leaves)
        for piece in _whole(rotation):
            finished += piece.level == 0 and finished < leaves
            yield piece
            if progress is not None:
                progress(finished * self.grid.size // leaves, self.grid.size)


class _Rotation(NamedTuple):
    """The columns on a tree, the weights of the sensors of each leaf, and the bases of all squares."""

    columns: TreeColumns
    weights: list[np.ndarray]
    bases: list[list[Basis]]


def _whole(rotation: _Rotation) -> Iterator[Piece]:
    """Yield the rows of all squares, at last those along the polynomials of the largest square."""
    top = len(rotation.columns.levels) - 1
    polynomials = yield from _descend(rotation, top, 0)
    yield Piece(polynomials, np.arange(len(polynomials)), level=top)


def _descend(rotation: _Rotation, level: int, number: int) -> Generator[Piece, None, AnyArray]:
    """Yield the rows of the squares inside a square and then its own; return the rows along its polynomials.

    This is not a closure, because a recursive closure is a reference cycle: it would keep all columns in memory until
    the garbage collector of Python runs, which may be never.
    """
    own = rotation.columns
    square, basis = own.levels[level][number], rotation.bases[level][number]
    if level == 0:
        columns = own.leaves[number] * rotation.weights[number]
    else:
        parts = []
        for child in square.children:
            parts.append((yield from _descend(rotation, level - 1, child)))
        columns = array_namespace(*parts).concatenate(parts, axis=1)
    inside, outside = basis.split(columns)
    yield Piece(outside, unknowns_of(square.near, own.components), level=level)
    both = array_namespace(inside).concatenate([inside, own.polynomials[level][number] @ basis.triangle.T])
    return both[np.argsort(unknowns_of(np.concatenate([square.near, square.far]), own.components))]
