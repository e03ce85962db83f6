"""What a planned scan would tell of each grain, before it is made."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.selection import probability_within_limit
from mmtjax.solvers.cholesky import factor_of_information
from mmtjax.uncertainty.confidence import confidence_radius
from mmtjax.uncertainty.covariance import covariance_blocks
from mmtjax.units import UM3_PER_MM3

Scalar = float | Float[Array, ""]


class Outcome(eqx.Module):
    """Uncertainties of the grains of one sample at one setting. All of it follows from geometry and noise.

    Attributes
    ----------
    information
        Inverse of the covariance of all magnetizations with the prior: ``QᵀQ/σ² + 1/s²``, (unknown, unknown), (A/m)⁻².
    magnetization
        Median magnetization of grains of these volumes, equation 1 of Out et al. (2022), A/m.
    prior
        Standard deviation s of each component before the scan, A/m.
    level
        Probability of the confidence sphere.
    limit
        Uncertainty ratio up to which a grain is trusted.
    seconds
        Time that the map takes.
    area
        Area of the map, µm².
    grains_per_area
        Grains below each µm².
    """

    information: Float[Array, "unknown unknown"]
    magnetization: Float[np.ndarray | Array, " grain"]
    prior: float
    level: float
    limit: float
    seconds: Scalar
    area: float
    grains_per_area: Scalar

    def factor(self) -> tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]:
        """Upper triangular R and scale s with ``information = diag(s) RᵀR diag(s)``."""
        return factor_of_information(self.information)

    def covariance(self) -> Float[Array, "grain 3 3"]:
        """Covariance of the magnetization of each grain, (A/m)²."""
        return covariance_blocks(*self.factor(), variance=1.0)

    def log_determinant(self) -> Float[Array, ""]:
        """Logarithm of the determinant of the information."""
        factor, scale = self.factor()
        return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)) + jnp.log(scale))

    def uncertainty_ratio(self) -> Float[Array, " grain"]:
        """Confidence radius over the median magnetization of grains of that volume."""
        return confidence_radius(self.covariance(), self.level) / self.magnetization

    def share_within_limit(self) -> Float[Array, ""]:
        """Share of grains that are expected within the limit, over the scatter of magnetizations about equation 1."""
        return jnp.mean(probability_within_limit(self.uncertainty_ratio(), self.limit))

    def grains_within_limit(self) -> Float[Array, ""]:
        """Number of grains in the whole area that are expected within the limit."""
        return self.share_within_limit() * self.grains_per_area * self.area


def outcome_of(
    gram: Float[Array, "unknown unknown"],
    variance: Scalar,
    *,
    magnetization: Float[np.ndarray | Array, " grain"],
    prior: float,
    level: float,
    limit: float,
    seconds: Scalar,
    area: float,
    density: float,
    thickness: Scalar,
) -> Outcome:
    """The outcome for the normal equations ``QᵀQ`` of one sample and the variance of the noise, nT².

    The other arguments are those of `Outcome`; `density` is grains per mm³, `thickness` µm.
    """
    return Outcome(
        information=gram / variance + jnp.eye(len(gram)) / prior**2,
        magnetization=magnetization,
        prior=prior,
        level=level,
        limit=limit,
        seconds=seconds,
        area=area,
        grains_per_area=density * thickness / UM3_PER_MM3,
    )
