"""The choice of the cheapest sufficiently accurate form of the field for a part of a source on a square of sensors."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmtjax.field.device_tables import filled_up, on_device
from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.series import ORDERS, allowed_error, truncation_errors
from mmtjax.physics.small_sensor import CROSSOVER
from mmtjax.precision import AnyArray, on_accelerator
from mmtjax.scan.grid import SensorGrid

#: Number of the closed form. The number of a series is the index of its order in `ORDERS`.
NEAR = len(ORDERS)

#: Number of the mean over a sensor that is so small that rounding of the closed form is too large.
SMALL_SENSOR = NEAR + 1

#: Rounding of the closed form, in units of the square of the distance over the area of a sensor.
_ROUNDING = 1e-15


class Bodies(NamedTuple):
    """Positions and sizes of sources and their parts. Lengths are µm.

    Attributes
    ----------
    position
        Positions of sources.
    centroid
        Centroid of each part, relative to the position of its source.
    strength
        Size of the leading terms of each part and group of components, see `mmtjax.sources.base.Parts`.
    reach
        Bounding radius of each part plus half the diagonal of a sensor.
    bounds
        Bounds of the terms of each degree of the series of a part, for each group of components, see `degree_bounds`.
    """

    position: Float[AnyArray, "source 3"]
    centroid: Float[AnyArray, "part 3"]
    strength: Float[AnyArray, "part group"]
    reach: Float[AnyArray, " part"]
    bounds: Float[AnyArray, "part group level"]


class Sensors(NamedTuple):
    """A grid of sensors that is not traced.

    Attributes
    ----------
    origin, spacing
        Centre (x, y) of the first sensor, and the sampling interval along x and y, µm.
    height
        z of the scanning plane, µm.
    number
        Number of sensors along x and y.
    """

    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]
    number: Int[AnyArray, "2"]


class Surroundings(NamedTuple):
    """The sensors and the tolerance for which forms are chosen.

    Attributes
    ----------
    sensors
        The sensors at which the field is evaluated.
    whole
        The sensors over which the peak of a source is taken.
    degrees
        Multipole degree of each group of components.
    tolerance
        Allowed error of a coefficient, as a share of the peak of its source.
    """

    sensors: Sensors
    whole: Sensors
    degrees: tuple[int, ...]
    tolerance: float | Float[Array, ""]


def sensors_of(grid: SensorGrid) -> Sensors:
    """Return the sensors of a grid as arrays of NumPy."""
    number = np.array(grid.shape[::-1])
    return Sensors(np.asarray(grid.origin), np.asarray(grid.spacing), np.asarray(grid.height), number)


def cheapest_forms(
    bodies: Bodies,
    surroundings: Surroundings,
    *,
    source: Int[np.ndarray, " pair"],
    part: Int[np.ndarray, " pair"],
    first: Int[np.ndarray, "pair 2"],
    count: Int[np.ndarray, " pair"],
) -> Int[np.ndarray, " pair"]:
    """Return the number of the cheapest form that is accurate enough, for pairs of a part and a square of sensors.

    Parameters
    ----------
    bodies, surroundings
        Sources, sensors and the tolerance.
    source, part
        The source and the part of each pair.
    first
        Indices along x and y of the first sensor of the square of each pair.
    count
        Number of sensors along an edge of the square of each pair.

    Returns
    -------
    Array
        Indices of the lowest orders in `ORDERS` whose series are accurate enough; `NEAR` where none is.
    """
    pairs = source, part, first, count
    if not on_accelerator():
        return np.asarray(_cheapest(bodies, surroundings, *pairs))
    copied = Bodies(*map(on_device, bodies))
    sensors, whole, degrees, tolerance = surroundings
    form = _cheapest_on_device(copied, sensors, whole, tolerance, degrees, *map(filled_up, pairs))
    return np.asarray(form)[: len(source)]


def is_rounded(
    bodies: Bodies,
    surroundings: Surroundings,
    side: Float[np.ndarray, "2"],
    *,
    source: Int[np.ndarray, " pair"],
    part: Int[np.ndarray, " pair"],
    first: Int[np.ndarray, "pair 2"],
    count: Int[np.ndarray, "..."],
) -> Bool[np.ndarray, " pair"]:
    """Return whether rounding of the closed form exceeds the tolerance, for pairs of a part and a square of sensors.

    Parameters
    ----------
    bodies, surroundings
        Sources, sensors and the tolerance; not traced.
    side
        Edges of a sensor, µm.
    source, part, first, count
        As for `cheapest_forms`, with one number of sensors along an edge for all pairs.
    """
    sensors, whole, degrees, tolerance = surroundings
    place, reach = np.asarray(bodies.position)[source] + bodies.centroid[part], np.asarray(bodies.reach)[part]
    distance = distance_to_sensors(sensors, place, first=first, count=count)
    farthest = distance + np.hypot(*sensors.spacing) * count + reach
    closest = distance_to_all(whole, place)
    rounding = np.where(farthest > CROSSOVER * side.max(), _ROUNDING * farthest**2 / side.prod(), 0.0)
    strength, away = np.asarray(bodies.strength)[part], {"closest": closest, "distance": distance}
    allowed = [allowed_error(strength[:, group], reach, **away, degree=degree) for group, degree in enumerate(degrees)]
    return rounding > tolerance * np.min(allowed, axis=0)


def smallest_side(radius: float, tolerance: float) -> float:
    """Return the side of a sensor, µm, from which on the closed form is used where distances are not known.

    Parameters
    ----------
    radius
        Bounding radius of the largest part, µm. The closed form is used up to about ten times that distance.
    tolerance
        Allowed error as a share of the peak of a source, which is at least 2e-3 for a body that is so near.
    """
    far = 11.0
    most = max(np.sqrt(2e-3 * tolerance / _ROUNDING), CROSSOVER + far)
    return float(far * radius / (most - far))


def distance_to_sensors(
    sensors: Sensors, place: Float[AnyArray, "pair 3"], *, first: AnyArray, count: AnyArray
) -> Float[AnyArray, " pair"]:
    """Return the distance from each place to the nearest sensor of a rectangle of sensors, µm.

    Parameters
    ----------
    sensors
        The grid.
    place
        Places (x, y, z), µm.
    first, count
        Indices along x and y of the first sensor of each rectangle, and its number of sensors along x and y.
    """
    low = sensors.origin + sensors.spacing * first
    beside = distance_beside(place[:, :2], low, low + sensors.spacing * (count - 1))
    return array_namespace(place).hypot(sensors.height - place[:, 2], beside)


def distance_to_all(sensors: Sensors, place: Float[AnyArray, "pair 3"]) -> Float[AnyArray, " pair"]:
    """Return the distance from each place to the nearest sensor of the grid, µm."""
    return distance_to_sensors(sensors, place, first=np.zeros(2), count=sensors.number)


def distance_beside(place: AnyArray, low: AnyArray, high: AnyArray) -> Float[AnyArray, " pair"]:
    """Return the horizontal distance from places (x, y) to rectangles, zero within them.

    Parameters
    ----------
    place
        Places (x, y), (pair, 2).
    low, high
        Lower and upper corners (x, y) of the rectangles, (pair, 2).
    """
    xp = array_namespace(place, low, high)
    return xp.linalg.norm(xp.maximum(0, xp.maximum(low - place, place - high)), axis=1)


def _cheapest(
    bodies: Bodies, surroundings: Surroundings, source: AnyArray, part: AnyArray, first: AnyArray, count: AnyArray
) -> Int[AnyArray, " pair"]:
    """Return the cheapest forms, by NumPy or JAX depending on the arrays."""
    sensors, whole, degrees, tolerance = surroundings
    xp = array_namespace(bodies.position)
    place, reach = bodies.position[source] + bodies.centroid[part], bodies.reach[part]
    distance = distance_to_sensors(sensors, place, first=first, count=count[:, None])
    closest = distance_to_all(whole, place)
    accurate = [xp.full(len(source), True) for _ in ORDERS]
    for group, degree in enumerate(degrees):
        strength, bounds = bodies.strength[:, group][part], bodies.bounds[:, group][part]
        allowed = tolerance * allowed_error(strength, reach, closest=closest, distance=distance, degree=degree)
        errors = truncation_errors(bounds, reach, distance)
        accurate = [both & (error <= allowed) for both, error in zip(accurate, errors, strict=True)]
    form = xp.full(len(source), NEAR)
    for number in reversed(range(len(ORDERS))):
        form = xp.where(accurate[number], number, form)
    return form


@partial(jax.jit, static_argnames="degrees")
def _cheapest_on_device(
    bodies: Bodies,
    sensors: Sensors,
    whole: Sensors,
    tolerance: float | Float[Array, ""],
    degrees: tuple[int, ...],
    *pairs: Int[Array, "..."],
) -> Int[Array, " pair"]:
    """Return the cheapest forms on the default device."""
    return jnp.asarray(_cheapest(bodies, Surroundings(sensors, whole, degrees, tolerance), *pairs))
