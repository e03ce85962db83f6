"""The plan of a field: shapes and series of sources, and the form of the field for each source and square."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmtjax.errors import InputError
from mmtjax.field.forms import (
    Bodies,
    Surroundings,
    cheapest_forms,
    distance_to_all,
    is_rounded,
    sensors_of,
    smallest_side,
)
from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.series import degree_bounds, truncation_radius
from mmtjax.precision import AnyArray, is_concrete, real_number, require_float64
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource, Parts

#: Allowed error of a coefficient, as a share of the peak of its grain. An inversion multiplies it by the condition
#: number. On a published scan with a condition number of 6e6, magnetizations move by up to 0.7 of their radius at 20 nT
#: for a tolerance of 1e-7, and by 0.03 for 1e-8, which takes a fifth longer.
DEFAULT_TOLERANCE = 1e-8

#: Smallest error of a coefficient that double precision has.
_ROUNDING = 1e-15

#: Smallest edge of a sensor, µm. It is less than an atomic nucleus is wide; coordinates of some µm are rounded to 1e-15
#: µm, a larger share of a smaller sensor than its field allows where it touches a grain.
_SMALLEST_SENSOR = 1e-10

#: Number of sensors along an edge of a tile, and along an edge of the squares that a tile is cut into near a grain.
TILE = 16
SQUARE = 4

#: Order of the series on traced geometry, where both forms are evaluated. The derivatives of higher orders take long to
#: compile.
TRACED_ORDER = 7


class FieldPlan(eqx.Module):
    """Shapes, series and error bounds of sources, from which their field on any tile is computed. Lengths are µm.

    Made by `plan_field`. Large bodies are cut into parts: where the series of the whole body is not accurate enough,
    the series of most parts are, and the closed form is summed for the corners of the other parts only.

    Attributes
    ----------
    position
        Positions of sources; may be traced.
    parts
        The shapes of sources and their parts.
    coefficients
        Coefficients of the series of each part.
    bounds
        Bounds of the terms of each degree of a series, for each group of components; they bound the truncation error.
    reach
        Bounding radius of each part plus half the diagonal of a sensor.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.
    reference, grid
        Positions and sensors for which the forms are chosen; None if they are traced.
    whole
        The sensors over which the peaks are taken: `grid`, or a larger grid that contains it.
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
        """Whether sources and sensors are not traced, so that forms are chosen by distance."""
        return self.grid is not None

    @property
    def components(self) -> int:
        """Number of components of a source."""
        return self.parts.components

    def known_geometry(self) -> tuple[Float[np.ndarray, "source 3"], SensorGrid, SensorGrid]:
        """Return positions of sources, the sensors, and the sensors over which peaks are taken.

        Raises
        ------
        ValueError
            If any of them is traced.
        """
        if self.reference is None or self.grid is None or self.whole is None:
            msg = (
                "sources or the grid are traced by JAX, so that their distances are unknown; pass reuse_plan=, a plan "
                "that plan_field made of concrete geometry, or use TiledGreen"
            )
            raise InputError(msg)
        return self.reference, self.grid, self.whole

    def moved(self, sources: AbstractSource, grid: SensorGrid) -> "FieldPlan":
        """Return the plan of the same sources and sensors at other positions.

        Parameters
        ----------
        sources
            Sources with the shapes of this plan, not traced.
        grid
            Sensors of the same size, not traced.

        Raises
        ------
        ValueError
            If a source lies above the sensors.
        """
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
        """Return the number of the cheapest form that is accurate enough, for pairs of a part and a square of sensors.

        Parameters
        ----------
        source, part
            The source and the part of each pair.
        first
            Indices [row, column] of the first sensor of the square of each pair.
        count
            Number of sensors along an edge of the square of each pair.

        Returns
        -------
        Array
            Indices of orders in `ORDERS`, or `NEAR` for the closed form.

        Raises
        ------
        ValueError
            If the geometry of the plan is traced.
        """
        return cheapest_forms(
            *self._choice(),
            source=source,
            part=part,
            first=first[:, ::-1],
            count=np.broadcast_to(count, len(source)),
        )

    def _choice(self) -> tuple[Bodies, Surroundings]:
        """Return what the choice of forms depends on; raise a `ValueError` if the geometry is traced."""
        parts, (reference, grid, whole) = self.parts, self.known_geometry()
        degrees = tuple(group.degree for group in parts.groups)
        bodies = Bodies(reference, parts.centroid, parts.strength, self.reach, self.bounds)
        return bodies, Surroundings(sensors_of(grid), sensors_of(whole), degrees, self.tolerance)

    def is_rounded(
        self, source: Int[np.ndarray, " pair"], part: Int[np.ndarray, " pair"], *, first: np.ndarray, count: int
    ) -> Bool[np.ndarray, " pair"]:
        """Return whether rounding of the closed form exceeds the tolerance, because sensors are small.

        Parameters
        ----------
        source, part, first, count
            As for `forms`.

        Raises
        ------
        ValueError
            If the geometry of the plan is traced.
        """
        if self.parts.sensor_mean is None:
            return np.zeros(len(source), bool)
        side = np.asarray(self.known_geometry()[1].side)
        return is_rounded(*self._choice(), side, source=source, part=part, first=first[:, ::-1], count=np.array(count))

    @property
    def smallest_side(self) -> float:
        """Side of a sensor, µm, from which on the closed form is used if the geometry is traced."""
        uncut = self.parts.halves[:, 0] < 0
        return smallest_side(float(self.parts.bounding_radius[uncut].max()), self.tolerance)

    def closest(self, place: np.ndarray) -> Float[np.ndarray, " pair"]:
        """Return the distance from each place to the nearest sensor, which has the peak of a source there, µm.

        Raises
        ------
        ValueError
            If the geometry of the plan is traced.
        """
        return np.asarray(distance_to_all(sensors_of(self.known_geometry()[2]), place))


