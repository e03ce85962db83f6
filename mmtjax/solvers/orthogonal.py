"""Orthogonal factorization of Q: slower, and right at condition numbers whose square no longer fits in a double."""

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

#: The triangular factor of rows with columns of norm one, and their norms.
State = tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]]


class Orthogonal(AbstractSolver):
    """Triangular factor of the weighted rows by orthogonal rotations; the condition number is never squared."""

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
    ) -> State:
        """Return the triangular factor of the weighted rows, with columns of norm one, and their norms."""
        return equilibrated_root(green.root(weight, progress=stage(progress, "orthogonal factor")))

    def compute(self, state: State, ridge: Float[Array, " unknown"] | None) -> TriangularFactor:
        """Return the factor, to which the rows of the prior are added."""
        return TriangularFactor.of(*(state if ridge is None else with_prior(state, ridge)))

    def used(self, state: State) -> "Orthogonal":
        """Return this solver."""
        return self

    def beginning_with(self, condition: float | None) -> "Orthogonal":
        """Return this solver."""
        return self

    def remedies(self) -> str:
        """Return what to do where uncertainties cannot be vouched for."""
        return REMEDIES


@eqx.filter_jit
def equilibrated_root(root: Float[Array, "unknown unknown"]) -> State:
    """Return a triangular factor with columns of norm one, and their norms; a column of zeros keeps its own.

    Examples
    --------
    >>> [part.tolist() for part in equilibrated_root(2 * jnp.eye(2))]
    [[[1.0, 0.0], [0.0, 1.0]], [2.0, 2.0]]
    """
    square = jnp.sum(root**2, axis=0)
    norm = jnp.sqrt(jnp.where(square > 0, square, 1.0))
    return root / norm, norm


@eqx.filter_jit
def with_prior(state: State, ridge: Float[Array, " unknown"]) -> State:
    """Return the factor of the rows and those of a prior, ``√ridge`` on the diagonal, with columns of norm one.

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
