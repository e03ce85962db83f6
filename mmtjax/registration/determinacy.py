"""Whether a fit of geometry is one: the signs that its uncertainty does not tell."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from mmtjax.registration.alignment import UNITS
from mmtjax.registration.levenberg_marquardt import RegistrationOptimum, RegistrationProblem
from mmtjax.registration.residual_correlation import ResidualCorrelation

#: Half of an interval, as a share of the range searched and of the depth of grains, up to which it counts as known.
_SHARE = 0.25

#: Decrease of the objective, after inflation, within which another optimum is as good.
_RIVAL = 5.0

#: Standard deviations by which a signal must exceed what noise alone would fit.
_SIGNAL = 5.0

#: Independent values of a correlated residual for each unknown that the map determines, at least; and the share of the
#: sensors in use above which a residual is taken for white.
_INDEPENDENT = 10.0
_WHITE = 0.5

#: Probability below which the quarters of the map are taken to disagree.
_DISAGREE = 1e-3


def shared_reasons(
    problem: RegistrationProblem, optimum: RegistrationOptimum, noise: ResidualCorrelation
) -> Iterator[str]:
    """Why none of the parameters is determined."""
    part, survey = optimum.part, problem.survey
    if not optimum.converged:
        yield (
            "the search ran out of steps before it found the best place in its ranges; fit again from a geometry that "
            "is nearer, or with ranges that leave out what cannot be"
        )
    field = survey.field * survey.weight
    unknowns = part.effective_unknowns
    explained = float(np.sum(field**2)) / part.variance - part.misfit
    if explained < unknowns + _SIGNAL * np.sqrt(2 * unknowns):
        yield "the grains explain no more of the map than noise alone would let them"
    used = int(np.count_nonzero(survey.weight))
    if noise.independent < min(_INDEPENDENT * unknowns, _WHITE * used):
        yield (
            f"the residual is no noise: neighbours correlate by {noise.neighbours:.2f}, and it amounts to "
            f"{noise.independent:.0f} independent values for {unknowns:.0f} unknowns that the map determines"
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
    """Why one parameter, the free one of the given row, is not determined; `half` is half of its interval."""
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
    if chi2.sf(disagreement, 3) < _DISAGREE:
        yield "the quarters of the map ask for different values, so that something else than noise is in it"


def _rival(
    values: Float[np.ndarray, " point"], drops: Float[np.ndarray, " point"], value: float, half: float
) -> tuple[float, float] | None:
    """The best other optimum of a slice that is seen at its points, and how far below the best it lies."""
    inner = np.flatnonzero((drops[1:-1] < drops[:-2]) & (drops[1:-1] < drops[2:])) + 1
    step = values[1] - values[0]
    inner = inner[np.abs(values[inner] - value) > max(step, 3 * half)]
    if len(inner) == 0:
        return None
    best = inner[np.argmin(drops[inner])]
    return float(values[best]), float(drops[best])
