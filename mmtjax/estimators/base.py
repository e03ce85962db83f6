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
    """A least-squares problem with its factor, for as many maps as there are.

    Attributes
    ----------
    green, weight
        The operator, and the weight of each sensor.
    solver, state
        The solver, and what it has of the rows, for other ridges.
    ridge
        Precision that a prior adds to each unknown, in units of the noise; None without one.
    factor
        The factor.
    covariances
        Blocks of the covariance for noise of variance one, set by set, (source, component, component).
    """

    green: AbstractGreen
    weight: Float[AnyArray, "ny nx"]
    solver: AbstractSolver
    state: PyTree[Array]
    ridge: Float[Array, " unknown"] | None
    factor: AbstractFactor
    covariances: tuple[Float[Array, "source component component"], ...]

    @property
    def effective_unknowns(self) -> Float[Array, ""]:
        """Number of unknowns that the data determine."""
        return effective_unknowns(self.covariances, self.ridge)

    def penalty(self, values: Float[Array, " unknown"]) -> Float[Array, " unknown"] | float:
        """Return Λ m: the part of a prior in the normal equations."""
        return 0.0 if self.ridge is None else self.ridge * values

    def with_ridge(self, ridge: Float[Array, " unknown"]) -> "FactoredProblem":
        """Return the problem with the factor for another ridge; covariances stay those of the old one."""
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
    """Return a problem with the covariances that follow from its factor.

    Parameters
    ----------
    green, weight, solver, state, factor, ridge
        As in `FactoredProblem`.

    Raises
    ------
    InversionError
        If the factorization has broken down.
    """
    if is_concrete(factor) and not np.isfinite(factor.condition):
        raise InversionError(f"the {solver.name} factorization failed: {solver.remedies()}")
    covariances = factor.covariances(green.unknowns.blocks)
    return FactoredProblem(green, weight, solver, state, ridge, factor, covariances)


def effective_unknowns(
    covariances: tuple[Float[AnyArray, "source component component"], ...], ridge: Float[Array, " unknown"] | None
) -> Float[Array, ""]:
    """Return the number of unknowns that the data determine, from covariances for noise of variance one.

    Examples
    --------
    Half of the information comes from the prior.

    >>> float(effective_unknowns((jnp.array([[[0.5]]]),), jnp.ones(1)))
    0.5
    """
    variances = jnp.concatenate([jnp.diagonal(own, axis1=1, axis2=2).ravel() for own in map(jnp.asarray, covariances)])
    count = jnp.asarray(float(len(variances)))
    return count if ridge is None else count - jnp.sum(ridge * variances)


class Estimate(NamedTuple):
    """The answer for one map.

    Attributes
    ----------
    values
        Values of the unknowns, in their units.
    forward
        The map that they give, (ny, nx), nT.
    mean_square
        Weighted sum of squares of the misfit per degree of freedom.
    """

    values: Float[Array, " unknown"]
    forward: Float[Array, "ny nx"]
    mean_square: Float[Array, ""]


class Uncertainty(NamedTuple):
    """How uncertain an estimate is.

    Attributes
    ----------
    covariances
        Blocks of the covariance that belong to each source, set by set.
    radius
        Radius of the sphere that holds the vector of each source of the first set with the probability asked for; None
        where the components of that set begin with no vector.
    is_gaussian
        Whether errors are normal with these covariances. Where they are not, the radius is that of a bootstrap.
    """

    covariances: tuple[Float[Array, "source component component"], ...]
    radius: Float[Array, " source"] | None
    is_gaussian: bool


class AbstractEstimator(eqx.Module):
    """A rule that turns a factored problem and a map into values, and that knows how uncertain they are."""

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
            The operator and its factor.
        field
            The map, nT, zero where sensors are not used.
        used
            Number of sensors in use.
        progress
            Called with the sensors that are done and all of them, pass by pass.
        """

    @abstractmethod
    def uncertainty(
        self, problem: FactoredProblem, estimate: Estimate, *, variance: Float[Array, ""], level: float
    ) -> Uncertainty:
        """Return the uncertainty of an estimate.

        Parameters
        ----------
        problem, estimate
            What was solved, and the answer.
        variance
            Variance of a sensor of weight one, nT².
        level
            Probability of the spheres.
        """
