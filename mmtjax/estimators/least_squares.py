"""Least squares by conjugate gradients from a factor: right to what rounding allows, whatever the factor has lost."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.estimators.base import AbstractEstimator, Estimate, FactoredProblem, Uncertainty
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.uncertainty.confidence import confidence_radius
from mmtjax.units import AXES

#: Steps of conjugate gradients at most, and where they end: the energy of the gradient as a share of the first.
_STEPS = 20
_CONVERGED = 1e-22


class LeastSquares(AbstractEstimator):
    """The least-squares solution, with normal errors.

    Parameters
    ----------
    traced_steps
        Steps of conjugate gradients where numbers are traced and cannot be looked at.
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
        """Solve by conjugate gradients in coordinates in which the problem has condition one.

        The first step solves; the others take away what rounding has left, which is not amplified by the square of the
        condition number, for the residual is what is worked on.
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
        """Return the covariances for the noise, and exact radii of the spheres."""
        covariances = tuple(variance * own for own in problem.covariances)
        return Uncertainty(covariances, vector_radius(covariances[0], level), is_gaussian=True)


def vector_radius(
    covariances: Float[AnyArray, "source component component"], level: float
) -> Float[AnyArray, " source"] | None:
    """Return radii of the confidence spheres of the first three components; None where there are fewer.

    Examples
    --------
    >>> vector_radius(jnp.eye(1)[None], 0.95) is None
    True
    """
    count = len(AXES)
    return confidence_radius(covariances[:, :count, :count], level) if covariances.shape[-1] >= count else None


def _ratio(numerator: Float[Array, ""], denominator: Float[Array, ""]) -> Float[Array, ""]:
    """Return the quotient, zero where there is nothing left to divide by."""
    some = denominator > 0
    return jnp.where(some, numerator / jnp.where(some, denominator, 1.0), 0.0)
