"""Which form of the field is used where: tiles of sensors, series and where they hold, near corners."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.forms import Bodies, cheapest_forms, distance_to_all, sensors_of
from mmtjax.physics.series import degree_bounds, series_coefficients, truncation_radius
from mmtjax.precision import is_concrete, require_float64
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains
from mmtjax.sources.parts import Shapes, shapes_of

#: Error of a coefficient that the choice between closed form and series allows, as a share of the peak of its grain.
#: An inversion multiplies it by its condition number: on a published scan, with 6e6, magnetizations move by up to 0.7
#: of their radius at 20 nT for 1e-7, by 0.03 for 1e-8, which takes a fifth longer.
DEFAULT_TOLERANCE = 1e-8

#: Sensors along an edge of a tile, and of the squares that a tile is cut in where a grain is close to it.
TILE = 16
SQUARE = 4

#: The order where both forms are evaluated: higher ones take long to compile once they are differentiated.
TRACED_ORDER = 7

AnyArray = np.ndarray | Array


class FieldPlan(eqx.Module):
    """What the field of given grains needs on any tile. Make one with `plan_field`. Lengths are µm.

    Large grains are cut into parts: where the series of the whole does not hold, those of most parts do, and only the
    corners of the others are summed.

    Attributes
    ----------
    position
        Centroids of grains; may be traced.
    shapes
        The shapes of grains and their parts.
    coefficients
        Series of each part.
    bounds
        Of the terms of each degree, for the error of a truncated series.
    reach
        Bounding radius of each part and half the diagonal of a sensor.
    tolerance
        Allowed error as a share of the peak.
    reference, grid
        Positions and sensors that are known, from which the form is chosen; None where they are traced.
    whole
        The sensors over which the peaks are taken: `grid`, or those that it is a part of.
    """

    position: Float[AnyArray, "grain 3"]
    shapes: Shapes = eqx.field(static=True)
    coefficients: Float[AnyArray, "part 3 2 term"]
    bounds: Float[AnyArray, "part level"]
    reach: Float[AnyArray, " part"]
    tolerance: float = eqx.field(static=True)
    reference: Float[np.ndarray, "grain 3"] | None
    grid: SensorGrid | None
    whole: SensorGrid | None

    @property
    def geometry_is_known(self) -> bool:
        """Whether the choice between the forms can be made before the numbers are known."""
        return self.grid is not None

    def moved(self, grains: Grains, grid: SensorGrid) -> "FieldPlan":
        """The plan of the same grains at other places under the same sensors elsewhere, all known."""
        refuse_grains_above(grains, grid)
        position = np.asarray(grains.position)
        return dataclasses.replace(self, position=position, reference=position, grid=grid, whole=grid)

    def forms(
        self,
        grain: Int[np.ndarray, " pair"],
        part: Int[np.ndarray, " pair"],
        *,
        first: Int[np.ndarray, "pair 2"],
        count: int | Int[np.ndarray, " pair"] = TILE,
    ) -> Int[np.ndarray, " pair"]:
        """The cheapest order of the series that suffices, or `NEAR`, for parts of grains on squares of sensors.

        `first` are the indices [row, column] of the first sensor of a square, `count` its sensors along an edge.
        """
        return cheapest_forms(
            Bodies(self.reference, self.shapes.centroid, self.shapes.volume, self.reach, self.bounds),
            sensors_of(self.grid),
            sensors_of(self.whole),
            tolerance=self.tolerance,
            grain=grain,
            part=part,
            first=first[:, ::-1],
            count=np.broadcast_to(count, len(grain)),
        )

    def closest(self, place: np.ndarray) -> Float[np.ndarray, " pair"]:
        """Distance from places to the nearest of all sensors, below which the peak of a column is."""
        return distance_to_all(sensors_of(self.whole), place)


def plan_field(
    grains: Grains,
    grid: SensorGrid,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    reuse_plan: FieldPlan | None = None,
    whole: SensorGrid | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FieldPlan:
    """Shapes, series and their bounds of `grains` for sensors like those of `grid`.

    Parameters
    ----------
    grains, grid
        The sources and the sensors; positions, standoff and spacing may be traced.
    tolerance
        Error allowed as a share of the peak coefficient of each grain.
    reuse_plan
        A plan of the same grains close by, whose shapes and choice of forms are taken over. With it, geometry that is
        traced costs no more than geometry that is known; the tolerance holds as far as distances are those of that
        plan.
    whole
        Known sensors of which `grid` is a part. Peaks are taken over all of them: what is distant from the part need be
        no more right there than it is elsewhere.
    progress
        Called with the grains whose shapes are worked out and all of them.

    Raises
    ------
    ValueError
        For a tolerance outside (0, 0.01], a grain above the sensors, and traced corners (shapes of grains).
    """
    require_float64()
    if not 0 < tolerance <= 1e-2:
        raise ValueError(f"tolerance must lie in (0, 0.01], as a share of each grain's peak; got {tolerance!r}")
    if not is_concrete(grains.corner_offset, grains.corner_weight, grains.corner_grain):
        raise ValueError(
            "the corners of grains are being traced; let jit close over the Grains, and pass it only what changes: "
            "positions by Grains.translate, the standoff, the magnetization"
        )
    refuse_grains_above(grains, grid)
    shapes = shapes_of(grains, progress=progress) if reuse_plan is None else reuse_plan.shapes
    known = is_concrete(grains, grid)
    same = (
        reuse_plan is not None
        and reuse_plan.geometry_is_known
        and known
        and np.array_equal(grid.side, reuse_plan.grid.side)
    )
    coefficients = reuse_plan.coefficients if same else series_coefficients(shapes.moments, grid.side)
    side = np.asarray(grid.side) if is_concrete(grid.side) else grid.side
    reach = shapes.bounding_radius + (side[0] ** 2 + side[1] ** 2) ** 0.5 / 2
    reference = np.asarray(grains.position) if known else None
    if reuse_plan is not None:
        reference, known_grid, whole = reuse_plan.reference, reuse_plan.grid, reuse_plan.whole
        bounds, limit = reuse_plan.bounds, reuse_plan.reach
    else:
        known_grid = grid if known else None
        bounds, limit = degree_bounds(coefficients), reach
    position = np.asarray(grains.position) if known else grains.position
    return FieldPlan(
        position,
        shapes,
        coefficients,
        bounds,
        limit,
        tolerance,
        reference,
        known_grid,
        known_grid if whole is None else whole,
    )


def traced_limit(plan: FieldPlan, grid: SensorGrid, *, grain: np.ndarray, part: np.ndarray) -> Float[Array, " body"]:
    """Distances beyond which the series of `TRACED_ORDER` is taken for parts of grains on traced geometry."""
    # Where the forms meet is not differentiated.
    grid, position = jax.lax.stop_gradient((grid, jnp.asarray(plan.position)))
    place = position[grain] + plan.shapes.centroid[part]
    nearest = [
        jnp.clip(place[:, axis], grid.origin[axis], grid.origin[axis] + grid.spacing[axis] * (count - 1))
        for axis, count in ((0, grid.shape[1]), (1, grid.shape[0]))
    ]
    nearest.append(jnp.broadcast_to(jnp.asarray(grid.height), len(grain)))
    closest = jnp.linalg.norm(jnp.stack(nearest, axis=1) - place, axis=1)
    volume = jnp.asarray(plan.shapes.volume)[part]
    bounds, reach = jnp.asarray(plan.bounds)[part], jnp.asarray(plan.reach)[part]
    return truncation_radius(bounds, volume, reach, closest, plan.tolerance, order=TRACED_ORDER)


def refuse_grains_above(grains: Grains, grid: SensorGrid) -> None:
    """Raise if part of a grain lies above the scanning plane; traced geometry is not looked at."""
    if not is_concrete(grains, grid):
        return
    top = np.asarray(grains.top)
    slack = 1e-9 * (np.max(np.abs(top)) + abs(float(grid.height)))
    if np.any(top > grid.height + slack):
        index = int(np.argmax(top))
        raise ValueError(
            f"grain {grains.ids[index]} reaches up to z = {top[index]:g} µm, above the sensors at "
            f"z = {grid.height:g} µm ({int(np.sum(top > grid.height + slack))} grains do); z points up: is the depth "
            "given as positive?"
        )


def tile_count(grid: SensorGrid) -> int:
    """Number of tiles that cover the grid, row by row."""
    return -(-grid.shape[0] // TILE) * -(-grid.shape[1] // TILE)


def tile_corners(grid: SensorGrid, tiles: np.ndarray) -> Int[np.ndarray, "tile 2"]:
    """Indices [row, column] of the first sensor of each of `tiles`."""
    per_row = -(-grid.shape[1] // TILE)
    return np.stack([tiles // per_row, tiles % per_row], axis=1).astype(np.int32) * TILE
