"""The factor of most solvers: a triangular one of columns that were scaled to norm one."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.linalg.triangular import Layout, condition_number, solve
from mmtjax.precision import AnyArray
from mmtjax.solvers.base import AbstractFactor, Step
from mmtjax.uncertainty.covariance import checked_factor, covariance_of_sets


class TriangularFactor(AbstractFactor):
    """An upper triangular R with ``QᵀW²Q + Λ = diag(s) RᵀR diag(s)``.

    Attributes
    ----------
    factor
        R, of columns that were scaled to norm one.
    scale
        s, the norms of the weighted columns of Q, with the rows of the prior.
    condition
        Estimated condition number; infinite if R has failed.

    Examples
    --------
    >>> factor = TriangularFactor.of(jnp.eye(3), 2 * jnp.ones(3))
    >>> factor.solve(jnp.ones(3)).values.tolist()
    [0.25, 0.25, 0.25]
    """

    factor: Float[Array, "unknown unknown"]
    scale: Float[Array, " unknown"]
    condition: Float[Array, ""]

    @classmethod
    def of(cls, factor: Float[Array, "unknown unknown"], scale: Float[Array, " unknown"]) -> "TriangularFactor":
        """Return the factor with its condition number."""
        return cls(factor, scale, condition_number(factor))

    @property
    def triangle(self) -> tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]:
        """R and s."""
        return self.factor, self.scale

    def solve(self, gradient: Float[Array, " unknown"]) -> Step:
        """Return ``H⁻¹ g`` and ``gᵀH⁻¹g``, the squared norm of ``R⁻ᵀ diag(1/s) g``."""
        whitened = solve(self.factor, gradient / self.scale, transposed=True)
        return Step(solve(self.factor, whitened) / self.scale, whitened @ whitened)

    def inverse_columns(self, columns: Float[AnyArray, "unknown column"]) -> Float[Array, "unknown column"]:
        """Return ``H⁻¹ B`` for some columns B."""
        return _inverse_columns(self.factor, self.scale, jnp.asarray(columns))

    def covariances(self, layout: Layout) -> tuple[Float[Array, "source component component"], ...]:
        """Return the blocks of ``H⁻¹`` that belong to each source, set by set."""
        checked_factor(self.factor, self.scale, 1.0)
        return covariance_of_sets(self.factor, self.scale, variance=1.0, layout=layout)

    def log_determinant(self) -> Float[Array, ""]:
        """Return the logarithm of the determinant of H."""
        return 2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(self.factor))) + jnp.log(self.scale))


@eqx.filter_jit
def _inverse_columns(factor: Array, scale: Array, columns: Array) -> Array:
    half = solve_triangular(factor, columns / scale[:, None], trans="T")
    return solve_triangular(factor, half) / scale[:, None]
