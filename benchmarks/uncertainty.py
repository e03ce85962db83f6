"""Confidence radii, exact and by bootstrap."""

from functools import partial

import jax
import numpy as np

from benchmarks.measure import interleaved, note, record
from mmtjax.uncertainty.confidence import bootstrap_radius, confidence_radius

_GRAINS, _DRAWN_GRAINS, _DRAWS = 10_000, 1_000, 10_000
_ROUNDS = 3


def radii() -> None:
    """Covariances of all shapes, from spheres to needles, on all cores."""
    covariance = covariances(_GRAINS)
    few = covariance[:_DRAWN_GRAINS]
    exact = partial(waited, confidence_radius, covariance)
    bootstrap = partial(waited, bootstrap_radius, jax.random.key(0), few, _DRAWS)
    difference = np.max(np.abs(np.asarray(bootstrap()) / np.asarray(exact())[:_DRAWN_GRAINS] - 1))
    note(f"largest difference between bootstrap and exact radius: {100 * difference:.1f} %")
    times = np.median(interleaved(exact, bootstrap, rounds=_ROUNDS), axis=0)
    record("exact_radius_us_per_grain", 1e6 * times[0] / _GRAINS, "µs")
    record("bootstrap_1000_grains_s", times[1], "s")


def covariances(count: int) -> np.ndarray:
    """Covariances (grain, 3, 3) with standard deviations from 1 to 1e3 A/m along random axes."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(count, 3, 3)))[0]
    spread = axes * 10 ** rng.uniform(0, 3, (count, 1, 3))
    return spread @ spread.transpose(0, 2, 1)


def waited(function: object, *arguments: object) -> object:
    """Call and wait for the device."""
    return jax.block_until_ready(function(*arguments))
