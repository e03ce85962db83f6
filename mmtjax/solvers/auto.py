"""The automatic choice of a solver: Cholesky where the condition number allows it, QR otherwise."""

from typing import ClassVar, NamedTuple

from jaxtyping import Array, Float, PyTree

from mmtjax.greens.base import AbstractGreen
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import StageProgress
from mmtjax.solvers.base import REMEDIES, AbstractFactor, AbstractSolver, Squares
from mmtjax.solvers.cholesky import Cholesky
from mmtjax.solvers.orthogonal import Orthogonal


class ChosenSolver(NamedTuple):
    """The solver that was chosen, with its state.

    Attributes
    ----------
    solver, state
        The solver, and what its `init` returned.
    least_ridge, factor
        The smallest ridge and the factor for it, if the choice needed that factor; None otherwise.
    """

    solver: AbstractSolver
    state: PyTree[Array]
    least_ridge: Float[Array, " unknown"] | None = None
    factor: AbstractFactor | None = None


class AutoSolver(AbstractSolver):
    """Choose Cholesky where its condition number allows it; otherwise, and for traced numbers, choose QR."""

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
    ) -> ChosenSolver:
        """Choose the solver by the condition number at the smallest ridge, and return it with its state."""
        first, second = Cholesky(), Orthogonal()
        if is_concrete(green, weight, least_ridge):
            state = first.init(green, weight, least_ridge=least_ridge, progress=progress)
            factor = first.compute(state, least_ridge)
            if float(factor.condition) <= first.limit:
                return ChosenSolver(first, state, least_ridge, factor)
            # Each of the two takes as much memory as the orthogonal factor, which is made next.
            del state, factor
        return ChosenSolver(second, second.init(green, weight, least_ridge=least_ridge, progress=progress))

    def compute(self, state: ChosenSolver, ridge: Float[Array, " unknown"] | None) -> AbstractFactor:
        """Return the factor that the chosen solver makes for a ridge."""
        if state.factor is not None and ridge is state.least_ridge:
            return state.factor
        return state.solver.compute(state.state, ridge)

    def used(self, state: ChosenSolver) -> AbstractSolver:
        """Return the solver that was chosen."""
        return state.solver

    def beginning_with(self, condition: float | None) -> AbstractSolver:
        """Return this solver, or `Orthogonal` where Cholesky would fail or the condition number is unknown."""
        return self if condition is not None and condition <= Cholesky.limit else Orthogonal()

    def remedies(self) -> str:
        """Return what a user can do if uncertainties are not reliable."""
        return REMEDIES
