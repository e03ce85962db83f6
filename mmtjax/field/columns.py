"""Columns of the Green's matrix on tiles of sensors: near or far form for every grain and tile, and nothing else.

Here, and only here, `vmap`, tiles and jit wrap the physics of one corner (`corner`) and of one body (`series`).
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
from mmtjax.field.plan import BOTH, NEAR, TILE, FieldPlan, Sources, tile_corners
from mmtjax.field.series import ORDERS, series
from mmtjax.precision import is_concrete
from mmtjax.rock.grains import Grains
from mmtjax.scan.grid import SensorGrid
from mmtjax.units import NT_PER_A_PER_M

#: Rows of corners, or pairs of a body and a tile, in one call of a kernel.
_ROWS = 32
_PAIRS = 64

_NOWHERE = np.iinfo(np.int32).max

#: The order where both forms are evaluated: higher ones take long to compile once they are differentiated.
_TRACED = ORDERS.index(7)


def columns_on_tiles(
    plan: FieldPlan, grains: Grains, grid: SensorGrid, *, tiles: np.ndarray
) -> Float[Array, "unknown row"]:
    """Coefficients of all grains at the sensors of `tiles`, nT per A/m: (3 grains, tile · sensor of the tile).

    Sensors of a tile that lie beyond the grid get values as if the grid went on there.

    Where positions or the grid are traced, the choice between the forms cannot be made before the numbers are known, so
    that both are evaluated everywhere and the right one is taken for each sensor.
    """
    first = tile_corners(grid, tiles)
    buffer = jnp.zeros((3 * len(grains), len(tiles) * TILE * TILE))
    part = np.arange(len(plan.part_owner))
    if is_concrete(plan, grains, grid):
        grain, slot = np.divmod(np.arange(len(grains) * len(tiles)), len(tiles))
        form = plan.grains.forms(grid, grain, first[slot])
        buffer = _add_series(buffer, plan.grains, grid, pairs=(grain, slot, grain), first=first, form=form)
        part, slot = _parts_of_pairs(plan, grain[form == NEAR], slot[form == NEAR])
        form = plan.parts.forms(grid, part, first[slot])
    else:
        part, slot = np.divmod(np.arange(len(part) * len(tiles)), len(tiles))
        form = np.full(len(part), BOTH)
    owner = plan.part_owner[part]
    buffer = _add_series(buffer, plan.parts, grid, pairs=(owner, slot, part), first=first, form=form)
    summed = (form == NEAR) | (form == BOTH)
    return _add_corners(buffer, plan, grid, pairs=(owner[summed], slot[summed], part[summed]), first=first)


def _parts_of_pairs(plan: FieldPlan, grain: np.ndarray, slot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of the grains of pairs, and the slots of their tiles."""
    pair, part = _members(plan.part_owner, grain)
    return part, slot[pair]


