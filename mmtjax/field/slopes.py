"""Derivatives of the field of uniform bodies with respect to positions and to the size of the sensors.

The coefficients of a body are N_i = ∂_i ∂_z of a potential that is harmonic outside the body. The matrix of their
derivatives ∂_j N_i is therefore symmetric and has no trace, and five of its nine elements are computed: those along xx,
xy, xz, yy and yz.
"""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.field.kernels import (
    CornerInputs,
    SensorLines,
    SensorPoints,
    between,
    edges_of,
    sum_at_centres,
    sum_of_corners,
)
from mmtjax.field.plan import FieldPlan
from mmtjax.physics.corner import corner_function
from mmtjax.physics.series import series
from mmtjax.physics.small_sensor import sensor_mean
from mmtjax.precision import AnyArray
from mmtjax.units import AXES, NT_PER_A_PER_M


def require_uniform_bodies(plan: FieldPlan) -> None:
    """Raise a `ValueError` unless the sources are uniform bodies, the only ones with these derivatives."""
    if plan.parts.near_form is not corner_function:
        msg = (
            "derivatives with respect to geometry are implemented for uniform bodies (Grains) only; for other sources, "
            "trace their geometry with jax.grad or jax.jvp instead"
        )
        raise InputError(msg)


@cache
def series_vjp_kernel(order: int) -> Callable[[SensorPoints, AnyArray, AnyArray], tuple[AnyArray, ...]]:
    """Return the kernel of derivatives of ``Σ factor · columns`` at each sensor, from series of this order."""
    return partial(_series_vjp_kernel, order=order)


def _series_vjp_kernel(
    points: SensorPoints,
    coefficients: Float[AnyArray, "item series 2 term"],
    factor: Float[AnyArray, "item 3 sensor"],
    *,
    order: int,
) -> tuple[Float[AnyArray, "item sensor"], ...]:
    """Return derivatives of ``Σ factor · columns`` along the displacement to each sensor, and by the side of sensors.

    The series are those along xx, xy, xz, yy and yz, followed by the derivatives of the three columns by the side. The
    four results stay a tuple: in one array, XLA would not vectorize them, which takes seven times as long.
    """

    def one_sensor(
        coefficients: AnyArray, x: AnyArray, y: AnyArray, z: AnyArray, *factor: AnyArray
    ) -> tuple[AnyArray, ...]:
        xx, xy, xz, yy, yz, *by_side = series(coefficients, x, y, z, order=order)
        rows = (xx, xy, xz), (xy, yy, yz), (xz, yz, -xx - yy), by_side
        return tuple(NT_PER_A_PER_M * (row[0] * factor[0] + row[1] * factor[1] + row[2] * factor[2]) for row in rows)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, 0, 0, None, 0, 0, 0))
    factors = (factor[:, axis] for axis in range(len(AXES)))
    return jax.vmap(over_sensors)(coefficients, points.x, points.y, points.z, *factors)


def corner_slopes(lines: SensorLines, inputs: CornerInputs) -> Float[Array, "item direction 3 sensor"]:
    """Return derivatives of the closed form of bodies along x, y, z of the displacement to a sensor, and by its side.

    The derivative by the side changes both edges of a sensor together. The edges lie at ± s/2 from its centre, and the
    value is a difference over them, divided by the area: its derivative is half the sum of the derivatives at both
    edges, less the value times the relative change of the area.

    Parameters
    ----------
    lines
        Displacements to the sensors.
    inputs
        Corners of each item and their weights.

    Returns
    -------
    Array
        (item, direction x, y, z or side, component, sensor), nT per A/m and µm.
    """
    jacobian = jax.jacfwd(corner_function, argnums=(0, 1, 2))

    def value_and_slopes(x: Array, y: Array, z: Array) -> tuple[Array, ...]:
        (xx, xy, _), (_, yy, _), (xz, yz, _) = jacobian(x, y, z)
        return *corner_function(x, y, z), xx, xy, xz, yy, yz

    total = sum_of_corners(lines, inputs, value_and_slopes)
    adjoin, edges = lines.separate_side is None, edges_of(lines)
    function, (xx, xy, xz, yy, yz) = total[: len(AXES)], total[len(AXES) :]
    by_xx, by_xy, by_xz, by_yy, by_yz = (between(each, adjoin=adjoin) for each in (xx, xy, xz, yy, yz))
    slopes = [[by_xx, by_xy, by_xz], [by_xy, by_yy, by_yz], [by_xz, by_yz, -by_xx - by_yy]]
    widened = []
    for value, by_x, by_y in zip(function, (xx, xy, xz), (xy, yy, yz), strict=True):
        outward = between(by_x, adjoin=adjoin, add_x=True) + between(by_y, adjoin=adjoin, add_y=True)
        spread = (1 / edges[0] + 1 / edges[1]) * between(value, adjoin=adjoin)
        widened.append(outward / 2 - spread)
    values = jnp.stack([jnp.stack(part, axis=1) for part in (*slopes, widened)], axis=1)
    return NT_PER_A_PER_M / (edges[0] * edges[1]) * values.reshape(len(lines.z), len(AXES) + 1, len(AXES), -1)


