"""The cheapest form of the field that suffices for parts of sources on squares of sensors."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.device_tables import filled_up, on_device
from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.series import ORDERS, allowed_error, truncation_errors
from mmtjax.precision import AnyArray, on_accelerator
from mmtjax.scan.grid import SensorGrid

#: The number of a form: an index into `ORDERS` for a series, or this one.
NEAR = len(ORDERS)


class Bodies(NamedTuple):
    """Sources and their parts. Lengths are µm.

    Attributes
    ----------
    position
        Positions of sources.
    centroid
        Of each part, relative to the position of its source.
    strength, reach
        Size of the leading terms of each part; its bounding radius and half the diagonal of a sensor.
    bounds
        Of the terms of each degree of its series, for each group of components.
    """

    position: Float[AnyArray, "source 3"]
    centroid: Float[AnyArray, "part 3"]
    strength: Float[AnyArray, "part group"]
    reach: Float[AnyArray, " part"]
    bounds: Float[AnyArray, "part group level"]


class Sensors(NamedTuple):
    """A known grid of sensors: first one, spacing, height (µm) and how many along x and y."""

    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]
    count: Int[AnyArray, "2"]


class Surroundings(NamedTuple):
    """What the choice of a form is made for.

    Attributes
    ----------
    sensors
        The sensors.
    whole
        Those over which the peaks are taken.
    degrees
        Multipole degree of each group of components.
    tolerance
        Error allowed, as a share of the peak of a source.
    """

    sensors: Sensors
    whole: Sensors
    degrees: tuple[int, ...]
    tolerance: float | Float[Array, ""]


def sensors_of(grid: SensorGrid) -> Sensors:
    """Return a grid as the choice looks at it."""
    known = (np.asarray(part) for part in (grid.origin, grid.spacing, grid.height))
    return Sensors(*known, np.array(grid.shape[::-1]))


def cheapest_forms(
    bodies: Bodies,
    surroundings: Surroundings,
    *,
    source: Int[np.ndarray, " pair"],
    part: Int[np.ndarray, " pair"],
    first: Int[np.ndarray, "pair 2"],
    count: Int[np.ndarray, " pair"],
) -> Int[np.ndarray, " pair"]:
    """Return the cheapest order of the series that suffices, or `NEAR`, for parts of sources on squares of sensors.

    Parameters
    ----------
    bodies, surroundings
        Sources, sensors and the tolerance.
    source, part
        Of each pair.
    first, count
        Indices along x and y of the first sensor of the square of each pair, and its sensors along an edge.
    """
    pairs = source, part, first, count
    if not on_accelerator():
        return _cheapest(bodies, surroundings, *pairs)
    there = Bodies(*map(on_device, bodies))
    sensors, whole, degrees, tolerance = surroundings
    return np.asarray(_cheapest_there(there, sensors, whole, tolerance, degrees, *map(filled_up, pairs)))[: len(source)]


def distance_to_sensors(
    sensors: Sensors, place: Float[AnyArray, "pair 3"], *, first: AnyArray, count: AnyArray
) -> Float[AnyArray, " pair"]:
    """Return the distance from places to rectangles of sensors: index of the first along x and y, and how many."""
    low = sensors.origin + sensors.spacing * first
    beside = distance_beside(place[:, :2], low, low + sensors.spacing * (count - 1))
    return array_namespace(place).hypot(sensors.height - place[:, 2], beside)


def distance_to_all(sensors: Sensors, place: Float[AnyArray, "pair 3"]) -> Float[AnyArray, " pair"]:
    """Return the distance from places to the nearest of all sensors."""
    return distance_to_sensors(sensors, place, first=np.zeros(2), count=sensors.count)


def distance_beside(place: AnyArray, low: AnyArray, high: AnyArray) -> Float[AnyArray, " pair"]:
    """Return the horizontal distance from places (x, y) to rectangles between two corners, zero within them."""
    xp = array_namespace(place, low, high)
    return xp.linalg.norm(xp.maximum(0, xp.maximum(low - place, place - high)), axis=1)


def _cheapest(
    bodies: Bodies, surroundings: Surroundings, source: AnyArray, part: AnyArray, first: AnyArray, count: AnyArray
) -> Int[AnyArray, " pair"]:
    sensors, whole, degrees, tolerance = surroundings
    xp = array_namespace(bodies.position)
    place, reach = bodies.position[source] + bodies.centroid[part], bodies.reach[part]
    distance = distance_to_sensors(sensors, place, first=first, count=count[:, None])
    closest = distance_to_all(whole, place)
    suffices = [xp.full(len(source), True) for _ in ORDERS]
    for group, degree in enumerate(degrees):
        strength, bounds = bodies.strength[:, group][part], bodies.bounds[:, group][part]
        allowed = tolerance * allowed_error(strength, reach, closest=closest, distance=distance, degree=degree)
        errors = truncation_errors(bounds, reach, distance)
        suffices = [both & (error <= allowed) for both, error in zip(suffices, errors, strict=True)]
    form = xp.full(len(source), NEAR)
    for number in reversed(range(len(ORDERS))):
        form = xp.where(suffices[number], number, form)
    return form


@partial(jax.jit, static_argnames="degrees")
def _cheapest_there(
    bodies: Bodies,
    sensors: Sensors,
    whole: Sensors,
    tolerance: float | Float[Array, ""],
    degrees: tuple[int, ...],
    *pairs: Int[Array, "..."],
) -> Int[Array, " pair"]:
    return _cheapest(bodies, Surroundings(sensors, whole, degrees, tolerance), *pairs)
