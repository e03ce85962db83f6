"""Place grains at random in a slice of rock so that none intersect (Out et al. 2022, section 2.1.1)."""

import itertools
import math
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.precision import require_key
from mmtjax.progress import StageProgress, check_progress
from mmtjax.sources.grains import Grains
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.units import UM3_PER_MM3

#: Edge of the square columns of the sample in which neighbours are looked up, µm.
_COLUMN = 10.0

#: Places that are tried for a grain before another shape is drawn.
_TRIES = 100

#: Grains in a row without a place after which the search ends.
_GIVEN_UP = 30

#: Progress is reported every so many grains.
_REPORT_EVERY = 500


def place_grains(
    key: jax.Array,
    library: ShapeLibrary,
    *,
    side: float | tuple[float, float],
    thickness: float,
    density: float,
    clearance: float = 10.0,
    progress: StageProgress | None = None,
) -> Grains:
    """Place grains of random shapes at random, apart from each other and inside the sample.

    Each grain is a shape drawn from the library. Places are drawn uniformly among those where it lies inside the
    sample, its top side between the surface and `clearance` above the bottom. Where it would share volume with a grain
    already placed, the place is dropped and another drawn. After a hundred places another shape is drawn instead, so
    that nearly full samples hold smaller grains than the library.

    Parameters
    ----------
    key
        Random key of JAX; the same key gives the same grains.
    library
        Shapes to draw from; a shape larger than the sample is never drawn.
    side
        Edges (x, y) of the surface of the sample, µm, or one number for both. The sample lies between 0 and these.
    thickness
        Thickness of the sample, µm; it lies between z = -thickness and z = 0.
    density
        Grains per mm³. Their number is rounded to a whole one.
    clearance
        Least height of the top side of every grain above the bottom of the sample, µm.
    progress
        Called with ``"placing grains"``, the number of grains placed and the number of all.

    Returns
    -------
    Grains
        With the ids 1, 2, 3, … in the order in which they were placed.

    Raises
    ------
    ValueError
        As `count_grains`, for a library without a shape that fits into the sample, and where no place is found for
        thirty grains in a row. That message says which density was reached.

    Examples
    --------
    >>> from mmtjax.sources.shape_library import synthetic_library
    >>> grains = place_grains(jax.random.key(1), synthetic_library(), side=100, thickness=50, density=2e4)
    >>> len(grains), bool(np.all(grains.top < 0))
    (10, True)
    """
    require_key(key)
    check_progress(progress)
    size = _size(side, thickness)
    count = count_grains(side=side, thickness=thickness, density=density, clearance=clearance)
    lowest = np.stack([np.zeros(len(library)), np.zeros(len(library)), np.full(len(library), -size[2])], axis=1)
    # Range of the low end of the bounding box, for every shape.
    extent = library.high - library.low
    highest = lowest + size - extent
    lowest[:, 2] = np.maximum(lowest[:, 2], clearance - size[2] - extent[:, 2])
    fitting = np.flatnonzero(np.all(highest >= lowest, axis=1))
    if len(fitting) == 0:
        small = extent[np.argmin(extent.max(axis=1))]
        msg = (
            f"none of the {len(library)} shapes fits into {size[0]:g} × {size[1]:g} × {size[2]:g} µm; a small one is "
            f"{small[0]:g} × {small[1]:g} × {small[2]:g} µm"
        )
        raise InputError(msg)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    sample = _PlacedGrains(library)
    given_up = 0
    while len(sample.shapes) < count:
        shape = int(fitting[rng.integers(len(fitting))])
        places = (lowest[shape] + rng.random(3) * (highest[shape] - lowest[shape]) for _ in range(_TRIES))
        if any(sample.add(shape, place) for place in places):
            given_up = 0
            if progress is not None and (len(sample.shapes) % _REPORT_EVERY == 0 or len(sample.shapes) == count):
                progress("placing grains", len(sample.shapes), count)
            continue
        given_up += 1
        if given_up == _GIVEN_UP:
            volume = float(np.prod(size))
            reached = len(sample.shapes) / volume * UM3_PER_MM3
            filled = float(np.sum(library.volume[sample.shapes])) / volume
            msg = (
                f"density of {density:g} grains per mm³ cannot be reached: {len(sample.shapes)} of {count} grains were "
                f"placed, {reached:.4g} per mm³, which fill {filled:.0%} of the sample; then {_GIVEN_UP} grains in a "
                f"row found no place in {_TRIES} tries each. Ask for a lower density or take smaller shapes"
            )
            raise InputError(msg)
    return sample.grains()


