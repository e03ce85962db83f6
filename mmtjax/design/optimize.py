"""Optimize a planned scan by gradients, from many starts."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from scipy.stats import qmc

from mmtjax.design.chain import Value, evaluate_with_gradient, path_between
from mmtjax.design.problem import DesignProblem, require_whole
from mmtjax.design.search_time import require_short_search
from mmtjax.design.setting import SECONDS_PER_HOUR
from mmtjax.errors import InputError
from mmtjax.progress import StageProgress

#: Size of the first steps of Adam, as a share of the range of a knob, and decay of its averages of gradients and of
#: their squares. Gradients are exact here: long averages of those far from the optimum, ten times as large, would make
#: the last steps small.
_RATE = 0.16
_DECAY, _SQUARE_DECAY = 0.8, 0.9

#: A start has converged where a step of this share of the range of a knob, along the gradient and within the bounds, is
#: expected to change the objective by at most `_CONVERGED` of its value, or, where its zero has no meaning, of the span
#: of its values at all steps.
_REACH = 0.05
_CONVERGED = 2e-3

#: Share of the range of a knob over which discontinuities of the objective are looked for, to both sides, and share of
#: a value that may be rounding.
_SPAN = 0.03
_ROUNDING = 1e-7

#: Keeps quotients finite; smaller than any derivative.
_TINY = 1e-150


class DesignWarning(UserWarning):
    """An optimum that cannot be relied on, a knob without influence, or an objective with steps."""


@dataclasses.dataclass(frozen=True)
class Start:
    """One start of the optimization.

    Attributes
    ----------
    chosen
        Values of the free knobs at every step.
    values
        Objective at every step.
    converged
        Whether no further gain is expected from the gradient.
    """

    chosen: list[dict[str, float]]
    values: list[float]
    converged: bool

    def best(self, *, maximize: bool) -> int:
        """Return the number of the best step."""
        return int(np.argmax(self.values) if maximize else np.argmin(self.values))


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best setting that the optimization found, for a smooth model of the scan.

    Attributes
    ----------
    problem
        The problem.
    chosen
        Values of the free knobs.
    value
        The objective there for each sample, with its derivatives.
    starts
        All starts, the best one first.
    """

    problem: DesignProblem
    chosen: dict[str, float]
    value: Value
    starts: list[Start]

    def at_bound(self, name: str) -> bool:
        """Whether a knob lies at one of its ends."""
        low, high = self.problem.bounds[name]
        return min(self.chosen[name] - low, high - self.chosen[name]) < 1e-3 * (high - low)


def optimize(
    problem: DesignProblem,
    *,
    starts: int = 4,
    steps: int = 25,
    first: Mapping[str, float] | None = None,
    progress: StageProgress | None = None,
) -> Optimum:
    """Find the best setting of a problem by Adam from several starts, within the bounds and the budget.

    The size of the steps of each start falls along a cosine, and a step beyond the bounds ends at them. The samples and
    their random numbers are the same throughout, so that the objective is smooth.

    Parameters
    ----------
    problem
        The scan to be planned.
    starts
        Number of starts: the first in the middle of the bounds or at `first`, the others at Sobol points between them.
    steps
        Number of steps of each start.
    first
        Values of the free knobs of the first start.
    progress
        Called with ``"optimizing"``, the number of steps done and the number of all.

    Raises
    ------
    ValueError
        For a number of starts or steps below one, or that would take longer than a month; for an objective that returns
        several numbers or does not depend on any free knob, and for a first start that lacks a free knob or has another
        one.
    TypeError
        For an objective that is not in JAX, or does not return a real number.
    FloatingPointError
        If the objective or a derivative is not finite.

    Warns
    -----
    DesignWarning
        If no start converged, for a knob that the objective does not depend on, and for an objective that changes by
        steps that its derivative does not show.

    Examples
    --------
    >>> from mmtjax.design import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1}
    >>> problem = DesignProblem(
    ...     ScanningSquid(noise=5.0, overhead=0.1), density=2e4, area=1e4, knobs=knobs, budget=600, samples=1, grains=6
    ... )
    >>> 2 <= optimize(problem, starts=1, steps=2).chosen["interval"] <= 6
    True
    """
    for name, number in (("starts", starts), ("steps", steps)):
        require_whole(number, name=name)
    if first is not None:
        problem.require_free(first)
    require_short_search(problem, starts=starts, steps=steps)
    total = starts * (steps + 1)
    slopes: list[dict[str, float]] = []

    def value_at(chosen: dict[str, float], done: int) -> Value:
        value = evaluate_with_gradient(problem, chosen)
        slopes.append(value.gradient)
        if progress is not None:
            progress("optimizing", done, total)
        return value

    found = [
        _run_adam(
            problem, point, steps=steps, value_at=lambda c, step, n=number: value_at(c, n * (steps + 1) + step + 1)
        )
        for number, point in enumerate(_start_points(problem, starts, first))
    ]
    _check_influence(problem, slopes)
    maximize = problem.criterion.maximize
    found.sort(key=lambda start: start.values[start.best(maximize=maximize)], reverse=maximize)
    if not any(start.converged for start in found):
        warnings.warn(
            f"none of {starts} starts converged in {steps} steps{_within_budget(problem)}; the optimum may lie "
            "elsewhere. Ask for more steps",
            DesignWarning,
            stacklevel=2,
        )
    chosen = found[0].chosen[found[0].best(maximize=maximize)]
    optimum = Optimum(problem, chosen, evaluate_with_gradient(problem, chosen), found)
    if stepped := knobs_with_steps(optimum):
        warnings.warn(
            f"the objective {problem.criterion.name!r} changes with {', '.join(stepped)} otherwise than its derivative "
            f"says{_within_budget(problem)}: the search does not see its steps. Write counts, comparisons and rounding "
            "in a smooth way, as Outcome.share_within_limit does",
            DesignWarning,
            stacklevel=2,
        )
    return optimum


