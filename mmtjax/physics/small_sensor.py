"""The field of a uniform body, averaged over a sensor far smaller than its distance: the terms of one corner.

The closed form of the mean over a sensor is a mixed difference of integrals over its area (`mmtjax.physics.corner`), of
which rounding leaves few digits if the sensor is small. Here the field at a point is averaged over the sensor instead.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.physics.corner import corner_function, inverse_hyperbolic_sine, safe_log, safe_sqrt, upper_angle

#: Distance from a corner, in edges of a sensor, up to which the mixed difference is used: it loses 1e-12 there.
CROSSOVER = 64.0

#: Distance from the line through an edge, in edges of a sensor, up to which the part that diverges there is averaged in
#: closed form.
_LINE = 16.0

#: Nodes of Gauss and Legendre on the square [-1, 1]², and their weights in the mean over it. At the distances above,
#: three along each edge leave an error below 1e-11.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_NODES_X, _NODES_Y = (grid.ravel() for grid in np.meshgrid(_NODES, _NODES))
_NODE_WEIGHTS = np.outer(_WEIGHTS, _WEIGHTS).ravel() / 4

Scalar = Float[Array, ""]


def sensor_mean(x: Scalar, y: Scalar, z: Scalar, side_x: Scalar, side_y: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return the mean over a sensor of the field of one corner, at the displacement to the centre of the sensor.

    At a point, the coefficients of a body are ``N_i = Σ w G_i`` over its corners, where

        G_x = asinh(y / √(x² + z²)),  G_y = asinh(x / √(y² + z²)),  G_z = -atan(xy / (z r)).

    They are averaged by Gauss–Legendre quadrature. Near the line x = z = 0 far from the corner, their parts
    -½ sgn(y) log(x² + z²) and -sgn(y) atan(x / z), which belong to the edge along y, change within a sensor: they are
    averaged in closed form, and what remains is smooth. The same holds for the edge along x. Near the corner itself the
    mixed difference of `corner_function` is accurate.

    Parameters
    ----------
    x, y, z
        Displacement from the corner to the centre of the sensor, µm.
    side_x, side_y
        Edges of the sensor, µm.

    Returns
    -------
    tuple
        The terms of N_x, N_y and N_z.
    """
    largest = jnp.maximum(side_x, side_y)
    is_near = x * x + y * y + z * z <= (CROSSOVER * largest) ** 2
    near = (_LINE * largest) ** 2
    by_edge_y = ~is_near & (x * x + z * z <= near)
    by_edge_x = ~is_near & (y * y + z * z <= near)
    # Values of branches that are discarded have to have finite derivatives.
    far_x, far_y, far_z = (jnp.where(is_near, CROSSOVER * largest, d) for d in (x, y, z))
    # One program for all nodes: a copy for each would take ten times as long to compile.
    at_nodes = jax.vmap(_smooth_part, in_axes=(0, 0, None, None, None))
    values = at_nodes(far_x + _NODES_X * side_x / 2, far_y + _NODES_Y * side_y / 2, far_z, by_edge_x, by_edge_y)
    g_x, g_y, g_z = (jnp.sum(_NODE_WEIGHTS * value) for value in values)
    log_x, angle_x = _edge_means(x, z, side_x, used=by_edge_y)
    log_y, angle_y = _edge_means(y, z, side_y, used=by_edge_x)
    sign_x, sign_y = jnp.where(x < 0, -1.0, 1.0), jnp.where(y < 0, -1.0, 1.0)
    far = g_x - sign_y * log_x, g_y - sign_x * log_y, g_z - sign_y * angle_x - sign_x * angle_y
    near_x, near_y, near_z = (jnp.where(is_near, d, largest) for d in (x, y, z))
    close = _mixed_difference(near_x, near_y, near_z, side_x, side_y)
    g_x, g_y, g_z = (jnp.where(is_near, one, other) for one, other in zip(close, far, strict=True))
    return g_x, g_y, g_z


def _smooth_part(x: Scalar, y: Scalar, z: Scalar, by_edge_x: Array, by_edge_y: Array) -> tuple[Scalar, Scalar, Scalar]:
    """Return G_x, G_y and G_z at a point, less the parts of the edges whose mean is computed in closed form.

    From ``|y| / r`` near 1, ``atan(xy / (z r)) = sgn(y) [atan(x / z) - atan(x z / (|y| (r + |y|) + z²))]``.
    """
    xx, yy, zz = x * x, y * y, z * z
    r = safe_sqrt(xx + yy + zz)
    g_x = inverse_hyperbolic_sine(y, jnp.where(by_edge_y, 1.0, xx + zz), r)
    g_y = inverse_hyperbolic_sine(x, jnp.where(by_edge_x, 1.0, yy + zz), r)
    across, along = jnp.where(by_edge_y, x, y), jnp.where(by_edge_y, y, x)
    far_along = jnp.abs(along)
    by_edge = by_edge_x | by_edge_y
    numerator = jnp.where(by_edge, -jnp.where(along < 0, -1.0, 1.0) * across * z, x * y)
    denominator = jnp.where(by_edge, far_along * (r + far_along) + zz, z * r)
    return g_x, g_y, -upper_angle(numerator, denominator)


def _edge_means(across: Scalar, z: Scalar, side: Scalar, *, used: Array) -> tuple[Scalar, Scalar]:
    """Return the means of ½ log(t² + z²) and atan(t / z) over the width of a sensor; zero where they are not used.

    Parameters
    ----------
    across, z
        Displacement from the edge, horizontally and vertically, µm.
    side
        Width of the sensor across the edge, µm.
    used
        Whether the edge is so near that they are used.
    """
    half = side / 2
    centre, height = jnp.where(used, across / half, 0.0), jnp.where(used, z / half, 1.0)

    def integrals(t: Scalar) -> tuple[Scalar, Scalar]:
        log = 0.5 * safe_log(t * t + height * height)
        angle = upper_angle(t, height)
        return t * log - t + height * angle, t * angle - height * log

    upper, lower = integrals(centre + 1), integrals(centre - 1)
    log, angle = ((one - other) / 2 for one, other in zip(upper, lower, strict=True))
    return jnp.where(used, log + jnp.log(half), 0.0), jnp.where(used, angle, 0.0)


def _mixed_difference(x: Scalar, y: Scalar, z: Scalar, side_x: Scalar, side_y: Scalar) -> tuple[Scalar, ...]:
    """Return the means from the mixed difference of `corner_function` over the corners of the sensor."""
    corners = [
        corner_function(x + along_x * side_x / 2, y + along_y * side_y / 2, z)
        for along_x in (1, -1)
        for along_y in (1, -1)
    ]
    return tuple((a - b - c + d) / (side_x * side_y) for a, b, c, d in zip(*corners, strict=True))
