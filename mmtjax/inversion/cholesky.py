"""Equilibrated normal equations and their Cholesky factor: the fast way, for problems that it can carry."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.greens.operator import AbstractGreen, Progress
from mmtjax.inversion.solver import AbstractSolver, Reduced, condition_number


class Cholesky(AbstractSolver):
    """Cholesky factorization of the normal equations with columns scaled to norm one, and iterative refinement.

    The condition number of Q is squared, so that uncertainties lose twice the digits: at the limit they are right to
    about 1e-5. Beyond it, and where the factor fails, use `Orthogonal`.
    """

    refinements: ClassVar[int] = 2
    limit: ClassVar[float] = 3e5

    def init(
        self,
        green: AbstractGreen,
        field: Float[Array, "ny nx"],
        weight: Float[Array, "ny nx"],
        *,
        progress: Progress | None = None,
    ) -> tuple[Array, Array]:
        """QᵀW²Q and QᵀW²φ."""
        return green.normal_equations(field, weight, progress=progress)

    @eqx.filter_jit
    def compute(self, state: tuple[Array, Array], ridge: Float[Array, ""] | None) -> Reduced:
        """The factor of the equilibrated matrix; not finite, with an infinite condition, where it fails."""
        gram, projected = state
        if ridge is not None:
            gram = gram + ridge * jnp.eye(len(projected))
        scale = jnp.sqrt(jnp.diagonal(gram))
        factor = jnp.linalg.cholesky(gram / scale[:, None] / scale, upper=True, symmetrize_input=False)
        condition = condition_number(factor)
        inner = solve_triangular(factor, projected / scale, trans="T")
        return Reduced(factor, scale, inner, jax.lax.stop_gradient(condition))
