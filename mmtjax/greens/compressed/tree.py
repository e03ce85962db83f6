"""The tree of squares of sensors: which grains are near a square, and where a polynomial stands for a distant one."""

import dataclasses
from collections.abc import Iterator
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from mmtjax.field.forms import NEAR, distance_beside
from mmtjax.field.plan import TILE, FieldPlan
from mmtjax.physics.chebyshev import truncation_error, vandermonde

#: Tiles along an edge of the smallest squares.
LEAF_TILES = 2
LEAF = LEAF_TILES * TILE

#: Pairs of a grain and a square that are looked at together, so that what is worked out for them stays small.
_PAIRS = 2**15


@dataclasses.dataclass(frozen=True)
class Square:
    """A square of sensors and the grains that it tells apart.

    Attributes
    ----------
    level
        0 for a leaf of `LEAF` × `LEAF` sensors; each level doubles the edge.
    row, column
        Place among the squares of the level.
    near
        Grains whose columns on this square are more than a polynomial, ascending.
    far
        Grains that are near the square above this one, all for the root, and whose columns here are polynomials.
    form
        The number of the series that holds for each of `far`.
    children
        The squares within this one, as their place in the level below; none for a leaf.
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
        """Sensors along an edge."""
        return LEAF << self.level

    @property
    def quarter(self) -> tuple[int, int]:
        """Which quarter [row, column] of the square above it is."""
        return self.row % 2, self.column % 2

    @property
    def first(self) -> Int[np.ndarray, "2"]:
        """Indices [row, column] of the first sensor."""
        return np.array([self.row, self.column]) * self.count

    def among(self, place: Int[np.ndarray, " grain"]) -> "Square":
        """The square with some of the grains, under new numbers that ascend as the old; those left out have -1."""
        near, far = place[self.near], place[self.far]
        return dataclasses.replace(self, near=near[near >= 0], far=far[far >= 0], form=self.form[far >= 0])


def grow_tree(plan: FieldPlan) -> list[list[Square]]:
    """Squares by level, leaves first, one root last.

    A grain is far from a square where the error of its polynomial is within the tolerance of the plan, of the peak of
    its column, and where the series of the whole grain holds.
    """
    shape = plan.grid.shape
    top = spanning_level(max(shape))
    bodies = _Bodies(plan)
    above, grown = _divide(bodies, top, [(0, 0)], [np.arange(len(plan.reference))]), []
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
        above = _divide(bodies, level, places, candidates)
    return [above, *reversed(grown)]


def spanning_level(sensors: float) -> int:
    """Level of the smallest squares with at least so many sensors along an edge."""
    return max(0, int(np.ceil(np.log2(sensors / LEAF))))


class _Bodies:
    """What the choice between near and far needs of the grains, looked up once."""

    def __init__(self, plan: FieldPlan) -> None:
        root = plan.shapes.root
        self.plan = plan
        self.place = plan.reference
        self.depth = float(plan.grid.height) - self.place[:, 2]
        self.radius = plan.shapes.bounding_radius[root]
        self.reach = plan.reach[root]
        self.closest = plan.closest(self.place)


def _divide(
    bodies: _Bodies, level: int, places: list[tuple[int, int]], candidates: list[Int[np.ndarray, " _"]]
) -> list[Square]:
    """The squares of a level, with the candidates of each parted into near and far."""
    squares = []
    for batch in batches([len(some) for some in candidates], _PAIRS):
        some, size = candidates[batch], [len(part) for part in candidates[batch]]
        grain = np.concatenate(some)
        form = _forms(bodies, level, grain, np.repeat(places[batch], size, axis=0))
        for place, part, own in zip(places[batch], some, np.split(form, np.cumsum(size)[:-1]), strict=True):
            far = own != NEAR
            squares.append(Square(level, *place, part[~far], part[far], own[far]))
    return squares


def _forms(
    bodies: _Bodies, level: int, grain: Int[np.ndarray, " pair"], square: Int[np.ndarray, "pair 2"]
) -> Int[np.ndarray, " pair"]:
    """The number of the series for pairs of a grain and a square [row, column], `NEAR` where no polynomial stands."""
    plan, edge = bodies.plan, LEAF << level
    spacing, first = np.asarray(plan.grid.spacing), square * edge
    # The polynomials reach half a spacing beyond the outer sensors.
    low = np.asarray(plan.grid.origin) + spacing * (first[:, ::-1] - 0.5)
    beside = distance_beside(bodies.place[grain, :2], low, low + spacing * edge)
    half = edge * spacing.max() / 2
    error = truncation_error(
        np.maximum(beside - bodies.reach[grain], 0) / half,
        np.maximum(bodies.depth[grain] - bodies.radius[grain], 0) / half,
    )
    smooth = error * ((bodies.closest + bodies.reach)[grain] / half) ** 3 <= 2 * plan.tolerance
    form = np.full(len(grain), NEAR)
    some = grain[smooth]
    form[smooth] = plan.forms(some, plan.shapes.root[some], first=first[smooth], count=edge)
    return form


def batches(size: list[int], limit: int) -> Iterator[slice]:
    """Consecutive members whose sizes add up to no more than a limit; one alone may exceed it."""
    start, total = 0, 0
    for number, count in enumerate(size):
        if total + count > limit and number > start:
            yield slice(start, number)
            start, total = number, 0
        total += count
    yield slice(start, len(size))


@cache
def leaf_places() -> Int[np.ndarray, "2 sensor"]:
    """Rows and columns of the sensors of a leaf, tile by tile."""
    tile_row, tile_column, row, column = np.indices((LEAF_TILES, LEAF_TILES, TILE, TILE)).reshape(4, -1)
    return np.stack([tile_row * TILE + row, tile_column * TILE + column])


@cache
def leaf_vandermonde() -> Float[np.ndarray, "sensor term"]:
    """Polynomials at the sensors of a leaf."""
    row, column = (leaf_places() + 0.5) * 2 / LEAF - 1
    return vandermonde(column, row)
