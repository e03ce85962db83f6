"""The search of a fit of geometry: Levenberg–Marquardt within bounds, slices of the range, curvature at the optimum."""

from collections.abc import Callable

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.registration.marginal_fit import MarginalFit, Slopes, Survey, noise_of_residual, slopes_of

#: Largest numbers of steps of one maximization, of its repetitions with a new noise, and of restarts from a slice.
_STEPS = 60
_ROUNDS_OF_NOISE = 6
_RESTARTS = 3

#: Largest step, in standard deviations, at which a maximization has converged.
_CONVERGED = 1e-3

#: Step of the differences of the gradient that give the curvature, in standard deviations.
_CURVATURE_STEP = 0.1


class RegistrationProblem(eqx.Module):
    """A fit of geometry as a problem of maximization within bounds.

    Attributes
    ----------
    survey
        The map and its grains.
    variance
        σ² of a sensor of weight one, nT²; None to take it from the residual.
    precision
        Precision of the prior of each unknown; zero for no prior.
    free
        Indices of the parameters that are fitted.
    low, high
        Bounds of the change of all four parameters.
    """

    survey: Survey
    variance: float | None
    precision: Float[np.ndarray, " unknown"]
    free: tuple[int, ...] = eqx.field(static=True)
    low: Float[np.ndarray, "4"]
    high: Float[np.ndarray, "4"]

    def part(self, change: Float[np.ndarray, "4"], variance: float) -> MarginalFit:
        """Return the fit of the unknowns at one geometry."""
        return MarginalFit.from_root(self.survey.root(change), variance=variance, precision=self.precision)

    def measured_variance(self, change: Float[np.ndarray, "4"], start: float) -> float:
        """Return the known variance, or that of the residual at one geometry from a first value `start`, nT²."""
        if self.variance is not None:
            return self.variance
        used = int(np.count_nonzero(self.survey.weight))
        return noise_of_residual(self.survey.root(change), used=used, precision=self.precision, start=start).variance

    def slopes(self, change: Float[np.ndarray, "4"], part: MarginalFit) -> Slopes:
        """Return the derivatives of the objective by the free parameters."""
        return slopes_of(self.survey, change, part, free=self.free)

    def with_free(self, change: Float[np.ndarray, "4"], values: Float[np.ndarray, " param"]) -> Float[np.ndarray, "4"]:
        """Return the change with its free parameters replaced by `values`, clipped to the bounds."""
        changed = change.copy()
        changed[list(self.free)] = values
        return np.clip(changed, self.low, self.high)


class RegistrationOptimum(eqx.Module):
    """The maximum of the objective.

    Attributes
    ----------
    change
        The change of the four parameters.
    part, slopes
        The fit of the unknowns there, and the derivatives of the objective.
    curvature
        Minus the matrix of second derivatives of the objective.
    slice_values, slice_drops
        For each free parameter, values over its range with the other parameters at the optimum, and how far the
        objective lies below its maximum there.
    converged
        Whether the maximization converged and no slice has a larger objective.
    """

    change: Float[np.ndarray, "4"]
    part: MarginalFit
    slopes: Slopes
    curvature: Float[np.ndarray, "param param"]
    slice_values: Float[np.ndarray, "param point"]
    slice_drops: Float[np.ndarray, "param point"]
    converged: bool = eqx.field(static=True)


class Ascent(eqx.Module):
    """The end of one maximization.

    Attributes
    ----------
    change
        The change of the four parameters.
    part
        The fit of the unknowns there.
    ended
        Whether it converged.
    """

    change: Float[np.ndarray, "4"]
    part: MarginalFit
    ended: bool = eqx.field(static=True)


def find_optimum(problem: RegistrationProblem, *, points: int, report: Callable[[int], None]) -> RegistrationOptimum:
    """Maximize the objective from no change, and again from the best point of a slice that has a larger objective.

    Parameters
    ----------
    problem
        The problem.
    points
        Number of points of each slice.
    report
        Called with the number of passes over the map that were made.
    """
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
    """Return the mean square of the weighted map, nT²: the first value of an unknown variance."""
    weighted = problem.survey.field * problem.survey.weight
    return max(float(np.mean(weighted**2)), np.finfo(float).tiny)


def _maximize_with_noise(
    problem: RegistrationProblem, change: Float[np.ndarray, "4"], variance: float, report: Callable[[int], None]
) -> Ascent:
    """Maximize the objective, and again with the variance of the residual there, until the variance converges."""
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
    """Maximize the objective for one variance by Levenberg–Marquardt, with steps clipped to the bounds."""
    free, part, damping = list(problem.free), problem.part(change, variance), 1e-3
    reach = (problem.high - problem.low)[free] / 4
    for _ in range(_STEPS):
        slopes = problem.slopes(change, part)
        report(1 + len(free))
        scale = np.diagonal(slopes.information).copy()
        if not np.all(scale > 0):
            return Ascent(change, part, ended=True)
        # A parameter at its bound whose gradient points outward is fixed, so that it does not bias the others' steps.
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
    """Return values and drops of the objective along each parameter, and the best change if it exceeds the maximum."""
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
    """Return minus the second derivatives from central differences of the gradient.

    They include the terms that Gauss–Newton leaves out. Where magnetizations are uncertain, their noise counts as
    signal in the Gauss–Newton form, which then gives standard deviations that are too small.
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
