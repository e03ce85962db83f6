"""The choice of the form of the field for each source and tile of sensors, from a tolerance."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.forms import Bodies, Surroundings, cheapest_forms, distance_to_all, sensors_of
from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.series import degree_bounds, truncation_radius
from mmtjax.precision import AnyArray, is_concrete, require_float64
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource, Parts

#: Error of a coefficient that the choice between closed form and series allows, as a share of the peak of its grain.
#: An inversion multiplies it by its condition number: on a published scan, with 6e6, magnetizations move by up to 0.7
#: of their radius at 20 nT for 1e-7, by 0.03 for 1e-8, which takes a fifth longer.
DEFAULT_TOLERANCE = 1e-8

#: Sensors along an edge of a tile, and of the squares that a tile is cut in where a grain is close to it.
TILE = 16
SQUARE = 4

#: The order where both forms are evaluated: higher ones take long to compile once they are differentiated.
TRACED_ORDER = 7


class FieldPlan(eqx.Module):
    """What the field of given sources needs on any tile. Make one with `plan_field`. Lengths are µm.

    Large bodies are cut into parts: where the series of the whole does not hold, those of most parts do, and only the
    corners of the others are summed.

    Attributes
    ----------
    position
        Positions of sources; may be traced.
    parts
        The shapes of sources and their parts.
    coefficients
        Series of each part.
    bounds
        Of the terms of each degree, for the error of a truncated series, for each group of components.
    reach
        Bounding radius of each part and half the diagonal of a sensor.
    tolerance
        Allowed error as a share of the peak.
    reference, grid
        Positions and sensors that are known, from which the form is chosen; None where they are traced.
    whole
        The sensors over which the peaks are taken: `grid`, or those that it is a part of.
    """

    position: Float[AnyArray, "source 3"]
    parts: Parts = eqx.field(static=True)
    coefficients: Float[AnyArray, "part component 2 term"]
    bounds: Float[AnyArray, "part group level"]
    reach: Float[AnyArray, " part"]
    tolerance: float = eqx.field(static=True)
    reference: Float[np.ndarray, "source 3"] | None
    grid: SensorGrid | None
    whole: SensorGrid | None

    @property
    def geometry_is_known(self) -> bool:
        """Whether the choice between the forms can be made before the numbers are known."""
        return self.grid is not None

    @property
    def components(self) -> int:
        """Number of components of a source."""
        return self.parts.components

    def known_geometry(self) -> tuple[Float[np.ndarray, "source 3"], SensorGrid, SensorGrid]:
        """Return the known positions, sensors, and the sensors over which peaks are taken.

        Raises
        ------
        ValueError
            If they are traced.
        """
        if self.reference is None or self.grid is None or self.whole is None:
            raise ValueError(
                "sources or the grid are being traced, so that near and far cannot be told apart; pass reuse_plan=, a "
                "plan of concrete geometry by plan_field, or use TiledGreen"
            )
        return self.reference, self.grid, self.whole

    def moved(self, sources: AbstractSource, grid: SensorGrid) -> "FieldPlan":
        """Return the plan of the same sources at other places under the same sensors elsewhere, all known."""
        refuse_sources_above(sources, grid)
        position = np.asarray(sources.position)
        return dataclasses.replace(self, position=position, reference=position, grid=grid, whole=grid)

    def forms(
        self,
        source: Int[np.ndarray, " pair"],
        part: Int[np.ndarray, " pair"],
        *,
        first: Int[np.ndarray, "pair 2"],
        count: int | Int[np.ndarray, " pair"] = TILE,
    ) -> Int[np.ndarray, " pair"]:
        """Return the cheapest order of the series that suffices, or `NEAR`, for parts of sources on squares of sensors.

        `first` are the indices [row, column] of the first sensor of a square, `count` its sensors along an edge.
        """
        parts, (reference, grid, whole) = self.parts, self.known_geometry()
        bodies = Bodies(reference, parts.centroid, parts.strength, self.reach, self.bounds)
        degrees = tuple(group.degree for group in parts.groups)
        return cheapest_forms(
            bodies,
            Surroundings(sensors_of(grid), sensors_of(whole), degrees, self.tolerance),
            source=source,
            part=part,
            first=first[:, ::-1],
            count=np.broadcast_to(count, len(source)),
        )

    def closest(self, place: np.ndarray) -> Float[np.ndarray, " pair"]:
        """Return the distance from places to the nearest of all sensors, below which the peak of a column is."""
        return distance_to_all(sensors_of(self.known_geometry()[2]), place)


def plan_field(
    sources: AbstractSource,
    grid: SensorGrid,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    reuse_plan: FieldPlan | None = None,
    whole: SensorGrid | None = None,
    progress: Progress | None = None,
) -> FieldPlan:
    """Work out shapes, series and their bounds of sources for sensors like those of a grid.

    Parameters
    ----------
    sources, grid
        The sources and the sensors; positions, standoff and spacing may be traced.
    tolerance
        Error allowed as a share of the peak coefficient of each source.
    reuse_plan
        A plan of the same sources close by, whose shapes and choice of forms are taken over. With it, geometry that is
        traced costs no more than geometry that is known; the tolerance holds as far as distances are those of that
        plan.
    whole
        Known sensors of which `grid` is a part. Peaks are taken over all of them: what is distant from the part need be
        no more right there than it is elsewhere.
    progress
        Called with the sources whose shapes are worked out and all of them.

    Raises
    ------
    ValueError
        For a tolerance outside (0, 0.01], a source above the sensors, and traced corners (shapes of grains).
    """
    require_float64()
    if not 0 < tolerance <= 1e-2:
        raise ValueError(f"tolerance must lie in (0, 0.01], as a share of each grain's peak; got {tolerance!r}")
    refuse_sources_above(sources, grid)
    parts = sources.parts(progress=progress) if reuse_plan is None else reuse_plan.parts
    known = is_concrete(sources.position, grid)
    position = np.asarray(sources.position) if known else sources.position
    if reuse_plan is not None:
        own = reuse_plan.grid
        same = known and own is not None and np.array_equal(grid.side, own.side)
        coefficients = reuse_plan.coefficients if same else parts.series(grid.side)
        return dataclasses.replace(reuse_plan, position=position, coefficients=coefficients, tolerance=tolerance)
    coefficients = parts.series(grid.side)
    side = np.asarray(grid.side) if is_concrete(grid.side) else grid.side
    groups = [degree_bounds(coefficients[:, group.first : group.stop]) for group in parts.groups]
    known_grid = grid if known else None
    return FieldPlan(
        position=position,
        parts=parts,
        coefficients=coefficients,
        bounds=array_namespace(*groups).stack(groups, axis=1),
        reach=parts.bounding_radius + (side[0] ** 2 + side[1] ** 2) ** 0.5 / 2,
        tolerance=tolerance,
        reference=np.asarray(sources.position) if known else None,
        grid=known_grid,
        whole=known_grid if whole is None else whole,
    )


def traced_limit(plan: FieldPlan, grid: SensorGrid, *, source: np.ndarray, part: np.ndarray) -> Float[Array, " body"]:
    """Return distances beyond which the series of `TRACED_ORDER` is taken for parts of sources on traced geometry."""
    # Where the forms meet is not differentiated.
    grid, position = jax.lax.stop_gradient((grid, jnp.asarray(plan.position)))
    place = position[source] + plan.parts.centroid[part]
    nearest = [
        jnp.clip(place[:, axis], grid.origin[axis], grid.origin[axis] + grid.spacing[axis] * (count - 1))
        for axis, count in ((0, grid.shape[1]), (1, grid.shape[0]))
    ]
    nearest.append(jnp.broadcast_to(jnp.asarray(grid.height), len(source)))
    closest = jnp.linalg.norm(jnp.stack(nearest, axis=1) - place, axis=1)
    strength = jnp.asarray(plan.parts.strength)[part]
    bounds, reach = jnp.asarray(plan.bounds)[part], jnp.asarray(plan.reach)[part]
    radii = [
        truncation_radius(
            bounds[:, number],
            strength[:, number],
            reach,
            closest,
            plan.tolerance,
            order=TRACED_ORDER,
            degree=group.degree,
        )
        for number, group in enumerate(plan.parts.groups)
    ]
    return jnp.max(jnp.stack(radii), axis=0)


def refuse_sources_above(sources: AbstractSource, grid: SensorGrid) -> None:
    """Raise if part of a source lies above the scanning plane; traced geometry is not looked at."""
    if not is_concrete(sources, grid):
        return
    top = np.asarray(sources.top)
    slack = 1e-9 * (np.max(np.abs(top)) + abs(float(grid.height)))
    if np.any(top > grid.height + slack):
        index = int(np.argmax(top))
        raise ValueError(
            f"{sources.name.removesuffix('s')} {sources.ids[index]} reaches up to z = {top[index]:g} µm, above the "
            f"sensors at z = {grid.height:g} µm ({int(np.sum(top > grid.height + slack))} of them do); z points up: is "
            "the depth given as positive?"
        )


def tile_count(grid: SensorGrid) -> int:
    """Number of tiles that cover the grid, row by row."""
    return -(-grid.shape[0] // TILE) * -(-grid.shape[1] // TILE)


def tile_corners(grid: SensorGrid, tiles: np.ndarray) -> Int[np.ndarray, "tile 2"]:
    """Indices [row, column] of the first sensor of each of `tiles`."""
    per_row = -(-grid.shape[1] // TILE)
    return np.stack([tiles // per_row, tiles % per_row], axis=1).astype(np.int32) * TILE
