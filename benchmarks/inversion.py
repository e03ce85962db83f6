"""The main job from end to end: a scan and grains in, magnetizations with confidence spheres out."""

import resource
import sys
import warnings
from functools import partial

import jax
import numpy as np

from benchmarks.measure import interleaved, note, record, seconds
from benchmarks.samples import grains_of, ragged_grains, tutorial_cuboids, tutorial_folder, tutorial_scan
from mmtjax import Grains, Scan, SensorGrid, forward
from mmtjax.inversion.invert import invert

_NOISE = 20.0
_ROUNDS = 3


def tutorial() -> None:
    """The real scan of 126 × 126 sensors with its 99 grains."""
    folder = tutorial_folder()
    if folder is None:
        note("no tutorial data: this figure is left out")
        return
    time_inversion("invert_tutorial", tutorial_scan(folder), grains_of(tutorial_cuboids(folder)))


def synthetic() -> None:
    """400 grains to 20 µm depth below 201 × 201 sensors of 1 µm."""
    grains = grains_of(ragged_grains(400, width=200.0, deepest=20.0, centre=(100.0, 100.0)))
    grid = SensorGrid(origin=(0, 0), spacing=1, shape=(201, 201), height=2)
    rng = np.random.default_rng(0)
    field = forward(grains, rng.normal(scale=1e4, size=(len(grains), 3)), grid)
    scan = Scan(np.asarray(field) + rng.normal(scale=_NOISE, size=grid.shape), grid)
    time_inversion("invert_400", scan, grains)
    # Kilobytes on Linux, bytes on macOS.
    unit = 2**30 if sys.platform == "darwin" else 2**20
    record("invert_400_peak_gib", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, "GiB")


def time_inversion(name: str, scan: Scan, grains: Grains) -> None:
    """The first call, as a user waits for it, and those after it, which find everything compiled."""
    work = partial(solve, scan, grains)
    record(f"{name}_first_s", seconds(work), "s")
    record(f"{name}_s", np.median(interleaved(work, rounds=_ROUNDS)), "s")
    solution = solve(scan, grains)
    note(f"method {solution.method}, condition {float(solution.condition):.2e}")


def solve(scan: Scan, grains: Grains) -> object:
    """Invert; what the data of the tutorial are warned of is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = invert(scan, grains, noise=_NOISE)
    jax.block_until_ready((solution.magnetization, solution.confidence_radius, solution.residual))
    return solution
