"""The closed form of the field of a uniform body, averaged over a sensor: the terms of one corner of each."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

#: Replacement of zero in logarithms and denominators, in µm; lengths in use are 1e-3 µm or more.
_TINY = 1e-150

Scalar = Float[Array, ""]


def corner_function(x: Scalar, y: Scalar, z: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return the integrals F_x, F_y, F_z at the displacement from a corner of a grain to a corner of a sensor.

    Each is integrated five times: over x, y and z of the grain, and over x and y of the sensor. With the signs s of the
    corners of a cuboid and of a sensor, the mean coefficient over a sensor is given by
    ``area · N_i = -Σ s1 s2 s3 s4 s5 F_i`` (de Groot et al. 2018, supplement), where

        F_x = ½[(y² - z²) Lx - r x] - y (z A - x Ly)
        F_y = ½[(x² - z²) Ly - r y] - x (z A - y Lx)
        F_z = -x y A - z (x Lx + y Ly - r)

    with r = √(x² + y² + z²) and A = atan(xy / (z r)). Lx = asinh(x / √(y² + z²)) replaces the usual log(x + r), and Ly
    likewise: the difference cancels in the signed sum, and rounding errors are three to five times smaller.

    If a corner of a sensor touches an edge of a grain, the value is the limit from above. The derivative diverges there
    like a logarithm; the result is finite but large.

    Parameters
    ----------
    x, y, z
        Displacement, µm.

    Returns
    -------
    tuple
        F_x, F_y and F_z, µm².
    """
    xx, yy, zz = x * x, y * y, z * z
    r = safe_sqrt(xx + yy + zz)
    log_x = inverse_hyperbolic_sine(x, yy + zz, r)
    log_y = inverse_hyperbolic_sine(y, xx + zz, r)
    angle = upper_angle(x * y, z * r)
    f_x = 0.5 * ((yy - zz) * log_x - r * x) - y * (z * angle - x * log_y)
    f_y = 0.5 * ((xx - zz) * log_y - r * y) - x * (z * angle - y * log_x)
    f_z = -x * y * angle - z * (x * log_x + y * log_y - r)
    return f_x, f_y, f_z


def safe_sqrt(square: Scalar) -> Scalar:
    """Return the square root, with a derivative of zero at zero."""
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def inverse_hyperbolic_sine(x: Scalar, height_squared: Scalar, r: Scalar) -> Scalar:
    """Return asinh(x / h) for r² = x² + h²; value and derivative are finite at h = 0."""
    height_squared = jnp.where(height_squared > 0, height_squared, _TINY**2)
    magnitude = jnp.abs(x) + r
    magnitude = jnp.where(magnitude > 0, magnitude, _TINY)
    # A square root of h² would cost as much as both logarithms together.
    return jnp.where(x < 0, -0.5, 0.5) * jnp.log(magnitude * magnitude / height_squared)


def safe_log(square: Scalar) -> Scalar:
    """Return the logarithm, finite at zero and with a derivative of zero there."""
    positive = square > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, square, 1.0)), 2 * np.log(_TINY))


@jax.custom_jvp
def upper_angle(numerator: Scalar, denominator: Scalar) -> Scalar:
    """Return atan(numerator / denominator), its limit from above where the denominator is zero."""
    return jnp.arctan(numerator / jnp.where(denominator == 0, _TINY, denominator))


@upper_angle.defjvp
def _upper_angle_jvp(primals: tuple[Scalar, Scalar], tangents: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
    """Return the value and its derivative, which is also right at a denominator of zero, where the quotient is not."""
    (numerator, denominator), (numerator_dot, denominator_dot) = primals, tangents
    square = numerator * numerator + denominator * denominator
    inverse = jnp.where(square > 0, 1.0 / jnp.where(square > 0, square, 1.0), 0.0)
    tangent = (denominator * numerator_dot - numerator * denominator_dot) * inverse
    return upper_angle(numerator, denominator), tangent
