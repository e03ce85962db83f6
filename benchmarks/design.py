"""The objective of a planned scan and its gradient: 500 grains below 44,521 sensors, the outermost of which fade."""

from functools import partial
from time import perf_counter

from benchmarks.measure import interleaved, median_ratio, record
from benchmarks.memory import peak_gib
from mmtjax.design import DesignProblem, ScanningSquid, evaluate, evaluate_with_gradient

_ROUNDS = 3

#: A cell of 200 µm with 500 grains at this thickness, sensors every µm.
_CHOSEN = {"interval": 1.0, "standoff": 1.0, "thickness": 50.0, "sensor_side": 1.0}


def gradient() -> None:
    """Time and memory of value and gradient on two cores; memory in the order of the calls, as it only grows."""
    knobs = {"interval": (0.5, 5.0), "standoff": (0.5, 10.0), "thickness": (30.0, 80.0), "sensor_side": (0.5, 2.0)}
    # The samples are placed at the middle of the thicknesses, where the cell is narrower.
    problem = DesignProblem(
        ScanningSquid(noise=5.0, overhead=0.05),
        density=2.5e5,
        area=4e4,
        knobs=knobs,
        budget=36e3,
        objective="median_ratio",
        samples=1,
        grains=500,
    )
    value, slopes = partial(evaluate, problem, _CHOSEN), partial(evaluate_with_gradient, problem, _CHOSEN)
    value()
    held = peak_gib()
    record("design_value_peak_gib", held, "GiB")
    first = perf_counter()
    slopes()
    record("design_gradient_first_s", perf_counter() - first, "s")
    record("design_gradient_peak_gib", peak_gib(), "GiB")
    record("design_gradient_over_value_memory", peak_gib() / held, "times")
    times = interleaved(value, slopes, rounds=_ROUNDS, clock=perf_counter)
    record("design_value_s", float(times[:, 0].min()), "s")
    record("design_gradient_s", float(times[:, 1].min()), "s")
    record("design_gradient_over_value", median_ratio(times[:, 1], times[:, 0]), "times")
