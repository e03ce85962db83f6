"""Least squares with a bound on the length of the vector of each source.

The solution of ``min ½|W(φ - Qm)|² + ½ mᵀΛm`` with ``|m_g| ≤ B`` is that without a bound, m₀, less ``H⁻¹w``, where
``H = QᵀW²Q + Λ`` and w is not zero for sources at the bound alone. Their vectors are the nearest ones to those of m₀
within the bound, in the metric of their covariance, which the factor gives: see `mmtjax.linalg.ball_projection`.
"""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from mmtjax.errors import InputError, InversionError
from mmtjax.estimators.base import AbstractEstimator, Estimate, FactoredProblem, Uncertainty
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.linalg.ball_projection import project_on_balls
from mmtjax.precision import AnyArray, is_concrete, real_number, require_key, whole_number
from mmtjax.progress import Progress
from mmtjax.units import AXES
from mmtjax.unknowns import UnknownSet

#: Refinements of a solution at most, and the change, as a share of the bound, at which they end: where most grains meet
#: a bound far below what they have, rounding leaves 1e-8.
_REFINEMENTS, _CONVERGED = 20, 1e-7

#: Excess over the bound, as a share of it, beyond which a source is looked at too.
_EXCESS = 1e-9

#: Maps of the bootstrap that are worked on together.
_TOGETHER = 8


class BoundedLeastSquares(AbstractEstimator):
    """The least-squares solution among those in which no vector is longer than a bound.

    Errors are not normal where the bound is met, so that radii are those of a parametric bootstrap: the map of the
    estimate with new noise is estimated again and again.

    Parameters
    ----------
    limit
        Largest length of the vector of a source, in the unit of its components; 480e3 A/m is the saturation of
        magnetite.
    key
        Random key of JAX for the noise of the bootstrap.
    draws
        Maps of the bootstrap.

    Raises
    ------
    ValueError
        For a limit that is not positive and finite, and for fewer than 20 draws.

    Examples
    --------
    >>> BoundedLeastSquares(limit=480e3, key=jax.random.key(1)).draws
    200
    """

    limit: float = eqx.field(static=True)
    key: Array
    draws: int = eqx.field(static=True, default=200)

    def __check_init__(self) -> None:
        require_key(self.key)
        expected = "a positive magnetization in A/m, such as 480e3"
        if not 0 < real_number(self.limit, name="the bound", expected=expected) < np.inf:
            msg = f"the bound must be {expected}; got {self.limit!r}"
            raise InputError(msg)
        if whole_number(self.draws, name="draws") < 20:
            msg = f"draws must be 20 or more, for a radius of 95 %; got {self.draws!r}"
            raise InputError(msg)

    def estimate(
        self,
        problem: FactoredProblem,
        field: Float[AnyArray, "ny nx"],
        *,
        used: int | Float[Array, ""],
        progress: Progress | None = None,
    ) -> Estimate:
        """Return the estimate for one map: that of least squares where it meets the bound.

        Raises
        ------
        ValueError
            If numbers are traced.
        InversionError
            If the steps do not come to an end.
        """
        free = LeastSquares().estimate(problem, field, used=used, progress=progress)
        _check_traced(free)
        bounds, green, weight = _Bounds(problem, self.limit), problem.green, problem.weight
        values, forward = bounds.nearest(np.asarray(free.values)), free.forward
        for _ in range(_REFINEMENTS if bounds.candidates else 0):
            # The misfit knows what the factor has lost to rounding.
            current = jnp.asarray(values)
            forward = green.mv(current, progress=progress)
            gradient = green.rmv(weight**2 * (field - forward), progress=progress) - problem.penalty(current)
            before, values = values, bounds.nearest(values + np.asarray(problem.factor.solve(gradient).values))
            if np.max(np.abs(values - before)[bounds.vectors]) <= _CONVERGED * self.limit:
                break
        else:
            if bounds.candidates:
                raise bounds.failure()
        misfit = jnp.sum((weight * (field - forward)) ** 2)
        return Estimate(jnp.asarray(values), forward, misfit / (used - problem.effective_unknowns))

    def uncertainty(
        self, problem: FactoredProblem, estimate: Estimate, *, variance: Float[Array, ""], level: float
    ) -> Uncertainty:
        """Return second moments and quantiles of the errors of a parametric bootstrap about the estimate.

        With a prior, deviates of it are added to those of the map: without a bound, errors have the posterior
        covariance.

        Raises
        ------
        ValueError
            If numbers are traced.
        """
        _check_traced((estimate, variance))
        bounds, center = _Bounds(problem, self.limit), np.asarray(estimate.values)
        drawn = np.array([bounds.nearest(center + error) - center for error in self._errors(problem, variance)])
        covariances = tuple(
            jnp.asarray(np.einsum("dsi,dsj->sij", own, own) / len(own)) for own in problem.green.unknowns.split(drawn)
        )
        lengths = np.linalg.norm(drawn[:, bounds.vectors], axis=2)
        return Uncertainty(covariances, jnp.asarray(np.quantile(lengths, level, axis=0)), is_gaussian=False)

    def _errors(self, problem: FactoredProblem, variance: Float[Array, ""]) -> Iterator[Float[np.ndarray, " unknown"]]:
        """Yield errors of the solution without a bound: ``H⁻¹(QᵀW²e + Λη)`` for noise e and deviates η of the prior."""
        green, sigma = problem.green, float(np.sqrt(variance))
        for first in range(0, self.draws, _TOGETHER):
            keys = [
                jax.random.split(jax.random.fold_in(self.key, number))
                for number in range(first, min(first + _TOGETHER, self.draws))
            ]
            noise = np.stack([jax.random.normal(own[0], green.grid.shape, jnp.float64) for own in keys])
            # The noise of a sensor is sigma over its weight.
            rights = np.array(green.rmv(sigma * np.asarray(problem.weight) * noise))
            if problem.ridge is not None:
                prior = np.stack([jax.random.normal(own[1], problem.ridge.shape, jnp.float64) for own in keys])
                rights += sigma * np.sqrt(np.asarray(problem.ridge)) * prior
            yield from (np.asarray(problem.factor.solve(jnp.asarray(right)).values) for right in rights)


