"""What every solver of the least-squares problem gives: its square root, from which all answers follow."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from mmtjax.greens.base import AbstractGreen
from mmtjax.linalg.triangular import solve
from mmtjax.progress import Progress


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
        return solve(self.factor, gradient / self.scale, transposed=True)

    def magnetization(self, whitened: Float[Array, " unknown"]) -> Float[Array, " unknown"]:
        """``M = diag(1/s) R⁻¹ y`` of whitened coordinates y."""
        return solve(self.factor, whitened) / self.scale


class AbstractSolver(eqx.Module):
    """A way to reduce the weighted rows of Q: `init` passes over them once, `compute` works on what remains.

    A ridge is the precision that a prior adds to every unknown, in units of the noise: (σ / s)² for M ~ N(0, s²).
    None is no prior.
    """

    #: Largest condition number of the equilibrated Q for which uncertainties can be vouched for.
    limit: eqx.AbstractClassVar[float]

    @abstractmethod
    def init(
        self, green: AbstractGreen, weight: Float[Array, "ny nx"], *, progress: Progress | None = None
    ) -> PyTree[Array]:
        """Everything the solver needs of the rows."""

    @abstractmethod
    def compute(self, state: PyTree[Array], ridge: Float[Array, ""] | None) -> Reduced:
        """The reduced problem for a ridge."""


def remedies(solver: str) -> str:
    """What to do where a solver cannot vouch for its uncertainties."""
    return (
        "grains are indistinguishable from the scan, or nearly so. Pass prior=480e3 (A/m, saturation of magnetite), "
        "leave out grains that are tiny and deep, lie beside the map or under its mask, or merge grains at one place"
        + ("; or use method='orthogonal'" if solver == "cholesky" else "")
    )
