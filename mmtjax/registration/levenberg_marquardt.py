"""The search of a fit of geometry: uphill within bounds, slices of the whole range, and the curvature at the top."""

from collections.abc import Callable

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.registration.marginal_fit import MarginalFit, Slopes, Survey, noise_of_residual, slopes_of

_STEPS = 60
_ROUNDS_OF_NOISE = 6
_RESTARTS = 3

#: Where a climb ends: a step of so many standard deviations.
_CONVERGED = 1e-3

#: Standard deviations over which the gradient is differenced for the curvature.
_CURVATURE_STEP = 0.1


class RegistrationProblem(eqx.Module):
    """What is searched: a survey, the noise of it (None: that of the residual), the prior, parameters and bounds."""

    survey: Survey
    variance: float | None
    prior: float
    free: tuple[int, ...] = eqx.field(static=True)
    low: Float[np.ndarray, "4"]
    high: Float[np.ndarray, "4"]

    def part(self, change: Float[np.ndarray, "4"], variance: float) -> MarginalFit:
        return MarginalFit.from_root(self.survey.root(change), variance=variance, prior=self.prior)

    def measured_variance(self, change: Float[np.ndarray, "4"], start: float) -> float:
        """The variance that is known, or that which the residual shows at a geometry."""
        if self.variance is not None:
            return self.variance
        used = int(np.count_nonzero(self.survey.weight))
        return noise_of_residual(self.survey.root(change), used=used, prior=self.prior, start=start).variance

    def slopes(self, change: Float[np.ndarray, "4"], part: MarginalFit) -> Slopes:
        return slopes_of(self.survey, change, part, free=self.free)

    def with_free(self, change: Float[np.ndarray, "4"], values: Float[np.ndarray, " param"]) -> Float[np.ndarray, "4"]:
        """The change with its free parameters replaced, kept within the bounds."""
        changed = change.copy()
        changed[list(self.free)] = values
        return np.clip(changed, self.low, self.high)


class RegistrationOptimum(eqx.Module):
    """Where the objective is largest: the change, the linear part there, its slopes and curvature.

    `curvature` is minus the matrix of second derivatives; a slice holds, for each free parameter with the others at
    their best, values and how far the objective lies below that of the optimum. `converged` tells whether the climb
    came to an end there and no slice has a better place.
    """

    change: Float[np.ndarray, "4"]
    part: MarginalFit
    slopes: Slopes
    curvature: Float[np.ndarray, "param param"]
    slice_values: Float[np.ndarray, "param point"]
    slice_drops: Float[np.ndarray, "param point"]
    converged: bool = eqx.field(static=True)


class Ascent(eqx.Module):
    """Where a climb stopped: the change, the linear part there, and whether it had come to an end."""

    change: Float[np.ndarray, "4"]
    part: MarginalFit
    ended: bool = eqx.field(static=True)


def find_optimum(problem: RegistrationProblem, *, points: int, report: Callable[[int], None]) -> RegistrationOptimum:
    """Ascent from no change; wherever a slice of the whole range finds better, climb from there."""
    start, variance = np.zeros(4), problem.measured_variance(np.zeros(4), _power(problem))
    top = _maximize_with_noise(problem, start, variance, report)
    values, drops, better = _slices(problem, top, points, report)
    for _ in range(_RESTARTS):
        if better is None:
            break
        top = _maximize_with_noise(problem, better, top.part.variance, report)
        values, drops, better = _slices(problem, top, points, report)
    slopes = problem.slopes(top.change, top.part)
    return RegistrationOptimum(
        change=top.change,
        part=top.part,
        slopes=slopes,
        curvature=_curvature(problem, top, slopes, report),
        slice_values=values,
        slice_drops=drops,
        converged=top.ended and better is None,
    )


def _power(problem: RegistrationProblem) -> float:
    weighted = problem.survey.field * problem.survey.weight
    return max(float(np.mean(weighted**2)), np.finfo(float).tiny)


