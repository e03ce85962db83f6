"""Orthogonal factorization of Q: slower, and right at condition numbers whose square no longer fits in a double."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.greens.operator import AbstractGreen, Progress
from mmtjax.inversion.solver import AbstractSolver, Reduced, condition_number


class Orthogonal(AbstractSolver):
    """Triangular factor of [Q φ] by QR of one block of rows after another; the condition number is never squared."""

    refinements: ClassVar[int] = 0
    limit: ClassVar[float] = 1e12

    def init(
        self,
        green: AbstractGreen,
        field: Float[Array, "ny nx"],
        weight: Float[Array, "ny nx"],
        *,
        progress: Progress | None = None,
    ) -> tuple[Array]:
        """The triangular factor of the weighted rows of [Q φ]."""
        return (green.root(field, weight, progress=progress),)

    @eqx.filter_jit
    def compute(self, state: tuple[Array], ridge: Float[Array, ""] | None) -> Reduced:
        """The factor with columns scaled to norm one, the rows of the prior added."""
        (root,) = state
        unknowns = root.shape[0] - 1
        factor, projected = root[:unknowns, :unknowns], root[:unknowns, -1]
        square = jnp.sum(factor**2, axis=0)
        if ridge is None:
            scale = jnp.sqrt(square)
            return Reduced(factor / scale, scale, projected, condition_number(factor / scale))
        scale = jnp.sqrt(square + ridge)
        prior = jnp.sqrt(ridge) * jnp.eye(unknowns) / scale
        stacked = jnp.block([[factor / scale, projected[:, None]], [prior, jnp.zeros((unknowns, 1))]])
        with_prior = jnp.linalg.qr(stacked, mode="r")
        factor, projected = with_prior[:unknowns, :unknowns], with_prior[:unknowns, -1]
        return Reduced(factor, scale, projected, condition_number(factor))
