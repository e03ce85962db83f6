"""Orthogonal factorization of Q: slower, and right at condition numbers whose square no longer fits in a double."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.greens.operator import AbstractGreen, Progress
from mmtjax.inversion.solver import AbstractSolver, Reduced
from mmtjax.uncertainty.triangle import condition_number


class Orthogonal(AbstractSolver):
    """Triangular factor of the weighted rows by orthogonal rotations; the condition number is never squared."""

    limit: ClassVar[float] = 1e12

    def init(self, green: AbstractGreen, weight: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Array:
        """The triangular factor of the weighted rows."""
        return green.root(weight, progress=progress)

    def compute(self, state: Array, ridge: Float[Array, ""] | None) -> Reduced:
        """The factor with columns scaled to norm one, the rows of the prior added."""
        factor, scale = _equilibrated(state, ridge)
        return Reduced(factor, scale, condition_number(factor))


@eqx.filter_jit
def _equilibrated(state: Array, ridge: Float[Array, ""] | None) -> tuple[Array, Array]:
    square = jnp.sum(state**2, axis=0)
    if ridge is None:
        scale = jnp.sqrt(square)
        return state / scale, scale
    scale = jnp.sqrt(square + ridge)
    prior = jnp.sqrt(ridge) * jnp.eye(len(scale)) / scale
    return jnp.linalg.qr(jnp.concatenate([state / scale, prior]), mode="r"), scale
