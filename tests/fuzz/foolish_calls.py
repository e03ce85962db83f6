"""Call every public constructor and function with foolish arguments; run as a process by ``test_constructors.py``.

The process checks no annotations at run time, as that of a user does not.
"""

import operator
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mmtjax
from mmtjax.errors import MmtjaxError

jax.config.update("jax_enable_x64", True)

CUBOIDS = [[3.0, 3, -4, 1, 1, 1, 1], [7, 6, -5, 1.5, 1, 1, 2]]
GRAINS = mmtjax.Grains.from_cuboids(CUBOIDS)
GRID = mmtjax.SensorGrid((0, 0), 1, (9, 10), 2.0)
VALUES = [[1e4, 0.0, 2e4], [0.0, 1e4, -1e4]]
SCAN = mmtjax.Scan(np.asarray(mmtjax.forward(GRAINS, VALUES, GRID)), GRID, noise=5.0)
KEY = jax.random.key(0)
SAMPLE = {"side": 20.0, "thickness": 20.0, "density": 2e5}
SIMULATION = mmtjax.simulate(KEY, **SAMPLE)
SOLUTION = mmtjax.invert(SCAN, GRAINS, 5.0, method="cholesky")

#: Public calls, with arguments that are right.
CALLS = {
    "BoundedLeastSquares": (mmtjax.BoundedLeastSquares, {"limit": 480e3, "key": KEY, "draws": 20}),
    "LeastSquares": (mmtjax.LeastSquares, {}),
    "greens_matrix": (mmtjax.greens_matrix, {"sources": GRAINS, "grid": GRID, "tolerance": 1e-4}),
    "forward": (mmtjax.forward, {"sources": GRAINS, "values": VALUES, "grid": GRID, "tolerance": 1e-4}),
    "invert": (
        mmtjax.invert,
        {"scan": SCAN, "sources": GRAINS, "noise": 5.0, "options": None, "progress": None, "throw": True}
        | {"prior": 480e3, "method": "cholesky", "level": 0.9, "tolerance": 1e-6, "memory_limit": None}
        | {"estimator": mmtjax.LeastSquares(), "background": "plane", "green": "auto"},
    ),
    "invert_series": (
        mmtjax.invert_series,
        {"scans": [SCAN], "sources": [GRAINS], "noise": [5.0], "options": None, "progress": None, "throw": True},
    ),
    "estimate_memory": (mmtjax.estimate_memory, {"grains": 30, "sensors": 100, "method": "auto", "stored": None}),
    "InversionOptions": (
        mmtjax.InversionOptions,
        {"prior": 480e3, "method": "auto", "level": 0.9, "tolerance": 1e-8, "memory_limit": 2**33}
        | {"estimator": mmtjax.LeastSquares(), "background": 1, "green": "dense"},
    ),
    "NoiseMap": (mmtjax.NoiseMap, {"sigma": np.ones((9, 10))}),
    "ResidualNoise": (mmtjax.ResidualNoise, {}),
    "WhiteNoise": (mmtjax.WhiteNoise, {"sigma": 5.0}),
    "Background": (mmtjax.Background, {"degree": 1, "prior": [1.0, 1.0, 1.0]}),
    "Prior": (mmtjax.Prior, {"standard_deviation": 480e3}),
    "fit_registration": (
        mmtjax.fit_registration,
        {"scan": SCAN, "grains": GRAINS, "noise": 5.0, "fit": "shift", "ranges": {"shift": 1.0}, "points": 3}
        | {"options": None, "progress": None, "prior": 480e3},
    ),
    "SensorGrid": (mmtjax.SensorGrid, {"origin": (0, 0), "spacing": 1, "shape": (9, 10), "height": 2.0, "side": 0.5}),
    "SensorGrid.window": (GRID.window, {"rows": slice(0, 3), "columns": slice(2, 5)}),
    "Scan": (mmtjax.Scan, {"field": SCAN.field, "grid": GRID, "mask": SCAN.mask, "noise": 5.0}),
    "Scan.crop": (SCAN.crop, {"x": (0, 5), "y": (0, 6)}),
    "Scan.bin": (SCAN.bin, {"factor": 2}),
    "Scan.from_xarray": (mmtjax.Scan.from_xarray, {"data": SCAN.to_xarray()}),
    "crowded_signal_strength": (mmtjax.crowded_signal_strength, {"grains": GRAINS, "height": 2.0}),
    "expected_uncertainty_ratio": (
        mmtjax.expected_uncertainty_ratio,
        {"volume": GRAINS.volume, "confidence_radius": np.ones(2)},
    ),
    "probability_within_limit": (mmtjax.probability_within_limit, {"expected_ratio": np.ones(2), "limit": 0.1}),
    "signal_strength_ratio": (mmtjax.signal_strength_ratio, {"grains": GRAINS, "height": 2.0}),
    "ssr_threshold": (mmtjax.ssr_threshold, {"ssr": [2.0, 1.0], "ratio": [0.1, 0.2], "limit": 0.1, "purity": 0.9}),
    "statistic_threshold": (
        mmtjax.statistic_threshold,
        {"statistic": [2.0, 1.0], "ratio": [0.1, 0.2], "limit": 0.1, "purity": 0.9, "smaller_is_better": True},
    ),
    "SampleSpec": (
        mmtjax.SampleSpec,
        SAMPLE | {"clearance": 5.0, "directions": "printed", "height": 0.0, "library": None},
    ),
    "simulate": (
        mmtjax.simulate,
        SAMPLE
        | {"key": KEY, "sample": None, "noise": 5.0, "spacing": 1.0, "progress": None}
        | {"clearance": 5.0, "directions": "printed", "height": 0.0, "library": None},
    ),
    "Simulation.sample": (SIMULATION.sample, {"spacing": 1.0, "noise": 5.0, "key": KEY}),
    "Grains.from_cuboids": (mmtjax.Grains.from_cuboids, {"cuboids": CUBOIDS, "allow_overlap": False}),
    "Grains.from_voxels": (
        mmtjax.Grains.from_voxels,
        {"labels": np.ones((2, 2, 2), int), "spacing": 1.0, "origin": (0, 0, -5)},
    ),
    "Grains.from_volumes": (mmtjax.Grains.from_volumes, {"position": [[0, 0, -5]], "volume": [1.0], "ids": [3]}),
    "Grains.translate": (GRAINS.translate, {"shift": (1, 0, 0)}),
    "Grains.select": (GRAINS.select, {"keep": [True, False]}),
    "Multipoles": (mmtjax.Multipoles, {"position": [[0, 0, -5], [5, 5, -6]], "degree": 1, "ids": [3, 4]}),
    "Multipoles.select": (mmtjax.Multipoles([[0, 0, -5], [5, 5, -6]], degree=1).select, {"keep": [True, False]}),
    "invert_subdomains": (
        mmtjax.invert_subdomains,
        {"key": KEY, "scan": SCAN, "grains": GRAINS, "noise": 5.0, "core": 20.0, "buffer": 20.0, "draws": 2}
        | {"options": None, "progress": None, "throw": True, "executor": None},
    ),
    "bootstrap_radius": (
        mmtjax.bootstrap_radius,
        {"key": KEY, "covariance": np.eye(3), "draws": 100, "level": 0.9},
    ),
    "confidence_radius": (mmtjax.confidence_radius, {"covariance": np.eye(3), "level": 0.9}),
    "uncertainty_ratio": (mmtjax.uncertainty_ratio, {"magnetization": VALUES, "radius": [1.0, 2.0]}),
    "SampleSpec.place_grains": (mmtjax.SampleSpec(**SAMPLE).place_grains, {"key": KEY, "progress": None}),
    "NoiseMap.weights": (mmtjax.NoiseMap(np.ones((9, 10))).weights, {"scan": SCAN}),
    "NoiseMap.standard_deviation": (mmtjax.NoiseMap(np.ones((9, 10))).standard_deviation, {"variance": 2.0}),
    "WhiteNoise.weights": (mmtjax.WhiteNoise(5.0).weights, {"scan": SCAN}),
    "WhiteNoise.standard_deviation": (mmtjax.WhiteNoise(5.0).standard_deviation, {"variance": 2.0}),
    "Background.columns": (mmtjax.Background(1).columns, {"grid": GRID}),
    "Solution.trusted": (SOLUTION.trusted, {"limit": 0.1}),
    "Solution.table": (SOLUTION.table, {"limit": 0.1}),
    "Solution.estimate_of": (SOLUTION.estimate_of, {"name": "grains"}),
    "Solution.bootstrap_radius": (SOLUTION.bootstrap_radius, {"key": KEY, "draws": 100}),
}

