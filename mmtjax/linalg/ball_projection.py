"""Projection on unit balls in the metric of a covariance: the nearest point at which no vector is longer than one.

A point consists of several vectors. With multipliers λ ≥ 0, one for each vector, the solution of
``min ½ (v - u)ᵀ G⁻¹ (v - u)`` subject to ``|v_g| ≤ 1`` is ``v = u - G Λ v``. The dual function
``½ uᵀ (G + Λ⁻¹)⁻¹ u - ½ Σλ`` is concave in λ, with the gradient ``½ (|v_g|² - 1)`` and the Hessian
``-v_gᵀ (G⁻¹ + Λ)⁻¹ v_h``; it is maximized by projected Newton steps (Bertsekas 1982, Projected Newton methods for
optimization problems with simple constraints, SIAM J. Control Optim. 20). G may be singular to working precision: its
inverse is not needed.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve

#: Largest numbers of Newton steps, and of halvings of one step.
_STEPS, _HALVINGS = 200, 40

#: Allowed excess of a length over one: at least `_CONVERGED`, and `_TIMES_ROUNDING` times its rounding error. The
#: search fails if that exceeds `_COARSEST`.
_CONVERGED, _TIMES_ROUNDING, _COARSEST = 1e-10, 10.0, 1e-4

#: Least increase of the dual function by a step, as a share of the increase that its slope predicts (Armijo).
_ARMIJO = 1e-4

#: Multipliers up to this, in units of the inverse variance of their vector, are set to zero where the gradient is not
#: positive.
_SMALL = 1e-9


class Projection(NamedTuple):
    """The result of a projection on unit balls.

    Attributes
    ----------
    vectors
        The nearest point v, (vector, axis).
    forces
        ``Λ v`` in ``v = u - G Λ v``; zero for vectors inside their ball.
    multipliers
        The multiplier of each vector, from which the projection of a similar point may start.
    converged
        Whether the optimality conditions hold within the allowed excess.
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
    """Return the nearest point to a given one at which no vector is longer than one, in the metric of a covariance.

    Parameters
    ----------
    point
        The given point u, (vector, axis).
    covariance
        Covariance G of all components, vector after vector.
    multipliers
        Initial multipliers of the search; zero by default.

    Examples
    --------
    For independent components of one variance, long vectors are scaled to length one.

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


class _DualPoint(NamedTuple):
    """Multipliers, with the vectors and the dual function that follow from them.

    Attributes
    ----------
    multipliers, vectors, length
        The multiplier, the vector v and its length, for each vector.
    forces
        ``Λ v``.
    dual
        Value of the dual function.
    rounding, noise
        Estimated rounding errors of the vectors and of the dual function.
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
        """Largest violation: excess of a length over one, or its distance from one if the multiplier is not zero."""
        excess = self.length - 1
        return float(np.max(np.where(self.multipliers > 0, np.abs(excess), np.maximum(excess, 0.0))))


