"""Options of an inversion as one value, which is checked before any computation."""

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypedDict, get_args

from mmtjax.errors import InputError
from mmtjax.estimators.base import AbstractEstimator
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.inversion.memory import checked_limit
from mmtjax.inversion.stack import PriorLike
from mmtjax.patterns.background import Background
from mmtjax.patterns.base import AbstractPattern
from mmtjax.precision import ArrayLike, real_number
from mmtjax.prior import Prior, as_prior
from mmtjax.solvers import as_solver
from mmtjax.solvers.base import AbstractSolver
from mmtjax.uncertainty.confidence import LEAST_LEVEL

#: Names of the forms of the Green's operator.
GreenForm = Literal["auto", "dense", "tiled", "compressed", "sharded"]


class InversionFields(TypedDict, total=False):
    """The fields of `InversionOptions`, for functions that take them by keyword."""

    prior: Prior | ArrayLike | Mapping[str, Prior | ArrayLike] | None
    method: str | AbstractSolver
    level: float
    tolerance: float
    memory_limit: int | None
    estimator: AbstractEstimator
    background: AbstractPattern | int | str | None
    green: GreenForm


@dataclasses.dataclass(frozen=True)
class InversionOptions:
    """Options of an inversion.

    Parameters
    ----------
    prior
        Normal prior with mean zero on the components of the sources: a standard deviation in their unit (A/m), an
        array, a `Prior`, or priors of sets by name. 480e3, the saturation of magnetite, keeps the magnetizations of
        deep grains physical. None: least squares without a prior, as in the paper.
    method
        ``"cholesky"`` (equilibrated normal equations), ``"orthogonal"`` (QR), ``"auto"`` (Cholesky where its condition
        estimate allows it, QR otherwise and for traced problems), or an `AbstractSolver`.
    level
        Probability that a confidence sphere contains the true vector.
    tolerance
        Largest error of a coefficient of Q as a share of the peak of its grain. Columns are made with smaller errors if
        the condition number would multiply these to a considerable share of a confidence radius.
    memory_limit
        Largest number of bytes to use; by default the memory that is free.
    estimator
        `LeastSquares` by default; `BoundedLeastSquares` keeps the lengths of magnetizations within a bound.
    background
        A pattern that is solved for together with the sources, such as `Background`, or the degree of a background;
        None for none.
    green
        Form of the Green's operator: ``"dense"``, ``"tiled"``, ``"compressed"``, ``"sharded"`` (rows divided over all
        devices of JAX), or ``"auto"`` for the fastest.

    Raises
    ------
    ValueError
        For a prior, method, level, memory limit, background or form that is not valid.

    Examples
    --------
    >>> InversionOptions(prior=480e3, method="orthogonal").solver.name
    'orthogonal'
    """

    prior: Prior | ArrayLike | Mapping[str, Prior | ArrayLike] | None = None
    method: str | AbstractSolver = "auto"
    level: float = 0.95
    tolerance: float = DEFAULT_TOLERANCE
    memory_limit: int | None = None
    estimator: AbstractEstimator = dataclasses.field(default_factory=LeastSquares)
    background: AbstractPattern | int | str | None = None
    green: GreenForm = "auto"

    def __post_init__(self) -> None:
        as_solver(self.method)
        expected = "a probability between 0 and 1, e.g. 0.95"
        if not 0 < real_number(self.level, name="level", expected=expected) < 1:
            msg = f"level must lie between 0 and 1, e.g. 0.95; got {self.level!r}"
            raise InputError(msg)
        if self.level < LEAST_LEVEL:
            msg = f"level must be {LEAST_LEVEL:g} or more, for a radius of ten digits; got {self.level!r}"
            raise InputError(msg)
        if not isinstance(self.green, str) or self.green not in get_args(GreenForm):
            msg = f"green must be one of {', '.join(map(repr, get_args(GreenForm)))}; got {self.green!r}"
            raise InputError(msg)
        if not isinstance(self.estimator, AbstractEstimator):
            msg = (
                f"estimator must be LeastSquares(), BoundedLeastSquares(...) or another AbstractEstimator; got "
                f"{self.estimator!r}"
            )
            raise InputError(msg)
        real_number(self.tolerance, name="tolerance")
        object.__setattr__(self, "prior", _as_priors(self.prior))
        object.__setattr__(self, "memory_limit", checked_limit(self.memory_limit))
        if not (self.background is None or isinstance(self.background, AbstractPattern)):
            object.__setattr__(self, "background", Background(self.background))

    @property
    def solver(self) -> AbstractSolver:
        """The solver of the name `method`."""
        return as_solver(self.method)

    @property
    def priors(self) -> PriorLike:
        """The prior of the first set of sources, or priors of sets by name, or None."""
        return _as_priors(self.prior)

    @property
    def pattern(self) -> AbstractPattern | None:
        """The background as a pattern, or None."""
        return self.background if isinstance(self.background, AbstractPattern) else None


def _as_priors(prior: Prior | ArrayLike | Mapping[str, Prior | ArrayLike] | None) -> PriorLike:
    """Return a `Prior`, or priors of sets by name, from any form in which a user may pass them."""
    if isinstance(prior, Mapping):
        made = {name: as_prior(own) for name, own in prior.items()}
        return {name: own for name, own in made.items() if own is not None}
    return as_prior(prior)
