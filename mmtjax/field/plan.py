"""Which form of the field is used where: tiles of sensors, series and the radii from which they hold, near corners."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.series import ORDERS, series_coefficients, truncation_radius
from mmtjax.precision import is_concrete, require_float64
from mmtjax.rock.grains import Grains
from mmtjax.rock.parts import parts_of
from mmtjax.scan.grid import SensorGrid

#: Error of a coefficient that the choice between closed form and series allows, as a share of the peak of its grain.
#: An inversion multiplies it by its condition number: on a published scan, with 6e6, magnetizations move by up to 0.7
#: of their radius at 20 nT for 1e-7, by 0.03 for 1e-8, which takes a fifth longer.
DEFAULT_TOLERANCE = 1e-8

#: Sensors along an edge of a tile.
TILE = 16

#: The number of a form: an index into `ORDERS` for a series, or one of these.
NEAR, BOTH = len(ORDERS), len(ORDERS) + 1

#: Corners that one row of work sums.
_CORNERS = 8


class Sources(eqx.Module):
    """Bodies with a series each: grains, or the parts of grains. Positions may be traced."""

    position: Float[Array, "source 3"]
    coefficients: Float[Array, "source 3 2 term"]
    radius: Float[Array, "order source"]

    def forms(self, grid: SensorGrid, source: np.ndarray, first: np.ndarray) -> Int[np.ndarray, " pair"]:
        """The cheapest order of the series that suffices, or `NEAR`, for pairs of a source and a tile (its start)."""
        place = np.asarray(self.position)[source]
        square = (float(grid.height) - place[:, 2]) ** 2
        for axis, start in ((0, first[:, 1]), (1, first[:, 0])):
            low = grid.origin[axis] + grid.spacing[axis] * start
            high = low + grid.spacing[axis] * (TILE - 1)
            square = square + np.maximum(0, np.maximum(low - place[:, axis], place[:, axis] - high)) ** 2
        form = np.full(len(source), NEAR)
        for number in reversed(range(len(ORDERS))):
            form[square > np.asarray(self.radius[number])[source] ** 2] = number
        return form


class FieldPlan(eqx.Module):
    """What the field of given grains needs on any tile. Make one with `plan_field`. Lengths are µm.

    Large grains are cut into parts: where the series of the whole does not hold, those of most parts do, and only the
    corners of the others are summed.
    """

    grains: Sources
    parts: Sources
    part_owner: Int[np.ndarray, " part"]
    corner_offset: Float[Array, "row corner 3"]
    corner_weight: Float[Array, "row corner"]
    row_part: Int[np.ndarray, " row"]


def plan_field(grains: Grains, grid: SensorGrid, *, tolerance: float = DEFAULT_TOLERANCE) -> FieldPlan:
    """Series, truncation radii and rows of corners of `grains` for sensors like those of `grid`.

    Parameters
    ----------
    grains, grid
        The sources and the sensors; positions, standoff and spacing may be traced.
    tolerance
        Error allowed as a share of the peak coefficient of each grain.

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
    parts, owner = parts_of(grains)
    offset, weight, row_part = _rows_of_corners(parts)
    return FieldPlan(
        _sources(grains, jnp.asarray(grains.position), grid, tolerance),
        _sources(parts, jnp.asarray(grains.position)[owner] + parts.position, grid, tolerance),
        owner,
        offset,
        weight,
        row_part,
    )


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


def _sources(bodies: Grains, position: Array, grid: SensorGrid, tolerance: float) -> Sources:
    """Series of `bodies`, at the given positions of their centroids."""
    side = jnp.asarray(grid.side)
    coefficients = series_coefficients(bodies, side)
    reach = bodies.bounding_radius + jnp.linalg.norm(side) / 2
    nearest = [
        jnp.clip(position[:, axis], grid.origin[axis], grid.origin[axis] + grid.spacing[axis] * (count - 1))
        for axis, count in ((0, grid.shape[1]), (1, grid.shape[0]))
    ]
    nearest.append(jnp.broadcast_to(jnp.asarray(grid.height), len(bodies)))
    closest = jnp.linalg.norm(jnp.stack(nearest, axis=1) - position, axis=1)
    radius = truncation_radius(coefficients, jnp.asarray(bodies.volume), reach, closest, tolerance)
    return Sources(jnp.asarray(position), coefficients, radius)


def _rows_of_corners(bodies: Grains) -> tuple[Array, Array, np.ndarray]:
    """Corners in rows of `_CORNERS` of one body each, filled up with weight zero."""
    owner = np.asarray(bodies.corner_grain)
    count = np.bincount(owner, minlength=len(bodies))
    rows = -(-count // _CORNERS)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    row = (np.cumsum(rows) - rows)[owner] + within // _CORNERS
    place = np.zeros((int(rows.sum()), _CORNERS), np.int64)
    filled = np.zeros(place.shape)
    place[row, within % _CORNERS] = np.arange(len(owner))
    filled[row, within % _CORNERS] = 1
    offset = jnp.asarray(bodies.corner_offset)[place]
    return offset, jnp.asarray(bodies.corner_weight)[place] * filled, np.repeat(np.arange(len(bodies)), rows)