class _Problem(NamedTuple):
    """A projection: the point u and the covariance G."""

    point: Float[np.ndarray, "vector axis"]
    covariance: Float[np.ndarray, "component component"]

    def at(self, multipliers: Float[np.ndarray, " vector"]) -> _DualPoint:
        """Return the state for given multipliers, from ``Λ v = D (1 + D G D)⁻¹ D u`` with ``D² = Λ``."""
        point, forces = self.point.ravel(), np.zeros(self.point.size)
        active, root = self._active(multipliers)
        forces[active] = root * cho_solve(self._factor(active, root), root * point[active])
        vectors = point - self.covariance[:, active] @ forces[active]
        # For a large multiplier this difference suffers from cancellation; there, v follows from Λ v.
        stiffness = root**2 * np.diagonal(self.covariance)[active]
        large = active[stiffness > 1]
        vectors[large] = forces[large] / np.repeat(multipliers, self.point.shape[1])[large]
        others = np.setdiff1d(np.arange(len(point)), large)
        size = np.abs(point[others]) + np.abs(self.covariance[np.ix_(others, active)]) @ np.abs(forces[active])
        rounding = np.finfo(float).eps * float(max(np.max(size, initial=1.0), np.max(stiffness, initial=1.0)))
        parts = 0.5 * np.concatenate([point * forces, -multipliers])
        shaped = vectors.reshape(self.point.shape)
        lengths = np.linalg.norm(shaped, axis=1)
        noise = np.finfo(float).eps * float(np.sum(np.abs(parts)) * max(1.0, float(np.max(stiffness, initial=1.0))))
        return _DualPoint(
            multipliers, shaped, lengths, forces.reshape(shaped.shape), float(np.sum(parts)), rounding, noise
        )

    def curvature(self, state: _DualPoint, free: Int[np.ndarray, " free"]) -> Float[np.ndarray, "free free"]:
        """Return ``v_gᵀ (G⁻¹ + Λ)⁻¹ v_h`` for the vectors whose multipliers are free."""
        axes = self.point.shape[1]
        spread = np.zeros((self.point.size, len(free)))
        spread[axes * free[:, None] + np.arange(axes), np.arange(len(free))[:, None]] = state.vectors[free]
        image = self.covariance @ spread
        active, root = self._active(state.multipliers)
        damped = root[:, None] * image[active]
        return spread.T @ image - damped.T @ cho_solve(self._factor(active, root), damped)

    def _active(
        self, multipliers: Float[np.ndarray, " vector"]
    ) -> tuple[Int[np.ndarray, " active"], Float[np.ndarray, " active"]]:
        """Return the components of vectors with a positive multiplier, and its square root for each of them."""
        root = np.repeat(np.sqrt(multipliers), self.point.shape[1])
        active = np.flatnonzero(root)
        return active, root[active]

    def _factor(
        self, active: Int[np.ndarray, " active"], root: Float[np.ndarray, " active"]
    ) -> tuple[np.ndarray, bool]:
        """Return the Cholesky factor of ``1 + D G D``, all of whose eigenvalues are at least one."""
        return cho_factor(np.eye(len(active)) + root[:, None] * self.covariance[np.ix_(active, active)] * root)


def _stepped(problem: _Problem, state: _DualPoint, free: Int[np.ndarray, " free"]) -> _DualPoint | None:
    """Return the state after a Newton step of the free multipliers; None if no step increases the dual function.

    Newton's method for ``|v|² = 1`` needs a step for each halving of a long vector. For ``1/|v| = 1``, whose left side
    is nearly linear in the multiplier, it needs only a few steps; these are used if they increase the dual function.
    """
    length = state.length[free]
    gradient = 0.5 * (length**2 - 1)
    curvature = problem.curvature(state, free)
    # Where rounding has removed all curvature, a larger diagonal keeps the step finite.
    curvature[np.diag_indices_from(curvature)] *= 1 + 1e-13
    for right in (length**2 * (length - 1), gradient):
        change = np.linalg.lstsq(curvature, right)[0]
        slope = float(change @ gradient)
        for halving in range(_HALVINGS) if slope > 0 else ():
            moved = np.where(np.isin(np.arange(len(state.length)), free), state.multipliers, 0.0)
            moved[free] = np.maximum(moved[free] + change / 2**halving, 0.0)
            following = problem.at(moved)
            gain = _ARMIJO * float(gradient @ (moved[free] - state.multipliers[free]))
            # If the increase is below rounding errors, a smaller violation of the conditions decides.
            better = gain > state.noise or following.violation < state.violation
            if better and following.dual >= state.dual + (gain if gain > state.noise else -state.noise):
                return following
    return None


def _blocks(covariance: Float[np.ndarray, "component component"], count: int) -> Float[np.ndarray, "vector axis axis"]:
    """Return the diagonal block of each vector."""
    axes = len(covariance) // count
    return covariance.reshape(count, axes, count, axes)[np.arange(count), :, np.arange(count)]
