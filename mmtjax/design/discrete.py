"""A setting on the sensors that a scan really has, above fresh samples: what an optimum is worth."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jaxtyping import Float

from mmtjax.design.chain import objective_on
from mmtjax.design.optimize import Optimum
from mmtjax.design.problem import DesignProblem, require_whole
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.placement import place_grains


@dataclasses.dataclass(frozen=True)
class Trial:
    """A setting tried on fresh samples.

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
    progress: Callable[[str, int, int], None] | None = None,
) -> Trial:
    """Evaluate a setting above fresh samples of whole grains, on a grid from edge to edge.

    Where the interval does not divide the side, the grid reaches equally far beyond all edges, by less than half an
    interval: no part of a sample is left out, at any interval.

    Parameters
    ----------
    problem
        The scan that is planned; its own samples are not used.
    chosen
        Values of the free knobs.
    side
        Edge of the samples, µm.
    repeats
        Number of samples. The same seed gives the same samples to settings of the same thickness.
    seed
        Of their random numbers.
    progress
        Called with a description, and what is done of how much.

    Raises
    ------
    ValueError
        For a side that is not two intervals long, for no repeats, and as `place_grains`.

    Examples
    --------
    >>> from mmtjax.design.instrument import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.1}
    >>> problem = DesignProblem(ScanningSquid(noise=5.0), density=2e4, area=1e4, knobs=knobs, objective="share")
    >>> 0 < try_setting(problem, {"interval": 4.0}, side=60.0, repeats=2).mean < 1
    True
    """
    setting = problem.setting(**chosen)
    if side < 2 * setting.interval:
        raise ValueError(f"side must be two or more intervals of {setting.interval:g} µm long; got {side!r}")
    require_whole(repeats, name="repeats")
    count = int(np.ceil(side / setting.interval - 1e-9)) + 1
    grid = SensorGrid(
        origin=((side - (count - 1) * setting.interval) / 2,) * 2,
        spacing=setting.interval,
        shape=(count, count),
        height=setting.standoff,
        side=problem.instrument.sensor_side(setting),
    )
    values = []
    for number, key in enumerate(jax.random.split(jax.random.key(seed), repeats)):
        grains = place_grains(
            key,
            problem.library,
            side=side,
            thickness=setting.thickness,
            density=problem.density,
            clearance=problem.clearance,
        )
        values.append(float(objective_on(problem, setting, grains, grid)))
        if progress is not None:
            progress("fresh samples", number + 1, repeats)
    return Trial(dict(chosen), np.array(values))


def nearest_trials(optimum: Optimum, **options: object) -> list[Trial]:
    """Trials at the settings next to an optimum that the instrument can do, the best first.

    Other knobs than the interval stay; `options` are those of `try_setting`.

    Raises
    ------
    ValueError
        If the instrument can do no interval within the bounds.
    """
    problem, chosen = optimum.problem, optimum.chosen
    if "interval" not in problem.free:
        return [try_setting(problem, chosen, **options)]
    low, high = problem.bounds["interval"]
    possible = problem.instrument.intervals(low, high)
    if len(possible) == 0:
        raise ValueError(
            f"the instrument can do no sampling interval from {low:.4g} to {high:.4g} µm; widen the bounds of interval"
        )
    below, above = possible[possible <= chosen["interval"]][-1:], possible[possible > chosen["interval"]][:1]
    trials = [
        try_setting(problem, chosen | {"interval": float(interval)}, **options)
        for interval in np.concatenate([below, above])
    ]
    return sorted(trials, key=lambda trial: trial.mean, reverse=problem.objective.maximize)