#: Public names that are made by functions, or that a user does not call.
NOT_CALLED = {
    "InversionError",
    "InversionWarning",
    "MmtjaxError",
    "Solution",
    "Registration",
    "Threshold",
    "Simulation",
    "Grains",
}

#: Arguments of which a large value means a long computation, which is not what is tested here.
LONG = {"draws", "points", "side", "thickness", "density", "shape"}

_SMALL = st.one_of(st.integers(-3, 4), st.floats(-4, 4), st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 0.5]))
_LARGE = st.one_of(st.integers(), st.floats(), st.sampled_from([2**63, 10**400, 1e300, 5e-324, -(2**70)]))
_THINGS: list[object] = [
    *(None, True, "", "480e3", "residual", "nan", "plane", b"1", 1 + 2j, np.complex128(1j), object(), print, int),
    *(slice(2), Path("a"), {}, {"shift": "x"}, {"grains": 1.0}, {1: 2, "a": 3}, [], (), [[]], [None], ["a"], [1, [2]]),
    *([1j], {1.0}, [10**400], range(3), iter([1.0]), Ellipsis, np.array("x"), np.array([1j, 2]), np.ones((9, 10)) * 1j),
    *(np.ones((9, 10)), np.ones(3), np.ones((2, 3)), np.zeros((0, 7)), np.array([None, 1.0]), np.array(["1", "2"])),
    *(np.ones((2, 2), bool), np.datetime64("2020-01-01"), np.array([np.nan, 1.0]), np.array(3), np.float32(2)),
    *(np.ma.masked_array([1.0, 2], [0, 1]), np.full((3, 3), np.nan), -np.eye(3), np.arange(9.0).reshape(3, 3)),
    *(jnp.ones(3), jnp.ones((9, 10)) * 1j, jnp.float32(1.0), jnp.array(2), KEY, jax.random.PRNGKey(0)),
    *(GRAINS, GRID, SCAN, SOLUTION, [GRAINS, SCAN], [SCAN, None], SCAN.to_xarray(), SCAN.to_xarray()["bz"]),
    *(mmtjax.Prior(1.0), mmtjax.Background(0), mmtjax.InversionOptions(), mmtjax.WhiteNoise(2.0)),
    *(mmtjax.LeastSquares(), SOLUTION.table(), np.random.default_rng(0), SAMPLE, mmtjax.SampleSpec()),
]
FOOLISH = st.one_of(_SMALL, _LARGE, st.sampled_from(_THINGS), st.lists(_SMALL, max_size=4), st.text(max_size=4))
FOOLISH_AND_SHORT = st.one_of(_SMALL, st.sampled_from(_THINGS), st.lists(_SMALL, max_size=4), st.text(max_size=4))


