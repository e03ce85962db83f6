"""What every solver of the least-squares problem gives: its square root, from which all answers follow."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from mmtjax.greens.operator import AbstractGreen, Progress

#: Pivots of power iteration; the condition number is then right to a few per cent.
_POWER_STEPS = 40


class Reduced(eqx.Module):
    """The weighted rows of Q as a triangular factor, ``QᵀW²Q = diag(s) RᵀR diag(s)``.

    Attributes
    ----------
    factor
        R, upper triangular, of columns that were scaled to norm one.
    scale
        s, the norms of the weighted columns of Q.
    condition
        Estimated condition number of the equilibrated (and, with a prior, augmented) Q; infinite if R has failed.
    """

    factor: Float[Array, "unknown unknown"]
    scale: Float[Array, " unknown"]
    condition: Float[Array, ""]

    def whiten(self, gradient: Float[Array, " unknown"]) -> Float[Array, " unknown"]:
        """``R⁻ᵀ diag(1/s) g``: coordinates in which the problem has condition one."""
        return solve_triangular(self.factor, gradient / self.scale, trans="T")

    def magnetization(self, whitened: Float[Array, " unknown"]) -> Float[Array, " unknown"]:
        """``M = diag(1/s) R⁻¹ y`` of whitened coordinates y."""
        return solve_triangular(self.factor, whitened) / self.scale


class AbstractSolver(eqx.Module):
    """A way to reduce the weighted rows of Q: `init` passes over them once, `compute` works on what remains.

    A ridge is the precision that a prior adds to every unknown, in units of the noise: (σ / s)² for M ~ N(0, s²).
    None is no prior.
    """

    #: Largest condition number of the equilibrated Q for which uncertainties can be vouched for.
    limit: eqx.AbstractClassVar[float]

    @abstractmethod
    def init(self, green: AbstractGreen, weight: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Array:
        """Everything the solver needs of the rows."""

    @abstractmethod
    def compute(self, state: Array, ridge: Float[Array, ""] | None) -> Reduced:
        """The reduced problem for a ridge."""


def condition_number(factor: Float[Array, "unknown unknown"]) -> Float[Array, ""]:
    """Estimate of the 2-norm condition number of a triangular factor, by power iteration on RᵀR and its inverse.

    Infinite if the factor holds a value that is not finite or a zero pivot.
    """
    factor = jax.lax.stop_gradient(factor)
    pivots = jnp.abs(jnp.diagonal(factor))
    sound = jnp.all(jnp.isfinite(factor)) & (jnp.min(pivots) > 0)
    safe = jnp.where(sound, factor, jnp.eye(len(pivots)))
    start = jnp.cos(jnp.arange(len(pivots), dtype=factor.dtype) ** 2 + 1.0)

    def grow(_: Int[Array, ""], vector: Array) -> Array:
        image = safe.T @ (safe @ vector)
        return image / jnp.linalg.norm(image)

    def shrink(_: Int[Array, ""], vector: Array) -> Array:
        image = solve_triangular(safe, solve_triangular(safe, vector, trans="T"))
        return image / jnp.linalg.norm(image)

    largest = jnp.linalg.norm(safe @ jax.lax.fori_loop(0, _POWER_STEPS, grow, start))
    smallest = jnp.linalg.norm(safe @ jax.lax.fori_loop(0, _POWER_STEPS, shrink, start))
    return jnp.where(sound, largest / smallest, jnp.inf)
