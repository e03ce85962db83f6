"""Rows rotated on the tree of squares of sensors, such that most of them hold nearby sources only."""

from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

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
    """Columns on a tree of squares.

    Attributes
    ----------
    levels
        Squares by level, leaves first, with the sources that are near and far.
    leaves
        Columns of the sources near each leaf at its sensors.
    polynomials
        Polynomials of the sources far from each square, by level.
    components
        Number of components of a source.
    """

    levels: list[list[Square]]
    leaves: list[Float[AnyArray, "near_unknown sensor"]]
    polynomials: list[list[Float[AnyArray, "far_unknown term"]]]
    components: int


class TreeFrame(AbstractFrame):
    """Rows rotated on a tree of squares of sensors: along what is a polynomial of a square but of no larger one."""

    grid: SensorGrid

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rotated rows of a matrix that is known whole, all of whose columns count as near everywhere."""
        levels = empty_tree(self.grid, near=len(columns))
        leaves = [columns_at(columns, sensor) for sensor in leaf_sensors(self.grid, levels[0])]
        nothing = np.zeros((0, leaf_vandermonde().shape[1]))
        yield from self.rotated(TreeColumns(levels, leaves, [[nothing] * len(level) for level in levels], 1), weight)

    def rotated(
        self, columns: TreeColumns, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None
    ) -> Iterator[Piece]:
        """Yield a piece for each square, those within it first, and at last the rows along polynomials of the root.

        All rows together are an orthonormal rotation of those of W Q.

        Parameters
        ----------
        columns
            The columns on the tree.
        weight
            Weights of the sensors.
        progress
            Called with the sensors that are done and all of them.

        Raises
        ------
        ValueError
            For traced weights.
        """
        if not is_concrete(weight):
            raise ValueError("weights of sensors are being traced, which a rotation of rows cannot be; use TiledGreen")
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
    """Columns on a tree, weights of the sensors of each leaf, and bases of all squares."""

    columns: TreeColumns
    weights: list[np.ndarray]
    bases: list[list[Basis]]


def _whole(rotation: _Rotation) -> Iterator[Piece]:
    """Yield the rows of all squares, at last those along the polynomials of the largest."""
    top = len(rotation.columns.levels) - 1
    rest = yield from _descend(rotation, top, 0)
    yield Piece(rest, np.arange(len(rest)), level=top)


def _descend(rotation: _Rotation, level: int, number: int) -> Generator[Piece, None, AnyArray]:
    """Yield the rows of a square, after those within it; return what is left, along its polynomials.

    No closure: one that calls itself would keep all columns until Python looks for cycles, which may be never.
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
    inside, outside = basis.parted(columns)
    yield Piece(outside, unknowns_of(square.near, own.components), level=level)
    both = array_namespace(inside).concatenate([inside, own.polynomials[level][number] @ basis.triangle.T])
    return both[np.argsort(unknowns_of(np.concatenate([square.near, square.far]), own.components))]
