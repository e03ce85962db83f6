"""Radius of the sphere that contains a normal vector of three components with a given probability.

With a > 0 the largest eigenvalue of the covariance C, the others being a·b and a·c with 1 ≥ b ≥ c ≥ 0, and
u = x √(2a), the chance of a length of at most u is a one-dimensional integral:

    P(|δ| ≤ u) = erf x - (2/√π) x exp(-x²) ⟨h(v)⟩,    v = x² (1/g - 1),    g = b cos² φ + c sin² φ,

with h(v) = D(√v)/√v, D the integral of Dawson, and ⟨·⟩ the mean over a quarter turn of φ. (At fixed φ the vector is a
normal variable along the first axis and one of two components of equal variance a·g across it; the integral over the
former is that of Dawson.) No C is special: g = 1 is a sphere, and g = 0, a covariance of rank one, has ⟨h⟩ = 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, erfc, erfinv, ndtri
from jaxtyping import Float
from numpy.polynomial.chebyshev import chebinterpolate
from numpy.polynomial.legendre import leggauss
from scipy.special import dawsn

from mmtjax.precision import AnyArray
from mmtjax.units import AXES

#: Number of components of a vector.
_VECTOR = len(AXES)

#: h is smooth in s = (v - 8)/(v + 8): the Chebyshev series of (1 + v/8) h(v) in s converges to 1e-13 at degree 40. The
#: numbers of nodes and iterations were measured against 40-digit integrals, for b and c from 1 to 1e-16 and 0: with 16
#: nodes the error is 1e-13 at 95 %, 2e-12 at 50 % and 1e-7 at 1 %; with 32 nodes 3e-15, 1e-14 and 2e-13.
_BEND = 8.0
_NODES = 32
_ITERATIONS = 6

#: Number of sweeps of Jacobi rotations; five are enough for 1e-15 with any 3 × 3 matrix.
_SWEEPS = 6

#: Numbers of polar and azimuthal nodes of the gradient, whose error is 1e-9 at 95 % and at most 1e-6 at all levels.
_POLAR, _AZIMUTHAL = 24, 64


def _scaled_dawson(s: np.ndarray) -> np.ndarray:
    """Return (1 + v/8) h(v) at ``s = (v - 8)/(v + 8)``."""
    root = np.sqrt(_BEND * (1 + s) / (1 - s))
    return 2 / (1 - s) * dawsn(root) / root


# The stub of NumPy asks for a function of a number, but the function is called with an array.
_SERIES = chebinterpolate(_scaled_dawson, 40)  # pyright: ignore[reportCallIssue, reportArgumentType]


@jax.custom_jvp
def unit_radius(covariance: Float[AnyArray, "3 3"], level: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
    """Return the radius u with ``P(|δ| ≤ u) = level`` for ``δ ~ N(0, C)``.

    Its relative error is below 1e-10 for levels from 1e-5; it is differentiable any number of times.

    Parameters
    ----------
    covariance
        C, scaled to order one; not zero.
    level
        The probability.

    Examples
    --------
    >>> round(unit_radius(jnp.eye(3), 0.5 * jnp.ones(())).item(), 9)
    1.538172254
    """
    values, _ = principal_axes(covariance)
    b, c = values[1] / values[0], values[2] / values[0]
    # P is at most the probability for the largest component alone, and at most the peak density times the size of the
    # disc in two dimensions and of the ball in three: each gives a lower bound of x.
    x = jnp.maximum(erfinv(level), jnp.sqrt(level * jnp.sqrt(b)))
    x = jnp.maximum(x, jnp.cbrt(0.75 * jnp.sqrt(jnp.pi) * level * jnp.sqrt(b * c)))
    target = ndtri(level)

    def newton(_: object, x: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        # The normal quantile of P is concave in x (the inequality of Ehrhard), so that steps from below do not
        # overshoot.
        inside, outside, density = _probability(x, b, c)
        quantile = jnp.where(inside < 0.5, ndtri(inside), -ndtri(outside))
        return x + (target - quantile) * jnp.exp(-(quantile**2) / 2) / (jnp.sqrt(2 * jnp.pi) * density)

    return jnp.sqrt(2 * values[0]) * jax.lax.fori_loop(0, _ITERATIONS, newton, x)


def _probability(
    x: Float[AnyArray, ""], b: Float[AnyArray, ""], c: Float[AnyArray, ""]
) -> tuple[Float[AnyArray, ""], Float[AnyArray, ""], Float[AnyArray, ""]]:
    """Return P of the docstring of this module, 1 - P, and dP/dx.

    With the substitution tan φ = τ tan ψ, h is equally smooth in ψ for all b, c and x, and its mean over φ becomes a
    mean over ψ weighted by the Poisson kernel. The weights of the sum are exact for that kernel times a cosine
    polynomial.
    """
    turn = (np.arange(_NODES) + 0.5) * np.pi / _NODES
    far = x**2 / _BEND
    along, across = b + far * (1 - b), c + far * (1 - c)
    cosine, sine = across * np.cos(turn / 2) ** 2, along * np.sin(turn / 2) ** 2
    g = (b * cosine + c * sine) / (cosine + sine)
    s = (far * (1 - g) - g) / (far * (1 - g) + g)
    series = _clenshaw(s)
    tau = jnp.sqrt(along / across)
    rho = (tau - 1) / (tau + 1)
    alternating = (-1.0) ** np.arange(_NODES) * np.sin(turn)
    weight = 4 * tau / (tau + 1) ** 2 + 2 * rho ** (_NODES + 1) * alternating
    weight = weight / (1 - 2 * rho * np.cos(turn) + rho**2)
    bell = 2 / np.sqrt(np.pi) * x * jnp.exp(-(x**2))
    mean = jnp.mean(weight * series * (1 - s) / 2)
    density = 2 * bell * x * jnp.mean(series) / jnp.sqrt(along * across)
    return erf(x) - bell * mean, erfc(x) + bell * mean, density


def _clenshaw(s: Float[AnyArray, " node"]) -> Float[AnyArray, " node"]:
    """Return the Chebyshev series of (1 + v/8) h(v) at s, by Clenshaw's recurrence."""
    latest, previous = jnp.zeros_like(s), jnp.zeros_like(s)
    for coefficient in _SERIES[:0:-1]:
        latest, previous = coefficient + 2 * s * latest - previous, latest
    return _SERIES[0] + s * latest - previous


