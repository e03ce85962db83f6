"""The abstract solver of the weighted least-squares problem, and the abstract factor that it makes."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, PyTree

from mmtjax.greens.base import AbstractGreen
from mmtjax.linalg.triangular import Layout
from mmtjax.precision import AnyArray
from mmtjax.progress import StageProgress


class FactorSolution(NamedTuple):
    """The solution of ``H m = g`` for one right-hand side g.

    Attributes
    ----------
    values
        ``m = H⁻¹ g``.
    energy
        ``gᵀH⁻¹g``, the square of the norm of m in the metric of H.
    """

    values: Float[Array, " unknown"]
    energy: Float[Array, ""]


class AbstractFactor(eqx.Module):
    """A factorization of the matrix ``H = QᵀW²Q + Λ`` of a least-squares problem.

    Q is Green's matrix, W the weights of the sensors, and the diagonal Λ the precision of a prior.

    Attributes
    ----------
    condition
        Estimated condition number of the rows of W Q and of the prior, with columns scaled to norm one; infinite if the
        factorization failed.
    triangle
        Upper triangular R and scale s with ``H = diag(s) RᵀR diag(s)``; None if the factor has another form.
    """

    condition: eqx.AbstractVar[Float[Array, ""]]
    triangle: eqx.AbstractVar[tuple[Float[Array, "unknown unknown"], Float[Array, " unknown"]] | None]

    @abstractmethod
    def solve(self, gradient: Float[Array, " unknown"]) -> FactorSolution:
        """Return the solution of ``H m = g`` and its energy.

        The solution may have errors of rounding: estimators improve it by conjugate gradients.

        Parameters
        ----------
        gradient
            The right-hand side g.
        """

    @abstractmethod
    def inverse_columns(self, columns: Float[AnyArray, "unknown column"]) -> Float[Array, "unknown column"]:
        """Return ``H⁻¹ B``; ``H⁻¹`` is the covariance of the unknowns for noise of variance one.

        Parameters
        ----------
        columns
            The matrix B.
        """

    @abstractmethod
    def covariances(self, layout: Layout) -> tuple[Float[Array, "_source _component _component"], ...]:
        """Return the diagonal block of ``H⁻¹`` of each source: one array for each set of unknowns.

        Parameters
        ----------
        layout
            Index of the first unknown, number of sources and number of components of each set, see
            `mmtjax.unknowns.Unknowns.blocks`.
        """


class Squares(NamedTuple):
    """Number of square matrices (unknown, unknown) that a solver has in memory at its peak.

    Attributes
    ----------
    compressed
        With compressed columns. For Cholesky: normal equations, scaled copy, factor and work space; for QR: the factor,
        the rows that are being added to it, and both stacked.
    whole
        With the whole Green's matrix. For Cholesky: the same and an inverse; for QR: the factor, twice as many rows,
        both stacked, and the work space.
    accelerator
        On an accelerator, not counting the columns: the same, and copies of the rows that are transferred.
    """

    compressed: int
    whole: int
    accelerator: int


class AbstractSolver(eqx.Module):
    """A method of factoring the weighted least-squares problem.

    `init` reads the weighted rows of Green's matrix once and returns a state; `compute` makes factors from that state,
    for one ridge or for several. A ridge is the precision that a prior adds to each unknown, in units of the noise:
    (σ / s)² for m ~ N(0, s²). None stands for no prior.
    """

    #: Name of the method, as users pass it.
    name: eqx.AbstractClassVar[str]

    #: Largest condition number of the equilibrated Q (columns of norm one) up to which uncertainties are reliable.
    limit: eqx.AbstractClassVar[float]

    #: Memory that the solver needs.
    squares: eqx.AbstractClassVar[Squares]

    #: Number of sensors per unknown up to which the whole matrix is faster than compressed columns.
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
        """Read the weighted rows of Green's matrix and return the state from which `compute` makes factors.

        Parameters
        ----------
        green, weight
            Green's operator, and the weight of each sensor.
        least_ridge
            The smallest ridge that will be passed to `compute`.
        progress
            Called as ``progress(stage, done, total)``, counted in sensors.
        """

    @abstractmethod
    def compute(self, state: PyTree[Array], ridge: Float[Array, " unknown"] | None) -> AbstractFactor:
        """Return the factor for a ridge.

        Parameters
        ----------
        state
            What `init` returned.
        ridge
            Precision that a prior adds to each unknown, in units of the noise; None for no prior.
        """

    @abstractmethod
    def used(self, state: PyTree[Array]) -> "AbstractSolver":
        """Return the solver that made a state: this solver, or the one that it chose.

        Parameters
        ----------
        state
            What `init` returned.
        """

    @abstractmethod
    def beginning_with(self, condition: float | None) -> "AbstractSolver":
        """Return the solver to use for a problem of a given condition number.

        Parameters
        ----------
        condition
            A lower bound of the condition number; None if it is not known.
        """

    @abstractmethod
    def remedies(self) -> str:
        """Return what a user can do if uncertainties are not reliable."""


#: What a user can do with any solver.
REMEDIES = (
    "grains are indistinguishable from the scan, or nearly so. Pass prior=480e3 (A/m, saturation of magnetite), "
    "leave out grains that are tiny and deep, lie beside the map or under its mask, or merge grains at one place"
)
