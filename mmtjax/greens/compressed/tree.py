"""The tree of squares of sensors, with the sources that are near to each square and those that are far from it."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
from jaxtyping import Float, Int

from mmtjax.field.forms import NEAR, distance_beside
from mmtjax.field.plan import TILE, FieldPlan
from mmtjax.physics.chebyshev import truncation_error, vandermonde
from mmtjax.scan.grid import SensorGrid

#: Number of tiles, and of sensors, along an edge of the smallest squares.
LEAF_TILES = 2
LEAF = LEAF_TILES * TILE

#: Largest number of pairs of a source and a square in one step, which limits the memory that it takes.
_PAIRS = 2**15


@dataclasses.dataclass(frozen=True)
class Square:
    """A square of sensors, with the sources near to it and those whose columns are polynomials on it.

    Attributes
    ----------
    level
        0 for a leaf of `LEAF` × `LEAF` sensors; each level doubles the edge.
    row, column
        Position in the grid of squares of this level.
    near
        Sources whose columns on this square are not polynomials, ascending.
    far
        Sources whose columns on this square are polynomials, but not on the next larger square that contains it.
    form
        For each source of `far`, the index in `ORDERS` of the series that is accurate enough.
    children
        Indices of the squares inside this one in the level below; none for a leaf.
    """

    level: int
    row: int
    column: int
    near: Int[np.ndarray, " near"]
    far: Int[np.ndarray, " far"]
    form: Int[np.ndarray, " far"]
    children: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of sensors along an edge."""
        return LEAF << self.level

    @property
    def quarter(self) -> tuple[int, int]:
        """Which quarter [row, column] of the next larger square this one is."""
        return self.row % 2, self.column % 2

    @property
    def first(self) -> Int[np.ndarray, "2"]:
        """Indices [row, column] of the first sensor."""
        return np.array([self.row, self.column]) * self.count

    def among(self, place: Int[np.ndarray, " source"]) -> "Square":
        """Return the square with some of the sources, numbered anew.

        Parameters
        ----------
        place
            The new number of each source, in the same order as the old numbers; -1 for sources that are left out.
        """
        near, far = place[self.near], place[self.far]
        return dataclasses.replace(self, near=near[near >= 0], far=far[far >= 0], form=self.form[far >= 0])


def grow_tree(plan: FieldPlan) -> list[list[Square]]:
    """Return the squares by level, from the leaves to the one largest square.

    A source is far from a square if the error of its polynomial, as a share of the peak of its column, is within the
    tolerance of the plan, and if the series of the whole source is accurate enough.

    Raises
    ------
    ValueError
        If the geometry of the plan is traced.
    """
    bodies = _SourceGeometry(plan)
    return _grown(bodies.grid, np.arange(len(bodies.place)), partial(_divide, bodies))


def empty_tree(grid: SensorGrid, *, near: int) -> list[list[Square]]:
    """Return the squares by level, with all sources near to all squares.

    Parameters
    ----------
    grid
        Sensors.
    near
        Number of sources.

    Examples
    --------
    >>> levels = empty_tree(SensorGrid(origin=(0, 0), spacing=1, shape=(40, 70)), near=2)
    >>> [len(level) for level in levels], levels[0][0].near
    ([6, 2, 1], array([0, 1]))
    """
    everyone, nobody = np.arange(near), np.arange(0)

    def divide(level: int, places: list[tuple[int, int]], _: list[Int[np.ndarray, " _"]]) -> list[Square]:
        return [Square(level, *place, everyone, nobody, nobody) for place in places]

    return _grown(grid, everyone, divide)


#: From a level, positions of squares on it, and the sources that may be near to each square, to these squares.
_Divide = Callable[[int, list[tuple[int, int]], list[Int[np.ndarray, " _"]]], list[Square]]


def _grown(grid: SensorGrid, sources: Int[np.ndarray, " source"], divide: _Divide) -> list[list[Square]]:
    """Return the squares by level, leaves first: each square is divided in four, down to the leaves."""
    shape = grid.shape
    top = spanning_level(max(shape))
    above, grown = divide(top, [(0, 0)], [sources]), []
    for level in range(top - 1, -1, -1):
        edge, places, candidates, parents = LEAF << level, [], [], []
        for square in above:
            first = len(places)
            for row in (2 * square.row, 2 * square.row + 1):
                for column in (2 * square.column, 2 * square.column + 1):
                    if row * edge < shape[0] and column * edge < shape[1]:
                        places.append((row, column))
                        candidates.append(square.near)
            parents.append(dataclasses.replace(square, children=tuple(range(first, len(places)))))
        grown.append(parents)
        above = divide(level, places, candidates)
    return [above, *reversed(grown)]