@unit_radius.defjvp
def _unit_radius_jvp(
    primals: tuple[AnyArray, AnyArray], tangents: tuple[AnyArray, AnyArray]
) -> tuple[Float[AnyArray, ""], Float[AnyArray, ""]]:
    """Return the radius and its derivative by the implicit function theorem.

    P is the mean over directions n of the probability that χ₃ is below t = u/√(nᵀCn). In this form it depends on C
    only through nᵀCn, and the directions may be fixed, so that no derivative needs those of eigenvectors.
    """
    covariance, level = primals
    change, level_change = tangents
    radius = unit_radius(covariance, level)
    direction, weight = _directions(*jax.lax.stop_gradient((covariance, radius)))
    # Beyond t² = 1400 the density of χ₃ underflows.
    spread = jnp.maximum(jnp.einsum("ni,ij,nj->n", direction, covariance, direction), radius**2 / 1400)
    t = radius / jnp.sqrt(spread)
    density = weight * t**3 * jnp.exp(-(t**2) / 2)
    total = jnp.sum(density)
    gradient = radius / (2 * total) * jnp.einsum("n,ni,nj->ij", density / spread, direction, direction)
    slope = jnp.sqrt(jnp.pi / 2) * radius / total
    return radius, jnp.sum(gradient * change) + slope * level_change


def _directions(
    covariance: Float[AnyArray, "3 3"], radius: Float[AnyArray, ""]
) -> tuple[Float[AnyArray, "node 3"], Float[AnyArray, " node"]]:
    """Return directions in one half of the sphere and their weights, which sum to one.

    The directions of a product rule are stretched along the axes of C, so that they are dense where nᵀCn changes
    between more and less than u².
    """
    node, polar_weight = leggauss(_POLAR)
    turn = (np.arange(_AZIMUTHAL) + 0.5) * 2 * np.pi / _AZIMUTHAL
    height, azimuth = np.meshgrid((node + 1) / 2, turn, indexing="ij")
    ring = np.sqrt(1 - height**2)
    even = np.stack([height, ring * np.cos(azimuth), ring * np.sin(azimuth)], axis=-1).reshape(-1, _VECTOR)
    even_weight = np.repeat(polar_weight / 2, _AZIMUTHAL) / _AZIMUTHAL
    values, vectors = principal_axes(covariance)
    stretch = 1 / jnp.sqrt(values + radius**2 / 4)
    stretched = even * stretch
    length = jnp.linalg.norm(stretched, axis=1)
    return (stretched / length[:, None]) @ vectors.T, even_weight * jnp.prod(stretch) / length**_VECTOR


def principal_axes(covariance: Float[AnyArray, "3 3"]) -> tuple[Float[AnyArray, "3"], Float[AnyArray, "3 3"]]:
    """Return the eigenvalues of a covariance, largest first, and its eigenvectors as columns.

    One-sided Jacobi rotations are as fast as LAPACK for 3 × 3, and they cannot hang: in jaxlib 0.10 two batched
    ``eigh`` that run at the same time on the CPU wait for each other forever, for both divide their batch over threads
    of the pool that they already occupy.

    Parameters
    ----------
    covariance
        Symmetric and positive semidefinite.
    """

    def sweep(_: object, columns: tuple[AnyArray, AnyArray, AnyArray]) -> tuple[AnyArray, AnyArray, AnyArray]:
        axes = list(columns)
        for p, q in ((0, 1), (0, 2), (1, 2)):
            one, other = axes[p][:_VECTOR], axes[q][:_VECTOR]
            difference, product = jnp.sum(one**2) - jnp.sum(other**2), 2 * jnp.sum(one * other)
            size = jnp.sqrt(difference**2 + product**2)
            scale = jnp.where(size == 0, 1.0, size)
            large = jnp.sqrt(jnp.where(size == 0, 1.0, (1 + jnp.abs(difference) / scale) / 2))
            small = jnp.abs(product) / (2 * scale * large)
            cosine = jnp.where(difference < 0, small, large)
            sine = jnp.where(difference < 0, large, small) * jnp.where(product < 0, -1, 1)
            axes[p], axes[q] = cosine * axes[p] + sine * axes[q], cosine * axes[q] - sine * axes[p]
        return axes[0], axes[1], axes[2]

    # Each column holds a column of C and one of the identity, which becomes an eigenvector.
    start = jnp.concatenate([covariance, jnp.eye(_VECTOR)])
    axes = jnp.stack(jax.lax.fori_loop(0, _SWEEPS, sweep, (start[:, 0], start[:, 1], start[:, 2])), axis=1)
    return jnp.maximum(jnp.sum(axes[:_VECTOR] * axes[_VECTOR:], axis=0), 0), axes[_VECTOR:]