def _members(owner: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All members of each of the `wanted` owners, as the place of the owner in `wanted`, and the index in `owner`."""
    stop = np.searchsorted(owner, wanted, side="right")
    count = stop - np.searchsorted(owner, wanted)
    number = np.repeat(np.arange(len(wanted)), count)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(count) - stop, count)


def _add_series(
    buffer: Array,
    sources: Sources,
    grid: SensorGrid,
    *,
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    first: np.ndarray,
    form: np.ndarray,
) -> Array:
    """Add the series of sources at tiles; `pairs` are the grain, the slot of the tile, and the source."""
    traced = np.any(form == BOTH)
    limit = sources.radius[_TRACED] if traced else jnp.zeros(len(sources.position))
    for number, order in enumerate(ORDERS):
        chosen = form == (BOTH if traced and number == _TRACED else number)
        owner, slot, source = (column[chosen] for column in pairs)
        inputs = _Inputs(sources.coefficients[..., : len(field_terms(order))], limit)
        work = _chunks(_PAIRS, owner, slot, *first[slot].T, source, source)
        buffer = _run(_series_kernels[order], buffer, work, _frame(sources, grid), inputs)
    return buffer


def _add_corners(
    buffer: Array,
    plan: FieldPlan,
    grid: SensorGrid,
    *,
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
    first: np.ndarray,
) -> Array:
    """Add the closed form of parts at tiles; `pairs` are the grain, the slot of the tile, and the part."""
    owner, slot, part = pairs
    pair, row = _members(plan.row_part, part)
    concrete = is_concrete(plan, grid)
    limit = jnp.full(len(plan.row_part), jnp.inf) if concrete else plan.parts.radius[_TRACED][plan.row_part]
    inputs = _Inputs((plan.corner_offset, plan.corner_weight), limit)
    work = _chunks(_ROWS, owner[pair], slot[pair], *first[slot[pair]].T, part[pair], row)
    return _run(_corner_kernel, buffer, work, _frame(plan.parts, grid), inputs)


class _Frame(eqx.Module):
    """Where bodies and sensors are, as arrays on the device."""

    position: Float[Array, "source 3"]
    origin: Float[Array, "2"]
    spacing: Float[Array, "2"]
    height: Float[Array, ""]
    separate_side: Float[Array, "2"] | None


def _frame(sources: Sources, grid: SensorGrid) -> _Frame:
    side = None if grid.separate_side is None else jnp.asarray(grid.separate_side)
    return _Frame(sources.position, jnp.asarray(grid.origin), jnp.asarray(grid.spacing), jnp.asarray(grid.height), side)


class _Inputs(eqx.Module):
    """What a kernel needs of each body or row, and the distance that divides its use of the two forms."""

    values: Float[Array, "source ..."] | tuple[Float[Array, "source ..."], ...]
    limit: Float[Array, " source"]


class _Item(eqx.Module):
    """Sensor centres of a tile relative to the centroid of a grain, along its edges or one by one; size of a sensor."""

    x: Float[Array, "item place"]
    y: Float[Array, "item place"]
    z: Float[Array, " item"]
    spacing: Float[Array, "2"]
    separate_side: Float[Array, "2"] | None


def _chunks(size: int, *columns: np.ndarray) -> Int[np.ndarray, "chunk column item"]:
    """Lists of equal length cut in chunks of one size, so that a kernel is compiled once; fillers lie nowhere."""
    table = np.stack(columns).astype(np.int32)
    filler = -table.shape[1] % size
    table = np.pad(table, ((0, 0), (0, filler)))
    if filler:
        table[1, -filler:] = _NOWHERE
    return table.reshape(len(columns), -1, size).transpose(1, 0, 2)


def _run(kernel: Callable, buffer: Array, work: np.ndarray, frame: _Frame, inputs: _Inputs) -> Array:
    """Add what `kernel` makes of every chunk of work to the buffer."""
    one_by_one = kernel is not _corner_kernel
    if is_concrete(frame, inputs):
        # Only the short functions around the kernel depend on the number of grains and tiles and are compiled anew.
        compiled = _compiled(kernel)
        for chunk in work:
            buffer = _scatter_in_place(
                buffer, chunk, compiled(*_gather_compiled(frame, inputs, chunk, one_by_one=one_by_one))
            )
        return buffer
    if len(work) == 0:
        return buffer
    step = jax.checkpoint(lambda chunk: kernel(*_gather(frame, inputs, chunk, one_by_one=one_by_one)))
    return jax.lax.scan(lambda b, chunk: (_scatter(b, chunk, step(chunk)), None), buffer, jnp.asarray(work))[0]


def _gather(frame: _Frame, inputs: _Inputs, chunk: Array, *, one_by_one: bool) -> tuple[_Item, _Inputs]:
    """The inputs of a kernel for one chunk of work."""
    _, _, row, column, body, source = chunk
    lines = [
        frame.origin[axis]
        + frame.spacing[axis] * (first[:, None] + jnp.arange(TILE))
        - frame.position[body, axis, None]
        for axis, first in ((0, column), (1, row))
    ]
    if one_by_one:
        # Broadcast inside the kernel they would be laid out so that its loop is not vectorized: three times slower.
        shape = len(body), TILE, TILE
        x, y = lines[0][:, None, :], lines[1][:, :, None]
        lines = [jnp.broadcast_to(line, shape).reshape(len(body), -1) for line in (x, y)]
    item = _Item(*lines, frame.height - frame.position[body, 2], frame.spacing, frame.separate_side)
    return item, jax.tree.map(lambda leaf: leaf[source], inputs)


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item 3 sensor"]) -> Array:
    """Add to the buffer. Reshaping it costs nothing here; its readers it would cost a copy."""
    by_tile = buffer.reshape(buffer.shape[0] // 3, 3, -1, TILE * TILE)
    return by_tile.at[chunk[0], :, chunk[1], :].add(values, mode="drop").reshape(buffer.shape)


_compiled = cache(jax.jit)
_gather_compiled = jax.jit(_gather, static_argnames="one_by_one")
_scatter_in_place = jax.jit(_scatter, donate_argnums=0)


def _series_kernel(item: _Item, inputs: _Inputs, *, order: int) -> Float[Array, "item 3 sensor"]:
    """Series of one grain on one tile for each item, zero within the limit."""

    def one_sensor(factors: Array, limit: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        valid = x * x + y * y + z * z > limit * limit
        # A displacement that is never used must not divide by zero, or its derivative is not a number.
        value = series(factors, *(jnp.where(valid, d, 1.0) for d in (x, y, z)), order=order)
        return tuple(jnp.where(valid, v, 0.0) for v in value)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, None, 0, 0, None))
    values = jax.vmap(over_sensors)(inputs.values, inputs.limit, item.x, item.y, item.z)
    return NT_PER_A_PER_M * jnp.stack(values, axis=1)


def _corner_kernel(item: _Item, inputs: _Inputs) -> Float[Array, "item 3 sensor"]:
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

    offset, weight = inputs.values
    start = tuple(jnp.zeros((len(item.z), y_edges.shape[1], x_edges.shape[1])) for _ in range(3))
    total, _ = jax.lax.scan(add_corner, start, (offset.transpose(1, 0, 2), weight.T))
    square = item.x[:, None, :] ** 2 + item.y[:, :, None] ** 2 + (item.z**2)[:, None, None]
    inside = square <= inputs.limit[:, None, None] ** 2
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
