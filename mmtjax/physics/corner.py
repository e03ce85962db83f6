"""Closed form of the field of one corner of a body, averaged over a sensor: one corner, one corner of a sensor."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

#: Stands for zero under a logarithm or in a denominator; lengths are µm and at least 1e-3.
_TINY = 1e-150

Scalar = Float[Array, ""]


def corner_function(x: Scalar, y: Scalar, z: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Five-fold integrals F_x, F_y, F_z at the displacement from a corner of a grain to a corner of a sensor.

    With signs s of the corners of a cuboid and of a sensor of the given area, the mean coefficient is
    ``area · N_i = -Σ s1 s2 s3 s4 s5 F_i`` (de Groot et al. 2018, supplement), where

        F_x = ½[(y² - z²) Lx - r x] - y (z A - x Ly)
        F_y = ½[(x² - z²) Ly - r y] - x (z A - y Lx)
        F_z = -x y A - z (x Lx + y Ly - r)

    with r = √(x² + y² + z²) and A = atan(xy / (z r)). The usual Lx = log(x + r) is replaced with
    asinh(x / √(y² + z²)): the difference is cancelled by the signed sum, and rounding is three to five times smaller.
    Displacements are µm, F is µm². Where a corner of a sensor touches an edge of a grain the value is the limit from
    above; the derivative, which diverges there like a logarithm, is finite but large.
    """
    xx, yy, zz = x * x, y * y, z * z
    r = _safe_sqrt(xx + yy + zz)
    log_x = _inverse_hyperbolic_sine(x, yy + zz, r)
    log_y = _inverse_hyperbolic_sine(y, xx + zz, r)
    angle = _angle(x * y, z * r)
    f_x = 0.5 * ((yy - zz) * log_x - r * x) - y * (z * angle - x * log_y)
    f_y = 0.5 * ((xx - zz) * log_y - r * y) - x * (z * angle - y * log_x)
    f_z = -x * y * angle - z * (x * log_x + y * log_y - r)
    return f_x, f_y, f_z


def _safe_sqrt(square: Scalar) -> Scalar:
    positive = square > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1.0)), 0.0)


def _inverse_hyperbolic_sine(x: Scalar, height_squared: Scalar, r: Scalar) -> Scalar:
    """asinh(x / h) for r² = x² + h², finite with its derivative at h = 0."""
    height_squared = jnp.where(height_squared > 0, height_squared, _TINY**2)
    magnitude = jnp.abs(x) + r
    magnitude = jnp.where(magnitude > 0, magnitude, _TINY)
    # The root of h² would cost as much as both logarithms together.
    return jnp.where(x < 0, -0.5, 0.5) * jnp.log(magnitude * magnitude / height_squared)


@jax.custom_jvp
def _angle(numerator: Scalar, denominator: Scalar) -> Scalar:
    """atan(numerator / denominator), with the limit from above where the denominator is zero."""
    return jnp.arctan(numerator / jnp.where(denominator == 0, _TINY, denominator))


@_angle.defjvp
def _angle_jvp(primals: tuple[Scalar, Scalar], tangents: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
    # Differentiating the quotient would lose the derivative at a zero denominator, where the function is smooth.
    (numerator, denominator), (numerator_dot, denominator_dot) = primals, tangents
    square = numerator * numerator + denominator * denominator
    inverse = jnp.where(square > 0, 1.0 / jnp.where(square > 0, square, 1.0), 0.0)
    tangent = (denominator * numerator_dot - numerator * denominator_dot) * inverse
    return _angle(numerator, denominator), tangent
