"""Columns of 100 grains at 501 × 501 sensors, and the peers' closed form for the same grains."""

from functools import partial

import jax
import numpy as np

from benchmarks.measure import interleaved, median_ratio, note, one_core_clock, record, seconds, wall_clock
from benchmarks.peer import columns_of
from benchmarks.samples import grains_of, hundred_grains, large_grid
from mmtjax.greens.tiled import TiledGreen

#: The cost of the peer is proportional to the number of sensors: some, spread over the grid, tell it.
_PEER_SENSORS = 1000
_ROUNDS = 5

#: Largest difference allowed, as a share of the largest value of each column: rounding of the peer far away is 1e-4.
_AGREEMENT = 1e-3


def one_core() -> None:
    """Ours and the peer in turn on one core, after the first call has compiled."""
    cuboids, grid = hundred_grains(), large_grid()
    grains = grains_of(cuboids)
    green = TiledGreen(grains, grid)
    first = seconds(partial(make_columns, green), one_core_clock)
    planning = seconds(lambda: TiledGreen(grains, grid).plan.bounds, one_core_clock)
    chosen = np.sort(np.random.default_rng(0).choice(grid.size, _PEER_SENSORS, replace=False))
    sensors = np.stack([grid.x[chosen % grid.shape[1]], grid.y[chosen // grid.shape[1]]], axis=1)
    peer = partial(columns_of, cuboids, sensors, height=float(grid.height), side=1.0)
    check_agreement(green, peer(), chosen)

    times = interleaved(partial(make_columns, green), peer, rounds=_ROUNDS, clock=one_core_clock)
    ours = times[:, 0] / (len(grains) * grid.size)
    theirs = times[:, 1] / (len(grains) * _PEER_SENSORS)
    record("columns_ns_per_grain_and_sensor", 1e9 * np.median(ours), "ns")
    record("peer_ns_per_grain_and_sensor", 1e9 * np.median(theirs), "ns")
    record("peer_ns_per_cuboid_and_sensor", 1e9 * np.median(times[:, 1]) / (len(cuboids) * _PEER_SENSORS), "ns")
    record("columns_speedup_over_numba", median_ratio(theirs, ours), "times")
    record("columns_compile_s", first - np.median(times[:, 0]), "s")
    record("columns_plan_s", planning, "s")


def two_cores() -> None:
    """Ours with the threads that JAX starts by default on two cores, by the clock on the wall."""
    grid = large_grid()
    grains = grains_of(hundred_grains())
    green = TiledGreen(grains, grid)
    make_columns(green)
    times = interleaved(partial(make_columns, green), rounds=_ROUNDS, clock=wall_clock)
    record("columns_ns_per_grain_and_sensor_two_cores", 1e9 * np.median(times) / (len(grains) * grid.size), "ns")


def make_columns(green: TiledGreen) -> None:
    """Make all columns, block by block, and keep none."""
    for block in green.row_blocks():
        jax.block_until_ready(block.columns)


def check_agreement(green: TiledGreen, expected: np.ndarray, sensors: np.ndarray) -> None:
    """Stop if ours and the peer do not compute the same thing."""
    found = np.empty_like(expected)
    for block in green.row_blocks():
        _, here, there = np.intersect1d(block.sensor, sensors, return_indices=True)
        found[..., there] = np.asarray(block.columns).reshape(len(expected), 3, -1)[..., here]
    difference = np.max(np.abs(found - expected) / np.max(np.abs(expected), axis=(1, 2), keepdims=True))
    note(f"largest difference between ours and the peer: {difference:.1e} of the largest value of a column")
    if not difference < _AGREEMENT:
        raise AssertionError(f"ours and the peer differ by {difference:.1e}")
