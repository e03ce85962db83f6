"""Columns of the Green's matrix on tiles of sensors: near or far form for every grain and tile, and nothing else.

Here, and only here, `vmap`, tiles and jit wrap the physics of one corner (`corner`) and of one grain (`series`).
"""

from collections.abc import Callable
from functools import cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.corner import corner_function
from mmtjax.field.harmonics import field_terms
from mmtjax.field.series import ORDERS, series, series_coefficients, truncation_radius
from mmtjax.precision import is_concrete, require_float64
from mmtjax.rock.grains import Grains
from mmtjax.scan.grid import SensorGrid
from mmtjax.units import NT_PER_A_PER_M

#: Error of a coefficient that the choice between closed form and series allows, as a share of the peak of its grain.
#: A problem multiplies it by its condition number: on a published scan, with 6e6, magnetizations move by up to 0.7 of
#: their radius at 20 nT for 1e-7, by 0.03 for 1e-8, which takes a fifth longer.
DEFAULT_TOLERANCE = 1e-8

#: Sensors along an edge of a tile.
TILE = 16

#: Corners summed in one row of work, and rows or pairs in one call of a kernel.
_CORNERS = 8
_ROWS = 32
_PAIRS = 64

_NOWHERE = np.iinfo(np.int32).max


class FieldPlan(eqx.Module):
    """What the field of given grains needs on every tile: series, the radii beyond which they hold, rows of corners.

    Make one with `plan_field`. Lengths are µm.
    """

    coefficients: Float[Array, "grain 3 2 term"]
    radius: Float[Array, "order grain"]
    corner_offset: Float[Array, "row corner 3"]
    corner_weight: Float[Array, "row corner"]
    row_grain: Int[np.ndarray, " row"]


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
        For a tolerance outside (0, 0.01], a grain at or above the sensors, and traced corners (shapes of grains).
    """
    require_float64()
    if not 0 < tolerance <= 1e-2:
        raise ValueError(f"tolerance must lie in (0, 0.01], as a share of each grain's peak; got {tolerance!r}")
    refuse_grains_above(grains, grid)
    coefficients = series_coefficients(grains, jnp.asarray(grid.side))
    reach = grains.bounding_radius + jnp.linalg.norm(jnp.asarray(grid.side)) / 2
    nearest = [
        jnp.clip(grains.position[:, axis], grid.origin[axis], grid.origin[axis] + grid.spacing[axis] * (count - 1))
        for axis, count in ((0, grid.shape[1]), (1, grid.shape[0]))
    ]
    nearest.append(jnp.broadcast_to(jnp.asarray(grid.height), len(grains)))
    closest = jnp.linalg.norm(jnp.stack(nearest, axis=1) - grains.position, axis=1)
    radius = truncation_radius(coefficients, jnp.asarray(grains.volume), reach, closest, tolerance)
    offset, weight, row_grain = _rows_of_corners(grains)
    return FieldPlan(coefficients, radius, offset, weight, row_grain)


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


def columns_on_tiles(
    plan: FieldPlan, grains: Grains, grid: SensorGrid, *, tiles: np.ndarray
) -> Float[Array, "grain 3 tile sensor"]:
    """Coefficients of all grains at the sensors of `tiles`, nT per A/m; sensors of a tile are in C order.

    Sensors of a tile that lie beyond the grid get values as if the grid went on there.

    Where positions or the grid are traced, the choice between the forms cannot be made before the numbers are known, so
    that both are evaluated everywhere and the right one is taken for each sensor.
    """
    first = tile_corners(grid, tiles)
    frame = _Frame(
        jnp.asarray(grains.position),
        jnp.asarray(grid.origin),
        jnp.asarray(grid.spacing),
        jnp.asarray(grid.height),
        None if grid.separate_side is None else jnp.asarray(grid.separate_side),
    )
    buffer = jnp.zeros((len(grains), 3, len(tiles), TILE * TILE))
    if is_concrete(plan, grains, grid):
        form = _choose_forms(plan, grains, grid, first=first)
        inner, outer = jnp.zeros(len(grains)), jnp.full(len(grains), jnp.inf)
        orders = ORDERS
    else:
        form = np.full((len(grains), len(tiles)), _BOTH)
        inner = outer = plan.radius[_TRACED]
        orders = ORDERS[_TRACED : _TRACED + 1]
    for order in orders:
        grain, slot = np.nonzero((form == ORDERS.index(order)) | (form == _BOTH))
        work = _chunks(_PAIRS, grain, slot, *first[slot].T, grain)
        factors = plan.coefficients[..., : len(field_terms(order))]
        buffer = _run(_series_kernels[order], buffer, work, frame, _Sources(factors, inner))
    grain, slot = np.nonzero((form == _NEAR) | (form == _BOTH))
    start, stop = np.searchsorted(plan.row_grain, grain), np.searchsorted(plan.row_grain, grain, side="right")
    pair = np.repeat(np.arange(len(grain)), stop - start)
    row = np.arange(len(pair)) - np.repeat(np.cumsum(stop - start) - stop, stop - start)
    work = _chunks(_ROWS, grain[pair], slot[pair], *first[slot[pair]].T, row)
    corners = _Sources((plan.corner_offset, plan.corner_weight), outer[plan.row_grain])
    return _run(_corner_kernel, buffer, work, frame, corners)


_NEAR, _BOTH = len(ORDERS), len(ORDERS) + 1

#: The order where both forms are evaluated: higher ones take long to compile once they are differentiated.
_TRACED = ORDERS.index(7)


class _Frame(eqx.Module):
    """Where grains and sensors are, as arrays on the device."""

    position: Float[Array, "grain 3"]
    origin: Float[Array, "2"]
    spacing: Float[Array, "2"]
    height: Float[Array, ""]
    separate_side: Float[Array, "2"] | None


class _Sources(eqx.Module):
    """What a kernel needs of each source, and the distance that divides its use of the two forms."""

    values: Float[Array, "source ..."] | tuple[Float[Array, "source ..."], ...]
    limit: Float[Array, " source"]


class _Item(eqx.Module):
    """Sensor centres of a tile relative to the centroid of a grain, along its edges or one by one; size of a sensor."""

    x: Float[Array, "item place"]
    y: Float[Array, "item place"]
    z: Float[Array, " item"]
    spacing: Float[Array, "2"]
    separate_side: Float[Array, "2"] | None


def _choose_forms(
    plan: FieldPlan, grains: Grains, grid: SensorGrid, *, first: np.ndarray
) -> Int[np.ndarray, "grain tile"]:
    """The cheapest sufficient order of the series for each grain and tile, or `_NEAR`."""
    square = (np.asarray(grid.height) - grains.position[:, 2, None]) ** 2
    for axis, start in ((0, first[:, 1]), (1, first[:, 0])):
        low = grid.origin[axis] + grid.spacing[axis] * start
        high = low + grid.spacing[axis] * (TILE - 1)
        place = grains.position[:, axis, None]
        square = square + np.maximum(0, np.maximum(low - place, place - high)) ** 2
    form = np.full(square.shape, _NEAR)
    for number in reversed(range(len(ORDERS))):
        form[square > np.asarray(plan.radius[number])[:, None] ** 2] = number
    return form


def _rows_of_corners(grains: Grains) -> tuple[Array, Array, np.ndarray]:
    """Corners in rows of `_CORNERS` of one grain each, filled up with weight zero."""
    if not is_concrete(grains.corner_grain):
        raise ValueError(
            "the corners of grains are being traced; let jit close over the Grains, and pass it only what changes: "
            "positions by Grains.translate, the standoff, the magnetization"
        )
    owner = np.asarray(grains.corner_grain)
    count = np.bincount(owner, minlength=len(grains))
    rows = -(-count // _CORNERS)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    row = (np.cumsum(rows) - rows)[owner] + within // _CORNERS
    place = np.zeros((int(rows.sum()), _CORNERS), np.int64)
    filled = np.zeros(place.shape)
    place[row, within % _CORNERS] = np.arange(len(owner))
    filled[row, within % _CORNERS] = 1
    offset = jnp.asarray(grains.corner_offset)[place]
    return offset, jnp.asarray(grains.corner_weight)[place] * filled, np.repeat(np.arange(len(grains)), rows)


def _chunks(size: int, *columns: np.ndarray) -> Int[np.ndarray, "chunk column item"]:
    """Lists of equal length cut in chunks of one size, so that a kernel is compiled once; fillers lie nowhere."""
    table = np.stack(columns).astype(np.int32)
    filler = -table.shape[1] % size
    table = np.pad(table, ((0, 0), (0, filler)))
    if filler:
        table[1, -filler:] = _NOWHERE
    return table.reshape(len(columns), -1, size).transpose(1, 0, 2)


def _run(kernel: Callable, buffer: Array, work: np.ndarray, frame: _Frame, sources: _Sources) -> Array:
    """Add what `kernel` makes of every chunk of work to the buffer."""
    one_by_one = kernel is not _corner_kernel
    if is_concrete(frame, sources):
        # Only the short functions around the kernel depend on the number of grains and tiles and are compiled anew.
        compiled = _compiled(kernel)
        for chunk in work:
            buffer = _scatter_in_place(
                buffer, chunk, compiled(*_gather_compiled(frame, sources, chunk, one_by_one=one_by_one))
            )
        return buffer
    if len(work) == 0:
        return buffer
    step = jax.checkpoint(lambda chunk: kernel(*_gather(frame, sources, chunk, one_by_one=one_by_one)))
    return jax.lax.scan(lambda b, chunk: (_scatter(b, chunk, step(chunk)), None), buffer, jnp.asarray(work))[0]


def _gather(frame: _Frame, sources: _Sources, chunk: Array, *, one_by_one: bool) -> tuple[_Item, _Sources]:
    """The inputs of a kernel for one chunk of work."""
    grain, _, row, column, source = chunk
    lines = [
        frame.origin[axis]
        + frame.spacing[axis] * (first[:, None] + jnp.arange(TILE))
        - frame.position[grain, axis, None]
        for axis, first in ((0, column), (1, row))
    ]
    if one_by_one:
        # Broadcast inside the kernel they would be laid out so that its loop is not vectorized: three times slower.
        shape = len(grain), TILE, TILE
        x, y = lines[0][:, None, :], lines[1][:, :, None]
        lines = [jnp.broadcast_to(line, shape).reshape(len(grain), -1) for line in (x, y)]
    item = _Item(*lines, frame.height - frame.position[grain, 2], frame.spacing, frame.separate_side)
    return item, jax.tree.map(lambda leaf: leaf[source], sources)


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item 3 sensor"]) -> Array:
    return buffer.at[chunk[0], :, chunk[1], :].add(values, mode="drop")


_compiled = cache(jax.jit)
_gather_compiled = jax.jit(_gather, static_argnames="one_by_one")
_scatter_in_place = jax.jit(_scatter, donate_argnums=0)


def _series_kernel(item: _Item, sources: _Sources, *, order: int) -> Float[Array, "item 3 sensor"]:
    """Series of one grain on one tile for each item, zero within the limit."""

    def one_sensor(factors: Array, limit: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        valid = x * x + y * y + z * z > limit * limit
        # A displacement that is never used must not divide by zero, or its derivative is not a number.
        value = series(factors, *(jnp.where(valid, d, 1.0) for d in (x, y, z)), order=order)
        return tuple(jnp.where(valid, v, 0.0) for v in value)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, None, 0, 0, None))
    values = jax.vmap(over_sensors)(sources.values, sources.limit, item.x, item.y, item.z)
    return NT_PER_A_PER_M * jnp.stack(values, axis=1)


def _corner_kernel(item: _Item, sources: _Sources) -> Float[Array, "item 3 sensor"]:
    """Closed form of some corners of one grain on one tile for each item, zero beyond the limit."""
    adjoin = item.separate_side is None
    side = item.spacing if adjoin else item.separate_side
    x_edges, y_edges = (_edges(line, side[axis], adjoin=adjoin) for axis, line in enumerate((item.x, item.y)))
    over_x = jax.vmap(corner_function, in_axes=(0, None, None))
    over_items = jax.vmap(jax.vmap(over_x, in_axes=(None, 0, None)))

    def add_corner(total: tuple[Array, ...], corner: tuple[Array, Array]) -> tuple[tuple[Array, ...], None]:
        place, sign = corner
        value = over_items(x_edges - place[:, :1], y_edges - place[:, 1:2], item.z - place[:, 2])
        return tuple(t + sign[:, None, None] * v for t, v in zip(total, value, strict=True)), None

    offset, weight = sources.values
    start = tuple(jnp.zeros((len(item.z), y_edges.shape[1], x_edges.shape[1])) for _ in range(3))
    total, _ = jax.lax.scan(add_corner, start, (offset.transpose(1, 0, 2), weight.T))
    square = item.x[:, None, :] ** 2 + item.y[:, :, None] ** 2 + (item.z**2)[:, None, None]
    inside = square <= sources.limit[:, None, None] ** 2
    values = jnp.stack([jnp.where(inside, _difference(t, adjoin=adjoin), 0.0) for t in total], axis=1)
    return NT_PER_A_PER_M / (side[0] * side[1]) * values.reshape(len(item.z), 3, -1)


def _edges(centre: Array, side: Array, *, adjoin: bool) -> Array:
    """Lower and upper edges of sensors; adjoining sensors share them, and they are evaluated once."""
    lower, upper = centre - side / 2, centre + side / 2
    return jnp.concatenate([lower, upper[:, -1:] if adjoin else upper], axis=1)


def _difference(values: Array, *, adjoin: bool) -> Array:
    shift = 1 if adjoin else TILE
    values = values[:, shift:] - values[:, :-shift]
    return values[:, :, shift:] - values[:, :, :-shift]


_series_kernels = {order: partial(_series_kernel, order=order) for order in ORDERS}
