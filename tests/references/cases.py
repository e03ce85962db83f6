"""The cases whose numbers are kept: each returns arrays by name."""

import os
import tempfile
import warnings
from pathlib import Path

import jax
import numpy as np

import mmtjax
from mmtjax.design import DesignProblem, ScanningSquid, evaluate_with_gradient
from mmtjax.study.config import StudyConfig
from mmtjax.study.read import open_study
from mmtjax.study.run import run_study

#: Edge of the limit models of the paper whose area is a third of theirs, µm.
THIRD = 290.0

DATA = Path(os.environ.get("MMTJAX_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


def of_solution(solution):
    """What is kept of a solution."""
    return {
        "magnetization": np.asarray(solution.magnetization),
        "covariance": np.asarray(solution.covariance),
        "radius": np.asarray(solution.confidence_radius),
        "chi_square": np.asarray(solution.reduced_chi_square),
        "effective_unknowns": np.asarray(solution.effective_unknowns),
        "condition": np.asarray(solution.condition),
        "noise": np.median(np.asarray(solution.noise)),
        "residual": np.asarray(solution.residual)[::9, ::7],
    }


def named(prefix, values):
    return {f"{prefix}_{name}": value for name, value in values.items()}


def tutorial():
    """The real scan and its 99 grains."""
    folder = DATA / "qdm-tutorial"
    low = [middle - 1.2 * 125 / 2 for middle in (375.0, 1325.0)]
    grid = mmtjax.SensorGrid(origin=low, spacing=1.2, shape=(126, 126), height=6.0)
    scan = mmtjax.Scan(np.loadtxt(folder / "scan_tesla.txt") * 1e9, grid)
    cuboids = np.loadtxt(folder / "cuboids.txt") * [1, 1, -1, 1, 1, 1, 1]
    return scan, mmtjax.Grains.from_cuboids(cuboids, allow_overlap=True)


def real_scan():
    scan, grains = tutorial()
    found = {}
    for name, noise, options in (
        ("given", 20.0, {}),
        ("residual", "residual", {}),
        ("prior", 20.0, {"prior": 480e3}),
        ("both", "residual", {"prior": 480e3, "method": "cholesky"}),
    ):
        found |= named(name, of_solution(mmtjax.invert(scan, grains, noise, throw=False, **options)))
    return found


def limit_model(thickness):
    sample = mmtjax.simulate(jax.random.key(7), side=THIRD, thickness=thickness, density=1e5, noise=5.0)
    return of_solution(mmtjax.invert(sample.scan, sample.grains, throw=False))


def limit_50():
    return limit_model(50.0)


def limit_75():
    return limit_model(75.0)


def series():
    sample = mmtjax.simulate(jax.random.key(3), side=120, thickness=40, density=5e4, noise=0.0)
    rng = np.random.default_rng(1)
    grid, field = sample.scan.grid, np.asarray(sample.scan.field)
    moved = mmtjax.SensorGrid(origin=(0.4, -0.3), spacing=1, shape=grid.shape, height=0.5)
    mask = np.ones(grid.shape, bool)
    mask[30:50, 60:70] = False
    noise_map = rng.uniform(3, 9, grid.shape)
    again = np.asarray(mmtjax.forward(sample.grains, sample.magnetization, moved))
    scans = [
        mmtjax.Scan(field + 5.0 * rng.normal(size=grid.shape), grid),
        mmtjax.Scan(0.6 * field + 5.0 * rng.normal(size=grid.shape), grid),
        mmtjax.Scan(0.3 * again + 5.0 * rng.normal(size=grid.shape), moved),
        mmtjax.Scan(0.2 * field + noise_map * rng.normal(size=grid.shape), grid, mask),
    ]
    solutions = mmtjax.invert_series(scans, sample.grains, [5.0, 8.0, 5.0, noise_map], throw=False)
    found = {}
    for number, solution in enumerate(solutions):
        found |= named(f"step{number}", of_solution(solution))
    return found


def windows():
    sample = mmtjax.simulate(jax.random.key(5), side=150, thickness=30, density=1e5, noise=5.0)
    solution = mmtjax.invert_subdomains(
        jax.random.key(1), sample.scan, sample.grains, core=60, buffer=40, draws=4, throw=False
    )
    return of_solution(solution) | {"radius_error": np.asarray(solution.radius_error)}


def study():
    config = StudyConfig(
        name="reference",
        side=(100.0,),
        thickness=(40.0,),
        density=(2.5e4,),
        interval=(1.0, 2.0),
        noise=(5.0, 50.0),
        repeats=1,
        seed=4,
    )
    with tempfile.TemporaryDirectory() as folder:
        run_study(config, Path(folder) / "study.zarr", workers=0)
        opened = open_study(Path(folder) / "study.zarr")
        found = {}
        for cell in opened.cells():
            dataset = opened.load(cell)
            for name in ("magnetization", "confidence_radius", "reduced_chi_square", "condition"):
                found[f"{cell.interval:g}_{name}"] = np.asarray(dataset[name])
    return found


def design():
    knobs = {"interval": (1.5, 6.0), "standoff": (0.5, 10.0), "thickness": (30.0, 70.0), "sensor_side": (0.5, 2.0)}
    found = {}
    for objective in ("grains", "d", "median_ratio", "c"):
        problem = DesignProblem(
            ScanningSquid(noise=5.0, floor=1.0, overhead=0.02),
            density=5e4,
            area=1e5,
            knobs=knobs,
            budget=3 * 3600.0,
            samples=2,
            grains=12,
            objective=objective,
        )
        value = evaluate_with_gradient(
            problem, {"interval": 2.3, "standoff": 1.7, "thickness": 44.0, "sensor_side": 1.1}
        )
        found[f"{objective}_value"] = value.values
        found[f"{objective}_gradient"] = np.array([value.gradient[name] for name in sorted(value.gradient)])
    return found


def registration():
    sample = mmtjax.simulate(jax.random.key(11), side=60, thickness=25, density=1e5, noise=20.0, height=2.0)
    moved = sample.grains.translate([0.4, -0.3, 0.5])
    found = mmtjax.fit_registration(sample.scan, moved, 20.0, points=3)
    return {
        "change": found.change,
        "covariance": found.covariance,
        "noise": np.asarray(found.noise),
        "chi_square": np.asarray(found.reduced_chi_square),
        "correlation": np.asarray(found.residual_correlation),
        "independent": np.asarray(found.independent_sensors),
        "log_evidence": np.array(found.log_evidence),
        "slice_drops": found.slice_drops,
    }


CASES = {case.__name__: case for case in (real_scan, limit_50, limit_75, series, windows, study, design, registration)}


def computed(name):
    """The arrays of a case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CASES[name]()
