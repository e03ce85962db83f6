"""The orthogonal (QR) solver: slower than Cholesky, and accurate up to much larger condition numbers."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import ROWS_ON_ACCELERATOR
from mmtjax.precision import AnyArray
from mmtjax.progress import StageProgress, stage
from mmtjax.solvers.base import REMEDIES, AbstractSolver, Squares
from mmtjax.solvers.triangular_factor import TriangularFactor

#: Upper triangular R with columns of norm one, and the norms s that the columns had: ``QᵀW²Q = diag(s) RᵀR diag(s)``.
ScaledRoot = tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]


class Orthogonal(AbstractSolver):
    """QR factorization of the weighted rows of Q, which does not square the condition number."""

    name: ClassVar[str] = "orthogonal"
    limit: ClassVar[float] = 1e12
    squares: ClassVar[Squares] = Squares(compressed=4, whole=9, accelerator=4 + 5 * ROWS_ON_ACCELERATOR)
    few_rows: ClassVar[float] = 3.0

    def init(
        self,
        green: AbstractGreen,
        weight: Float[AnyArray, "ny nx"],
        *,
        least_ridge: Float[Array, " unknown"] | None = None,
        progress: StageProgress | None = None,
    ) -> ScaledRoot:
        """Return the triangular factor of the weighted rows, with columns of norm one, and the norms they had."""
        return equilibrated_root(green.root(weight, progress=stage(progress, "orthogonal factor")))

    def compute(self, state: ScaledRoot, ridge: Float[Array, " unknown"] | None) -> TriangularFactor:
        """Return the factor of the weighted rows and the rows of the prior."""
        return TriangularFactor.of(*(state if ridge is None else with_prior(state, ridge)))

    def used(self, state: ScaledRoot) -> "Orthogonal":
        """Return this solver."""
        return self

    def beginning_with(self, condition: float | None) -> "Orthogonal":
        """Return this solver."""
        return self

    def remedies(self) -> str:
        """Return what a user can do if uncertainties are not reliable."""
        return REMEDIES


@eqx.filter_jit
def equilibrated_root(root: Float[Array, "unknown unknown"]) -> ScaledRoot:
    """Scale the columns of a triangular factor to norm one; return it with the norms that they had.

    Parameters
    ----------
    root
        Upper triangular; a column of zeros is not changed, and its norm is given as one.

    Examples
    --------
    >>> [part.tolist() for part in equilibrated_root(2 * jnp.eye(2))]
    [[[1.0, 0.0], [0.0, 1.0]], [2.0, 2.0]]
    """
    square = jnp.sum(root**2, axis=0)
    norm = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    return root / norm, norm


@eqx.filter_jit
def with_prior(state: ScaledRoot, ridge: Float[Array, " unknown"]) -> ScaledRoot:
    """Add the rows of a prior, ``√ridge`` on the diagonal, to a triangular factor; return it with columns of norm one.

    Parameters
    ----------
    state
        The factor without the prior, and the norms of its columns.
    ridge
        Precision that the prior adds to each unknown, in units of the noise.

    Examples
    --------
    >>> factor, scale = with_prior((jnp.eye(1), jnp.array([3.0])), jnp.array([16.0]))
    >>> abs(float(factor[0, 0])), float(scale[0])
    (1.0, 5.0)
    """
    factor, norm = state
    scale = jnp.sqrt(jnp.sum(factor**2, axis=0) * norm**2 + ridge)
    prior = jnp.diag(jnp.sqrt(ridge) / scale)
    return jnp.linalg.qr(jnp.concatenate([factor * (norm / scale), prior]), mode="r"), scale