def mean_slopes(lines: SensorLines, inputs: CornerInputs) -> Float[Array, "item direction 3 sensor"]:
    """Return the derivatives of `corner_slopes` for sensors that are too small for the closed form."""
    edges = edges_of(lines)

    def widened(x: Array, y: Array, z: Array, more: Array) -> tuple[Array, ...]:
        return sensor_mean(x, y, z, edges[0] + more, edges[1] + more)

    def slopes(x: Array, y: Array, z: Array) -> tuple[Array, ...]:
        jacobian = jax.jacfwd(widened, argnums=tuple(range(len(AXES) + 1)))(x, y, z, jnp.zeros(()))
        return tuple(own[direction] for direction in range(len(AXES) + 1) for own in jacobian)

    total = jnp.stack(sum_at_centres(lines, inputs, slopes), axis=1)
    return NT_PER_A_PER_M * total.reshape(len(lines.z), len(AXES) + 1, len(AXES), -1)


def corner_vjp_kernel(
    lines: SensorLines, inputs: CornerInputs, factor: Float[AnyArray, "item 3 sensor"]
) -> tuple[Float[Array, "item sensor"], ...]:
    """Return the derivatives that `series_vjp_kernel` describes, from the closed form."""
    return _times(corner_slopes(lines, inputs), factor)


def mean_vjp_kernel(
    lines: SensorLines, inputs: CornerInputs, factor: Float[AnyArray, "item 3 sensor"]
) -> tuple[Float[Array, "item sensor"], ...]:
    """Return the derivatives that `series_vjp_kernel` describes, for sensors too small for the closed form."""
    return _times(mean_slopes(lines, inputs), factor)


def _times(
    slopes: Float[Array, "item direction 3 sensor"], factor: Float[AnyArray, "item 3 sensor"]
) -> tuple[Float[Array, "item sensor"], ...]:
    """Return the sum of slopes times factors over the components, for each direction."""
    return tuple(jnp.sum(slopes[:, axis] * factor, axis=1) for axis in range(len(AXES) + 1))


def moved_corner_kernel(
    lines: SensorLines, inputs: CornerInputs, motion: Float[AnyArray, "item 3"]
) -> Float[Array, "item 3 sensor"]:
    """Return the derivative of the closed form along a motion of the bodies, nT per A/m and unit of the parameter.

    Parameters
    ----------
    lines
        Displacements to the sensors.
    inputs
        Corners of each item and their weights.
    motion
        Velocity of the source of each item, µm per unit of the parameter.
    """
    return -jnp.einsum("ia,iacs->ics", motion, corner_slopes(lines, inputs)[:, : len(AXES)])


def moved_mean_kernel(
    lines: SensorLines, inputs: CornerInputs, motion: Float[AnyArray, "item 3"]
) -> Float[Array, "item 3 sensor"]:
    """Return the derivative of `moved_corner_kernel` for sensors too small for the closed form."""
    return -jnp.einsum("ia,iacs->ics", motion, mean_slopes(lines, inputs)[:, : len(AXES)])
