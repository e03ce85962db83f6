"""The nearest point, in the metric of a covariance, at which each of some vectors is at most of length one.

With multipliers λ ≥ 0, one for each vector, the solution of ``min ½ (v - u)ᵀ G⁻¹ (v - u)``, ``|v_g| ≤ 1``, is
``v = u - G Λ v``. The dual function ``½ uᵀ (G + Λ⁻¹)⁻¹ u - ½ Σλ`` is concave in λ, with the gradient
``½ (|v_g|² - 1)`` and the Hessian ``-v_gᵀ (G⁻¹ + Λ)⁻¹ v_h``; it is maximized by projected Newton steps (Bertsekas
1982, Projected Newton methods for optimization problems with simple constraints, SIAM J. Control Optim. 20). The
inverse of G, which may be singular to working precision, is not needed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

#: Newton steps and halvings of one step at most.
_STEPS, _HALVINGS = 200, 40

#: Excess of a length over one at the end, or so many times what rounding makes of it, and the largest that may be.
_CONVERGED, _TIMES_ROUNDING, _COARSEST = 1e-10, 10.0, 1e-4

#: Share of the slope that a step has to gain.
_ARMIJO = 1e-4

#: Multipliers up to this, in units of the precision of their vector, count as zero where they should shrink.
_SMALL = 1e-9


class Projection(NamedTuple):
    """The nearest point within unit balls.

    Attributes
    ----------
    vectors
        The point v, (vector, axis).
    forces
        ``Λ v``, with which ``v = u - G Λ v``; zero for vectors within their ball.
    multipliers
        One for each vector, to begin the next search with.
    converged
        Whether all conditions hold to rounding.
    """

    vectors: Float[np.ndarray, "vector axis"]
    forces: Float[np.ndarray, "vector axis"]
    multipliers: Float[np.ndarray, " vector"]
    converged: bool


def project_on_balls(
    point: Float[np.ndarray, "vector axis"],
    covariance: Float[np.ndarray, "component component"],
    multipliers: Float[np.ndarray, " vector"] | None = None,
) -> Projection:
    """Return the point within unit balls that is nearest to another.

    Parameters
    ----------
    point
        The point u.
    covariance
        The metric: covariance G of its components, vector after vector.
    multipliers
        Where to begin; zero by default.

    Examples
    --------
    Independent components of one variance: the vector is cut.

    >>> project_on_balls(np.array([[0.0, 5.0], [0.5, 0.0]]), np.eye(4)).vectors.round(12).tolist()
    [[0.0, 1.0], [0.5, 0.0]]
    """
    problem = _Problem(point, covariance)
    state = problem.at(np.zeros(len(point)) if multipliers is None else multipliers)
    size = np.einsum("gii->g", _blocks(covariance, len(point)))
    for _ in range(_STEPS):
        tolerance = max(_CONVERGED, _TIMES_ROUNDING * state.rounding)
        if tolerance > _COARSEST:
            break
        if state.violation <= tolerance:
            return Projection(state.vectors, state.forces, state.multipliers, converged=True)
        shrinking = (state.multipliers * size <= _SMALL) & (state.length <= 1)
        following = _stepped(problem, state, np.flatnonzero(~shrinking))
        if following is None:
            break
        state = following
    return Projection(state.vectors, state.forces, state.multipliers, converged=False)


class _State(NamedTuple):
    """Multipliers and what follows from them.

    Attributes
    ----------
    multipliers, vectors, length
        Multipliers, vectors and the lengths of these.
    forces
        ``Λ v``.
    dual
        The dual function.
    rounding, noise
        By how much vectors and the dual function may be wrong.
    """

    multipliers: Float[np.ndarray, " vector"]
    vectors: Float[np.ndarray, "vector axis"]
    length: Float[np.ndarray, " vector"]
    forces: Float[np.ndarray, "vector axis"]
    dual: float
    rounding: float
    noise: float

    @property
    def violation(self) -> float:
        """Largest excess of a length, or distance from the bound of a vector with a multiplier."""
        excess = self.length - 1
        return float(np.max(np.where(self.multipliers > 0, np.abs(excess), np.maximum(excess, 0.0))))


class _Problem(NamedTuple):
    """The point u and the covariance G."""

    point: Float[np.ndarray, "vector axis"]
    covariance: Float[np.ndarray, "component component"]

    def at(self, multipliers: Float[np.ndarray, " vector"]) -> _State:
        """Return the state of some multipliers, from ``Λ v = D (1 + D G D)⁻¹ D u`` with ``D² = Λ``."""
        point, forces = self.point.ravel(), np.zeros(self.point.size)
        held, root = self._held(multipliers)
        forces[held] = root * cho_solve(self._factor(held, root), root * point[held])
        vectors = point - self.covariance[:, held] @ forces[held]
        # Where the multiplier is large this is a small difference.
        stiffness = root**2 * np.diagonal(self.covariance)[held]
        large = held[stiffness > 1]
        vectors[large] = forces[large] / np.repeat(multipliers, self.point.shape[1])[large]
        others = np.setdiff1d(np.arange(len(point)), large)
        size = np.abs(point[others]) + np.abs(self.covariance[np.ix_(others, held)]) @ np.abs(forces[held])
        rounding = np.finfo(float).eps * float(max(np.max(size, initial=1.0), np.max(stiffness, initial=1.0)))
        parts = 0.5 * np.concatenate([point * forces, -multipliers])
        shaped = vectors.reshape(self.point.shape)
        lengths = np.linalg.norm(shaped, axis=1)
        noise = np.finfo(float).eps * float(np.sum(np.abs(parts)) * max(1.0, float(np.max(stiffness, initial=1.0))))
        return _State(multipliers, shaped, lengths, forces.reshape(shaped.shape), float(np.sum(parts)), rounding, noise)

    def curvature(self, state: _State, free: Int[np.ndarray, " free"]) -> Float[np.ndarray, "free free"]:
        """Return ``v_gᵀ (G⁻¹ + Λ)⁻¹ v_h`` of some vectors."""
        axes = self.point.shape[1]
        spread = np.zeros((self.point.size, len(free)))
        spread[axes * free[:, None] + np.arange(axes), np.arange(len(free))[:, None]] = state.vectors[free]
        image = self.covariance @ spread
        held, root = self._held(state.multipliers)
        damped = root[:, None] * image[held]
        return spread.T @ image - damped.T @ cho_solve(self._factor(held, root), damped)

    def _held(
        self, multipliers: Float[np.ndarray, " vector"]
    ) -> tuple[Int[np.ndarray, " held"], Float[np.ndarray, " held"]]:
        """Return the components of vectors with a multiplier, and its root for each."""
        root = np.repeat(np.sqrt(multipliers), self.point.shape[1])
        held = np.flatnonzero(root)
        return held, root[held]

    def _factor(self, held: Int[np.ndarray, " held"], root: Float[np.ndarray, " held"]) -> tuple[np.ndarray, bool]:
        """Return the Cholesky factor of ``1 + D G D``, none of whose eigenvalues is less than one."""
        return cho_factor(np.eye(len(held)) + root[:, None] * self.covariance[np.ix_(held, held)] * root)


def _stepped(problem: _Problem, state: _State, free: Int[np.ndarray, " free"]) -> _State | None:
    """Return the state after a step of the free multipliers; None where no step gains anything.

    Newton's method of ``|v|² - 1`` would need a step for each halving of a long vector. That of ``1 - 1/|v|``, which is
    nearly linear in the multiplier, needs a few; it is taken where it leads upward.
    """
    length = state.length[free]
    gradient = 0.5 * (length**2 - 1)
    curvature = problem.curvature(state, free)
    # A share of the diagonal keeps directions in which rounding has left no curvature finite.
    curvature[np.diag_indices_from(curvature)] *= 1 + 1e-13
    for right in (length**2 * (length - 1), gradient):
        change = np.linalg.lstsq(curvature, right)[0]
        slope = float(change @ gradient)
        for halving in range(_HALVINGS) if slope > 0 else ():
            moved = np.where(np.isin(np.arange(len(state.length)), free), state.multipliers, 0.0)
            moved[free] = np.maximum(moved[free] + change / 2**halving, 0.0)
            following = problem.at(moved)
            gain = _ARMIJO * float(gradient @ (moved[free] - state.multipliers[free]))
            # Where rounding hides what is gained, the conditions tell.
            better = gain > state.noise or following.violation < state.violation
            if better and following.dual >= state.dual + (gain if gain > state.noise else -state.noise):
                return following
    return None


def _blocks(covariance: Float[np.ndarray, "component component"], count: int) -> Float[np.ndarray, "vector axis axis"]:
    """Return the block of each vector with itself."""
    axes = len(covariance) // count
    return covariance.reshape(count, axes, count, axes)[np.arange(count), :, np.arange(count)]