def spanning_level(sensors: float) -> int:
    """Return the level of the smallest squares with at least this number of sensors along an edge."""
    return max(0, int(np.ceil(np.log2(sensors / LEAF))))


class _SourceGeometry:
    """Positions, sizes and distances of sources, µm, from which near and far sources are determined."""

    def __init__(self, plan: FieldPlan) -> None:
        root = plan.parts.root
        self.plan = plan
        self.place, self.grid, _ = plan.known_geometry()
        self.depth = float(self.grid.height) - self.place[:, 2]
        self.radius = plan.parts.bounding_radius[root]
        self.reach = plan.reach[root]
        self.closest = plan.closest(self.place)


def _divide(
    bodies: _SourceGeometry, level: int, places: list[tuple[int, int]], candidates: list[Int[np.ndarray, " _"]]
) -> list[Square]:
    """Return the squares of a level, with the candidates of each divided into near and far sources."""
    squares = []
    for batch in batches([len(some) for some in candidates], _PAIRS):
        some, size = candidates[batch], [len(part) for part in candidates[batch]]
        source = np.concatenate(some)
        form = _forms(bodies, level, source, np.repeat(places[batch], size, axis=0))
        for place, part, own in zip(places[batch], some, np.split(form, np.cumsum(size)[:-1]), strict=True):
            far = own != NEAR
            squares.append(Square(level, *place, part[~far], part[far], own[far]))
    return squares


def _forms(
    bodies: _SourceGeometry, level: int, source: Int[np.ndarray, " pair"], square: Int[np.ndarray, "pair 2"]
) -> Int[np.ndarray, " pair"]:
    """Return the index in `ORDERS` of the series for pairs of a source and a square, `NEAR` for near sources."""
    plan, edge = bodies.plan, LEAF << level
    spacing, first = np.asarray(bodies.grid.spacing), square * edge
    # The polynomials are defined up to half a spacing beyond the outer sensors.
    low = np.asarray(bodies.grid.origin) + spacing * (first[:, ::-1] - 0.5)
    beside = distance_beside(bodies.place[source, :2], low, low + spacing * edge)
    half = edge * spacing.max() / 2
    beside, above = (
        np.maximum(beside - bodies.reach[source], 0) / half,
        np.maximum(bodies.depth[source] - bodies.radius[source], 0) / half,
    )
    smooth = np.ones(len(source), bool)
    for degree in dict.fromkeys(group.degree for group in plan.parts.groups):
        error = truncation_error(beside, above, degree=degree)
        peak = ((bodies.closest + bodies.reach)[source] / half) ** (degree + 2)
        smooth &= error * peak <= (degree + 1) * plan.tolerance
    form = np.full(len(source), NEAR)
    some = source[smooth]
    form[smooth] = plan.forms(some, plan.parts.root[some], first=first[smooth], count=edge)
    return form


def batches(size: list[int], limit: int) -> Iterator[slice]:
    """Yield ranges of consecutive members whose total size is within a limit, or of one member that exceeds it.

    Parameters
    ----------
    size
        Size of each member.
    limit
        Largest total size.

    Examples
    --------
    >>> list(batches([2, 2, 9, 1], 4))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start, total = 0, 0
    for number, count in enumerate(size):
        if total + count > limit and number > start:
            yield slice(start, number)
            start, total = number, 0
        total += count
    yield slice(start, len(size))


@cache
def leaf_places() -> Int[np.ndarray, "2 sensor"]:
    """Return the rows and columns of the sensors of a leaf, tile by tile."""
    tile_row, tile_column, row, column = np.indices((LEAF_TILES, LEAF_TILES, TILE, TILE)).reshape(4, -1)
    return np.stack([tile_row * TILE + row, tile_column * TILE + column])


@cache
def leaf_vandermonde() -> Float[np.ndarray, "sensor term"]:
    """Return the values of all polynomials at the sensors of a leaf."""
    row, column = (leaf_places() + 0.5) * 2 / LEAF - 1
    return vandermonde(column, row)


def leaf_sensors(grid: SensorGrid, leaves: list[Square]) -> list[Int[np.ndarray, " sensor"]]:
    """Return the flat indices of the sensors of each leaf, tile by tile; beyond the grid, the index is its size."""
    shape = np.array(grid.shape)[:, None]
    found = []
    for leaf in leaves:
        place = leaf.first[:, None] + leaf_places()
        inside = np.all(place < shape, axis=0)
        found.append(np.where(inside, place[0] * grid.shape[1] + place[1], grid.size))
    return found
