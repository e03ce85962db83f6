"""The outcome of a planned scan: how uncertain each grain will be, before the scan is made."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.design.setting import Scalar
from mmtjax.precision import AnyArray
from mmtjax.selection import probability_within_limit
from mmtjax.solvers.cholesky import factor_of_information
from mmtjax.uncertainty.confidence import confidence_radius
from mmtjax.uncertainty.covariance import covariance_blocks
from mmtjax.units import UM3_PER_MM3


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
        Time that the map takes, s.
    area
        Area of the map, µm².
    grains_per_area
        Grains below each µm².
    """

    information: Float[Array, "unknown unknown"]
    magnetization: Float[AnyArray, " grain"]
    prior: float
    level: float
    limit: float
    seconds: Scalar
    area: float
    grains_per_area: Scalar

    def factor(self) -> tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]:
        """Return upper triangular R and scale s with ``information = diag(s) RᵀR diag(s)``."""
        return factor_of_information(self.information)

    def covariance(self) -> Float[Array, "grain 3 3"]:
        """Return the covariance of the magnetization of each grain, (A/m)²."""
        return jnp.asarray(covariance_blocks(*self.factor(), variance=1.0))

    def log_determinant(self) -> Float[Array, ""]:
        """Return the logarithm of the determinant of the information."""
        factor, scale = self.factor()
        return 2 * jnp.sum(jnp.log(jnp.diagonal(factor)) + jnp.log(scale))

    def uncertainty_ratio(self) -> Float[Array, " grain"]:
        """Return confidence radii over the median magnetizations of grains of these volumes."""
        return jnp.asarray(confidence_radius(self.covariance(), self.level)) / self.magnetization

    def share_within_limit(self) -> Float[Array, ""]:
        """Return the share of grains that are expected within the limit, as magnetizations scatter about equation 1."""
        return jnp.mean(probability_within_limit(self.uncertainty_ratio(), self.limit))

    def grains_within_limit(self) -> Float[Array, ""]:
        """Return the number of grains in the whole area that are expected within the limit."""
        return self.share_within_limit() * self.grains_per_area * self.area


class OutcomeConstants(NamedTuple):
    """What the outcome depends on that is the same at every setting: fields of `DesignProblem` of the same names."""

    prior: float
    level: float
    limit: float
    area: float
    density: float


def outcome_of(
    gram: Float[Array, "unknown unknown"],
    variance: Scalar,
    *,
    magnetization: Float[AnyArray, " grain"],
    seconds: Scalar,
    thickness: Scalar,
    constants: OutcomeConstants,
) -> Outcome:
    """Return the outcome for the normal equations of one sample.

    Parameters
    ----------
    gram
        Normal equations ``QᵀQ`` with the weights of the sensors.
    variance
        Variance of the noise, nT².
    magnetization
        Median magnetization of the grains, A/m.
    seconds
        Time that the map takes, s.
    thickness
        Thickness of the sample, µm.
    constants
        Prior, level, limit, area and density.
    """
    return Outcome(
        information=gram / variance + jnp.eye(len(gram)) / constants.prior**2,
        magnetization=magnetization,
        prior=constants.prior,
        level=constants.level,
        limit=constants.limit,
        seconds=seconds,
        area=constants.area,
        grains_per_area=constants.density * thickness / UM3_PER_MM3,
    )
