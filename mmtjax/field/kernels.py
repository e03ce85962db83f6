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

from mmtjax.field.corner import corner_function
from mmtjax.field.plan import TILE
from mmtjax.field.series import ORDERS, series
from mmtjax.precision import is_concrete
from mmtjax.units import NT_PER_A_PER_M

#: Rows of corners, or pairs of a body and a tile, in one call of a kernel.
ROWS = 32
PAIRS = 64

AnyArray = np.ndarray | Array

_NOWHERE = np.iinfo(np.int32).max


class Inputs(eqx.Module):
    """What a kernel needs of each body or row, the distance that divides its use of the two forms, and its motion."""

    values: Float[AnyArray, "source ..."] | tuple[Float[AnyArray, "source ..."], ...]
    limit: Float[AnyArray, " pair"]
    motion: Float[AnyArray, "item 3"] | None = None


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

    The first list says where the values go.
    """
    table = np.stack(columns).astype(np.int32)
    filler = -table.shape[1] % size
    table = np.pad(table, ((0, 0), (0, filler)))
    if filler:
        table[0, -filler:] = _NOWHERE
    return table.reshape(len(columns), -1, size).transpose(1, 0, 2)


Kernel = Callable[[Item, Inputs], Array]


class Step(eqx.Module):
    """One kernel with the functions that hand it the inputs of a chunk and that store what it gives."""

    kernel: Kernel = eqx.field(static=True)
    gather: Callable[[Any, Inputs, Array], tuple[Item, Inputs]] = eqx.field(static=True)
    scatter: Callable[[Array, Array, Array], Array] = eqx.field(static=True)

    def run(self, buffer: Array, work: np.ndarray, frame: eqx.Module, inputs: Inputs) -> Array:
        """Store what the kernel makes of every chunk of work in the buffer."""
        if len(work) == 0:
            return buffer
        if is_concrete(frame, inputs):
            kernel, scatter = _compiled(self.kernel), _in_place(self.scatter)
            for chunk in work:
                buffer = scatter(buffer, chunk, kernel(*self.gather(frame, inputs, chunk)))
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


def _series_kernel(item: Item, inputs: Inputs, *, order: int) -> Float[Array, "item 3 sensor"]:
    """Series of one grain on one tile for each item, zero within the limit."""

    def one_sensor(factors: Array, limit: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        valid = x * x + y * y + z * z > limit * limit
        # A displacement that is never used must not divide by zero, or its derivative is not a number.
        value = series(factors, *(jnp.where(valid, d, 1.0) for d in (x, y, z)), order=order)
        return tuple(jnp.where(valid, v, 0.0) for v in value)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, None, 0, 0, None))
    values = jax.vmap(over_sensors)(inputs.values, inputs.limit, item.x, item.y, item.z)
    return NT_PER_A_PER_M * jnp.stack(values, axis=1)


def corner_kernel(item: Item, inputs: Inputs) -> Float[Array, "item 3 sensor"]:
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


series_kernels = {order: partial(_series_kernel, order=order) for order in ORDERS}


def slope_kernel(kernel: Kernel) -> Kernel:
    """A kernel of how the coefficients change as bodies move as `Inputs.motion` says, nT per A/m and unit of it.

    It works on one chunk, whose size is fixed: derivatives are compiled once, however many sensors there are.
    """

    def slopes(item: Item, inputs: Inputs) -> Float[Array, "item 3 sensor"]:
        def moved(share: Float[Array, ""]) -> Float[Array, "item 3 sensor"]:
            x, y, z = (share * part for part in inputs.motion.T)
            away = Item(item.x - x[:, None], item.y - y[:, None], item.z - z, item.spacing, item.separate_side)
            return kernel(away, inputs)

        return jax.jvp(moved, (jnp.zeros(()),), (jnp.ones(()),))[1]

    return slopes
