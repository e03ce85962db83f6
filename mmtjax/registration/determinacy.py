"""Reasons why a fit of geometry does not determine a parameter, although its standard deviation may be small."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.special import chdtrc

from mmtjax.registration.alignment import UNITS
from mmtjax.registration.levenberg_marquardt import RegistrationOptimum, RegistrationProblem
from mmtjax.registration.residual_correlation import ResidualCorrelation

#: Largest half-width of an interval of a determined parameter, as a share of half the range and of the depth of grains.
_SHARE = 0.25

#: Decrease of the objective, in units of the inflated noise, within which another optimum is nearly as good.
_RIVAL = 5.0

#: Standard deviations by which the explained sum of squares must exceed what a fit explains of pure noise.
_SIGNAL = 5.0

#: Least number of independent values of a correlated residual per effective unknown; and the share of the sensors in
#: use above which a residual counts as white.
_INDEPENDENT = 10.0
_WHITE = 0.5

#: Probability, for white noise, of a disagreement of the quarters of the map below which they count as inconsistent.
_DISAGREE = 1e-3


def shared_reasons(
    problem: RegistrationProblem, optimum: RegistrationOptimum, noise: ResidualCorrelation
) -> Iterator[str]:
    """Yield the reasons why none of the parameters is determined.

    Parameters
    ----------
    problem, optimum
        The problem and its optimum.
    noise
        The correlation of the residual.
    """
    part, survey = optimum.part, problem.survey
    if not optimum.converged:
        yield (
            "the search ran out of steps before it found the best values within the ranges; fit again from a geometry "
            "that is nearer, or with ranges that exclude impossible values"
        )
    unknowns = part.effective_unknowns
    explained = survey.misfit_without_grains(part.precision, variance=part.variance) - part.misfit
    if explained < unknowns + _SIGNAL * np.sqrt(2 * unknowns):
        yield "the grains explain no more of the map than they would explain of pure noise"
    used = int(np.count_nonzero(survey.weight))
    if noise.independent < min(_INDEPENDENT * unknowns, _WHITE * used):
        yield (
            f"the residual is not noise: the correlation of neighbouring sensors is {noise.neighbours:.2f}, and the "
            f"residual has only {noise.independent:.0f} independent values for {unknowns:.0f} unknowns that the map "
            "determines"
        )


def own_reasons(
    problem: RegistrationProblem,
    optimum: RegistrationOptimum,
    noise: ResidualCorrelation,
    *,
    row: int,
    half: float,
    inflation: float,
    depth: float,
) -> Iterator[str]:
    """Yield the reasons why one parameter is not determined.

    Parameters
    ----------
    problem, optimum
        The problem and its optimum.
    noise
        The correlation of the residual.
    row
        Index of the parameter among the free ones.
    half
        Half the width of its interval, µm or degrees.
    inflation
        Factor by which the correlation of the residual widens its standard deviation.
    depth
        Median distance of grains from the sensors, µm.
    """
    number = problem.free[row]
    unit, value, low, high = UNITS[number], optimum.change[number], problem.low[number], problem.high[number]
    if value <= low or value >= high:
        yield f"the best value lies at the end of the range {low:.3g} to {high:.3g} {unit}"
    limit = _SHARE * min((high - low) / 2, depth if unit == "µm" else np.inf)
    if not half <= limit:
        yield f"its interval of ± {half:.2g} {unit} is wider than ± {limit:.2g} {unit}"
    rival = _rival(optimum.slice_values[row], optimum.slice_drops[row], value, half)
    if rival is not None and rival[1] < _RIVAL * inflation**2:
        yield f"another optimum near {rival[0]:.3g} {unit} is nearly as good"
    spread = inflation**2 * np.diagonal(optimum.slopes.information)[row] / 4
    disagreement = float(np.sum(noise.quarters[:, row] ** 2) / spread) if spread > 0 else 0.0
    if chdtrc(3, disagreement) < _DISAGREE:
        yield "the quarters of the map give different values, so that it contains more than the grains and noise"


def _rival(
    values: Float[np.ndarray, " point"], drops: Float[np.ndarray, " point"], value: float, half: float
) -> tuple[float, float] | None:
    """Return the best other optimum among the points of a slice, and how far below the best one it lies."""
    inner = np.flatnonzero((drops[1:-1] < drops[:-2]) & (drops[1:-1] < drops[2:])) + 1
    step = values[1] - values[0]
    inner = inner[np.abs(values[inner] - value) > max(step, 3 * half)]
    if len(inner) == 0:
        return None
    best = inner[np.argmin(drops[inner])]
    return float(values[best]), float(drops[best])
