"""Kernels of the field: series or closed form for some pairs of a body and a tile at a time, in chunks of one size.

Here, and only here, `vmap` and jit wrap the physics of one corner and of one series.
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
from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.series import series
from mmtjax.precision import AnyArray, in_main_memory, is_concrete, on_accelerator
from mmtjax.sources.base import NearForm
from mmtjax.units import NT_PER_A_PER_M

#: Rows of corners, or pairs of a body and a tile, in one call of a kernel; and how many times as many on an
#: accelerator, which so few would not fill.
ROWS = 32
PAIRS = 64
_ON_ACCELERATOR = 64


_NOWHERE = np.iinfo(np.int32).max


class Inputs(eqx.Module):
    """The inputs of a kernel for each body or row, the distance that divides the two forms, and the motion of bodies.

    There are `edge` sensors along the edges of the squares that it works on.
    """

    values: Float[AnyArray, "source ..."] | tuple[Float[AnyArray, "source ..."], ...]
    limit: Float[AnyArray, " pair"]
    motion: Float[AnyArray, "item 3"] | None = None
    edge: int = eqx.field(static=True, default=TILE)


class Item(eqx.Module):
    """Sensor centres of a tile relative to the centroid of a part, along its edges or one by one; size of a sensor."""

    x: Float[AnyArray, "item place"]
    y: Float[AnyArray, "item place"]
    z: Float[AnyArray, " item"]
    spacing: Float[AnyArray, "2"] | None
    separate_side: Float[AnyArray, "2"] | None


#: From the items of a chunk and their inputs to values (item, component, sensor).
Kernel = Callable[[Item, Inputs], Array]


def at_hand(frame: eqx.Module) -> eqx.Module:
    """Return arrays to pick from: in main memory where all is known, so that nothing is compiled for their sizes."""
    return jax.tree.map(np.asarray if is_concrete(frame) else jnp.asarray, frame)


def one_by_one(x: AnyArray, y: AnyArray, z: AnyArray) -> Item:
    """Return points of squares, x fastest, from displacements along their edges and to their planes.

    Broadcast inside a kernel they would be laid out so that its loop is not vectorized: three times slower.
    """
    xp = array_namespace(z)
    shape = len(z), y.shape[1], x.shape[1]
    x, y = xp.broadcast_to(x[:, None, :], shape), xp.broadcast_to(y[:, :, None], shape)
    return Item(x.reshape(len(z), -1), y.reshape(len(z), -1), z, None, None)


def chunks(size: int, *columns: np.ndarray) -> Int[np.ndarray, "chunk column item"]:
    """Cut lists of equal length in chunks of one size, so that a kernel is compiled once; fillers write nowhere.

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
    """One kernel with the functions that gather its inputs for a chunk and that store its values."""

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
def series_kernel(order: int) -> Kernel:
    """Return the kernel of the series of an order: one part on one tile for each item, zero within the limit."""
    return partial(_series_kernel, order=order)


def _series_kernel(item: Item, inputs: Inputs, *, order: int) -> Float[Array, "item component sensor"]:
    def one_sensor(factors: Array, limit: Array, x: Array, y: Array, z: Array) -> tuple[Array, ...]:
        valid = x * x + y * y + z * z > limit * limit
        # A displacement that is never used must not divide by zero, or its derivative is not a number.
        value = series(factors, *(jnp.where(valid, d, 1.0) for d in (x, y, z)), order=order)
        return tuple(jnp.where(valid, v, 0.0) for v in value)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, None, 0, 0, None))
    values = jax.vmap(over_sensors)(inputs.values, inputs.limit, item.x, item.y, item.z)
    return NT_PER_A_PER_M * jnp.stack(values, axis=1)


@cache
def near_kernel(near_form: NearForm) -> Kernel:
    """Return the kernel of a closed form: some corners of one part on one tile for each item, zero beyond the limit."""
    return partial(_near_kernel, near_form=near_form)


def _near_kernel(item: Item, inputs: Inputs, *, near_form: NearForm) -> Float[Array, "item component sensor"]:
    total = sum_of_corners(item, inputs, near_form)
    square = item.x[:, None, :] ** 2 + item.y[:, :, None] ** 2 + (item.z**2)[:, None, None]
    inside = square <= inputs.limit[:, None, None] ** 2
    adjoin, edges = item.separate_side is None, edges_of(item)
    values = jnp.stack([jnp.where(inside, between(t, adjoin=adjoin), 0.0) for t in total], axis=1)
    return NT_PER_A_PER_M / (edges[0] * edges[1]) * values.reshape(*values.shape[:2], -1)


def edges_of(item: Item) -> Array:
    """Return the edges (sx, sy) of a sensor, µm."""
    return item.spacing if item.separate_side is None else item.separate_side


def sum_of_corners(item: Item, inputs: Inputs, function: Callable[..., tuple[Array, ...]]) -> tuple[Array, ...]:
    """Sum a function of the displacements from corners of a part to those of the sensors over its corners."""
    adjoin, edges = item.separate_side is None, edges_of(item)
    x_edges, y_edges = (_edges(line, edges[axis], adjoin=adjoin) for axis, line in enumerate((item.x, item.y)))
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
    """Return lower and upper edges of sensors; adjoining sensors share them, and they are evaluated once."""
    lower, upper = centre - side / 2, centre + side / 2
    return jnp.concatenate([lower, upper[:, -1:] if adjoin else upper], axis=1)


def between(values: Array, *, adjoin: bool, add_x: bool = False, add_y: bool = False) -> Array:
    """Return differences over the edges of each sensor, or sums along an axis."""
    shift = 1 if adjoin else values.shape[1] // 2
    upper, lower = values[:, shift:], values[:, :-shift]
    values = upper + lower if add_y else upper - lower
    upper, lower = values[:, :, shift:], values[:, :, :-shift]
    return upper + lower if add_x else upper - lower