def strategy_of(name: str) -> st.SearchStrategy:
    """Foolish values of the argument of a name."""
    return FOOLISH_AND_SHORT if name in LONG else FOOLISH


def covers_all_public_names() -> bool:
    """Whether every public name is called, or is known not to be."""
    public = {name for name in mmtjax.__all__ if callable(getattr(mmtjax, name))}
    return public == set(CALLS) - {name for name in CALLS if "." in name} | NOT_CALLED


def unexpected(function: Callable, arguments: dict[str, object]) -> BaseException | None:
    """Return the error of a call that is not one of ours; None for a value and for our own errors."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(**arguments)
    except MmtjaxError:
        return None
    except Exception as error:
        return error
    return None


def main(seconds: float, seed: int) -> int:
    """Try every call in turn until the time is over, and print the errors that are not ours, each once."""
    assert covers_all_public_names(), "a public name is not called, see CALLS"
    found: dict[tuple[str, str, str], str] = {}
    end = time.monotonic() + seconds

    def attempt(data: st.DataObject, name: str) -> None:
        function, right = CALLS[name]
        chosen = data.draw(st.lists(st.sampled_from(sorted(right)), min_size=1, max_size=2, unique=True))
        foolish = {one: data.draw(strategy_of(one)) for one in chosen}
        error = None if time.monotonic() > end else unexpected(function, right | foolish)
        if error is not None:
            place = traceback.extract_tb(error.__traceback__)
            ours = [frame for frame in place if "/mmtjax/" in frame.filename]
            last = f"{ours[-1].filename.rpartition('/mmtjax/')[2]}:{ours[-1].lineno}" if ours else "?"
            text = f"{name}({foolish!r:.150}): {type(error).__name__}: {str(error).strip()[:150]!r} at {last}"
            found.setdefault((name, type(error).__name__, last), text)

    names = [name for name, (_, right) in CALLS.items() if right]
    rounds = 0
    while time.monotonic() < end:
        for name in names:
            run = given(data=st.data(), name=st.just(name))(attempt)
            checks = settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            hypothesis.seed(seed + rounds)(checks(run))()
        rounds += 1
    print("\n".join(found.values()))
    return operator.truth(found)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2])))
