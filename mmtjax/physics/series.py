"""The field of a source far away: a multipole series about its centroid, averaged over a sensor."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.harmonics import field_matrix, field_terms, sensor_convolution, term_norms
from mmtjax.precision import AnyArray

#: Orders of the series that are in use, the cheapest first.
ORDERS = (2, 4, 7, 12)

#: Order of the moments that are computed; those beyond the highest order of a series bound its truncation error.
MOMENT_ORDER = ORDERS[-1] + 2

#: Least distance at which a series is used, as a multiple of the radius of source and sensor together.
_CONVERGES = 1.25


def body_series(
    moments: Float[np.ndarray, "body monomial"], side: Float[AnyArray, "2"]
) -> Float[AnyArray, "body 3 2 term"]:
    """Return the series of the field of uniform bodies, averaged over a sensor, from their central moments.

    Parameters
    ----------
    moments
        Central moments of each body up to `MOMENT_ORDER`, in the order of `monomials`, in powers of µm.
    side
        Edges (sx, sy) of a sensor, µm; may be traced.
    """
    target, source, exponent, factor = sensor_convolution(MOMENT_ORDER)
    matrix = field_matrix(MOMENT_ORDER)
    size = moments.shape[1]
    if array_namespace(side) is np:
        # By NumPy even while other arrays are traced: XLA takes long to evaluate such constants when it compiles.
        moment = np.prod((np.asarray(side) / 2) ** exponent / (exponent + 1), axis=1)
        convolution = np.zeros((size, size))
        np.add.at(convolution, (target, source), factor * moment)
    else:
        moment = jnp.prod((side / 2) ** exponent / (exponent + 1), axis=1)
        convolution = jnp.zeros((size, size)).at[target, source].add(factor * moment)
    averaged = moments @ convolution.T
    return (averaged @ matrix.reshape(-1, size).T).reshape(-1, *matrix.shape[:3])


def degree_bounds(coefficients: Float[AnyArray, "body component 2 term"]) -> Float[AnyArray, "body level"]:
    """Return bounds p of the terms of each degree of series: at a distance r, level k is at most ``p_k / r^(k+3)``.

    By Cauchy–Schwarz, see `term_norms`. Level k consists of the harmonics of degree k + 2, which come from the moments
    of order k of a body.
    """
    xp = array_namespace(coefficients)
    square = xp.sum(coefficients**2, axis=(1, 2)) * term_norms(MOMENT_ORDER) ** 2
    first = np.flatnonzero(np.diff([0, *(degree for degree, _ in field_terms(MOMENT_ORDER))]))
    stop = [*first[1:], square.shape[1]]
    return xp.sqrt(xp.stack([square[:, a:b].sum(axis=1) for a, b in zip(first, stop, strict=True)], axis=1))


def truncation_errors(
    bounds: Float[AnyArray, "body level"], reach: Float[AnyArray, " body"], distance: Float[AnyArray, " body"]
) -> list[Float[AnyArray, " body"]]:
    """Return bounds of the truncation error of the series of each of `ORDERS`.

    The levels beyond the known moments are bounded by a geometric series with the ratio of a point source on the
    bounding sphere. At distances below 1.25 reaches the bound is infinite.

    Parameters
    ----------
    bounds
        Bounds of each level, from `degree_bounds`.
    reach, distance
        Radius of body and sensor together, and distance of the sensor from the centroid, µm.
    """
    xp = array_namespace(bounds, reach, distance)
    ratio = reach / distance
    converges = ratio * _CONVERGES < 1
    ratio = xp.where(converges, ratio, 0.5)
    terms, factor = [], 1 / distance**3
    for level in range(bounds.shape[1]):
        terms.append(bounds[:, level] * factor)
        factor = factor / distance
    rest = (terms[-1] + terms[-2]) * 1.5 * ratio / (1 - ratio)
    errors: dict[int, AnyArray] = {}
    for level in range(bounds.shape[1] - 1, -1, -1):
        if level in ORDERS:
            errors[level] = xp.where(converges, rest, xp.inf)
        rest = rest + terms[level]
    return [errors[order] for order in ORDERS]


def allowed_error(
    strength: Float[AnyArray, " body"],
    reach: Float[AnyArray, " body"],
    *,
    closest: Float[AnyArray, " body"],
    distance: Float[AnyArray, " body"],
    degree: int = 1,
) -> Float[AnyArray, " body"]:
    """Return the error of a coefficient that a tolerance of one allows.

    It is the smaller one of the peak of the source over all sensors and ten times the field of its leading multipole at
    the sensor.

    Parameters
    ----------
    strength
        Size of the leading multipole; the volume for a uniform body, whose leading multipole is a dipole.
    reach
        Radius of body and sensor together, µm.
    closest, distance
        Distance of the centroid from the nearest of all sensors, and from the sensor in question, µm.
    degree
        Degree l of the leading multipole, whose field falls as ``(l + 1) / r^(l + 2)``.
    """
    xp = array_namespace(strength, reach, closest, distance)
    power = degree + 2
    return xp.minimum((degree + 1) * strength / (closest + reach) ** power, 10 * strength / distance**power)


def series(
    coefficients: Float[AnyArray, "component 2 term"],
    x: Float[AnyArray, "*point"],
    y: Float[AnyArray, "*point"],
    z: Float[AnyArray, "*point"],
    *,
    order: int,
) -> tuple[Float[AnyArray, "*point"], ...]:
    """Return the field of each component of one source, divided by µ0/4π, from its series.

    ``N_i = Σ Re[c_i I_l^m]`` for degrees l = 2 … order + 2, with I_l^m = (x + iy)^m q_l^m, where q is real and obeys
    ``r² q_l^m = (2l-1) z q_{l-1}^m - ((l-1)² - m²) q_{l-2}^m``. Arrays of NumPy give arrays of NumPy.

    Parameters
    ----------
    coefficients
        Coefficients c of each component: real and imaginary parts of the terms of `field_terms`.
    x, y, z
        Displacements from the centroid of the source to sensors, µm.
    order
        Order of the series.
    """
    xp = array_namespace(coefficients, x, y, z)
    index = {term: number for number, term in enumerate(field_terms(order))}
    inverse_square = 1.0 / (x * x + y * y + z * z)
    z_scaled = z * inverse_square
    components = range(len(coefficients))
    total: list[AnyArray] = []
    real, imaginary, diagonal = xp.ones_like(x), xp.zeros_like(x), xp.sqrt(inverse_square)
    for m in range(order + 3):
        partial = [[0.0, 0.0] for _ in components]
        lower, current = xp.zeros_like(x), diagonal
        for degree in range(m, order + 3):
            if degree > m:
                following = (2 * degree - 1) * z_scaled * current
                if degree > m + 1:
                    following = following - ((degree - 1) ** 2 - m**2) * inverse_square * lower
                lower, current = current, following
            if degree >= 2:
                for component in components:
                    for part in range(2 if m else 1):
                        factor = coefficients[component, part, index[degree, m]]
                        partial[component][part] = partial[component][part] + factor * current
        total = [
            (total[component] if m else 0.0) + partial[component][0] * real - partial[component][1] * imaginary
            for component in components
        ]
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
        diagonal = -(2 * m + 1) * inverse_square * diagonal
    return tuple(total)


@partial(jax.jit, static_argnames=("order", "degree"))
def truncation_radius(
    bounds: Float[Array, "body level"],
    strength: Float[Array, " body"],
    reach: Float[Array, " body"],
    closest: Float[Array, " body"],
    tolerance: float | Float[Array, ""],
    *,
    order: int,
    degree: int = 1,
) -> Float[Array, " body"]:
    """Return the distance (µm) beyond which a series is accurate to the tolerance; its derivative is zero.

    Parameters
    ----------
    bounds
        Bounds of each level of the series, from `degree_bounds`.
    strength, reach, closest, degree
        Passed to `allowed_error`.
    tolerance
        Allowed error as a share of the peak of a source.
    order
        Order of the series, one of `ORDERS`.
    """
    number = ORDERS.index(order)

    def is_accurate(distance: Float[Array, " body"]) -> Bool[AnyArray, " body"]:
        error = truncation_errors(bounds, reach, distance)[number]
        return error <= tolerance * allowed_error(strength, reach, closest=closest, distance=distance, degree=degree)

    def halve(_: Int[Array, ""], bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = jnp.sqrt(low * high)
        good = is_accurate(middle)
        return jnp.where(good, low, middle), jnp.where(good, middle, high)

    smallest = _CONVERGES * (1 + 1e-9) * reach
    _, high = jax.lax.fori_loop(0, 40, halve, (smallest, 1e6 * reach))
    return jax.lax.stop_gradient(jnp.where(is_accurate(smallest), smallest, high))
