"""The solver that chooses: normal equations where their condition number allows it, QR otherwise."""

from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float, PyTree

from mmtjax.greens.base import AbstractGreen
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import StageProgress
from mmtjax.solvers.base import REMEDIES, AbstractFactor, AbstractSolver, Squares
from mmtjax.solvers.cholesky import Cholesky
from mmtjax.solvers.orthogonal import Orthogonal


class Chosen(NamedTuple):
    """The solver that was chosen, its state, and the factor for the least ridge where the choice has made it."""

    solver: AbstractSolver
    state: PyTree[Array]
    least_ridge: Float[Array, " unknown"] | None = None
    factor: AbstractFactor | None = None


class AutoSolver(AbstractSolver):
    """Cholesky where its condition number allows it, orthogonal factorization otherwise, and for traced numbers."""

    name: ClassVar[str] = "auto"
    limit: ClassVar[float] = Orthogonal.limit
    squares: ClassVar[Squares] = Orthogonal.squares
    few_rows: ClassVar[float] = 0.0

    def init(
        self,
        green: AbstractGreen,
        weight: Float[AnyArray, "ny nx"],
        *,
        least_ridge: Float[Array, " unknown"] | None = None,
        progress: StageProgress | None = None,
    ) -> Chosen:
        """Return the normal equations if their factor can be trusted for the least ridge, else the orthogonal state."""
        first, second = Cholesky(), Orthogonal()
        if is_concrete(green, weight, least_ridge):
            state = first.init(green, weight, least_ridge=least_ridge, progress=progress)
            factor = first.compute(state, least_ridge)
            if float(factor.condition) <= first.limit:
                return Chosen(first, state, least_ridge, factor)
            # Each of them is as large as the factor to come.
            del state, factor
        return Chosen(second, second.init(green, weight, least_ridge=least_ridge, progress=progress))

    def compute(self, state: Chosen, ridge: Float[Array, " unknown"] | None) -> AbstractFactor:
        """Return the factor by the solver that was chosen."""
        if state.factor is not None and ridge is state.least_ridge:
            return state.factor
        return state.solver.compute(state.state, ridge)

    def used(self, state: Chosen) -> AbstractSolver:
        """Return the solver that was chosen."""
        return state.solver

    def beginning_with(self, condition: float | None) -> AbstractSolver:
        """Return the orthogonal solver where normal equations are not worth the attempt, else this one."""
        return self if condition is not None and condition <= Cholesky.limit else Orthogonal()

    def remedies(self) -> str:
        """Return what to do where uncertainties cannot be vouched for."""
        return REMEDIES
