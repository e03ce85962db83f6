"""The cheapest form of the field that suffices for parts of grains on squares of sensors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.device_tables import filled_up, on_device
from mmtjax.physics.series import ORDERS, allowed_error, truncation_errors
from mmtjax.precision import on_accelerator
from mmtjax.scan.grid import SensorGrid

#: The number of a form: an index into `ORDERS` for a series, or this one.
NEAR = len(ORDERS)

AnyArray = np.ndarray | Array


class Bodies(NamedTuple):
    """Grains and their parts. Lengths are µm.

    Attributes
    ----------
    position
        Centroids of grains.
    centroid
        Of each part, relative to that of its grain.
    volume, reach
        Of each part; its bounding radius and half the diagonal of a sensor.
    bounds
        Of the terms of each degree of its series.
    """

    position: Float[AnyArray, "grain 3"]
    centroid: Float[AnyArray, "part 3"]
    volume: Float[AnyArray, " part"]
    reach: Float[AnyArray, " part"]
    bounds: Float[AnyArray, "part level"]


class Sensors(NamedTuple):
    """A known grid of sensors: first one, spacing, height (µm) and how many along x and y."""

    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]
    count: Int[AnyArray, "2"]


def sensors_of(grid: SensorGrid) -> Sensors:
    """A grid as the choice looks at it."""
    known = (np.asarray(part) for part in (grid.origin, grid.spacing, grid.height))
    return Sensors(*known, np.array(grid.shape[::-1]))


def cheapest_forms(
    bodies: Bodies,
    sensors: Sensors,
    whole: Sensors,
    *,
    tolerance: float,
    grain: Int[np.ndarray, " pair"],
    part: Int[np.ndarray, " pair"],
    first: Int[np.ndarray, "pair 2"],
    count: Int[np.ndarray, " pair"],
) -> Int[np.ndarray, " pair"]:
    """The cheapest order of the series that suffices, or `NEAR`, for parts of grains on squares of sensors.

    Parameters
    ----------
    bodies, sensors
        Grains and sensors.
    whole
        Those over which the peaks are taken.
    tolerance
        Error allowed, as a share of the peak of a grain.
    grain, part
        Of each pair.
    first, count
        Indices along x and y of the first sensor of the square of each pair, and its sensors along an edge.
    """
    pairs = grain, part, first, count
    if not on_accelerator():
        return _cheapest(bodies, sensors, whole, tolerance, *pairs)
    there = Bodies(*map(on_device, bodies))
    return np.asarray(_cheapest_there(there, sensors, whole, tolerance, *map(filled_up, pairs)))[: len(grain)]


def distance_to_sensors(
    sensors: Sensors, place: Float[AnyArray, "pair 3"], *, first: AnyArray, count: AnyArray
) -> Float[AnyArray, " pair"]:
    """Distance from places to rectangles of sensors: index of the first along x and y, and how many."""
    low = sensors.origin + sensors.spacing * first
    beside = distance_beside(place[:, :2], low, low + sensors.spacing * (count - 1))
    xp = np if isinstance(place, np.ndarray) else jnp
    return xp.hypot(sensors.height - place[:, 2], beside)


def distance_to_all(sensors: Sensors, place: Float[AnyArray, "pair 3"]) -> Float[AnyArray, " pair"]:
    """Distance from places to the nearest of all sensors."""
    return distance_to_sensors(sensors, place, first=np.zeros(2), count=sensors.count)


def distance_beside(place: AnyArray, low: AnyArray, high: AnyArray) -> Float[AnyArray, " pair"]:
    """Horizontal distance from places (x, y) to rectangles between two corners, zero within them."""
    xp = np if isinstance(place, np.ndarray) else jnp
    return xp.linalg.norm(xp.maximum(0, xp.maximum(low - place, place - high)), axis=1)


def _cheapest(
    bodies: Bodies,
    sensors: Sensors,
    whole: Sensors,
    tolerance: float | Float[Array, ""],
    grain: AnyArray,
    part: AnyArray,
    first: AnyArray,
    count: AnyArray,
) -> Int[AnyArray, " pair"]:
    xp = np if isinstance(bodies.position, np.ndarray) else jnp
    place, reach = bodies.position[grain] + bodies.centroid[part], bodies.reach[part]
    distance = distance_to_sensors(sensors, place, first=first, count=count[:, None])
    closest = distance_to_all(whole, place)
    allowed = tolerance * allowed_error(bodies.volume[part], reach, closest, distance)
    errors = truncation_errors(bodies.bounds[part], reach, distance)
    form = xp.full(len(grain), NEAR)
    for number in reversed(range(len(ORDERS))):
        form = xp.where(errors[number] <= allowed, number, form)
    return form


_cheapest_there = jax.jit(_cheapest)