def knobs_with_steps(optimum: Optimum) -> list[str]:
    """Return the knobs along which the objective changes by steps that its derivative does not show, near the optimum.

    Over `_SPAN` to both sides, the mean of the derivatives is the change, but for kinks and curvature: together these
    shift the mean of n derivatives by less than one n-th of their range.
    """
    problem, point = optimum.problem, _point_of(optimum.problem, optimum.chosen)
    allowed = _CONVERGED * _scale(problem, optimum.starts[0].values) + _ROUNDING * abs(optimum.value.mean)
    stepped = []
    for number, name in enumerate(problem.free):
        step = _SPAN * np.eye(len(point))[number]
        (low, _), (high, _) = (_knobs_at(problem, np.clip(point + side * step, 0, 1)) for side in (-1, 1))
        path = path_between(problem, low, high)
        if abs(path.change - path.slopes.mean()) > np.ptp(path.slopes) / len(path.slopes) + allowed + 2 * path.rounding:
            stepped.append(name)
    return stepped


def _scale(problem: DesignProblem, values: list[float]) -> float:
    """Return the scale of changes of the objective: its best value, or the span of the values at all steps."""
    best = max(values) if problem.criterion.maximize else min(values)
    return abs(best) if problem.criterion.relative else float(np.ptp(values))


def _run_adam(
    problem: DesignProblem, first: np.ndarray, *, steps: int, value_at: Callable[[dict[str, float], int], Value]
) -> Start:
    """Run one start. Knobs are shares of their ranges, on a logarithmic scale where that is possible."""
    sign = -1.0 if problem.criterion.maximize else 1.0
    # The objective may have any size: the steps of Adam depend on the direction only, but for its smallest number.
    adam = optax.adam(optax.cosine_decay_schedule(_RATE, steps), b1=_DECAY, b2=_SQUARE_DECAY, eps=_TINY)
    point, chosen, values, gains = jnp.asarray(first), [], [], []
    state = adam.init(point)
    for step in range(steps + 1):
        here, slope = _knobs_at(problem, np.asarray(point))
        value = value_at(here, step)
        chosen.append(here)
        values.append(value.mean)
        gradient = jnp.asarray([sign * value.gradient[name] * slope[name] for name in problem.free])
        if problem.criterion.relative:
            gradient = gradient / max(abs(value.mean), _TINY)
        gains.append(_expected_gain(point, gradient))
        update, state = adam.update(gradient, state)
        point = optax.projections.projection_box(eqx.apply_updates(point, update), 0.0, 1.0)
    best = int(np.argmin(sign * np.array(values)))
    enough = _CONVERGED if problem.criterion.relative else _CONVERGED * float(np.ptp(values))
    # A start that never leaves a corner has no span, and nothing to gain.
    return Start(chosen, values, converged=min(gains[best], gains[-1]) <= enough)


def _expected_gain(point: Float[Array, " knob"], gradient: Float[Array, " knob"]) -> float:
    """Return the gain expected of a step of `_REACH` down the gradient, as far as the bounds allow."""
    step = _REACH * gradient / jnp.maximum(jnp.linalg.norm(gradient), _TINY)
    return float((point - optax.projections.projection_box(point - step, 0.0, 1.0)) @ gradient)