def plan_field(
    sources: AbstractSource,
    grid: SensorGrid,
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    reuse_plan: FieldPlan | None = None,
    whole: SensorGrid | None = None,
    progress: Progress | None = None,
) -> FieldPlan:
    """Return the plan of the field of sources: shapes, series and error bounds for the sensors of a grid.

    Parameters
    ----------
    sources, grid
        The sources and the sensors; positions, standoff and spacing may be traced.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.
    reuse_plan
        A plan of the same sources at nearby positions, whose shapes and choice of forms are used again. With it,
        traced geometry costs no more than concrete geometry. The tolerance holds as far as the distances equal those of
        that plan.
    whole
        A grid, not traced, that contains `grid`. Peaks are taken over all of its sensors, so that sources that are far
        from `grid` but near other sensors are computed with the same absolute error everywhere.
    progress
        Called with the number of sources whose shapes are complete, and the number of all sources.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For a tolerance outside (0, 0.01], sensors smaller than an atomic nucleus, a source above the sensors, and
        traced corners (shapes of grains).
    """
    require_float64()
    tolerance = real_number(tolerance, name="tolerance")
    if not 0 < tolerance <= 1e-2:
        msg = f"tolerance must lie in (0, 0.01], as a share of each grain's peak; got {tolerance!r}"
        raise InputError(msg)
    if tolerance < _ROUNDING:
        msg = (
            f"tolerance {tolerance!r} is below the rounding of double precision, so that no column reaches it; pass "
            "1e-11, the smallest that gains anything, or more"
        )
        raise InputError(msg)
    if is_concrete(grid.side) and np.min(grid.side) < _SMALLEST_SENSOR:
        msg = (
            f"sensors of side {np.asarray(grid.side).tolist()} µm are smaller than {_SMALLEST_SENSOR:g} µm, so that "
            "their field cannot be computed; is the side in another unit? Pass it in µm"
        )
        raise InputError(msg)
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
    """Return the distances, µm, beyond which the series of `TRACED_ORDER` replaces the closed form on traced geometry.

    Parameters
    ----------
    plan
        Plan of the sources.
    grid
        Sensors.
    source, part
        The source and the part of each pair.
    """
    # The limit between the forms is a constant to derivatives.
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
    """Raise an error if part of a source lies above the scanning plane; traced geometry is not checked.

    Raises
    ------
    ValueError
        If part of a source lies above the scanning plane.
    """
    if not is_concrete(sources, grid):
        return
    top = np.asarray(sources.top)
    # Tops are rounded to a share of the depth of centroids, from which they are computed.
    slack = 1e-9 * (np.abs(np.asarray(sources.position)[:, 2]) + abs(float(grid.height)))
    if np.any(top > grid.height + slack):
        index = int(np.argmax(top - slack))
        msg = (
            f"{sources.name.removesuffix('s')} {sources.ids[index]} reaches up to z = {top[index]:g} µm, above the "
            f"sensors at z = {grid.height:g} µm ({int(np.sum(top > grid.height + slack))} of them do); z points up: is "
            "the depth given as positive?"
        )
        raise InputError(msg)


def tile_count(grid: SensorGrid) -> int:
    """Return the number of tiles that cover the grid."""
    return -(-grid.shape[0] // TILE) * -(-grid.shape[1] // TILE)


def tile_corners(grid: SensorGrid, tiles: np.ndarray) -> Int[np.ndarray, "tile 2"]:
    """Return the indices [row, column] of the first sensor of each tile, from the numbers of the tiles.

    Tiles are numbered row by row. Tiles at the upper ends of the grid may extend beyond it.
    """
    per_row = -(-grid.shape[1] // TILE)
    return np.stack([tiles // per_row, tiles % per_row], axis=1).astype(np.int32) * TILE