def count_grains(*, side: float | tuple[float, float], thickness: float, density: float, clearance: float = 0.0) -> int:
    """Return the number of grains of a sample, after a check of its values.

    Parameters
    ----------
    side
        Edges (x, y) of the surface of the sample, µm, or one number for both.
    thickness
        Thickness of the sample, µm.
    density
        Grains per mm³.
    clearance
        Least height of the top side of every grain above the bottom of the sample, µm.

    Raises
    ------
    ValueError
        For sizes that are not positive, a clearance that is not less than the thickness, and a density at which there
        is no grain.

    Examples
    --------
    >>> count_grains(side=100, thickness=50, density=2e4)
    10
    """
    size = _size(side, thickness)
    if not (np.all(np.isfinite(size)) and np.all(size > 0)):
        msg = f"side and thickness must be positive, in µm; got {size[:2].tolist()} and {float(size[2])!r}"
        raise InputError(msg)
    if not 0 <= clearance < size[2]:
        msg = (
            f"clearance must be from 0 to less than the thickness of {size[2]:g} µm: the top side of a grain lies that "
            f"high above the bottom; got {clearance!r}"
        )
        raise InputError(msg)
    expected = density * (math.prod(size.tolist()) / UM3_PER_MM3) if np.isfinite(density) else 0.0
    if not np.isfinite(expected):
        msg = f"side, thickness and density are too large; got {size.tolist()} µm and {density!r} grains per mm³"
        raise InputError(msg)
    count = round(expected)
    if count < 1:
        # The volume of a tiny sample may be rounded to zero.
        volume = math.prod(size.tolist())
        one = UM3_PER_MM3 / volume if volume > 0 else math.inf
        msg = (
            f"density of {density:g} grains per mm³ puts no grain into {size[0]:g} × {size[1]:g} × {size[2]:g} µm; "
            f"one grain is {one:.4g} per mm³"
        )
        raise InputError(msg)
    return count


def _size(side: float | tuple[float, float], thickness: float) -> Float[np.ndarray, "3"]:
    return np.append(np.broadcast_to(np.asarray(side, np.float64), (2,)), thickness)


class _PlacedGrains:
    """The grains placed so far, with the columns of the sample that each of them reaches into."""

    def __init__(self, library: ShapeLibrary) -> None:
        self.library = library
        self.shapes: list[int] = []
        self.boxes: list[tuple[float, ...]] = []
        self.columns: dict[tuple[int, int], list[int]] = {}
        # Ends of the cuboids of each shape above the low end of its bounding box, (3, cuboid).
        self.ends = [
            (
                np.ascontiguousarray((library.cuboid_low[first:last] - low).T),
                np.ascontiguousarray((library.cuboid_high[first:last] - low).T),
            )
            for first, last, low in zip(library.first_cuboid[:-1], library.first_cuboid[1:], library.low, strict=True)
        ]
        self.extent = library.high - library.low

    def add(self, shape: int, place: Float[np.ndarray, "3"]) -> bool:
        """Add a grain with the low end of its bounding box at `place`, unless it would intersect another."""
        x0, y0, z0 = place.tolist()
        x1, y1, z1 = (place + self.extent[shape]).tolist()
        columns = list(_columns_between(x0, x1, y0, y1))
        seen = set().union(*(self.columns.get(column, ()) for column in columns))
        for other in seen:
            a0, b0, c0, a1, b1, c1 = self.boxes[other]
            if x0 < a1 and a0 < x1 and y0 < b1 and b0 < y1 and z0 < c1 and c0 < z1:
                shift = np.array([a0 - x0, b0 - y0, c0 - z0])
                if self._intersect(shape, self.shapes[other], shift):
                    return False
        for column in columns:
            self.columns.setdefault(column, []).append(len(self.shapes))
        self.shapes.append(shape)
        self.boxes.append((x0, y0, z0, x1, y1, z1))
        return True

    def _intersect(self, one: int, other: int, shift: Float[np.ndarray, "3"]) -> bool:
        """Return whether two shapes share volume, the second with its bounding box `shift` from that of the first."""
        low, high = _within(*self.ends[one], shift, shift + self.extent[other])
        other_low, other_high = _within(*self.ends[other], -shift, self.extent[one] - shift)
        other_low, other_high = other_low + shift[:, None], other_high + shift[:, None]
        shared = np.ones((low.shape[1], other_low.shape[1]), bool)
        for axis in range(3):
            shared &= low[axis][:, None] < other_high[axis]
            shared &= high[axis][:, None] > other_low[axis]
        return bool(shared.any())

    def grains(self) -> Grains:
        """Return the placed grains."""
        shapes = np.asarray(self.shapes)
        return self.library.grains(shapes, np.asarray(self.boxes)[:, :3] - self.library.low[shapes])


def _within(
    low: Float[np.ndarray, "3 cuboid"],
    high: Float[np.ndarray, "3 cuboid"],
    bottom: Float[np.ndarray, "3"],
    top: Float[np.ndarray, "3"],
) -> tuple[Float[np.ndarray, "3 near"], Float[np.ndarray, "3 near"]]:
    """Return those of the cuboids that share volume with a box."""
    near = np.flatnonzero(((low < top[:, None]) & (high > bottom[:, None])).all(axis=0))
    return low[:, near], high[:, near]


def _columns_between(x0: float, x1: float, y0: float, y1: float) -> Iterator[tuple[int, int]]:
    """Return the numbers of the columns that a rectangle reaches into."""
    return itertools.product(
        range(int(x0 // _COLUMN), int(x1 // _COLUMN) + 1), range(int(y0 // _COLUMN), int(y1 // _COLUMN) + 1)
    )