def _start_points(
    problem: DesignProblem, starts: int, first: Mapping[str, float] | None
) -> Float[np.ndarray, "start knob"]:
    middle = np.full(len(problem.free), 0.5) if first is None else _point_of(problem, first)
    drawn = qmc.Sobol(len(problem.free), rng=np.random.default_rng(problem.seed)).random(starts - 1)
    return np.concatenate([middle[None], 0.05 + 0.9 * drawn])


def _knobs_at(problem: DesignProblem, point: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Return the values of the knobs at a point of the unit cube, and their derivatives."""
    values, slopes = {}, {}
    for name, share in zip(problem.free, point, strict=True):
        low, high = problem.bounds[name]
        if low > 0:
            values[name] = float(np.clip(low * (high / low) ** share, low, high))
            slopes[name] = values[name] * float(np.log(high / low))
        else:
            values[name], slopes[name] = float(low + share * (high - low)), high - low
    return values, slopes


def _point_of(problem: DesignProblem, chosen: Mapping[str, float]) -> Float[np.ndarray, " knob"]:
    """Return the point of the unit cube at which the knobs have these values."""
    shares = []
    for name in problem.free:
        low, high = problem.bounds[name]
        value = float(np.clip(chosen[name], low, high))
        shares.append(np.log(value / low) / np.log(high / low) if low > 0 else (value - low) / (high - low))
    return np.array(shares)


def _check_influence(problem: DesignProblem, slopes: list[dict[str, float]]) -> None:
    """Warn of knobs whose derivative is zero at every step, and raise a ValueError if no knob has another."""
    idle = [name for name in problem.free if all(slope[name] == 0 for slope in slopes)]
    if len(idle) == len(problem.free):
        msg = (
            f"the objective {problem.criterion.name!r} does not change with {', '.join(idle)}: its derivative is zero "
            "everywhere. A function with steps has no derivative that leads anywhere; make it smooth"
        )
        raise InputError(msg)
    if idle:
        warnings.warn(
            f"the objective {problem.criterion.name!r} does not depend on {', '.join(idle)}{_within_budget(problem)}; "
            "any value is as good",
            DesignWarning,
            stacklevel=3,
        )


def _within_budget(problem: DesignProblem) -> str:
    """Return the budget for messages, as a search for a Pareto front has many."""
    return "" if problem.budget is None else f" within a budget of {problem.budget / SECONDS_PER_HOUR:g} h"


def sensitivities(optimum: Optimum) -> dict[str, tuple[float, float]]:
    """Return the change of the objective by one unit more (µm or s) of each free knob, and its spread over samples.

    Both are shares of the size of the objective if that is `relative`: (−0.03, 0.01) for the standoff means "1 µm more
    costs 3 ± 1 %" of an objective that is maximized. For other objectives, such as logarithms and functions of the
    user, both are in the unit of the objective.
    """
    value = optimum.value
    size = np.abs(value.values) if optimum.problem.criterion.relative else 1.0
    change = {name: slope / size for name, slope in value.slopes.items()}
    return {
        name: (float(each.mean()), float(each.std(ddof=1)) if len(each) > 1 else float("nan"))
        for name, each in change.items()
    }


def pareto_front(
    problem: DesignProblem,
    budgets: list[float],
    *,
    starts: int = 2,
    steps: int = 15,
    progress: StageProgress | None = None,
) -> list[Optimum]:
    """Find the optimum for each of several budgets of time.

    Parameters
    ----------
    problem
        The scan to be planned.
    budgets
        Times of the scan, s.
    starts, steps
        As for `optimize`; the first start of each budget is the optimum of the next shorter one.
    progress
        Called with ``"Pareto front"``, the number of budgets done and the number of all.

    Returns
    -------
    list of Optimum
        In ascending order of the budget.

    Raises
    ------
    ValueError
        For a budget that no setting meets, and as `optimize`.
    """
    found: list[Optimum] = []
    for number, budget in enumerate(sorted(budgets)):
        changed = dataclasses.replace(problem, budget=budget)
        # The samples do not depend on the budget.
        changed.__dict__["populations"] = problem.populations
        before = found[-1].chosen if found else None
        found.append(optimize(changed, starts=starts, steps=steps, first=before))
        if progress is not None:
            progress("Pareto front", number + 1, len(budgets))
    return found