def _maximize_with_noise(
    problem: RegistrationProblem, change: Float[np.ndarray, "4"], variance: float, report: Callable[[int], None]
) -> Ascent:
    """Ascent, and again with the noise that the residual shows at the top, until that stays."""
    top, remaining = _ascend(problem, change, variance, report), _ROUNDS_OF_NOISE - 1
    while True:
        previous, variance = variance, problem.measured_variance(top.change, variance)
        if abs(variance / previous - 1) < _CONVERGED:
            return top
        if remaining == 0:
            return Ascent(top.change, top.part, ended=False)
        top, remaining = _ascend(problem, top.change, variance, report), remaining - 1


def _ascend(
    problem: RegistrationProblem, change: Float[np.ndarray, "4"], variance: float, report: Callable[[int], None]
) -> Ascent:
    """Levenberg–Marquardt on the objective, with steps cut at the bounds."""
    free, part, damping = list(problem.free), problem.part(change, variance), 1e-3
    reach = (problem.high - problem.low)[free] / 4
    for _ in range(_STEPS):
        slopes = problem.slopes(change, part)
        report(1 + len(free))
        scale = np.diagonal(slopes.information).copy()
        if not np.all(scale > 0):
            return Ascent(change, part, ended=True)
        # A parameter at a bound that is pushed outward stays; the others must not be led astray by it.
        blocked = ((change >= problem.high)[free] & (slopes.gradient > 0)) | (
            (change <= problem.low)[free] & (slopes.gradient < 0)
        )
        inner = np.flatnonzero(~blocked)
        if len(inner) == 0:
            return Ascent(change, part, ended=True)
        while True:
            damped = slopes.information + damping * np.diag(scale)
            step = np.zeros(len(free))
            step[inner] = np.linalg.solve(damped[np.ix_(inner, inner)], slopes.gradient[inner])
            step /= max(1.0, float(np.max(np.abs(step) / reach)))
            following = problem.with_free(change, change[free] + step)
            length = float(np.max(np.abs(following - change)[free] * np.sqrt(scale)))
            if length < _CONVERGED:
                return Ascent(change, part, ended=True)
            trial = problem.part(following, variance)
            report(1)
            if trial.objective >= part.objective:
                break
            damping = 10 * max(damping, 1e-3)
        change, part, damping = following, trial, damping / 10
    return Ascent(change, part, ended=False)


def _slices(
    problem: RegistrationProblem, top: Ascent, points: int, report: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The objective along each parameter over its whole range, and the best place if it beats the top of a climb."""
    change, part = top.change, top.part
    values = np.array([np.linspace(problem.low[number], problem.high[number], points) for number in problem.free])
    drops, best, highest = np.zeros(values.shape), None, part.objective + _CONVERGED
    for row, number in enumerate(problem.free):
        for column, value in enumerate(values[row]):
            place = change.copy()
            place[number] = value
            objective = problem.part(place, part.variance).objective
            report(1)
            drops[row, column] = part.objective - objective
            if objective > highest:
                best, highest = place, objective
    return values, drops, best


def _curvature(
    problem: RegistrationProblem, top: Ascent, slopes: Slopes, report: Callable[[int], None]
) -> Float[np.ndarray, "param param"]:
    """Central differences of the gradient, which have what Gauss–Newton leaves out.

    Where magnetizations are poorly known their noise passes for signal in the Gauss–Newton form, and it promises too
    much.
    """
    change, part, free, scale = top.change, top.part, list(problem.free), np.diagonal(slopes.information)
    if not np.all(scale > 0):
        return slopes.information
    rows = []
    for row, number in enumerate(free):
        ends, gradients = [], []
        for sign in (1, -1):
            length = min(_CURVATURE_STEP / np.sqrt(scale[row]), 0.02 * (problem.high - problem.low)[number])
            place = change.copy()
            place[number] = np.clip(change[number] + sign * length, problem.low[number], problem.high[number])
            ends.append(place[number])
            gradients.append(problem.slopes(place, problem.part(place, part.variance)).gradient)
            report(2 + len(free))
        rows.append((gradients[1] - gradients[0]) / (ends[0] - ends[1]))
    return (np.array(rows) + np.array(rows).T) / 2