def _check_traced(numbers: PyTree[Array]) -> None:
    """Raise a ValueError if numbers are traced."""
    if not is_concrete(numbers):
        msg = "a bounded solution is a search, which cannot be traced; use LeastSquares for derivatives"
        raise InputError(msg)


class _Bounds:
    """The bound on the sources of a problem, with the covariances of those that have been beyond it so far."""

    def __init__(self, problem: FactoredProblem, limit: float) -> None:
        self.factor, self.limit = problem.factor, limit
        self.vectors = _vectors(problem.green.unknowns.sets[0])
        self.candidates: list[int] = []
        self.columns = np.zeros((problem.green.unknowns.size, 0))
        self.multipliers = np.zeros(0)

    def nearest(self, free: Float[np.ndarray, " unknown"]) -> Float[np.ndarray, " unknown"]:
        """Return the solution within the bound from that without it.

        Raises
        ------
        InversionError
            If the search does not come to an end.
        """
        values, new = free, self._beyond(free)
        while new or self.candidates:
            self._add(new)
            values = self._projected(free)
            if not (new := self._beyond(values)):
                break
        return _within(values, self.vectors, self.limit)

    def failure(self) -> InversionError:
        """Return the error of a search that does not come to an end."""
        return InversionError(
            f"the search for vectors no longer than {self.limit:g} has not come to an end: that is far less than what "
            "the map shows, or sources are indistinguishable from the scan; raise the bound, leave out grains that are "
            "tiny and deep, or pass a prior"
        )

    def _beyond(self, values: Float[np.ndarray, " unknown"]) -> list[int]:
        """Return sources beyond the bound that are no candidates yet."""
        length = np.linalg.norm(values[self.vectors], axis=1)
        beyond = np.flatnonzero(length > self.limit * (1 + _EXCESS))
        return sorted(set(beyond.tolist()) - set(self.candidates))

    def _add(self, sources: list[int]) -> None:
        """Add candidates, with the columns of ``H⁻¹`` that belong to them."""
        if not sources:
            return
        own = self.vectors[sources].ravel()
        unit = np.zeros((len(self.columns), len(own)))
        unit[own, np.arange(len(own))] = 1.0
        self.columns = np.concatenate([self.columns, np.asarray(self.factor.inverse_columns(unit))], axis=1)
        self.multipliers = np.concatenate([self.multipliers, np.zeros(len(sources))])
        self.candidates += sources

    def _projected(self, free: Float[np.ndarray, " unknown"]) -> Float[np.ndarray, " unknown"]:
        """Return the solution with the candidates within the bound."""
        own = self.vectors[self.candidates]
        covariance = self.columns[own.ravel()] / self.limit**2
        # Symmetric but for rounding.
        covariance = (covariance + covariance.T) / 2
        found = project_on_balls(free[own] / self.limit, covariance, self.multipliers)
        if not found.converged:
            raise self.failure()
        self.multipliers = found.multipliers
        return free - self.columns @ found.forces.ravel() / self.limit


def _vectors(unknowns: UnknownSet) -> Int[np.ndarray, "source axis"]:
    """Return the unknowns of the vector of each source, which are the first components."""
    count = len(unknowns.components)
    if count < len(AXES):
        msg = f"{unknowns.name} have {count} components, and a bound is one on the length of a vector; use LeastSquares"
        raise InputError(msg)
    return count * np.arange(unknowns.sources)[:, None] + np.arange(len(AXES))


def _within(
    values: Float[np.ndarray, " unknown"], vectors: Int[np.ndarray, "source axis"], limit: float
) -> Float[np.ndarray, " unknown"]:
    """Return values whose vectors are cut to the bound, which they exceed by rounding at most."""
    cut = values.copy()
    length = np.linalg.norm(cut[vectors], axis=1, keepdims=True)
    within = limit * (1 - 4 * np.finfo(float).eps)
    cut[vectors] *= np.minimum(1.0, within / np.maximum(length, np.finfo(float).tiny))
    return cut
