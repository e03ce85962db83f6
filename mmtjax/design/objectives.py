"""Objectives that make one scan better than another: criteria of optimal design and of micromagnetic tomography."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.design.outcome import Outcome
from mmtjax.design.setting import SECONDS_PER_HOUR
from mmtjax.errors import InputError, InputTypeError


@dataclasses.dataclass(frozen=True)
class Objective:
    """A number computed from an `Outcome`, to be maximized or minimized.

    Attributes
    ----------
    name
        Short name.
    value
        Function of an outcome that returns one number, in JAX.
    maximize
        Whether large values are the good ones.
    unit
        Unit of the value, empty for none.
    meaning
        Description for reports.
    relative
        Whether its zero has a meaning, so that changes are reported as shares of the value. Changes of others, such as
        logarithms, are reported in their unit.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> worst = Objective("worst", lambda outcome: jnp.max(outcome.uncertainty_ratio()), maximize=False, relative=True)
    >>> worst.relative, OBJECTIVES["d"].relative
    (True, False)
    """

    name: str
    value: Callable[[Outcome], Float[Array, ""]]
    maximize: bool
    unit: str = ""
    meaning: str = ""
    relative: bool = False


#: An objective, the name of one of `OBJECTIVES`, or a function of an outcome that is maximized.
AnyObjective = str | Objective | Callable[[Outcome], Float[Array, ""]]


def c_criterion(contrast: Float[Array, " unknown"]) -> Objective:
    """Return the objective of the variance of a weighted sum of all components of magnetization (c-optimality).

    The objective ``"c"`` is that of the mean of all grains, with the variances of the three components added.

    Parameters
    ----------
    contrast
        Weights, (3 · grain,), grain by grain, for samples with as many grains.

    Returns
    -------
    Objective
        To be minimized, (A/m)².

    Raises
    ------
    ValueError
        Where the objective is used, if there is not one weight for each component.

    Examples
    --------
    The difference of the vertical components of two grains:

    >>> c_criterion(jnp.array([0.0, 0.0, 1.0, 0.0, 0.0, -1.0])).unit
    '(A/m)²'
    """

    def variance(outcome: Outcome) -> Float[Array, ""]:
        unknowns = len(outcome.information)
        if jnp.shape(contrast) != (unknowns,):
            msg = (
                f"contrast must hold a weight for each of three components of {unknowns // 3} grains, ({unknowns},); "
                f"got the shape {jnp.shape(contrast)}"
            )
            raise InputError(msg)
        return contrast @ jnp.linalg.solve(outcome.information, contrast)

    return Objective(
        "c",
        variance,
        maximize=False,
        unit="(A/m)²",
        meaning="variance of a weighted sum of magnetizations",
        relative=True,
    )


def value_of(objective: Objective, outcome: Outcome) -> Float[Array, ""]:
    """Return the value of an objective at an outcome.

    Raises
    ------
    TypeError
        For an objective that is not in JAX, or does not return a real number.
    ValueError
        For an objective that returns several numbers.
    """
    name = objective.name
    try:
        found = objective.value(outcome)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        msg = (
            f"the objective {name!r} needs the value of a number, as NumPy, float() and if do, while JAX takes "
            f"derivatives: write it with jax.numpy and jax.numpy.where throughout ({type(error).__name__})"
        )
        raise InputTypeError(msg) from error
    try:
        number = jnp.asarray(found)
    except (TypeError, ValueError) as error:
        msg = (
            f"the objective {name!r} must return one real number, as an array of jax.numpy; got a "
            f"{type(found).__name__}"
        )
        raise InputTypeError(msg) from error
    if not jnp.issubdtype(number.dtype, jnp.floating):
        msg = (
            f"the objective {name!r} must return a real number, which has a derivative; got {number.dtype}. A count "
            "has steps: make it smooth, as Outcome.share_within_limit is"
        )
        raise InputTypeError(msg)
    if number.shape != ():
        msg = (
            f"the objective {name!r} must return one number; got an array of shape {number.shape}. Take its mean, its "
            "sum or its median"
        )
        raise InputError(msg)
    return number


def _mean_moment(outcome: Outcome) -> Float[Array, ""]:
    """Return the variance of the mean magnetization of all grains, summed over its components."""
    count = len(outcome.magnetization)
    mean = jnp.tile(jnp.eye(3), (count, 1)) / count
    return jnp.trace(mean.T @ jnp.linalg.solve(outcome.information, mean))


def _trace(outcome: Outcome) -> Float[Array, ""]:
    return jnp.trace(outcome.covariance(), axis1=1, axis2=2).sum()


def _largest_variance(outcome: Outcome) -> Float[Array, ""]:
    return 1 / jnp.linalg.eigvalsh(outcome.information)[0]


def _information_gain(outcome: Outcome) -> Float[Array, ""]:
    return outcome.log_determinant() / 2 + len(outcome.information) * jnp.log(outcome.prior)


OBJECTIVES = {
    objective.name: objective
    for objective in (
        Objective(
            "a", _trace, False, "(A/m)²", "A-optimality: trace of the covariance of all magnetizations", relative=True
        ),
        Objective(
            "d",
            lambda outcome: -outcome.log_determinant(),
            False,
            "nat",
            "D-optimality: logarithm of the determinant of the covariance in (A/m)²",
        ),
        Objective(
            "e", _largest_variance, False, "(A/m)²", "E-optimality: largest eigenvalue of the covariance", relative=True
        ),
        Objective(
            "c",
            _mean_moment,
            False,
            "(A/m)²",
            "c-optimality of the mean magnetization, summed over its components",
            relative=True,
        ),
        Objective(
            "information",
            _information_gain,
            True,
            "nat",
            "expected information gain, from the prior to the scan: half of the logarithm of the factor by which the "
            "determinant of the covariance falls",
        ),
        Objective(
            "median_ratio",
            lambda outcome: jnp.median(outcome.uncertainty_ratio()),
            False,
            "",
            "median uncertainty ratio of grains with the median magnetization of their volume",
            relative=True,
        ),
        Objective(
            "share",
            Outcome.share_within_limit,
            True,
            "",
            "expected share of grains within the limit",
            relative=True,
        ),
        Objective(
            "grains",
            Outcome.grains_within_limit,
            True,
            "grains",
            "expected number of grains within the limit",
            relative=True,
        ),
        Objective(
            "grains_per_hour",
            lambda outcome: outcome.grains_within_limit() / outcome.seconds * SECONDS_PER_HOUR,
            True,
            "1/h",
            "expected number of grains within the limit for each hour of scanning",
            relative=True,
        ),
    )
}


def objective_of(objective: AnyObjective) -> Objective:
    """Return an objective by its name, or of a function of an `Outcome`, which is maximized.

    Whether the zero of a function has a meaning is not known: its changes are reported in its own unit.

    Raises
    ------
    ValueError
        For a name that is not in `OBJECTIVES`.

    Examples
    --------
    >>> objective_of("share").maximize
    True
    """
    if isinstance(objective, Objective):
        return objective
    if callable(objective):
        name = getattr(objective, "__name__", "objective").strip("<>")
        return Objective(name, objective, maximize=True, meaning="objective of the user")
    if objective not in OBJECTIVES:
        msg = f"objective must be one of {', '.join(OBJECTIVES)}, or a function of an Outcome; got {objective!r}"
        raise InputError(msg)
    return OBJECTIVES[objective]
