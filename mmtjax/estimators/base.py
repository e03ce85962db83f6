"""The abstract estimator, the factored problem that it works on, and the estimate that it returns."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from mmtjax.errors import InversionError
from mmtjax.greens.base import AbstractGreen
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.solvers.base import AbstractFactor, AbstractSolver


class FactoredProblem(eqx.Module):
    """A least-squares problem with its factor, which is used for one map or for several.

    Attributes
    ----------
    green, weight
        Green's operator, and the weight of each sensor.
    solver, state
        The solver and its state, from which it makes factors for other ridges.
    ridge
        Precision that a prior adds to each unknown, in units of the noise; None without a prior.
    factor
        The factor for that ridge.
    covariances
        Covariance of the components of each source for noise of variance one: for each set of unknowns an array
        (source, component, component).
    """

    green: AbstractGreen
    weight: Float[AnyArray, "ny nx"]
    solver: AbstractSolver
    state: PyTree[Array]
    ridge: Float[Array, " unknown"] | None
    factor: AbstractFactor
    covariances: tuple[Float[Array, "_source _component _component"], ...]

    @property
    def effective_unknowns(self) -> Float[Array, ""]:
        """Number of unknowns that the data determine."""
        return effective_unknowns(self.covariances, self.ridge)

    def penalty(self, values: Float[Array, " unknown"]) -> Float[Array, " unknown"] | float:
        """Return Λ m, the term that a prior adds to the normal equations; zero without a prior.

        Parameters
        ----------
        values
            Values m of the unknowns.
        """
        return 0.0 if self.ridge is None else self.ridge * values

    def with_ridge(self, ridge: Float[Array, " unknown"]) -> "FactoredProblem":
        """Return the problem with the factor for another ridge and unchanged covariances.

        Parameters
        ----------
        ridge
            Precision that a prior adds to each unknown, in units of the noise.
        """
        factor = self.solver.compute(self.state, ridge)
        return FactoredProblem(self.green, self.weight, self.solver, self.state, ridge, factor, self.covariances)


def factored(
    green: AbstractGreen,
    weight: Float[AnyArray, "ny nx"],
    *,
    solver: AbstractSolver,
    state: PyTree[Array],
    factor: AbstractFactor,
    ridge: Float[Array, " unknown"] | None,
) -> FactoredProblem:
    """Return the least-squares problem with its factor and the covariances that follow from the factor.

    Parameters
    ----------
    green, weight, solver, state, factor, ridge
        As in `FactoredProblem`.

    Raises
    ------
    InversionError
        If the factorization failed.
    """
    if is_concrete(factor) and not np.isfinite(factor.condition):
        msg = f"the {solver.name} factorization failed: {solver.remedies()}"
        raise InversionError(msg)
    covariances = factor.covariances(green.unknowns.blocks)
    return FactoredProblem(green, weight, solver, state, ridge, factor, covariances)


def effective_unknowns(
    covariances: tuple[Float[AnyArray, "_source _component _component"], ...], ridge: Float[Array, " unknown"] | None
) -> Float[Array, ""]:
    """Return the number of unknowns that the data determine, not the prior.

    Parameters
    ----------
    covariances
        Covariances for noise of variance one, as in `FactoredProblem`.
    ridge
        Precision that a prior adds to each unknown, in units of the noise; None without a prior.

    Examples
    --------
    Half of the information about one unknown comes from the prior:

    >>> float(effective_unknowns((jnp.array([[[0.5]]]),), jnp.ones(1)))
    0.5
    """
    variances = jnp.concatenate([jnp.diagonal(own, axis1=1, axis2=2).ravel() for own in map(jnp.asarray, covariances)])
    count = jnp.asarray(float(len(variances)))
    return count if ridge is None else count - jnp.sum(ridge * variances)


class Estimate(NamedTuple):
    """Estimated values of the unknowns for one map.

    Attributes
    ----------
    values
        Values of the unknowns, in their units.
    forward
        The map computed from them, (ny, nx), nT.
    mean_square
        Weighted sum of squares of the misfit per degree of freedom, nT².
    """

    values: Float[Array, " unknown"]
    forward: Float[Array, "ny nx"]
    mean_square: Float[Array, ""]


class Uncertainty(NamedTuple):
    """The uncertainty of an estimate.

    Attributes
    ----------
    covariances
        Covariance of the components of each source: for each set of unknowns an array (source, component, component).
    radius
        Radius of the confidence sphere of the vector of each source of the first set; None if the first components of
        that set are not a vector.
    is_gaussian
        Whether errors are normal with these covariances. If not, the radius comes from a bootstrap.
    """

    covariances: tuple[Float[Array, "_source _component _component"], ...]
    radius: Float[Array, " source"] | None
    is_gaussian: bool


class AbstractEstimator(eqx.Module):
    """A rule by which values of the unknowns and their uncertainties follow from a factored problem and a map."""

    @abstractmethod
    def estimate(
        self,
        problem: FactoredProblem,
        field: Float[AnyArray, "ny nx"],
        *,
        used: int | Float[Array, ""],
        progress: Progress | None = None,
    ) -> Estimate:
        """Return the estimate for one map.

        Parameters
        ----------
        problem
            The least-squares problem and its factor.
        field
            The map, nT; zero where sensors are not used.
        used
            Number of sensors in use.
        progress
            Called as ``progress(done, total)``, counted in sensors, in every pass over the map.
        """

    @abstractmethod
    def uncertainty(
        self, problem: FactoredProblem, estimate: Estimate, *, variance: Float[Array, ""], level: float
    ) -> Uncertainty:
        """Return the uncertainty of an estimate.

        Parameters
        ----------
        problem, estimate
            The least-squares problem, and what `estimate` returned for it.
        variance
            Variance of the noise of a sensor of weight one, nT².
        level
            Probability that a confidence sphere holds the true vector.
        """
