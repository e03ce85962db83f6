"""Field of a grain far away: a multipole series about its centroid, averaged over a sensor by its moments."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from mmtjax.field.harmonics import field_matrix, field_terms, sensor_convolution, term_norms
from mmtjax.rock.grains import Grains
from mmtjax.rock.moments import central_moments, monomials

#: Orders of the series that a distance chooses from, the cheapest first.
ORDERS = (2, 4, 7, 12)

#: Moments beyond the highest order tell how far the truncated series can be trusted.
_MOMENT_ORDER = ORDERS[-1] + 2

#: Closer than this many radii of grain and sensor together the series is never used.
_CONVERGES = 1.25


@jax.jit
def series_coefficients(grains: Grains, side: Float[Array, "2"]) -> Float[Array, "grain 3 2 term"]:
    """Coefficients of the series of the mean over a sensor, for `series` and `truncation_radius`."""
    target, source, exponent, factor = sensor_convolution(_MOMENT_ORDER)
    half = jnp.asarray(side) / 2
    sensor_moment = jnp.prod(half**exponent / (exponent + 1), axis=1)
    size = len(monomials(_MOMENT_ORDER))
    convolution = jnp.zeros((size, size)).at[target, source].add(factor * sensor_moment)
    matrix = jnp.asarray(field_matrix(_MOMENT_ORDER))
    return jnp.einsum("iptm,gm->gipt", matrix, central_moments(grains, _MOMENT_ORDER) @ convolution.T)


def series(
    coefficients: Float[Array, "3 2 term"], x: Float[Array, ""], y: Float[Array, ""], z: Float[Array, ""], *, order: int
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Coefficients N_x, N_y, N_z of one grain at the displacement from its centroid to one sensor.

    ``N_i = Σ Re[c_i I_l^m]`` for degrees l = 2 … order + 2, with I_l^m = (x + iy)^m q_l^m, where q is real and obeys
    ``r² q_l^m = (2l-1) z q_{l-1}^m - ((l-1)² - m²) q_{l-2}^m``. Displacements are µm.
    """
    index = {term: number for number, term in enumerate(field_terms(order))}
    inverse_square = 1.0 / (x * x + y * y + z * z)
    z_scaled = z * inverse_square
    total = [0.0, 0.0, 0.0]
    real, imaginary, diagonal = jnp.ones_like(x), jnp.zeros_like(x), jnp.sqrt(inverse_square)
    for m in range(order + 3):
        partial = [[0.0, 0.0] for _ in range(3)]
        lower, current = jnp.zeros_like(x), diagonal
        for degree in range(m, order + 3):
            if degree > m:
                following = (2 * degree - 1) * z_scaled * current
                if degree > m + 1:
                    following = following - ((degree - 1) ** 2 - m**2) * inverse_square * lower
                lower, current = current, following
            if degree >= 2:
                for component in range(3):
                    for part in range(2 if m else 1):
                        factor = coefficients[component, part, index[degree, m]]
                        partial[component][part] = partial[component][part] + factor * current
        for component in range(3):
            total[component] = total[component] + partial[component][0] * real - partial[component][1] * imaginary
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
        diagonal = -(2 * m + 1) * inverse_square * diagonal
    return total[0], total[1], total[2]


@jax.jit
def truncation_radius(
    coefficients: Float[Array, "grain 3 2 term"],
    volume: Float[Array, " grain"],
    reach: Float[Array, " grain"],
    closest: Float[Array, " grain"],
    tolerance: float | Float[Array, ""],
) -> Float[Array, "order grain"]:
    """Distance beyond which the series of each of `ORDERS` holds the tolerance, µm.

    Parameters
    ----------
    coefficients
        Of `series_coefficients`.
    volume, reach
        Volume of a grain, and its bounding radius plus half the diagonal of a sensor.
    closest
        Distance from the centroid to the nearest sensor.
    tolerance
        Allowed error as a share of the peak coefficient of a grain. The error is also held below ten times this share
        of the smallest value that a dipole can have at the place itself.

    Notes
    -----
    The terms of one degree are bounded by Cauchy–Schwarz (`term_norms`); those beyond the known moments continue as a
    geometric series with the ratio of a source on the bounding sphere.
    """
    degrees = jnp.asarray([degree for degree, _ in field_terms(_MOMENT_ORDER)])
    square = jnp.sum(coefficients**2, axis=(1, 2)) * jnp.asarray(term_norms(_MOMENT_ORDER)) ** 2
    power = jnp.sqrt(
        jax.ops.segment_sum(square.T, degrees - 2, num_segments=_MOMENT_ORDER + 1, indices_are_sorted=True)
    )
    peak = 2 * volume / (closest + reach) ** 3
    level = jnp.arange(_MOMENT_ORDER + 1)[:, None]

    def holds(distance: Float[Array, " grain"], order: int) -> Bool[Array, " grain"]:
        terms = power / distance ** (level + 3)
        ratio = reach / distance
        beyond = (terms[-1] + terms[-2]) * 1.5 * ratio / (1 - ratio)
        error = jnp.sum(terms[order + 1 :], axis=0) + beyond
        return error <= tolerance * jnp.minimum(peak, 10 * volume / distance**3)

    def radius(order: int) -> Float[Array, " grain"]:
        def halve(_: Int[Array, ""], bracket: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bracket
            middle = jnp.sqrt(low * high)
            good = holds(middle, order)
            return jnp.where(good, low, middle), jnp.where(good, middle, high)

        smallest = _CONVERGES * reach
        low, high = jax.lax.fori_loop(0, 40, halve, (smallest, 1e6 * reach))
        return jnp.where(holds(smallest, order), smallest, high)

    return jax.lax.stop_gradient(jnp.stack([radius(order) for order in ORDERS]))
