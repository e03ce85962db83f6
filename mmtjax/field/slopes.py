"""Derivatives of the field of uniform bodies by the geometry: the columns are ∂_i ∂_z of a potential.

So their derivatives are symmetric and have no trace: five of nine are worked out, along xx, xy, xz, yy and yz.
"""

from collections.abc import Callable
from functools import cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.field.kernels import Inputs, Item, between, edges_of, sum_of_corners
from mmtjax.field.plan import FieldPlan
from mmtjax.physics.corner import corner_function
from mmtjax.physics.series import series
from mmtjax.precision import AnyArray
from mmtjax.units import AXES, NT_PER_A_PER_M


def require_uniform_bodies(plan: FieldPlan) -> None:
    """Raise a `ValueError` unless the sources are uniform bodies, of which alone there are derivatives by geometry."""
    if plan.parts.near_form is not corner_function:
        raise ValueError(
            "derivatives with respect to geometry are worked out for uniform bodies (Grains); trace the geometry of "
            "other sources instead"
        )


@cache
def series_vjp_kernel(order: int) -> Callable[[Item, Array, Array], tuple[Array, ...]]:
    """Return the kernel of derivatives of ``Σ factor · columns`` at each sensor, from series of an order."""
    return partial(_series_vjp_kernel, order=order)


def _series_vjp_kernel(
    item: Item, coefficients: Float[AnyArray, "item 8 2 term"], factor: Float[AnyArray, "item 3 sensor"], *, order: int
) -> tuple[Float[Array, "item sensor"], ...]:
    """Return derivatives of ``Σ factor · columns`` along the displacement to each sensor, and by the side of sensors.

    The series are those along xx, xy, xz, yy and yz, and then those of the three columns by the side. Stacked in one
    array the four results would not be vectorized: seven times slower.
    """

    def one_sensor(coefficients: Array, x: Array, y: Array, z: Array, *factor: Array) -> tuple[Array, ...]:
        xx, xy, xz, yy, yz, *by_side = series(coefficients, x, y, z, order=order)
        rows = (xx, xy, xz), (xy, yy, yz), (xz, yz, -xx - yy), by_side
        return tuple(NT_PER_A_PER_M * (row[0] * factor[0] + row[1] * factor[1] + row[2] * factor[2]) for row in rows)

    over_sensors = jax.vmap(one_sensor, in_axes=(None, 0, 0, None, 0, 0, 0))
    return jax.vmap(over_sensors)(coefficients, item.x, item.y, item.z, *(factor[:, axis] for axis in range(len(AXES))))


def corner_slopes(item: Item, inputs: Inputs) -> Float[Array, "item 4 3 sensor"]:
    """Return derivatives of the closed form of bodies along the displacement to the sensor, and by both of its edges.

    An edge of a sensor of side s lies at ± s/2 from its centre: the slope by the side is half the sum of slopes at its
    edges where the value takes their difference, less what the mean over a larger sensor loses.
    """
    jacobian = jax.jacfwd(corner_function, argnums=(0, 1, 2))

    def value_and_slopes(x: Array, y: Array, z: Array) -> tuple[Array, ...]:
        (xx, xy, _), (_, yy, _), (xz, yz, _) = jacobian(x, y, z)
        return *corner_function(x, y, z), xx, xy, xz, yy, yz

    total = sum_of_corners(item, inputs, value_and_slopes)
    adjoin, edges = item.separate_side is None, edges_of(item)
    function, (xx, xy, xz, yy, yz) = total[: len(AXES)], total[len(AXES) :]
    along = [between(each, adjoin=adjoin) for each in (xx, xy, xz, yy, yz)]
    slopes = [
        [along[0], along[1], along[2]],
        [along[1], along[3], along[4]],
        [along[2], along[4], -along[0] - along[3]],
    ]
    widened = []
    for value, by_x, by_y in zip(function, (xx, xy, xz), (xy, yy, yz), strict=True):
        outward = between(by_x, adjoin=adjoin, add_x=True) + between(by_y, adjoin=adjoin, add_y=True)
        spread = (1 / edges[0] + 1 / edges[1]) * between(value, adjoin=adjoin)
        widened.append(outward / 2 - spread)
    values = jnp.stack([jnp.stack(part, axis=1) for part in (*slopes, widened)], axis=1)
    return NT_PER_A_PER_M / (edges[0] * edges[1]) * values.reshape(len(item.z), len(AXES) + 1, len(AXES), -1)


def corner_vjp_kernel(
    item: Item, inputs: Inputs, factor: Float[AnyArray, "item 3 sensor"]
) -> tuple[Float[Array, "item sensor"], ...]:
    """Return derivatives of ``Σ factor · columns`` at each sensor, as `series_vjp_kernel`, from the closed form."""
    slopes = corner_slopes(item, inputs)
    return tuple(jnp.sum(slopes[:, axis] * factor, axis=1) for axis in range(len(AXES) + 1))


def moved_corner_kernel(item: Item, inputs: Inputs) -> Float[Array, "item 3 sensor"]:
    """Return the change of the closed form as bodies move by `Inputs.motion`, nT per A/m and unit of it."""
    slopes = corner_slopes(item, inputs)[:, : len(AXES)]
    return -jnp.einsum("ia,iacs->ics", inputs.motion, slopes)
