"""Small problems to be inverted."""

import dataclasses

import numpy as np

from mmtjax import Grains, Scan, SensorGrid, forward

GRID = SensorGrid(origin=(-4, -4), spacing=1.0, shape=(33, 33), height=1.0)


def noisy_scan(grains, grid=GRID, *, noise=5.0, seed=0, scale=5e3):
    """Magnetizations drawn at random, and the map that they give, with noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(scale=scale, size=(len(grains), 3))
    field = np.asarray(forward(grains, truth, grid))
    return truth, Scan(field + noise * rng.normal(size=grid.shape), grid)


def deep_sample():
    """Eight cubes 70 µm deep and a diameter apart: the normal equations of their field cannot be factored."""
    rows = [[6.0 + 1.5 * (n % 4), 6.0 + 1.5 * (n // 4), -70.0 - 1.5 * (n % 2), 0.5, 0.5, 0.5, n + 1] for n in range(8)]
    return Grains.from_cuboids(rows), SensorGrid(origin=(-4, -4), spacing=1.0, shape=(41, 41), height=1.0)


def largest_difference(one, other):
    """Largest difference of two magnetizations of a grain, as a share of its radius in the other solution."""
    away = np.linalg.norm(np.asarray(one.magnetization) - np.asarray(other.magnetization), axis=1)
    return float(np.max(away / np.asarray(other.confidence_radius)))


def with_magnetization(solution, values):
    """The same solution, as if the grains were magnetized otherwise."""
    first, *others = solution.estimates
    return dataclasses.replace(solution, estimates=(first._replace(values=values), *others))
