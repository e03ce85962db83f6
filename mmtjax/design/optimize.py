"""Optimization of a planned scan by gradients, from many starts."""

import dataclasses
import warnings
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from mmtjax.design.chain import Value, evaluate_with_gradient, path_between
from mmtjax.design.problem import DesignProblem, require_whole

#: Size of the first steps of Adam, as a share of the way between the ends of a knob, and what it remembers of gradients
#: and their squares from one step to the next. They are exact here: a long memory of those far from the optimum, ten
#: times as large, would make the last steps small.
_RATE = 0.16
_MEMORY = {"b1": 0.8, "b2": 0.9}

#: A start has converged where a step of this share of the way between the ends of a knob, along the gradient and within
#: the bounds, promises to change the objective by no more than `_CONVERGED` of it, or, where its zero means nothing, of
#: the span of its values at all steps.
_REACH = 0.05
_CONVERGED = 2e-3

#: Share of the way between the ends of a knob over which steps of the objective are looked for, to both sides, and what
#: of a value may be rounding at least.
_SPAN = 0.03
_ROUNDING = 1e-7

#: Keeps quotients finite; smaller than any derivative.
_TINY = 1e-150


class DesignWarning(UserWarning):
    """An optimum that is not to be relied on, a knob without influence, or an objective with steps."""


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
        Whether the last steps promised no further gain.
    """

    chosen: list[dict[str, float]]
    values: list[float]
    converged: bool

    def best(self, *, maximize: bool) -> int:
        """Number of the best step."""
        return int(np.argmax(self.values) if maximize else np.argmin(self.values))


@dataclasses.dataclass(frozen=True)
class Optimum:
    """The best setting that the optimization found, for a smooth model of the scan.

    Attributes
    ----------
    problem
        What was asked.
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
    progress: Callable[[str, int, int], None] | None = None,
) -> Optimum:
    """Best setting of a problem by Adam from several starts, within the bounds and the budget.

    The steps of each start grow smaller along a cosine; what leaves the bounds is put back to them. The samples and
    their random numbers are the same throughout, so that the objective is smooth.

    Parameters
    ----------
    problem
        The scan to be planned.
    starts
        How many starts; the first in the middle of the bounds or at `first`, the others drawn evenly (Sobol) from them.
    steps
        Steps of each.
    first
        Values of the free knobs at which the first one starts.
    progress
        Called with a description, and what is done of how much.

    Raises
    ------
    ValueError
        For a number of starts or steps below one, an objective that gives several numbers or does not depend on any
        free knob, and for a first start that lacks a free knob or has another.
    TypeError
        For an objective that is not in JAX, or gives something else than a real number.
    FloatingPointError
        If the objective or a derivative is not finite.

    Warns
    -----
    DesignWarning
        If no start converged, for a knob that the objective does not depend on, and for an objective that changes by
        steps beside what its derivative says.

    Examples
    --------
    >>> from mmtjax.design.instrument import ScanningSquid
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
    total = starts * (steps + 1)
    slopes: list[dict[str, float]] = []

    def value_at(chosen: dict[str, float], done: int) -> Value:
        value = evaluate_with_gradient(problem, chosen)
        slopes.append(value.gradient)
        if progress is not None:
            progress("optimizing", done, total)
        return value

    found = [
        _ascend(problem, begin, steps=steps, value_at=lambda c, step, n=number: value_at(c, n * (steps + 1) + step + 1))
        for number, begin in enumerate(_beginnings(problem, starts, first))
    ]
    _refuse_or_warn(problem, slopes)
    maximize = problem.objective.maximize
    found.sort(key=lambda start: start.values[start.best(maximize=maximize)], reverse=maximize)
    if not any(start.converged for start in found):
        warnings.warn(
            f"none of {starts} starts converged in {steps} steps{_within(problem)}; the optimum may lie elsewhere. Ask "
            "for more steps",
            DesignWarning,
            stacklevel=2,
        )
    chosen = found[0].chosen[found[0].best(maximize=maximize)]
    optimum = Optimum(problem, chosen, evaluate_with_gradient(problem, chosen), found)
    if stepped := knobs_with_steps(optimum):
        warnings.warn(
            f"the objective {problem.objective.name!r} changes with {', '.join(stepped)} otherwise than its derivative "
            f"says{_within(problem)}: the search does not see its steps. Write counts, comparisons and rounding in a "
            "smooth way, as Outcome.share_within_limit does",
            DesignWarning,
            stacklevel=2,
        )
    return optimum


def knobs_with_steps(optimum: Optimum) -> list[str]:
    """Knobs along which the objective changes otherwise than by its derivative, about the optimum.

    Over `_SPAN` to both sides, the mean of the derivatives is the change, but for kinks and curvature: together they
    shift the mean of n derivatives by less than one n-th of how much these vary.
    """
    problem, place = optimum.problem, _places_of(optimum.problem, optimum.chosen)
    allowed = _CONVERGED * _size(problem, optimum.starts[0].values) + _ROUNDING * abs(optimum.value.mean)
    stepped = []
    for number, name in enumerate(problem.free):
        step = _SPAN * np.eye(len(place))[number]
        (low, _), (high, _) = (_knobs_at(problem, np.clip(place + side * step, 0, 1)) for side in (-1, 1))
        way = path_between(problem, low, high)
        if abs(way.change - way.slopes.mean()) > np.ptp(way.slopes) / len(way.slopes) + allowed + 2 * way.rounding:
            stepped.append(name)
    return stepped


def _size(problem: DesignProblem, values: list[float]) -> float:
    """What changes of the objective are compared with: its best value, or the span of the values at all steps."""
    best = max(values) if problem.objective.maximize else min(values)
    return abs(best) if problem.objective.relative else float(np.ptp(values))


def _ascend(
    problem: DesignProblem, begin: np.ndarray, *, steps: int, value_at: Callable[[dict[str, float], int], Value]
) -> Start:
    """One start. Knobs are shares of the way between their ends, on a logarithmic scale where that is possible."""
    sign = -1.0 if problem.objective.maximize else 1.0
    # The objective may be anything in size: Adam minds only the direction, but for its smallest number.
    adam = optax.adam(optax.cosine_decay_schedule(_RATE, steps), eps=_TINY, **_MEMORY)
    place, chosen, values, gains = jnp.asarray(begin), [], [], []
    state = adam.init(place)
    for step in range(steps + 1):
        here, slope = _knobs_at(problem, np.asarray(place))
        value = value_at(here, step)
        chosen.append(here)
        values.append(value.mean)
        gradient = jnp.asarray([sign * value.gradient[name] * slope[name] for name in problem.free])
        if problem.objective.relative:
            gradient = gradient / max(abs(value.mean), _TINY)
        gains.append(_promise(place, gradient))
        update, state = adam.update(gradient, state)
        place = optax.projections.projection_box(place + update, 0.0, 1.0)
    best = int(np.argmin(sign * np.array(values)))
    enough = _CONVERGED if problem.objective.relative else _CONVERGED * float(np.ptp(values))
    # A start that never leaves a corner has no span, and nothing to gain.
    return Start(chosen, values, converged=min(gains[best], gains[-1]) <= enough)


def _promise(place: Float[Array, " knob"], gradient: Float[Array, " knob"]) -> float:
    """What the gradient promises of a step of `_REACH` down along it, as far as the bounds allow."""
    step = _REACH * gradient / jnp.maximum(jnp.linalg.norm(gradient), _TINY)
    return float((place - optax.projections.projection_box(place - step, 0.0, 1.0)) @ gradient)


def _beginnings(
    problem: DesignProblem, starts: int, first: Mapping[str, float] | None
) -> Float[np.ndarray, "start knob"]:
    from scipy.stats import qmc

    middle = np.full(len(problem.free), 0.5) if first is None else _places_of(problem, first)
    drawn = qmc.Sobol(len(problem.free), rng=np.random.default_rng(problem.seed)).random(starts - 1)
    return np.concatenate([middle[None], 0.05 + 0.9 * drawn])


def _knobs_at(problem: DesignProblem, place: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
    """Values of the knobs at a place between 0 and 1, and their derivatives."""
    values, slopes = {}, {}
    for name, share in zip(problem.free, place, strict=True):
        low, high = problem.bounds[name]
        if low > 0:
            values[name] = float(np.clip(low * (high / low) ** share, low, high))
            slopes[name] = values[name] * float(np.log(high / low))
        else:
            values[name], slopes[name] = float(low + share * (high - low)), high - low
    return values, slopes


def _places_of(problem: DesignProblem, chosen: Mapping[str, float]) -> Float[np.ndarray, " knob"]:
    places = []
    for name in problem.free:
        low, high = problem.bounds[name]
        value = float(np.clip(chosen[name], low, high))
        places.append(np.log(value / low) / np.log(high / low) if low > 0 else (value - low) / (high - low))
    return np.array(places)


def _refuse_or_warn(problem: DesignProblem, slopes: list[dict[str, float]]) -> None:
    """Knobs with a derivative of zero at every step have no influence."""
    idle = [name for name in problem.free if all(slope[name] == 0 for slope in slopes)]
    if len(idle) == len(problem.free):
        raise ValueError(
            f"the objective {problem.objective.name!r} does not change with {', '.join(idle)}: its derivative is zero "
            "everywhere. A function with steps has no derivative that leads anywhere; make it smooth"
        )
    if idle:
        warnings.warn(
            f"the objective {problem.objective.name!r} does not depend on {', '.join(idle)}{_within(problem)}; any "
            "value is as good",
            DesignWarning,
            stacklevel=3,
        )


def _within(problem: DesignProblem) -> str:
    """The budget, for messages: a search for a Pareto front has many."""
    return "" if problem.budget is None else f" within a budget of {problem.budget / 3600:g} h"


def sensitivities(optimum: Optimum) -> dict[str, tuple[float, float]]:
    """Change of the objective for each free knob by one unit more (µm or s), and its spread over samples.

    Both are shares of the size of the objective where that is `relative`: (−0.03, 0.01) for the standoff reads "1 µm
    more costs 3 ± 1 %" of an objective that is to be large. Of others, as logarithms and functions that a user wrote,
    both are in the unit of the objective.
    """
    value = optimum.value
    size = np.abs(value.values) if optimum.problem.objective.relative else 1.0
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
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Optimum]:
    """The optimum for each of several budgets of time (s), in ascending order; each starts at the one before.

    Raises
    ------
    ValueError
        For a budget that no setting meets, and as `optimize`.
    """
    found: list[Optimum] = []
    for number, budget in enumerate(sorted(budgets)):
        there = dataclasses.replace(problem, budget=budget)
        # The samples do not depend on the budget.
        there.__dict__["populations"] = problem.populations
        before = found[-1].chosen if found else None
        found.append(optimize(there, starts=starts, steps=steps, first=before))
        if progress is not None:
            progress("Pareto front", number + 1, len(budgets))
    return found
