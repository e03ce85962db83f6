"""A tenth of the models of the study, small ones, against the same inverted through the dense matrix."""

import warnings
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks.measure import note, record, wall_clock
from benchmarks.run import ROOT
from mmtjax import Grains, Scan, invert_series
from mmtjax.estimators.base import factored
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.greens import DenseGreen, TiledGreen
from mmtjax.solvers import AutoSolver
from mmtjax.study.cell import Geometry
from mmtjax.study.config import StudyConfig, read_config
from mmtjax.study.geometry import sample_of
from mmtjax.uncertainty.confidence import confidence_radius

#: Samples of 10, 50 and 200 grains: 48 of the 448 models, with four intervals and four levels of noise.
_SIDE, _THICKNESS, _DENSITIES = 200, 50, (5e3, 2.5e4, 1e5)

#: Difference of radii allowed, for grains with a ratio below 100 %.
_AGREEMENT = 1e-3


def cells() -> None:
    """Time of the inversions alone, warm; each map is inverted in both ways, one after the other."""
    config = read_config(ROOT / "experiments" / "limits_of_mmt" / "study.toml")
    samples = [sample_of(config, Geometry(_SIDE, _THICKNESS, density, 0)) for density in _DENSITIES]
    times, worst = [], 0.0
    for sample, interval in product(samples, config.interval):
        maps = [sample.sample(spacing=interval, noise=noise) for noise in config.noise]
        pair = []
        for route in (compressed_route, dense_route):
            route(maps, sample.grains, config)
            start = wall_clock()
            found = route(maps, sample.grains, config)
            pair.append((wall_clock() - start, found))
        times.append([time for time, _ in pair])
        note(f"{len(sample.grains)} grains every {interval:g} µm: {times[-1][0]:.2f} s, dense {times[-1][1]:.2f} s")
        worst = max(worst, difference(*(found for _, found in pair)))
    note(f"largest difference of the radii of grains below 100 %: {worst:.1e}")
    if not worst < _AGREEMENT:
        raise AssertionError(f"radii differ by {worst:.1e}")
    ours, dense = np.sum(times, axis=0)
    record("study_tenth_models", len(times) * len(config.noise), "models")
    record("study_tenth_s", ours, "s")
    record("study_tenth_dense_s", dense, "s")
    record("study_tenth_speedup_over_dense", dense / ours, "times")


def compressed_route(maps: list[Scan], grains: Grains, config: StudyConfig) -> list[tuple[Array, Array]]:
    """Magnetizations and radii as the study computes them."""
    with warnings.catch_warnings():
        # That deep grains are not physical at this noise is what a study shows.
        warnings.simplefilter("ignore")
        solved = invert_series(maps, grains, list(config.noise), tolerance=config.tolerance, throw=False)
    return jax.block_until_ready([(one.magnetization, one.confidence_radius) for one in solved])


def dense_route(maps: list[Scan], grains: Grains, config: StudyConfig) -> list[tuple[Array, Array]]:
    """Magnetizations and radii through the whole matrix, with the same solvers."""
    grid = maps[0].grid
    green = DenseGreen.from_operator(TiledGreen(grains, grid, tolerance=config.tolerance))
    one = jnp.ones(grid.shape)
    solver = AutoSolver()
    state = solver.init(green, one)
    problem = factored(green, one, solver=solver, state=state, factor=solver.compute(state, None), ridge=None)
    found = []
    for scan, noise in zip(maps, config.noise, strict=True):
        fit = LeastSquares().estimate(problem, jnp.asarray(scan.field), used=scan.used)
        radius = confidence_radius(noise**2 * problem.covariances[0], config.level)
        found.append((fit.values.reshape(-1, 3), radius))
    return jax.block_until_ready(found)


def difference(ours: list[tuple[Array, Array]], dense: list[tuple[Array, Array]]) -> float:
    """Largest relative difference of the radii of grains that the dense route resolves to 100 %."""
    largest = 0.0
    for (_, radius), (magnetization, expected) in zip(ours, dense, strict=True):
        resolved: Float[np.ndarray, " grain"] = np.asarray(expected) < np.linalg.norm(magnetization, axis=1)
        relative = np.abs(np.asarray(radius) / np.asarray(expected) - 1)
        largest = max(largest, float(np.max(relative, where=resolved, initial=0.0)))
    return largest
