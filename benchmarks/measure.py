"""Clocks, interleaved repetition, and the lines that a benchmark prints."""

import sys
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Work = Callable[[], object]

#: A clock for one pinned core: time the process was given there, all threads together. Unlike time on the wall it does
#: not grow when another process takes its turn on the core, and no parallelism can hide in it.
one_core_clock = time.process_time
wall_clock = time.perf_counter


def record(name: str, value: float, unit: str) -> None:
    """Print a figure."""
    print(f"{name} {value:.4g} {unit}", flush=True)


def note(text: str) -> None:
    """Say something that is not a figure."""
    print(f"#   {text}", file=sys.stderr, flush=True)


def seconds(work: Work, clock: Callable[[], float] = wall_clock) -> float:
    """Time that `work` takes; it must wait for the device itself."""
    start = clock()
    work()
    return clock() - start


def interleaved(*works: Work, rounds: int, clock: Callable[[], float] = wall_clock) -> Float[np.ndarray, "round work"]:
    """Times of several works done in turn, round after round, so that a disturbance meets all of them."""
    begin = wall_clock(), time.process_time()
    times = np.array([[seconds(work, clock) for work in works] for _ in range(rounds)])
    share = (time.process_time() - begin[1]) / (wall_clock() - begin[0])
    note(f"{rounds} rounds; the process was given {share:.2f} cores; rounds (s): {np.round(times, 4).tolist()}")
    return times


def median_ratio(numerator: Float[np.ndarray, " round"], denominator: Float[np.ndarray, " round"]) -> float:
    """Median of the ratios of the rounds."""
    return float(np.median(numerator / denominator))
