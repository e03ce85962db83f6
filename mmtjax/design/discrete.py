"""Evaluate a setting with the sensors that a scan would have, above fresh samples."""

import dataclasses
from collections.abc import Mapping
from functools import partial

import jax
import numpy as np
from jaxtyping import Float

from mmtjax.design.chain import objective_on
from mmtjax.design.optimize import Optimum
from mmtjax.design.problem import DesignProblem, require_whole
from mmtjax.design.search_time import require_short_trials
from mmtjax.errors import InputError
from mmtjax.precision import random_key
from mmtjax.progress import StageProgress
from mmtjax.scan.grid import SensorGrid


@dataclasses.dataclass(frozen=True)
class Trial:
    """The objective at a setting for fresh samples.

    Attributes
    ----------
    chosen
        Values of the free knobs.
    values
        The objective for each sample.
    """

    chosen: dict[str, float]
    values: Float[np.ndarray, " sample"]

    @property
    def mean(self) -> float:
        """Mean over samples."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean."""
        return float(self.values.std(ddof=1) / np.sqrt(len(self.values))) if len(self.values) > 1 else float("nan")


def try_setting(
    problem: DesignProblem,
    chosen: Mapping[str, float],
    *,
    side: float = 100.0,
    repeats: int = 15,
    seed: int = 1,
    progress: StageProgress | None = None,
) -> Trial:
    """Evaluate a setting above fresh samples of whole grains, on a grid from edge to edge.

    Where the interval does not divide the side, the grid reaches equally far beyond all edges, by less than half an
    interval. No part of a sample is left out at any interval.

    Parameters
    ----------
    problem
        The scan that is planned; its own samples are not used.
    chosen
        Values of the free knobs.
    side
        Edge of the samples, µm.
    repeats
        Number of samples. Settings of the same thickness have the same samples with the same seed.
    seed
        Seed of the random numbers.
    progress
        Called with ``"fresh samples"``, the number of samples done and the number of all.

    Raises
    ------
    ValueError
        For a side shorter than two intervals, for no repeats or so many that they take longer than a month, and as
        `mmtjax.SampleSpec` and its `place_grains`.

    Examples
    --------
    >>> from mmtjax.design import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.1}
    >>> problem = DesignProblem(ScanningSquid(noise=5.0), density=2e4, area=1e4, knobs=knobs, objective="share")
    >>> 0 < try_setting(problem, {"interval": 4.0}, side=60.0, repeats=2).mean < 1
    True
    """
    setting = problem.setting(**chosen)
    interval = float(setting.interval)
    if side < 2 * interval:
        msg = f"side must be two or more intervals of {interval:g} µm long; got {side!r}"
        raise InputError(msg)
    require_whole(repeats, name="repeats")
    require_short_trials(problem, side=side, repeats=repeats)
    count = int(np.ceil(side / interval - 1e-9)) + 1
    grid = SensorGrid(
        origin=((side - (count - 1) * interval) / 2,) * 2,
        spacing=interval,
        shape=(count, count),
        height=setting.standoff,
        side=problem.instrument.sensor_side(setting),
    )
    spec, values = problem.sample(side=side, thickness=float(setting.thickness)), []
    for number, key in enumerate(jax.random.split(random_key(seed), repeats)):
        values.append(float(objective_on(problem, setting, spec.place_grains(key), grid)))
        if progress is not None:
            progress("fresh samples", number + 1, repeats)
    return Trial(dict(chosen), np.array(values))


def nearest_trials(
    optimum: Optimum,
    *,
    side: float = 100.0,
    repeats: int = 15,
    seed: int = 1,
    progress: StageProgress | None = None,
) -> list[Trial]:
    """Try the settings next to an optimum that the instrument can make, and return the best first.

    The knobs other than the interval keep their values.

    Parameters
    ----------
    optimum
        The optimum.
    side, repeats, seed, progress
        As for `try_setting`.

    Raises
    ------
    ValueError
        If the instrument can make no interval within the bounds.
    """
    problem, chosen = optimum.problem, optimum.chosen
    attempt = partial(try_setting, problem, side=side, repeats=repeats, seed=seed, progress=progress)
    if "interval" not in problem.free:
        return [attempt(chosen)]
    low, high = problem.bounds["interval"]
    possible = problem.instrument.intervals(low, high)
    if len(possible) == 0:
        msg = (
            f"the instrument can make no sampling interval from {low:.4g} to {high:.4g} µm; widen the bounds of "
            "interval"
        )
        raise InputError(msg)
    below, above = possible[possible <= chosen["interval"]][-1:], possible[possible > chosen["interval"]][:1]
    trials = [attempt(chosen | {"interval": float(interval)}) for interval in np.concatenate([below, above])]
    return sorted(trials, key=lambda trial: trial.mean, reverse=problem.criterion.maximize)
