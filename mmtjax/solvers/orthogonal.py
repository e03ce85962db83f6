"""Orthogonal factorization of Q: slower, and right at condition numbers whose square no longer fits in a double."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.greens.base import AbstractGreen
from mmtjax.linalg.triangular import condition_number
from mmtjax.progress import Progress
from mmtjax.solvers.base import AbstractSolver, Reduced


class Orthogonal(AbstractSolver):
    """Triangular factor of the weighted rows by orthogonal rotations; the condition number is never squared."""

    limit: ClassVar[float] = 1e12

    def init(
        self, green: AbstractGreen, weight: Float[Array, "ny nx"], *, progress: Progress | None = None
    ) -> tuple[Array, Array]:
        """The triangular factor of the weighted rows, with columns of norm one, and their norms."""
        return _equilibrated(green.root(weight, progress=progress))

    def compute(self, state: tuple[Array, Array], ridge: Float[Array, ""] | None) -> Reduced:
        """The factor, to which the rows of the prior are added."""
        factor, scale = state if ridge is None else _with_prior(*state, ridge)
        return Reduced(factor, scale, condition_number(factor))


@eqx.filter_jit
def _equilibrated(factor: Float[Array, "unknown unknown"]) -> tuple[Array, Array]:
    square = jnp.sum(factor**2, axis=0)
    norm = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    return factor / norm, norm


@eqx.filter_jit
def _with_prior(
    factor: Float[Array, "unknown unknown"], norm: Float[Array, " unknown"], ridge: Float[Array, ""]
) -> tuple[Array, Array]:
    scale = jnp.sqrt(jnp.sum(factor**2, axis=0) * norm**2 + ridge)
    prior = jnp.sqrt(ridge) * jnp.eye(len(scale)) / scale
    return jnp.linalg.qr(jnp.concatenate([factor * (norm / scale), prior]), mode="r"), scale
