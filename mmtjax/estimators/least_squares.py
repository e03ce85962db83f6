"""The least-squares solution of one map from a factorization, and how well it explains the map."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.errors import InversionError
from mmtjax.greens.base import AbstractGreen
from mmtjax.precision import is_concrete
from mmtjax.progress import Progress
from mmtjax.solvers.base import Reduced, remedies
from mmtjax.uncertainty.covariance import covariance_blocks

#: Steps of conjugate gradients at most, and where they end: the squared gradient as a share of the first.
_STEPS = 20
_CONVERGED = 1e-22

#: Steps where numbers are traced and cannot be looked at.
_TRACED_STEPS = 3


class Factored(eqx.Module):
    """A factorization, for as many maps as there are.

    Attributes
    ----------
    reduced
        The triangular factor.
    blocks
        3 × 3 blocks of the covariance for noise of variance one, (grain, 3, 3).
    ridge
        Precision that the prior adds, None without one.
    """

    reduced: Reduced
    blocks: Float[Array, "grain 3 3"]
    ridge: Float[Array, ""] | None

    @property
    def effective_unknowns(self) -> Float[Array, ""]:
        """Number of unknowns that the data determine."""
        return effective_unknowns(self.blocks, self.ridge)


def effective_unknowns(blocks: Float[Array, "grain 3 3"], ridge: Float[Array, ""] | None) -> Float[Array, ""]:
    """Number of unknowns that the data determine, from the blocks of the covariance for noise of variance one."""
    count = jnp.asarray(3.0 * len(blocks))
    return count if ridge is None else count - ridge * jnp.trace(blocks, axis1=1, axis2=2).sum()


def factored(reduced: Reduced, ridge: Float[Array, ""] | None, *, solver: str) -> Factored:
    """The covariance of a reduced problem, by the solver of that name.

    Raises
    ------
    InversionError
        If the factorization has broken down.
    """
    if is_concrete(reduced) and not np.isfinite(reduced.condition):
        raise InversionError(f"the {solver} factorization failed: {remedies(solver)}")
    return Factored(reduced, covariance_blocks(reduced.factor, reduced.scale, variance=1.0), ridge)


class Fit(eqx.Module):
    """Magnetizations (unknown,), the map that they give (ny, nx), and the weighted mean square of the misfit."""

    magnetization: Float[Array, " unknown"]
    forward: Float[Array, "ny nx"]
    mean_square: Float[Array, ""]


def fit_map(
    green: AbstractGreen,
    factors: Factored,
    *,
    field: Float[Array, "ny nx"],
    weight: Float[Array, "ny nx"],
    used: int | Float[Array, ""],
    progress: Progress | None,
    traced_steps: int = _TRACED_STEPS,
) -> Fit:
    """Solve by conjugate gradients in coordinates in which the problem has condition one.

    The first step solves; the others take away what rounding has left, which is not amplified by the square of the
    condition number, for the residual is what is worked on.
    """
    reduced, ridge = factors.reduced, factors.ridge
    solved, modelled = jnp.zeros(green.unknowns), jnp.zeros(green.grid.shape)
    direction, before, first = jnp.zeros(green.unknowns), jnp.ones(()), None
    concrete = is_concrete(green, factors, field, weight)
    for _ in range(_STEPS if concrete else traced_steps):
        gradient = green.rmv(weight**2 * (field - modelled), progress=progress)
        whitened = reduced.whiten(gradient if ridge is None else gradient - ridge * solved)
        square = whitened @ whitened
        first = square if first is None else first
        if concrete and square <= _CONVERGED * first:
            break
        direction = whitened + _ratio(square, before) * direction
        step = reduced.magnetization(direction)
        change = green.mv(step, progress=progress)
        curvature = jnp.sum((weight * change) ** 2) + (0.0 if ridge is None else ridge * (step @ step))
        length = _ratio(square, curvature)
        solved, modelled, before = solved + length * step, modelled + length * change, square
    mean_square = jnp.sum((weight * (field - modelled)) ** 2) / (used - factors.effective_unknowns)
    return Fit(solved, modelled, mean_square)


def _ratio(numerator: Float[Array, ""], denominator: Float[Array, ""]) -> Float[Array, ""]:
    """The quotient, zero where there is nothing left to divide by."""
    some = denominator > 0
    return jnp.where(some, numerator / jnp.where(some, denominator, 1.0), 0.0)
