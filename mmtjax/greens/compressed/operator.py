"""The Green's operator with distant columns as polynomials on squares of sensors, the larger the more distant."""

from collections.abc import Generator, Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.plan import DEFAULT_TOLERANCE, FieldPlan, plan_field
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed.columns import stored_leaves, stored_polynomials
from mmtjax.greens.compressed.rotation import Basis, bases
from mmtjax.greens.compressed.tree import Square, grow_tree, leaf_places, leaf_vandermonde
from mmtjax.linalg.pieces import SWEPT, Piece, piece_of, swept, triangular
from mmtjax.linalg.symmetric import add_block, from_upper_triangle, unknowns_of
from mmtjax.physics.chebyshev import transfer
from mmtjax.precision import is_concrete
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

AnyArray = np.ndarray | Array


class CompressedGreen(AbstractGreen):
    """Columns near a square of sensors sensor by sensor, distant ones as polynomials; all of it is held.

    On a tree of squares, a column is a polynomial of degree 15 on the largest squares where its error stays within the
    tolerance, found from its values at 256 nodes of each, however many sensors there are. Products with vectors pass
    through the tree as in a fast multipole method. For the normal equations and the triangular factor the rows are
    rotated (`rotation.bases`) such that most of them hold nearby grains only.

    Parameters
    ----------
    grains, grid
        Sources and sensors. Geometry may be traced if a plan is given.
    tolerance
        Error of a coefficient as a share of the peak of its grain.
    reuse_plan
        Plan of concrete geometry close by from which near and far are told apart.
    whole
        Sensors of which `grid` is a part, over which the peaks are taken, see `plan_field`.
    progress
        Called with the sensors that are done and all of them.

    Raises
    ------
    ValueError
        For traced geometry without a plan, for traced weights, and as `greens_matrix`.

    Examples
    --------
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [40, 9, -5, 1, 1, 1, 2]])
    >>> green = CompressedGreen(grains, SensorGrid(origin=(-40, -40), spacing=1, shape=(99, 120), height=1))
    >>> green.gram().shape
    (6, 6)
    """

    position: Float[AnyArray, "grain 3"]
    grid: SensorGrid
    levels: list[list[Square]] = eqx.field(static=True)
    sensors: list[Int[np.ndarray, " sensor"]]
    polynomials: list[list[Float[AnyArray, "far_unknown term"]]]
    leaves: list[Float[AnyArray, "near_unknown sensor"]]

    def __init__(
        self,
        grains: Grains,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        reuse_plan: FieldPlan | None = None,
        whole: SensorGrid | None = None,
        progress: Progress | None = None,
    ) -> None:
        plan = plan_field(grains, grid, tolerance=tolerance, reuse_plan=reuse_plan, whole=whole)
        if not plan.geometry_is_known:
            raise ValueError(
                "grains or the grid are being traced, so that near and far cannot be told apart; pass reuse_plan=, a "
                "plan of concrete geometry by plan_field, or use TiledGreen"
            )
        # Of the grains no more is kept: corners take more memory than the columns of a part of a large map.
        self.position, self.grid = plan.position, grid
        self.levels = grow_tree(plan)
        self.sensors = [_sensors(grid, leaf) for leaf in self.levels[0]]
        self.polynomials = [stored_polynomials(plan, grid, level) for level in self.levels]
        self.leaves = stored_leaves(plan, grid, self.levels[0], progress=progress)

    @property
    def unknowns(self) -> int:
        """Number of unknowns, three for each grain."""
        return 3 * len(self.position)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns that are held."""
        return sum(part.nbytes for part in jax.tree.leaves((self.polynomials, self.leaves)))

    def mv(
        self, magnetization: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """The field Q M of one magnetization or several, nT: polynomials are handed down the tree to the leaves."""
        xp = self._namespace(magnetization)
        values = xp.concatenate(list(self._fields(self._by_grain(xp, magnetization))), axis=1)
        order = np.argsort(np.concatenate(self.sensors), kind="stable")[: self.grid.size]
        return jnp.asarray(values[:, order].reshape(*magnetization.shape[:-1], *self.grid.shape))

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """The product Qᵀφ with one field or several: moments with the polynomials are gathered up the tree."""
        xp = self._namespace(field)
        values = xp.asarray(field).reshape(-1, self.grid.size)
        padded = xp.concatenate([values, xp.zeros((len(values), 1))], axis=1)
        nothing = xp.zeros((self.unknowns // 3, 3, len(values)))
        total = self._added(nothing, (padded[:, sensor] for sensor in self.sensors))
        return jnp.asarray(total.reshape(*field.shape[:-2], -1))

    def normal(
        self, magnetization: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """The product QᵀW²Q M of one magnetization or several: the columns near a leaf serve both while at hand."""
        xp = self._namespace(magnetization, weight)
        padded = xp.concatenate([xp.asarray(weight).ravel() ** 2, xp.zeros(1)])
        vectors = self._by_grain(xp, magnetization)
        fields = zip(self.sensors, self._fields(vectors), strict=True)
        total = self._added(xp.zeros(vectors.shape), (padded[sensor] * field for sensor, field in fields))
        return jnp.asarray(total.reshape(magnetization.shape))

    def _by_grain(self, xp: ModuleType, magnetization: AnyArray) -> Float[AnyArray, "grain 3 map"]:
        """Magnetizations with those of one grain, of all maps, beside each other: they are picked in one stretch."""
        vectors = xp.asarray(magnetization).reshape(-1, self.unknowns).T
        return vectors.reshape(-1, 3, vectors.shape[1])

    def _fields(self, vectors: Float[AnyArray, "grain 3 map"]) -> Iterator[Float[AnyArray, "map sensor"]]:
        """The field at the sensors of each leaf, from grains near it and from the polynomials handed down to it."""
        local = [_picked(vectors, self.levels[-1][0].far) @ self.polynomials[-1][0]]
        for above, below, polynomials in zip(
            self.levels[:0:-1], self.levels[-2::-1], self.polynomials[-2::-1], strict=True
        ):
            handed = [None] * len(below)
            for square, polynomial in zip(above, local, strict=True):
                for child in square.children:
                    own = _picked(vectors, below[child].far) @ polynomials[child]
                    handed[child] = polynomial @ transfer(*below[child].quarter).T + own
            local = handed
        for leaf, columns, polynomial in zip(self.levels[0], self.leaves, local, strict=True):
            yield _picked(vectors, leaf.near) @ columns + polynomial @ leaf_vandermonde().T

    def _added(
        self, total: Float[AnyArray, "grain 3 map"], parts: Iterable[Float[AnyArray, "map sensor"]]
    ) -> Float[AnyArray, "map unknown"]:
        """A sum with products of the columns with values at the sensors of each leaf, whose moments are gathered up."""
        moments = []
        for leaf, columns, part in zip(self.levels[0], self.leaves, parts, strict=True):
            total = _add(total, leaf.near, columns @ part.T)
            moments.append(part @ leaf_vandermonde())
        for number, level in enumerate(self.levels):
            if number:
                below = self.levels[number - 1]
                moments = [
                    sum(moments[child] @ transfer(*below[child].quarter) for child in square.children)
                    for square in level
                ]
            for square, moment, polynomials in zip(level, moments, self.polynomials[number], strict=True):
                total = _add(total, square.far, polynomials @ moment.T)
        return total.reshape(self.unknowns, -1).T

    def gram(
        self,
        weight: Float[Array, "ny nx"] | None = None,
        *,
        among: Int[np.ndarray, " part"] | None = None,
        progress: Progress | None = None,
    ) -> Float[Array, "unknown unknown"]:
        """The matrix QᵀW²Q, with one weight for each sensor; of some grains only, ascending, if they are given."""
        size = self.unknowns if among is None else 3 * len(among)
        total = self._namespace().zeros((size, size))
        return jnp.asarray(from_upper_triangle(self.add_gram(total, weight, among=among, progress=progress)))

    def add_gram(
        self,
        total: Float[AnyArray, "unknown unknown"],
        weight: Float[Array, "ny nx"] | None = None,
        *,
        among: Int[np.ndarray, " part"] | None = None,
        progress: Progress | None = None,
    ) -> Float[AnyArray, "unknown unknown"]:
        """A sum and the upper triangle of QᵀW²Q, in place where the array allows it; what lies below is left alone."""
        for _, grains, rows in self._rotated_rows(weight, among, progress):
            total = add_block(total, unknowns_of(grains), rows @ rows.T)
        return total

    def root(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """A triangular factor of the weighted rows: those of each level of the tree are swept across the map."""
        across = unknowns_of(np.argsort(np.asarray(self.position)[:, int(np.argmin(self.grid.shape))]))
        return triangular(self.pieces(across, weight, progress=progress), across)

    def pieces(
        self,
        across: Int[np.ndarray, " unknown"],
        weight: Float[Array, "ny nx"] | None = None,
        *,
        among: Int[np.ndarray, " part"] | None = None,
        progress: Progress | None = None,
    ) -> list[Piece]:
        """The weighted rows as pieces, of some grains only if they are given, with unknowns in the order `across`."""
        place = np.argsort(across)
        pieces: list[list[Piece]] = [[] for _ in self.levels]
        for level, grains, rows in self._rotated_rows(weight, among, progress):
            if rows.size:
                pieces[level].append(piece_of(place[unknowns_of(grains)], rows.T))
        gathered: list[Piece] = []
        for own in pieces:
            held, count = sum(len(piece.place) for piece in own), len(own)
            gathered += own
            own.clear()
            if held < SWEPT * len(across) * count:
                gathered = swept(gathered)
        return gathered

    def _rotated_rows(
        self, weight: Float[Array, "ny nx"] | None, among: Int[np.ndarray, " part"] | None, progress: Progress | None
    ) -> Iterator["_Rows"]:
        """Level of each square, those within it first, and its rows as (3 · part, row) with the grains in them.

        All rows together are an orthonormal rotation of those of W Q.
        """
        weight = np.ones(self.grid.shape) if weight is None else weight
        if not is_concrete(weight):
            raise ValueError("weights of sensors are being traced, which a rotation of rows cannot be; use TiledGreen")
        levels, leaves, polynomials = self._stored(among)
        padded = np.append(np.asarray(weight, np.float64).ravel(), 0.0)
        weights = [padded[sensor] for sensor in self.sensors]
        rotation = _Rotation(levels, leaves, polynomials, weights, bases(levels, weights), self._namespace())
        finished = 0
        for level, grains, rows in _whole(rotation):
            finished += level == 0 and finished < len(leaves)
            yield level, grains, rows
            if progress is not None:
                progress(finished * self.grid.size // len(leaves), self.grid.size)

    def _stored(
        self, grains: Int[np.ndarray, " part"] | None
    ) -> tuple[list[list[Square]], list[AnyArray], list[list[AnyArray]]]:
        """Squares, columns of leaves and polynomials: of all grains, or of some, which are numbered anew."""
        if grains is None:
            return self.levels, self.leaves, self.polynomials
        place = np.full(len(self.position), -1)
        place[grains] = np.arange(len(grains))

        def rows_of(own: Int[np.ndarray, " own"]) -> Int[np.ndarray, " unknown"]:
            return unknowns_of(np.flatnonzero(place[own] >= 0))

        levels = [[square.among(place) for square in level] for level in self.levels]
        leaves = [columns[rows_of(leaf.near)] for leaf, columns in zip(self.levels[0], self.leaves, strict=True)]
        polynomials = [
            [held[rows_of(square.far)] for square, held in zip(level, own, strict=True)]
            for level, own in zip(self.levels, self.polynomials, strict=True)
        ]
        return levels, leaves, polynomials

    def _namespace(self, *values: object) -> ModuleType:
        """NumPy where all is known, for its BLAS and LAPACK and the many sizes; JAX where something is traced."""
        return np if isinstance(self.leaves[0], np.ndarray) and is_concrete(values) else jnp


class _Rotation(NamedTuple):
    """What the rotation of rows works on: for each square, or each leaf, in the order of the tree."""

    levels: list[list[Square]]
    leaves: list[AnyArray]
    polynomials: list[list[AnyArray]]
    weights: list[np.ndarray]
    bases: list[list[Basis]]
    namespace: ModuleType


#: Level of a square, grains in its rows, and the rows.
_Rows = tuple[int, Int[np.ndarray, " part"], AnyArray]


def _whole(rotation: _Rotation) -> Iterator[_Rows]:
    """Rows of all squares, at last those along the polynomials of the largest."""
    top = len(rotation.levels) - 1
    rest = yield from _descend(rotation, top, 0)
    yield top, np.arange(len(rest) // 3), rest


def _descend(rotation: _Rotation, level: int, number: int) -> Generator[_Rows, None, AnyArray]:
    """Rows of a square, after those within it; returns what is left, along its polynomials.

    No closure: one that calls itself would keep all columns until Python looks for cycles, which may be never.
    """
    square, basis, xp = rotation.levels[level][number], rotation.bases[level][number], rotation.namespace
    if level == 0:
        columns = rotation.leaves[number] * rotation.weights[number]
    else:
        parts = []
        for child in square.children:
            parts.append((yield from _descend(rotation, level - 1, child)))
        columns = xp.concatenate(parts, axis=1)
    inside, outside = basis.parted(columns)
    yield level, square.near, outside
    both = xp.concatenate([inside, rotation.polynomials[level][number] @ basis.triangle.T])
    return both[np.argsort(unknowns_of(np.concatenate([square.near, square.far])))]


def stored_bytes(plan: FieldPlan) -> int:
    """Bytes of the columns that `CompressedGreen` would hold."""
    levels = grow_tree(plan)
    near = sum(len(leaf.near) for leaf in levels[0]) * len(leaf_vandermonde())
    far = sum(len(square.far) for level in levels for square in level) * leaf_vandermonde().shape[1]
    return 24 * (near + far)


def _sensors(grid: SensorGrid, leaf: Square) -> np.ndarray:
    """Flat indices of the sensors of a leaf, tile by tile; the size of the grid beyond it."""
    place = leaf.first[:, None] + leaf_places()
    inside = np.all(place < np.array(grid.shape)[:, None], axis=0)
    return np.where(inside, place[0] * grid.shape[1] + place[1], grid.size)


def _picked(vectors: Float[AnyArray, "grain 3 map"], grains: np.ndarray) -> Float[AnyArray, "map part"]:
    """Magnetizations of some grains; BLAS is twice as fast with them on the left."""
    return vectors[grains].reshape(-1, vectors.shape[2]).T


def _add(
    total: Float[AnyArray, "grain 3 map"], grains: np.ndarray, values: Float[AnyArray, "part map"]
) -> Float[AnyArray, "grain 3 map"]:
    """Add to grains that do not repeat, in place where the array allows it."""
    values = values.reshape(-1, 3, values.shape[1])
    if isinstance(total, np.ndarray):
        total[grains] += values
        return total
    return total.at[grains].add(values)
