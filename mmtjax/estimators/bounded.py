"""Least squares with a bound on the length of the vector of each source, by projected Newton steps on the multipliers.

At the solution of ``min ½|W(φ - Qm)|² + ½ mᵀΛm`` with ``|m_g| ≤ B`` there are multipliers ``λ_g ≥ 0`` with
``(QᵀW²Q + Λ + diag λ) m = QᵀW²φ``, zero for sources within the bound: a multiplier is the precision of a prior of its
own for one source. The dual function is concave in λ, with the gradient ``½(|m_g|² - B²)`` and the Hessian
``-m_gᵀ(H + diag λ)⁻¹m_h``, and is maximized over λ ≥ 0 (Bertsekas 1982, Projected Newton methods for optimization
problems with simple constraints, SIAM J. Control Optim. 20).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.errors import InversionError
from mmtjax.estimators.base import AbstractEstimator, Estimate, FactoredProblem, Uncertainty
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.units import AXES
from mmtjax.unknowns import UnknownSet

#: Newton steps at most, halvings of a step at most, and the excess over the bound at which they end, as a share of it.
_STEPS, _HALVINGS = 100, 30
_CONVERGED = 1e-10

#: Share of the dual function that may be rounding.
_ROUNDING = 1e-12


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
        if isinstance(self.limit, bool | str) or not (np.isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"the bound must be a positive magnetization in A/m, such as 480e3; got {self.limit!r}")
        if self.draws < 20:
            raise ValueError(f"draws must be 20 or more, for a radius of 95 %; got {self.draws!r}")

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
        if not is_concrete(free):
            raise ValueError("a bounded solution is a search, which cannot be traced; use LeastSquares for derivatives")
        vectors = _vectors(problem.green.unknowns.sets[0])
        right = np.asarray(problem.green.rmv(problem.weight**2 * field, progress=progress))
        values = self._solved(problem, right, np.asarray(free.values), np.zeros(len(vectors)))[0]
        forward = problem.green.mv(jnp.asarray(values), progress=progress)
        misfit = jnp.sum((problem.weight * (field - forward)) ** 2)
        return Estimate(jnp.asarray(values), forward, misfit / (used - problem.effective_unknowns))

    def uncertainty(
        self, problem: FactoredProblem, estimate: Estimate, *, variance: Float[Array, ""], level: float
    ) -> Uncertainty:
        """Return second moments and quantiles of the errors of a parametric bootstrap about the estimate."""
        green, center = problem.green, np.asarray(estimate.values)
        vectors = _vectors(green.unknowns.sets[0])
        base = np.asarray(green.normal(estimate.values, problem.weight))
        errors, multipliers = [], np.zeros(len(vectors))
        for number in range(self.draws):
            noise = jax.random.normal(jax.random.fold_in(self.key, number), green.grid.shape, jnp.float64)
            right = base + np.asarray(green.rmv(problem.weight * jnp.sqrt(variance) * noise))
            start = np.asarray(problem.factor.solve(jnp.asarray(right)).values)
            values, multipliers = self._solved(problem, right, start, multipliers)
            errors.append(values - center)
        drawn = np.array(errors)
        covariances = tuple(np.einsum("dsi,dsj->sij", own, own) / len(own) for own in green.unknowns.split(drawn))
        lengths = np.linalg.norm(drawn[:, vectors], axis=2)
        rank = min(len(drawn) - 1, round(level * len(drawn)))
        return Uncertainty(covariances, np.sort(lengths, axis=0)[rank], is_gaussian=False)

    def _solved(
        self,
        problem: FactoredProblem,
        right: Float[np.ndarray, " unknown"],
        free: Float[np.ndarray, " unknown"],
        multipliers: Float[np.ndarray, " source"],
    ) -> tuple[Float[np.ndarray, " unknown"], Float[np.ndarray, " source"]]:
        """Return the bounded solution and its multipliers, from that without a bound and multipliers to begin with."""
        vectors = _vectors(problem.green.unknowns.sets[0])
        if np.all(np.linalg.norm(free[vectors], axis=1) <= self.limit):
            return free, multipliers
        point = _Point.at(problem, right, multipliers, vectors)
        for _ in range(_STEPS):
            excess = point.lengths / self.limit - 1
            held = (point.multipliers > 0) | (excess > 0)
            if np.all(excess <= _CONVERGED) and np.all(np.abs(excess[point.multipliers > 0]) <= _CONVERGED):
                return _within(point.values, vectors, self.limit), point.multipliers
            point = self._step(problem, right, point, np.flatnonzero(held))
        raise InversionError(
            f"the search for magnetizations within {self.limit:g} A/m has not come to an end in {_STEPS} steps: grains "
            "are indistinguishable from the scan; leave out grains that are tiny and deep, or pass a prior"
        )

    def _step(
        self,
        problem: FactoredProblem,
        right: Float[np.ndarray, " unknown"],
        point: "_Point",
        held: Int[np.ndarray, " held"],
    ) -> "_Point":
        """Return the next multipliers: a Newton step of ``1/B - 1/|m|``, cut at zero, halved until the dual rises."""
        vectors = _vectors(problem.green.unknowns.sets[0])
        own = point.values[vectors[held]]
        columns = np.zeros((len(point.values), len(held)))
        columns[vectors[held].ravel(), np.repeat(np.arange(len(held)), vectors.shape[1])] = own.ravel()
        inverse = np.asarray(point.problem.factor.inverse_columns(columns))
        curvature = np.einsum("hi,hig->hg", own, inverse[vectors[held]])
        length = point.lengths[held]
        # Of |m|², Newton's method would need a step for each halving of |m|; of 1/|m|, which is nearly linear, a few.
        step = np.linalg.solve(curvature, length**2 * (length / self.limit - 1))
        for _ in range(_HALVINGS):
            moved = point.multipliers.copy()
            moved[held] = np.maximum(moved[held] + step, 0.0)
            following = _Point.at(problem, right, moved, vectors)
            before = point.dual(self.limit, right)
            if following.dual(self.limit, right) >= before - _ROUNDING * abs(before):
                break
            step = step / 2
        return following


class _Point(eqx.Module):
    """Multipliers with the problem that they give, its solution, and the lengths of the vectors."""

    multipliers: Float[np.ndarray, " source"]
    problem: FactoredProblem
    values: Float[np.ndarray, " unknown"]
    lengths: Float[np.ndarray, " source"]

    @classmethod
    def at(
        cls,
        problem: FactoredProblem,
        right: Float[np.ndarray, " unknown"],
        multipliers: Float[np.ndarray, " source"],
        vectors: Int[np.ndarray, "source axis"],
    ) -> "_Point":
        """Solve with multipliers as precisions of a prior."""
        own = np.zeros(len(right)) if problem.ridge is None else np.array(problem.ridge)
        own[vectors] += multipliers[:, None]
        held = problem.with_ridge(jnp.asarray(own))
        values = held.factor.solve(jnp.asarray(right)).values
        # Once more with what rounding has left.
        rest = jnp.asarray(right) - problem.green.normal(values, problem.weight) - held.penalty(values)
        solved = np.asarray(values + held.factor.solve(rest).values)
        return cls(multipliers, held, solved, np.linalg.norm(solved[vectors], axis=1))

    def dual(self, limit: float, right: Float[np.ndarray, " unknown"]) -> float:
        """Return the value of the dual function, ``-½ bᵀm(λ) - ½ B² Σλ``, where m solves the equations with λ."""
        return -0.5 * float(right @ self.values) - 0.5 * limit**2 * float(np.sum(self.multipliers))


def _vectors(unknowns: UnknownSet) -> Int[np.ndarray, "source axis"]:
    """Return the unknowns of the vector of each source, which are the first components."""
    count = len(unknowns.components)
    if count < len(AXES):
        raise ValueError(
            f"{unknowns.name} have {count} components, and a bound is one on the length of a vector; use LeastSquares"
        )
    return count * np.arange(unknowns.sources)[:, None] + np.arange(len(AXES))


def _within(
    values: Float[np.ndarray, " unknown"], vectors: Int[np.ndarray, "source axis"], limit: float
) -> Float[np.ndarray, " unknown"]:
    """Return values whose vectors are cut to the bound, which they exceed by rounding at most."""
    cut = values.copy()
    length = np.linalg.norm(cut[vectors], axis=1, keepdims=True)
    cut[vectors] *= np.minimum(1.0, limit / np.maximum(length, np.finfo(float).tiny))
    return cut
