"""Compiled kernels of the field, which evaluate one form for a chunk of pairs of a body part and a square of sensors.

Only this module wraps the functions of one corner and of one series in `vmap` and `jit`. All chunks have the same size,
so that each kernel is compiled once.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Generic, TypeVar

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
from mmtjax.sources.base import NearForm, SensorMean
from mmtjax.units import AXES, NT_PER_A_PER_M

#: Share of distances by which a sensor may seem to lie below the top of a body and still touches it. It exceeds the
#: rounding of both, and what `refuse_sources_above` accepts.
_TOUCHING = 1e-6

#: Size of a chunk: rows of corners for the closed form, pairs of a part and a square for the series. Chunks are
#: `_ON_ACCELERATOR` times as large on an accelerator, which smaller ones would not keep busy.
ROWS = 32
PAIRS = 64
_ON_ACCELERATOR = 64


#: Target index of the entries that fill up the last chunk; it lies outside every result, so that they are dropped.
_NOWHERE = np.iinfo(np.int32).max

#: A module of positions, and a module of tables of inputs.
Positions = TypeVar("Positions", bound=eqx.Module)
Tables = TypeVar("Tables", bound=eqx.Module)


class SeriesInputs(eqx.Module):
    """The inputs of a series kernel: tables for all pairs, or the rows of these tables that one chunk uses.

    Attributes
    ----------
    coefficients
        Coefficients of series, see `mmtjax.physics.series.series`.
    limit
        Distances, µm, up to which the result is zero, because the closed form is evaluated there.
    edge
        Number of sensors along an edge of the square of each pair.
    """

    coefficients: Float[AnyArray, "entry component 2 term"]
    limit: Float[AnyArray, " pair"]
    edge: int = eqx.field(static=True, default=TILE)


class CornerInputs(eqx.Module):
    """The inputs of a kernel of the closed form: tables for all pairs, or the rows of these that one chunk uses.

    Attributes
    ----------
    offset
        Positions of corners relative to the centroid of their part, µm.
    weight
        Signed weights of the corners.
    limit
        Distances, µm, beyond which the result is zero, because the series is evaluated there.
    edge
        Number of sensors along an edge of the square of each pair.
    """

    offset: Float[AnyArray, "entry corner 3"]
    weight: Float[AnyArray, "entry corner"]
    limit: Float[AnyArray, " pair"]
    edge: int = eqx.field(static=True, default=TILE)


class SensorPoints(eqx.Module):
    """Displacements from the centroid of a part to every sensor of a square, one by one, and to their plane, µm."""

    x: Float[AnyArray, "item sensor"]
    y: Float[AnyArray, "item sensor"]
    z: Float[AnyArray, " item"]


class SensorLines(eqx.Module):
    """Displacements from the centroid of a part to the columns, rows and plane of a square, and sensor sizes, µm."""

    x: Float[AnyArray, "item column"]
    y: Float[AnyArray, "item row"]
    z: Float[AnyArray, " item"]
    spacing: Float[AnyArray, "2"]
    separate_side: Float[AnyArray, "2"] | None


#: A function of what `Step.gather` returns whose values are (item, component, sensor), nT per unit of the component.
Kernel = Callable[..., Array]


def numpy_if_concrete(frame: Positions) -> Positions:
    """Return a module with arrays of NumPy if none is traced, of JAX otherwise.

    Rows are picked from these arrays for every chunk; by NumPy, nothing is compiled for the many sizes.
    """
    return jax.tree.map(np.asarray if is_concrete(frame) else jnp.asarray, frame)


def one_by_one(x: AnyArray, y: AnyArray, z: AnyArray) -> SensorPoints:
    """Return all points of squares, x fastest, from the displacements along their edges and to their planes.

    If they were broadcast inside a kernel, their layout would keep XLA from vectorizing its loop: three times slower.

    Parameters
    ----------
    x, y
        Displacements along the edges of each square, (item, column) and (item, row), µm.
    z
        Displacements to the planes of the squares, (item,), µm.
    """
    xp = array_namespace(z)
    shape = len(z), y.shape[1], x.shape[1]
    x, y = xp.broadcast_to(x[:, None, :], shape), xp.broadcast_to(y[:, :, None], shape)
    return SensorPoints(x.reshape(len(z), -1), y.reshape(len(z), -1), z)


def chunks(size: int, *columns: np.ndarray) -> Int[np.ndarray, "chunk column item"]:
    """Cut lists of equal length into chunks of one size, so that a kernel is compiled once.

    Parameters
    ----------
    size
        Number of entries of a chunk; multiplied by `_ON_ACCELERATOR` on an accelerator.
    *columns
        The lists. The first holds the index at which the result of each entry is stored; for entries that fill up the
        last chunk it lies outside the result.
    """
    size *= _ON_ACCELERATOR if on_accelerator() else 1
    table = np.stack(columns).astype(np.int32)
    filler = -table.shape[1] % size
    table = np.pad(table, ((0, 0), (0, filler)))
    if filler:
        table[0, -filler:] = _NOWHERE
    return table.reshape(len(columns), -1, size).transpose(1, 0, 2)


class Step(eqx.Module, Generic[Positions, Tables]):
    """A kernel with the functions that gather its inputs for a chunk and store its values.

    Attributes
    ----------
    kernel
        From the inputs of a chunk to its values.
    gather
        From positions, tables of inputs and a chunk of indices to the arguments of the kernel.
    scatter
        From a buffer, a chunk of indices and the values of the kernel to the buffer with these values.
    """

    kernel: Kernel = eqx.field(static=True)
    gather: Callable[[Positions, Tables, AnyArray], tuple[eqx.Module | AnyArray, ...]] = eqx.field(static=True)
    scatter: Callable[[Array, Array, Array], Array] = eqx.field(static=True)

    def run(self, buffer: Array, work: np.ndarray, frame: Positions, inputs: Tables) -> Array:
        """Evaluate the kernel for every chunk of work, and return the buffer with its values.

        Parameters
        ----------
        buffer
            Result so far; it is overwritten.
        work
            Chunks as `chunks` returns them.
        frame, inputs
            Positions, and tables of inputs. If any of them is traced, all chunks are evaluated in a `jax.lax.scan`.
        """
        if len(work) == 0:
            return buffer
        if is_concrete(frame, inputs):
            gather, kernel, scatter = self.gather, compiled(self.kernel), _in_place(self.scatter)
            if not in_main_memory(buffer):
                # The tables are copied to the device once; for each chunk only its indices are sent there.
                gather, (frame, inputs) = compiled(gather), jax.tree.map(on_device, (frame, inputs))
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


#: From a function to its compiled form: the same object each time, so that it is compiled once.
compiled = cache(jax.jit)
_in_place = cache(partial(jax.jit, donate_argnums=0))


@cache
def series_kernel(order: int) -> Kernel:
    """Return the kernel of the series of an order: one part and one square for each item, zero up to the limit."""
    return partial(_series_kernel, order=order)


def _series_kernel(points: SensorPoints, inputs: SeriesInputs, *, order: int) -> Float[Array, "item component sensor"]:
    """Return the field of each component from the series, nT per unit of the component."""

    def one_sensor(coefficients: AnyArray, limit: AnyArray, x: AnyArray, y: AnyArray, z: AnyArray) -> tuple[Array, ...]:
        valid = x * x + y * y + z * z > limit * limit
        # A displacement whose value is discarded must not divide by zero, or its derivative is not a number.
        value = series(coefficients, *(jnp.where(valid, d, 1.0) for d in (x, y, z)), order=order)
        return tuple(jnp.where(valid, v, 0.0) for v in value)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, None, 0, 0, None))
    values = jax.vmap(over_sensors)(inputs.coefficients, inputs.limit, points.x, points.y, points.z)
    return NT_PER_A_PER_M * jnp.stack(values, axis=1)


@cache
def near_kernel(near_form: NearForm) -> Kernel:
    """Return the kernel of a closed form: corners of one part and one square for each item, zero beyond the limit."""
    return partial(_near_kernel, near_form=near_form)


def _near_kernel(
    lines: SensorLines, inputs: CornerInputs, *, near_form: NearForm
) -> Float[Array, "item component sensor"]:
    """Return the field of each component from the closed form, nT per unit of the component."""
    total = sum_of_corners(lines, inputs, near_form)
    adjoin, edges = lines.separate_side is None, edges_of(lines)
    values = _within_limit(lines, inputs, [between(t, adjoin=adjoin) for t in total])
    return NT_PER_A_PER_M / (edges[0] * edges[1]) * values


@cache
def mean_kernel(sensor_mean: SensorMean) -> Kernel:
    """Return the kernel that averages the field over sensors too small for the closed form, zero beyond the limit."""
    return partial(_mean_kernel, sensor_mean=sensor_mean)


def _mean_kernel(
    lines: SensorLines, inputs: CornerInputs, *, sensor_mean: SensorMean
) -> Float[Array, "item component sensor"]:
    """Return the field of each component as the mean over each sensor, nT per unit of the component."""
    edges = edges_of(lines)
    total = sum_at_centres(lines, inputs, lambda x, y, z: sensor_mean(x, y, z, edges[0], edges[1]))
    return NT_PER_A_PER_M * _within_limit(lines, inputs, total)


@cache
def either_kernel(near_form: NearForm, sensor_mean: SensorMean, smallest: float) -> Kernel:
    """Return the kernel for a traced side: the mean for sides below `smallest` (µm), otherwise the closed form."""

    def kernel(lines: SensorLines, inputs: CornerInputs) -> Float[Array, "item component sensor"]:
        is_small = jnp.min(edges_of(lines)) < smallest
        return jax.lax.cond(is_small, mean_kernel(sensor_mean), near_kernel(near_form), lines, inputs)

    return kernel


def _within_limit(
    lines: SensorLines, inputs: CornerInputs, values: Sequence[Array]
) -> Float[Array, "item component sensor"]:
    """Return values of each component at sensors, zero beyond the limit."""
    square = lines.x[:, None, :] ** 2 + lines.y[:, :, None] ** 2 + (lines.z**2)[:, None, None]
    inside = square <= inputs.limit[:, None, None] ** 2
    stacked = jnp.stack([jnp.where(inside, value, 0.0) for value in values], axis=1)
    return stacked.reshape(*stacked.shape[:2], -1)


def edges_of(lines: SensorLines) -> Float[AnyArray, "2"]:
    """Return the edges (sx, sy) of a sensor, µm."""
    return lines.spacing if lines.separate_side is None else lines.separate_side


def sum_of_corners(
    lines: SensorLines, inputs: CornerInputs, function: Callable[..., tuple[Array, ...]]
) -> tuple[Array, ...]:
    """Return the weighted sum of a function over the corners of a part, at every corner of a sensor.

    Parameters
    ----------
    lines
        Displacements to the sensors.
    inputs
        Corners of each item and their weights.
    function
        From the displacement x, y, z between two corners, µm, to some values.
    """
    adjoin, edges = lines.separate_side is None, edges_of(lines)
    x_edges, y_edges = (_edges(line, edges[axis], adjoin=adjoin) for axis, line in enumerate((lines.x, lines.y)))
    return _sum_over_corners((x_edges, y_edges, lines.z), inputs, function)


def sum_at_centres(
    lines: SensorLines, inputs: CornerInputs, function: Callable[..., tuple[Array, ...]]
) -> tuple[Array, ...]:
    """Return the weighted sum of a function over the corners of a part, at the centre of every sensor.

    Parameters
    ----------
    lines
        Displacements to the sensors.
    inputs
        Corners of each item and their weights.
    function
        From the displacement x, y, z between a corner and the centre of a sensor, µm, to some values.
    """
    return _sum_over_corners((jnp.asarray(lines.x), jnp.asarray(lines.y), lines.z), inputs, function)


def _sum_over_corners(
    places: tuple[Array, Array, AnyArray], inputs: CornerInputs, function: Callable[..., tuple[Array, ...]]
) -> tuple[Array, ...]:
    """Return the weighted sum of a function over the corners of a part, at all places of a grid."""
    x, y, z = places
    over_x = jax.vmap(function, in_axes=(0, None, None))
    over_items = jax.vmap(jax.vmap(over_x, in_axes=(None, 0, None)))

    def add_corner(total: tuple[Array, ...], corner: tuple[AnyArray, AnyArray]) -> tuple[tuple[Array, ...], None]:
        place, sign = corner
        value = over_items(x - place[:, :1], y - place[:, 1:2], _not_below(z, place[:, 2]))
        return tuple(t + sign[:, None, None] * v for t, v in zip(total, value, strict=True)), None

    number = len(jax.eval_shape(function, *len(AXES) * (jnp.zeros(()),)))
    start = tuple(jnp.zeros((len(z), y.shape[1], x.shape[1])) for _ in range(number))
    return jax.lax.scan(add_corner, start, (inputs.offset.transpose(1, 0, 2), inputs.weight.T))[0]


def _not_below(sensor: AnyArray, corner: AnyArray) -> Array:
    """Return the heights of sensors above corners, zero where rounding puts a sensor that touches a body inside it.

    The field jumps at the surface; sensors that are really inside a body are refused before.
    """
    above = jnp.asarray(sensor - corner)
    touching = (above < 0) & (above > -_TOUCHING * (jnp.abs(sensor) + jnp.abs(corner)))
    return above - jax.lax.stop_gradient(jnp.where(touching, above, 0.0))


def _edges(centre: AnyArray, side: AnyArray, *, adjoin: bool) -> Array:
    """Return lower and upper edges of sensors; adjoining sensors share edges, which are then evaluated once."""
    lower, upper = centre - side / 2, centre + side / 2
    return jnp.concatenate([lower, upper[:, -1:] if adjoin else upper], axis=1)


def between(values: Array, *, adjoin: bool, add_x: bool = False, add_y: bool = False) -> Array:
    """Return the mixed difference of values at the corners of each sensor over x and y.

    Parameters
    ----------
    values
        Values at corners of sensors, (item, y, x).
    adjoin
        Whether neighbouring sensors share corners.
    add_x, add_y
        Whether to take the sum along this axis instead of the difference.
    """
    shift = 1 if adjoin else values.shape[1] // 2
    upper, lower = values[:, shift:], values[:, :-shift]
    values = upper + lower if add_y else upper - lower
    upper, lower = values[:, :, shift:], values[:, :, :-shift]
    return upper + lower if add_x else upper - lower
