"""Kernels of the field: series or closed form for some pairs of a body and a tile at a time, in chunks of one size.

Here, and only here, `vmap` and jit wrap the physics of one corner (`corner`) and of one body (`series`).
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.device_tables import on_device
from mmtjax.field.plan import TILE
from mmtjax.physics.corner import corner_function
from mmtjax.physics.series import series
from mmtjax.precision import in_main_memory, is_concrete, on_accelerator
from mmtjax.units import NT_PER_A_PER_M

#: Rows of corners, or pairs of a body and a tile, in one call of a kernel; and how many times as many on an
#: accelerator, which so few would not fill.
ROWS = 32
PAIRS = 64
_ON_ACCELERATOR = 64

AnyArray = np.ndarray | Array

_NOWHERE = np.iinfo(np.int32).max


class Inputs(eqx.Module):
    """What a kernel needs of each body or row, the distance that divides its use of the two forms, and its motion.

    There are `edge` sensors along the edges of the squares that it works on.
    """

    values: Float[AnyArray, "source ..."] | tuple[Float[AnyArray, "source ..."], ...]
    limit: Float[AnyArray, " pair"]
    motion: Float[AnyArray, "item 3"] | None = None
    edge: int = eqx.field(static=True, default=TILE)


class Item(eqx.Module):
    """Sensor centres of a tile relative to the centroid of a grain, along its edges or one by one; size of a sensor."""

    x: Float[AnyArray, "item place"]
    y: Float[AnyArray, "item place"]
    z: Float[AnyArray, " item"]
    spacing: Float[AnyArray, "2"] | None
    separate_side: Float[AnyArray, "2"] | None


def at_hand(frame: eqx.Module) -> eqx.Module:
    """Arrays that a gather picks from: in main memory where all is known, and nothing is compiled for their sizes."""
    return jax.tree.map(np.asarray if is_concrete(frame) else jnp.asarray, frame)


def one_by_one(x: AnyArray, y: AnyArray, z: AnyArray) -> Item:
    """Points of squares, x fastest, from displacements along their edges (item, place) and to their planes (item,).

    Broadcast inside a kernel they would be laid out so that its loop is not vectorized: three times slower.
    """
    xp = np if isinstance(z, np.ndarray) else jnp
    shape = len(z), y.shape[1], x.shape[1]
    x, y = xp.broadcast_to(x[:, None, :], shape), xp.broadcast_to(y[:, :, None], shape)
    return Item(x.reshape(len(z), -1), y.reshape(len(z), -1), z, None, None)


def chunks(size: int, *columns: np.ndarray) -> Int[np.ndarray, "chunk column item"]:
    """Lists of equal length cut in chunks of one size, so that a kernel is compiled once; fillers write nowhere.

    The first list says where the values go. Chunks are larger than `size` on an accelerator.
    """
    size *= _ON_ACCELERATOR if on_accelerator() else 1
    table = np.stack(columns).astype(np.int32)
    filler = -table.shape[1] % size
    table = np.pad(table, ((0, 0), (0, filler)))
    if filler:
        table[0, -filler:] = _NOWHERE
    return table.reshape(len(columns), -1, size).transpose(1, 0, 2)


class Step(eqx.Module):
    """One kernel with the functions that hand it the inputs of a chunk and that store what it gives."""

    kernel: Callable = eqx.field(static=True)
    gather: Callable[[Any, Inputs, Array], tuple[Item, Inputs]] = eqx.field(static=True)
    scatter: Callable[[Array, Array, Array], Array] = eqx.field(static=True)

    def run(self, buffer: Array, work: np.ndarray, frame: eqx.Module, inputs: Inputs) -> Array:
        """Store what the kernel makes of every chunk of work in the buffer."""
        if len(work) == 0:
            return buffer
        if is_concrete(frame, inputs):
            gather, kernel, scatter = self.gather, _compiled(self.kernel), _in_place(self.scatter)
            if not in_main_memory(buffer):
                # Inputs are picked where the kernel runs: of a chunk only its indices are sent there.
                gather, (frame, inputs) = _compiled(gather), jax.tree.map(on_device, (frame, inputs))
            for chunk in work:
                buffer = scatter(buffer, chunk, kernel(*gather(frame, inputs, chunk)))
            return buffer
        frame, inputs = jax.tree.map(jnp.asarray, (frame, inputs))

        @jax.checkpoint
        def values(chunk: Array) -> Array:
            return self.kernel(*self.gather(frame, inputs, chunk))

        def store(buffer: Array, chunk: Array) -> tuple[Array, None]:
            return self.scatter(buffer, chunk, values(chunk)), None

        return jax.lax.scan(store, buffer, jnp.asarray(work))[0]


_compiled = cache(jax.jit)
_in_place = cache(partial(jax.jit, donate_argnums=0))


@cache
def series_kernel(order: int) -> Callable[[Item, Inputs], Array]:
    """The series of an order of one grain on one tile for each item, zero within the limit."""
    return partial(_series_kernel, order=order)


def _series_kernel(item: Item, inputs: Inputs, *, order: int) -> Float[Array, "item 3 sensor"]:
    def one_sensor(factors: Array, limit: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        valid = x * x + y * y + z * z > limit * limit
        # A displacement that is never used must not divide by zero, or its derivative is not a number.
        value = series(factors, *(jnp.where(valid, d, 1.0) for d in (x, y, z)), order=order)
        return tuple(jnp.where(valid, v, 0.0) for v in value)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, None, 0, 0, None))
    values = jax.vmap(over_sensors)(inputs.values, inputs.limit, item.x, item.y, item.z)
    return NT_PER_A_PER_M * jnp.stack(values, axis=1)


@cache
def series_vjp_kernel(order: int) -> Callable[[Item, Array, Array], tuple[Array, ...]]:
    """Derivatives of ``Σ factor · columns`` at each sensor, from series of an order: see `_series_vjp_kernel`."""
    return partial(_series_vjp_kernel, order=order)


def _series_vjp_kernel(
    item: Item, coefficients: Float[AnyArray, "item 8 2 term"], factor: Float[AnyArray, "item 3 sensor"], *, order: int
) -> tuple[Float[Array, "item sensor"], ...]:
    """Derivatives of ``Σ factor · columns`` along the displacement x, y, z to each sensor, and by the side of sensors.

    The columns are ∂_i ∂_z of a potential, so that their derivatives are symmetric and have no trace: the series are
    those along xx, xy, xz, yy and yz, and then those of the three columns by the side. Stacked in one array the four
    results would not be vectorized: seven times slower.
    """

    def one_sensor(coefficients: Array, x: Array, y: Array, z: Array, *factor: Array) -> tuple[Array, ...]:
        xx, xy, xz, yy, yz, *by_side = series(coefficients, x, y, z, order=order)
        rows = (xx, xy, xz), (xy, yy, yz), (xz, yz, -xx - yy), by_side
        return tuple(NT_PER_A_PER_M * (row[0] * factor[0] + row[1] * factor[1] + row[2] * factor[2]) for row in rows)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, 0, 0, None, 0, 0, 0))
    return jax.vmap(over_sensors)(coefficients, item.x, item.y, item.z, *(factor[:, axis] for axis in range(3)))


def corner_kernel(item: Item, inputs: Inputs) -> Float[Array, "item 3 sensor"]:
    """Closed form of some corners of one grain on one tile for each item, zero beyond the limit."""
    total = _sum_of_corners(item, inputs, corner_function)
    square = item.x[:, None, :] ** 2 + item.y[:, :, None] ** 2 + (item.z**2)[:, None, None]
    inside = square <= inputs.limit[:, None, None] ** 2
    adjoin, side = item.separate_side is None, _side(item)
    values = jnp.stack([jnp.where(inside, _between(t, adjoin=adjoin), 0.0) for t in total], axis=1)
    return NT_PER_A_PER_M / (side[0] * side[1]) * values.reshape(len(item.z), 3, -1)


def corner_slopes(item: Item, inputs: Inputs) -> Float[Array, "item 4 3 sensor"]:
    """Derivatives of the closed form along the displacement x, y, z to the sensor, and by both of its edges together.

    An edge of a sensor of side s lies at ± s/2 from its centre: the slope by the side is half the sum of slopes at its
    edges where the value takes their difference, less what the mean over a larger sensor loses.
    """
    jacobian = jax.jacfwd(corner_function, argnums=(0, 1, 2))

    def value_and_slopes(x: Array, y: Array, z: Array) -> tuple[Array, ...]:
        (xx, xy, _), (_, yy, _), (xz, yz, _) = jacobian(x, y, z)
        return *corner_function(x, y, z), xx, xy, xz, yy, yz

    total = _sum_of_corners(item, inputs, value_and_slopes)
    adjoin, side = item.separate_side is None, _side(item)
    # Summed over the corners, columns are ∂_i ∂_z of a potential: their derivatives are symmetric and have no trace.
    function, (xx, xy, xz, yy, yz) = total[:3], total[3:]
    along = [_between(each, adjoin=adjoin) for each in (xx, xy, xz, yy, yz)]
    slopes = [
        [along[0], along[1], along[2]],
        [along[1], along[3], along[4]],
        [along[2], along[4], -along[0] - along[3]],
    ]
    widened = []
    for value, by_x, by_y in zip(function, (xx, xy, xz), (xy, yy, yz), strict=True):
        outward = _between(by_x, adjoin=adjoin, add_x=True) + _between(by_y, adjoin=adjoin, add_y=True)
        spread = (1 / side[0] + 1 / side[1]) * _between(value, adjoin=adjoin)
        widened.append(outward / 2 - spread)
    values = jnp.stack([jnp.stack(part, axis=1) for part in (*slopes, widened)], axis=1)
    return NT_PER_A_PER_M / (side[0] * side[1]) * values.reshape(len(item.z), 4, 3, -1)


def corner_vjp_kernel(
    item: Item, inputs: Inputs, factor: Float[AnyArray, "item 3 sensor"]
) -> tuple[Float[Array, "item sensor"], ...]:
    """Derivatives of ``Σ factor · columns`` at each sensor, as `series_vjp_kernel`, from the closed form."""
    slopes = corner_slopes(item, inputs)
    return tuple(jnp.sum(slopes[:, axis] * factor, axis=1) for axis in range(4))


def moved_corner_kernel(item: Item, inputs: Inputs) -> Float[Array, "item 3 sensor"]:
    """How the closed form changes as bodies move as `Inputs.motion` says, nT per A/m and unit of it."""
    slopes = corner_slopes(item, inputs)[:, :3]
    return -jnp.einsum("ia,iacs->ics", inputs.motion, slopes)


def _side(item: Item) -> Array:
    return item.spacing if item.separate_side is None else item.separate_side


def _sum_of_corners(item: Item, inputs: Inputs, function: Callable[..., tuple[Array, ...]]) -> tuple[Array, ...]:
    """A function of the displacements from corners of a grain to those of the sensors, summed over its corners."""
    adjoin, side = item.separate_side is None, _side(item)
    x_edges, y_edges = (_edges(line, side[axis], adjoin=adjoin) for axis, line in enumerate((item.x, item.y)))
    over_x = jax.vmap(function, in_axes=(0, None, None))
    over_items = jax.vmap(jax.vmap(over_x, in_axes=(None, 0, None)))

    def add_corner(total: tuple[Array, ...], corner: tuple[Array, Array]) -> tuple[tuple[Array, ...], None]:
        place, sign = corner
        value = over_items(x_edges - place[:, :1], y_edges - place[:, 1:2], item.z - place[:, 2])
        return tuple(t + sign[:, None, None] * v for t, v in zip(total, value, strict=True)), None

    offset, weight = inputs.values
    number = len(jax.eval_shape(function, *3 * (jnp.zeros(()),)))
    start = tuple(jnp.zeros((len(item.z), y_edges.shape[1], x_edges.shape[1])) for _ in range(number))
    return jax.lax.scan(add_corner, start, (offset.transpose(1, 0, 2), weight.T))[0]


def _edges(centre: Array, side: Array, *, adjoin: bool) -> Array:
    """Lower and upper edges of sensors; adjoining sensors share them, and they are evaluated once."""
    lower, upper = centre - side / 2, centre + side / 2
    return jnp.concatenate([lower, upper[:, -1:] if adjoin else upper], axis=1)


def _between(values: Array, *, adjoin: bool, add_x: bool = False, add_y: bool = False) -> Array:
    """Differences over the edges of each sensor, or sums along an axis."""
    shift = 1 if adjoin else values.shape[1] // 2
    upper, lower = values[:, shift:], values[:, :-shift]
    values = upper + lower if add_y else upper - lower
    upper, lower = values[:, :, shift:], values[:, :, :-shift]
    return upper + lower if add_x else upper - lower
