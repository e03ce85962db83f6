"""Equilibrated normal equations and their Cholesky factor: the fast way, for problems that it can carry."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.greens.base import AbstractGreen
from mmtjax.linalg.triangular import condition_number
from mmtjax.progress import Progress
from mmtjax.solvers.base import AbstractSolver, Reduced


class Cholesky(AbstractSolver):
    """Cholesky factorization of the normal equations with columns scaled to norm one, and iterative refinement.

    The condition number of Q is squared, so that uncertainties lose twice the digits: at the limit they are right to
    about 1e-4 (measured on samples of the paper: 1.7e-4 at 4.6e6, 1.7e-7 at 1.4e5). Beyond it, and where the factor
    fails, use `Orthogonal`.
    """

    limit: ClassVar[float] = 3e6

    def init(self, green: AbstractGreen, weight: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Array:
        """The matrix QᵀW²Q."""
        return green.gram(weight, progress=progress)

    def compute(self, state: Array, ridge: Float[Array, ""] | None) -> Reduced:
        """The factor of the equilibrated matrix; not finite, with an infinite condition, where it fails."""
        factor, scale = _equilibrated(state, ridge)
        return Reduced(factor, scale, condition_number(factor))


@eqx.filter_jit
def _equilibrated(state: Array, ridge: Float[Array, ""] | None) -> tuple[Array, Array]:
    gram = state if ridge is None else state + ridge * jnp.eye(len(state))
    scale = jnp.sqrt(jnp.diagonal(gram))
    return jnp.linalg.cholesky(gram / scale[:, None] / scale, upper=True, symmetrize_input=False), scale
