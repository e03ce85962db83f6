"""Samples too large to factor whole: how the time of windows grows with the area, and how right their answers are."""

import tempfile
import warnings
from pathlib import Path

import jax
import numpy as np

from benchmarks.measure import note, record, wall_clock
from benchmarks.memory import peak_gib
from benchmarks.samples import scale_of_large
from mmtjax import Solution, invert, invert_subdomains
from mmtjax.simulation import Simulation, simulate

#: Edges of the samples (µm): 2,000, 4,000 and 8,000 grains at 10⁵ per mm³ in 50 µm.
_SIDES = (632.0, 894.0, 1265.0)
_THICKNESS, _DENSITY, _NOISE = 50.0, 1e5, 20.0
_DRAWS = 32

#: The goal of the field: grains over 20 mm² of 50 µm.
_GOAL = 100_000


def growth() -> None:
    """Seconds, memory and disk of three sizes at one density, and the exponent of the time with the area."""
    grains, seconds = [], []
    for side in _SIDES:
        sample = made(side)
        count = len(sample.grains)
        stages = StageClock()
        with tempfile.TemporaryDirectory() as store:
            start = wall_clock()
            solution = by_windows(sample, Path(store), progress=stages)
            grains.append(count)
            seconds.append(wall_clock() - start)
            disk = sum(file.stat().st_size for file in Path(store).iterdir())
        record(f"subdomains_{count}_s", seconds[-1], "s")
        for stage, spent in stages.seconds.items():
            record(f"subdomains_{count}_{stage}_s", spent, "s")
        record(f"subdomains_{count}_rounds", stages.rounds, "rounds")
        record(f"subdomains_{count}_peak_gib", peak_gib(), "GiB")
        record(f"subdomains_{count}_disk_gib", disk / 2**30, "GiB")
        note(str(solution))
    exponent, constant = np.polyfit(np.log(grains), np.log(seconds), 1)
    record("subdomains_growth", exponent, "exponent")
    record("subdomains_100000_extrapolated_h", np.exp(constant) * _GOAL**exponent / 3600, "h")


def accuracy() -> None:
    """Radii and magnetizations of the middle size against the factorization of the whole."""
    sample = made(_SIDES[1])
    with tempfile.TemporaryDirectory() as store:
        solution = by_windows(sample, Path(store))
    start = wall_clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = invert(sample.scan, sample.grains, _NOISE)
    record("subdomains_whole_s", wall_clock() - start, "s")
    record("subdomains_whole_peak_gib", peak_gib(), "GiB")
    seen = np.asarray(whole.uncertainty_ratio) < 1
    radius = np.asarray(solution.confidence_radius / whole.confidence_radius)[seen] - 1
    away = np.linalg.norm(solution.magnetization - whole.magnetization, axis=1) / whole.confidence_radius
    record("subdomains_radius_worst", np.abs(radius).max(), "of the radius")
    record("subdomains_radius_within_5_percent", np.mean(np.abs(radius) <= 0.05), "of the grains with ratio < 100 %")
    record("subdomains_radius_median", np.median(radius), "of the radius")
    record("subdomains_radius_error_standardized", np.std(radius / solution.radius_error[seen]), "stated errors")
    record("subdomains_magnetization_worst", away.max(), "of the radius")


def made(side: float) -> Simulation:
    """The sample; its edge is smaller by the scale that the environment asks for."""
    return simulate(
        jax.random.key(5),
        side=round(side * scale_of_large()),
        thickness=_THICKNESS,
        density=_DENSITY,
        noise=_NOISE,
    )


class StageClock:
    """How long the stages of an inversion take, by what it tells of its progress, and how many rounds there were."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.rounds = 0
        self._last = wall_clock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = wall_clock()
        name = stage.replace(" ", "_")
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now
        self.rounds += stage == "directions" and done == total


def by_windows(sample: Simulation, store: Path, progress: StageClock | None = None) -> Solution:
    """The solution by windows of the default size."""
    with warnings.catch_warnings():
        # Some deep grains come out beyond saturation: what is warned of is known.
        warnings.simplefilter("ignore")
        return invert_subdomains(
            jax.random.key(1), sample.scan, sample.grains, _NOISE, draws=_DRAWS, store=store, progress=progress
        )
