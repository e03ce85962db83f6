"""The compressed Green's operator: columns of distant sources are polynomials on squares of sensors."""

import dataclasses
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from types import ModuleType

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.plan import DEFAULT_TOLERANCE, FieldPlan, plan_field
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed.columns import stored_leaves, stored_polynomials
from mmtjax.greens.compressed.frame import TreeColumns, TreeFrame
from mmtjax.greens.compressed.tree import Square, grow_tree, leaf_sensors, leaf_vandermonde
from mmtjax.linalg.arrays import array_namespace
from mmtjax.linalg.pieces import Piece
from mmtjax.physics.chebyshev import transfer
from mmtjax.precision import AnyArray
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns, UnknownSet, unknowns_of


class CompressedGreen(AbstractGreen):
    """The Green's operator whose columns are stored as values near a source and as polynomials far from it.

    The sensors form a tree of squares. The column of a source is stored as a polynomial of degree 15 on the largest
    squares on which its error is within the tolerance; it follows from the values at 256 nodes of a square, whatever
    the number of sensors. Products with vectors pass through the tree as in a fast multipole method. For the normal
    equations and the triangular factor, the rows are rotated (`rotation.bases`) so that most of them contain nearby
    sources only.

    Parameters
    ----------
    sources, grid
        Sources and sensors. Positions, standoff and spacing may be traced if a plan is given.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.
    reuse_plan
        A plan of the same sources at nearby positions that are not traced, see `plan_field`.
    whole
        A grid that contains `grid`, over which the peaks are taken, see `plan_field`.
    progress
        Called with the number of sensors that are complete, and the number of all sensors.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For traced geometry without a plan, for traced weights, for sources above the sensors, and for a tolerance
        outside (0, 0.01].

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [40, 9, -5, 1, 1, 1, 2]])
    >>> green = CompressedGreen(grains, SensorGrid(origin=(-40, -40), spacing=1, shape=(99, 120), height=1))
    >>> green.gram().shape
    (6, 6)
    """

    position: Float[AnyArray, "source 3"]
    grid: SensorGrid
    unknowns: Unknowns
    levels: list[list[Square]] = eqx.field(static=True)
    sensors: list[Int[np.ndarray, " sensor"]]
    polynomials: list[list[Float[AnyArray, "far_unknown term"]]]
    leaves: list[Float[AnyArray, "near_unknown sensor"]]

    def __init__(
        self,
        sources: AbstractSource,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        reuse_plan: FieldPlan | None = None,
        whole: SensorGrid | None = None,
        progress: Progress | None = None,
    ) -> None:
        plan = plan_field(sources, grid, tolerance=tolerance, reuse_plan=reuse_plan, whole=whole)
        # The sources are not stored: their corners take more memory than the columns of a part of a large map.
        self.position, self.grid, self.unknowns = plan.position, grid, Unknowns((sources.unknowns,))
        self.levels = grow_tree(plan)
        self.sensors = leaf_sensors(grid, self.levels[0])
        self.polynomials = [stored_polynomials(plan, grid, level) for level in self.levels]
        self.leaves = stored_leaves(plan, grid, self.levels[0], progress=progress)

    @classmethod
    def of_columns(
        cls,
        position: Float[AnyArray, "source 3"],
        grid: SensorGrid,
        *,
        unknowns: Unknowns,
        sensors: list[Int[np.ndarray, " sensor"]],
        columns: TreeColumns,
    ) -> "CompressedGreen":
        """Return the operator of columns that have been computed before.

        Parameters
        ----------
        position, grid, unknowns
            Positions of the sources, the sensors, and the unknowns.
        sensors
            Flat indices of the sensors of each leaf.
        columns
            The columns on the tree.
        """
        made = object.__new__(cls)
        fields = {
            "position": position,
            "grid": grid,
            "unknowns": unknowns,
            "levels": columns.levels,
            "sensors": sensors,
            "polynomials": columns.polynomials,
            "leaves": columns.leaves,
        }
        for name, value in fields.items():
            object.__setattr__(made, name, value)
        return made

    @property
    def frame(self) -> TreeFrame:
        """The frame of rows that are rotated on a tree of squares."""
        return TreeFrame(self.grid)

    @property
    def components(self) -> int:
        """Number of components of a source."""
        return len(self._set.components)

    @property
    def _set(self) -> UnknownSet:
        """The unknowns of the sources, which are one set."""
        return self.unknowns.sets[0]

    @property
    def nbytes(self) -> int:
        """Size of the stored columns, in bytes."""
        return sum(part.nbytes for part in jax.tree.leaves((self.polynomials, self.leaves)))

    @property
    def sweep_order(self) -> Int[np.ndarray, " unknown"]:
        """Numbers of the unknowns, sorted by the position of their source along the shorter side of the map."""
        along = np.asarray(self.position)[:, int(np.argmin(self.grid.shape))]
        return self._set.of(np.argsort(along))

    def among(self, sources: Int[np.ndarray, " chosen"]) -> "CompressedGreen":
        """Return the operator of some of the sources, with the stored columns of this operator.

        Parameters
        ----------
        sources
            Indices of the sources, ascending.
        """
        place = np.full(len(self.position), -1)
        place[sources] = np.arange(len(sources))

        def rows_of(own: Int[np.ndarray, " own"]) -> Int[np.ndarray, " unknown"]:
            """Return the rows of those of a square's own sources that are kept."""
            return unknowns_of(np.flatnonzero(place[own] >= 0), self.components)

        return CompressedGreen.of_columns(
            self.position[sources],
            self.grid,
            unknowns=Unknowns((dataclasses.replace(self._set, sources=len(sources)),)),
            sensors=self.sensors,
            columns=TreeColumns(
                levels=[[square.among(place) for square in level] for level in self.levels],
                leaves=[columns[rows_of(leaf.near)] for leaf, columns in zip(self.levels[0], self.leaves, strict=True)],
                polynomials=[
                    [stored[rows_of(square.far)] for square, stored in zip(level, own, strict=True)]
                    for level, own in zip(self.levels, self.polynomials, strict=True)
                ],
                components=self.components,
            ),
        )

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector or several, nT; polynomials are passed down the tree to the leaves."""
        xp = self._namespace(values)
        fields = xp.concatenate(list(self._fields(self._by_source(xp, values))), axis=1)
        order = np.argsort(np.concatenate(self.sensors), kind="stable")[: self.grid.size]
        return jnp.asarray(fields[:, order].reshape(*values.shape[:-1], *self.grid.shape))

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several; moments with polynomials are passed up the tree."""
        xp = self._namespace(field)
        maps = xp.asarray(field).reshape(-1, self.grid.size)
        padded = xp.concatenate([maps, xp.zeros((len(maps), 1))], axis=1)
        nothing = xp.zeros((len(self.position), self.components, len(maps)))
        total = self._added(nothing, (padded[:, sensor] for sensor in self.sensors))
        return jnp.asarray(total.reshape(*field.shape[:-2], -1))

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector or several; the columns of each leaf are read only once."""
        xp = self._namespace(values, weight)
        padded = xp.concatenate([xp.asarray(weight).ravel() ** 2, xp.zeros(1)])
        vectors = self._by_source(xp, values)
        fields = zip(self.sensors, self._fields(vectors), strict=True)
        total = self._added(xp.zeros(vectors.shape), (padded[sensor] * field for sensor, field in fields))
        return jnp.asarray(total.reshape(values.shape))

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rotated rows of W Q; the piece of each square contains only the sources near it."""
        columns = TreeColumns(self.levels, self.leaves, self.polynomials, self.components)
        yield from self.frame.rotated(columns, weight, progress=progress)

    def _by_source(self, xp: ModuleType, values: AnyArray) -> Float[AnyArray, "source component map"]:
        """Return values reordered so that those of one source, for all maps, are contiguous in memory."""
        vectors = xp.asarray(values).reshape(-1, self.unknowns.size).T
        return vectors.reshape(-1, self.components, vectors.shape[1])

    def _fields(self, vectors: Float[AnyArray, "source component map"]) -> Iterator[Float[AnyArray, "map sensor"]]:
        """Yield the field at the sensors of each leaf, from sources near it and from the polynomials passed down."""
        local = [_picked(vectors, self.levels[-1][0].far) @ self.polynomials[-1][0]]
        for above, below, polynomials in zip(
            self.levels[:0:-1], self.levels[-2::-1], self.polynomials[-2::-1], strict=True
        ):
            passed = [local[0]] * len(below)
            for square, polynomial in zip(above, local, strict=True):
                for child in square.children:
                    own = _picked(vectors, below[child].far) @ polynomials[child]
                    passed[child] = polynomial @ transfer(*below[child].quarter).T + own
            local = passed
        for leaf, columns, polynomial in zip(self.levels[0], self.leaves, local, strict=True):
            yield _picked(vectors, leaf.near) @ columns + polynomial @ leaf_vandermonde().T

    def _added(
        self, total: Float[AnyArray, "source component map"], parts: Iterable[Float[AnyArray, "map sensor"]]
    ) -> Float[AnyArray, "map unknown"]:
        """Return a sum with the products of the columns and values at the sensors of each leaf added."""
        moments = []
        for leaf, columns, part in zip(self.levels[0], self.leaves, parts, strict=True):
            total = _added_at(total, leaf.near, columns @ part.T)
            moments.append(part @ leaf_vandermonde())
        for number, level in enumerate(self.levels):
            if number:
                below = self.levels[number - 1]
                moments = [
                    reduce(add, (moments[child] @ transfer(*below[child].quarter) for child in square.children))
                    for square in level
                ]
            for square, moment, polynomials in zip(level, moments, self.polynomials[number], strict=True):
                total = _added_at(total, square.far, polynomials @ moment.T)
        return total.reshape(self.unknowns.size, -1).T

    def _namespace(self, *values: AnyArray) -> ModuleType:
        """Return NumPy if nothing is traced and all is in main memory, else `jax.numpy`."""
        return array_namespace(self.leaves[0], *values)


def stored_bytes(plan: FieldPlan) -> int:
    """Return the size, in bytes, of the columns that a `CompressedGreen` of this plan stores.

    Raises
    ------
    ValueError
        If the geometry of the plan is traced.
    """
    levels = grow_tree(plan)
    near = sum(len(leaf.near) for leaf in levels[0]) * len(leaf_vandermonde())
    far = sum(len(square.far) for level in levels for square in level) * leaf_vandermonde().shape[1]
    return np.dtype(np.float64).itemsize * plan.components * (near + far)


def _picked(vectors: Float[AnyArray, "source component map"], sources: np.ndarray) -> Float[AnyArray, "map part"]:
    """Return the values of some sources, one row for each map: BLAS multiplies twice as fast with them on the left."""
    return vectors[sources].reshape(-1, vectors.shape[2]).T


def _added_at(
    total: Float[AnyArray, "source component map"], sources: np.ndarray, values: Float[AnyArray, "part map"]
) -> Float[AnyArray, "source component map"]:
    """Return a sum with the values of some different sources added; an array of NumPy is changed in place."""
    values = values.reshape(-1, *total.shape[1:])
    if isinstance(total, np.ndarray):
        total[sources] += values
        return total
    return total.at[sources].add(values)
