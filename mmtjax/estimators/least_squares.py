"""Least squares by conjugate gradients that are preconditioned by the factor, so that its rounding does not matter."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.estimators.base import AbstractEstimator, Estimate, FactoredProblem, Uncertainty
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.uncertainty.confidence import confidence_radius
from mmtjax.units import AXES

#: Largest number of steps of conjugate gradients, and the energy of the gradient, relative to the first, at which they
#: end.
_STEPS = 20
_CONVERGED = 1e-22


class LeastSquares(AbstractEstimator):
    """The least-squares solution, whose errors are normal.

    Parameters
    ----------
    traced_steps
        Number of steps of conjugate gradients if numbers are traced, so that convergence cannot be checked.
    """

    traced_steps: int = eqx.field(static=True, default=3)

    def estimate(
        self,
        problem: FactoredProblem,
        field: Float[AnyArray, "ny nx"],
        *,
        used: int | Float[Array, ""],
        progress: Progress | None = None,
    ) -> Estimate:
        """Solve by conjugate gradients with the factor as preconditioner.

        The first step solves the problem up to the rounding of the factor. The further steps reduce what is left of the
        residual of the map, so that the square of the condition number does not amplify their own rounding.
        """
        green, weight, factor = problem.green, problem.weight, problem.factor
        size = green.unknowns.size
        solved, modelled = jnp.zeros(size), jnp.zeros(green.grid.shape)
        direction, before, first = jnp.zeros(size), jnp.ones(()), None
        concrete = is_concrete(green, factor, field, weight)
        for _ in range(_STEPS if concrete else self.traced_steps):
            gradient = green.rmv(weight**2 * (field - modelled), progress=progress) - problem.penalty(solved)
            step, energy = factor.solve(gradient)
            first = energy if first is None else first
            if concrete and energy <= _CONVERGED * first:
                break
            direction = step + _ratio(energy, before) * direction
            change = green.mv(direction, progress=progress)
            curvature = jnp.sum((weight * change) ** 2) + jnp.sum(problem.penalty(direction) * direction)
            length = _ratio(energy, curvature)
            solved, modelled, before = solved + length * direction, modelled + length * change, energy
        mean_square = jnp.sum((weight * (field - modelled)) ** 2) / (used - problem.effective_unknowns)
        return Estimate(solved, modelled, mean_square)

    def uncertainty(
        self, problem: FactoredProblem, estimate: Estimate, *, variance: Float[Array, ""], level: float
    ) -> Uncertainty:
        """Return the covariances for the variance of the noise, and exact radii of the confidence spheres."""
        covariances = tuple(variance * own for own in problem.covariances)
        return Uncertainty(covariances, vector_radius(covariances[0], level), is_gaussian=True)


def vector_radius(
    covariances: Float[AnyArray, "source component component"], level: float
) -> Float[Array, " source"] | None:
    """Return the radii of the confidence spheres of the first three components; None if there are fewer than three.

    Parameters
    ----------
    covariances
        Covariance of the components of each source.
    level
        Probability that a sphere holds the true vector.

    Examples
    --------
    >>> vector_radius(jnp.eye(1)[None], 0.95) is None
    True
    """
    count = len(AXES)
    return confidence_radius(covariances[:, :count, :count], level) if covariances.shape[-1] >= count else None


def _ratio(numerator: Float[Array, ""], denominator: Float[Array, ""]) -> Float[Array, ""]:
    """Return the quotient, or zero if the denominator is zero."""
    some = denominator > 0
    return jnp.where(some, numerator / jnp.where(some, denominator, 1.0), 0.0)
