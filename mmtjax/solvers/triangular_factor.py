"""The triangular factor that most solvers make."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.linalg.triangular import Layout, condition_number, solve
from mmtjax.precision import AnyArray
from mmtjax.solvers.base import AbstractFactor, FactorSolution
from mmtjax.uncertainty.covariance import checked_factor, covariance_of_sets


class TriangularFactor(AbstractFactor):
    """An upper triangular matrix R and a scale s with ``QᵀW²Q + Λ = diag(s) RᵀR diag(s)``.

    Attributes
    ----------
    factor
        R, whose columns have norm one.
    scale
        s, the norms of the columns of W Q and the rows of the prior.
    condition
        Estimated condition number; infinite if the factorization failed.

    Examples
    --------
    >>> factor = TriangularFactor.of(jnp.eye(3), 2 * jnp.ones(3))
    >>> factor.solve(jnp.ones(3)).values.tolist()
    [0.25, 0.25, 0.25]
    """

    factor: Float[Array, "unknown unknown"]
    scale: Float[Array, " unknown"]
    condition: Float[Array, ""]

    def __init__(
        self, factor: Float[Array, "unknown unknown"], scale: Float[Array, " unknown"], condition: Float[Array, ""]
    ) -> None:
        self.factor, self.scale, self.condition = factor, scale, condition

    @classmethod
    def of(cls, factor: Float[Array, "unknown unknown"], scale: Float[Array, " unknown"]) -> "TriangularFactor":
        """Return the factor with an estimate of its condition number.

        Parameters
        ----------
        factor, scale
            R and s.
        """
        return cls(factor, scale, condition_number(factor))

    @property
    def triangle(self) -> tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]:
        """The matrix R and the scale s."""
        return self.factor, self.scale

    def solve(self, gradient: Float[Array, " unknown"]) -> FactorSolution:
        """Return ``H⁻¹ g`` and ``gᵀH⁻¹g``, the squared norm of ``R⁻ᵀ diag(1/s) g``."""
        whitened = solve(self.factor, gradient / self.scale, transposed=True)
        return FactorSolution(solve(self.factor, whitened) / self.scale, whitened @ whitened)

    def inverse_columns(self, columns: Float[AnyArray, "unknown column"]) -> Float[Array, "unknown column"]:
        """Return ``H⁻¹ B`` for a matrix B."""
        return _inverse_columns(self.factor, self.scale, jnp.asarray(columns))

    def covariances(self, layout: Layout) -> tuple[Float[Array, "_source _component _component"], ...]:
        """Return the diagonal block of ``H⁻¹`` of each source: one array for each set of unknowns."""
        checked_factor(self.factor, self.scale, 1.0)
        return covariance_of_sets(self.factor, self.scale, variance=1.0, layout=layout)

    def log_determinant(self) -> Float[Array, ""]:
        """Return the logarithm of the determinant of H."""
        return 2 * jnp.sum(jnp.log(jnp.abs(jnp.diagonal(self.factor))) + jnp.log(self.scale))


@eqx.filter_jit
def _inverse_columns(factor: Array, scale: Array, columns: Array) -> Array:
    half = solve_triangular(factor, columns / scale[:, None], trans="T")
    return solve_triangular(factor, half) / scale[:, None]
