"""The abstract solver of the weighted least-squares problem, and the factor that it makes."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from mmtjax.greens.base import AbstractGreen
from mmtjax.linalg.triangular import Layout
from mmtjax.precision import AnyArray
from mmtjax.progress import StageProgress


class Step(NamedTuple):
    """The answer to a gradient g: ``H⁻¹ g``, and the energy ``gᵀH⁻¹g``, for ``H = QᵀW²Q + Λ``."""

    values: Float[Array, " unknown"]
    energy: Float[Array, ""]


class AbstractFactor(eqx.Module):
    """A least-squares problem that is ready to be solved: ``H = QᵀW²Q + Λ``, Λ the precision of a prior.

    Attributes
    ----------
    condition
        Estimated condition number of the Q with columns scaled to norm one, and of the rows of the prior with it;
        infinite if the factorization has failed.
    triangle
        Upper triangular R and scale s with ``H = diag(s) RᵀR diag(s)``; None where there is no such factor.
    """

    condition: eqx.AbstractVar[Float[Array, ""]]
    triangle: eqx.AbstractVar[tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]] | None]

    @abstractmethod
    def solve(self, gradient: Float[Array, " unknown"]) -> Step:
        """Return the solution of ``H m = g`` and its energy; it may be improved by conjugate gradients."""

    @abstractmethod
    def inverse_columns(self, columns: Float[AnyArray, "unknown column"]) -> Float[Array, "unknown column"]:
        """Return ``H⁻¹ B`` for some columns B: columns of the covariance for noise of variance one, times B."""

    @abstractmethod
    def covariances(self, layout: Layout) -> tuple[Float[Array, "source component component"], ...]:
        """Return the blocks of ``H⁻¹`` that belong to each source, set by set.

        Parameters
        ----------
        layout
            First unknown, sources and components of each set, see `mmtjax.unknowns.Unknowns.blocks`.
        """


class Squares(NamedTuple):
    """Square matrices of all unknowns that live at once in a solver.

    Attributes
    ----------
    compressed
        Beside compressed columns: normal equations, scaled copy, factor and work space, or rows swept to a factor and
        their stack.
    whole
        Beside a whole matrix: the same and an inverse, or the factor with twice as many rows waiting, all of it
        stacked, and the work space of QR.
    accelerator
        On an accelerator, beside the columns: the same, and copies of some rows on their way to it.
    """

    compressed: int
    whole: int
    accelerator: int


class AbstractSolver(eqx.Module):
    """A way to make a factor: `init` passes over the weighted rows once, `compute` works on what remains.

    A ridge is the precision that a prior adds to each unknown, in units of the noise: (σ / s)² for m ~ N(0, s²). None
    is no prior.
    """

    #: Name of the method, as users pass it.
    name: eqx.AbstractClassVar[str]

    #: Largest condition number of the equilibrated Q for which uncertainties can be vouched for.
    limit: eqx.AbstractClassVar[float]

    #: Memory that it takes.
    squares: eqx.AbstractClassVar[Squares]

    #: Sensors for each unknown up to which a whole matrix is faster than compressed rows.
    few_rows: eqx.AbstractClassVar[float]

    @abstractmethod
    def init(
        self,
        green: AbstractGreen,
        weight: Float[AnyArray, "ny nx"],
        *,
        least_ridge: Float[Array, " unknown"] | None = None,
        progress: StageProgress | None = None,
    ) -> PyTree[Array]:
        """Return what is needed of the rows.

        Parameters
        ----------
        green, weight
            The operator, and a weight for each sensor.
        least_ridge
            The smallest ridge that `compute` will be asked for.
        progress
            Called with the name of the stage, the sensors that are done, and all of them.
        """

    @abstractmethod
    def compute(self, state: PyTree[Array], ridge: Float[Array, " unknown"] | None) -> AbstractFactor:
        """Return the factor for a ridge."""

    @abstractmethod
    def used(self, state: PyTree[Array]) -> "AbstractSolver":
        """Return the solver that has made a state: this one, or the one that it has chosen."""

    @abstractmethod
    def beginning_with(self, condition: float | None) -> "AbstractSolver":
        """Return the solver to begin with where the condition number is at least this; None where it is not known."""

    @abstractmethod
    def remedies(self) -> str:
        """Return what to do where uncertainties cannot be vouched for."""


#: What helps whatever the solver.
REMEDIES = (
    "grains are indistinguishable from the scan, or nearly so. Pass prior=480e3 (A/m, saturation of magnetite), "
    "leave out grains that are tiny and deep, lie beside the map or under its mask, or merge grains at one place"
)
