"""Refuse a search for a setting that would take too long, before it starts."""

import numpy as np

from mmtjax.design.population import cell_edge
from mmtjax.design.problem import DesignProblem
from mmtjax.simulation.feasibility import require_hours

#: Seconds of a slow core, at least, to evaluate one sample, one grain at one sensor, and one pair of grains at one.
_SAMPLE_SECONDS, _PAIR_SECONDS, _PRODUCT_SECONDS = 0.02, 2e-8, 1e-11

#: From this number on the number of steps or samples does not matter.
_UNCOUNTED = 10**12


def require_short_search(problem: DesignProblem, *, starts: int, steps: int) -> None:
    """Raise ValueError if a search would take longer than a month, by the fewest sensors that its samples can have.

    Parameters
    ----------
    problem
        The scan to be planned.
    starts, steps
        Numbers of starts, and of the steps of each.

    Examples
    --------
    >>> from mmtjax.design import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.1}
    >>> problem = DesignProblem(ScanningSquid(noise=5.0), density=2e4, area=1e4, knobs=knobs, samples=1, grains=6)
    >>> require_short_search(problem, starts=4, steps=10**9)
    Traceback (most recent call last):
    mmtjax.errors.InputError: 4 starts of 1000000000 steps with 1 samples of 6 grains take about ... fewer starts, ...
    """
    thickness = float(np.mean(problem.knobs["thickness"]))
    edge = cell_edge(problem.grains, density=problem.density, thickness=thickness)
    require_hours(
        _hours(problem, grains=problem.grains, edge=edge, samples=starts * (steps + 1) * problem.samples),
        work=f"{starts} starts of {steps} steps with {problem.samples} samples of {problem.grains} grains take",
        remedy="take fewer starts, steps, samples or grains",
    )


def require_short_trials(problem: DesignProblem, *, side: float, repeats: int) -> None:
    """Raise ValueError if fresh samples would take longer than a month, by the fewest sensors and grains.

    Parameters
    ----------
    problem
        The scan that is planned.
    side, repeats
        Edge of the samples, µm, and their number.
    """
    thickness = float(np.min(problem.knobs["thickness"]))
    grains = problem.sample(side=side, thickness=thickness).grain_count
    require_hours(
        _hours(problem, grains=grains, edge=side, samples=repeats),
        work=f"{repeats} fresh samples of {grains} grains, with a side of {side:g} µm, take",
        remedy="take fewer repeats, or a smaller side",
    )


def _hours(problem: DesignProblem, *, grains: int, edge: float, samples: int) -> float:
    """Return the hours that samples take at least: with sensors at the longest interval."""
    sensors = (edge / float(np.max(problem.knobs["interval"]))) ** 2
    one = _SAMPLE_SECONDS + _PAIR_SECONDS * grains * sensors + _PRODUCT_SECONDS * float(grains) ** 2 * sensors
    return min(samples, _UNCOUNTED) * one / 3600
