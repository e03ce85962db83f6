"""A small sample inverted by windows, also as a process of its own, which a test may kill."""

import functools
import sys

import jax
import numpy as np

import mmtjax
from mmtjax.subdomains.invert import invert_subdomains

KEY = jax.random.key(3)
NOISE = 5.0


@functools.cache
def sample() -> tuple[mmtjax.Scan, mmtjax.Grains]:
    """200 cubes to 14 µm of depth under a map of 150 × 150 µm."""
    rng = np.random.default_rng(0)
    position = np.column_stack([rng.uniform(0, 150, (200, 2)), -rng.uniform(3, 14, 200)])
    grains = mmtjax.Grains.from_volumes(position, rng.lognormal(1.5, 1, 200))
    grid = mmtjax.SensorGrid(origin=(0, 0), spacing=1.5, shape=(101, 101), height=0)
    field = mmtjax.forward(grains, 1e4 * rng.normal(size=(200, 3)), grid)
    return mmtjax.Scan(np.asarray(field) + NOISE * rng.normal(size=grid.shape), grid), grains


def by_windows(scan: mmtjax.Scan, grains: mmtjax.Grains, noise: object = NOISE, **options: object) -> mmtjax.Solution:
    """The solution by four windows or more, none of which holds all grains."""
    return invert_subdomains(KEY, scan, grains, noise, **({"core": 50.0, "buffer": 30.0, "draws": 16} | options))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    solution = by_windows(*sample(), store=sys.argv[1], progress=lambda stage, *_: print(stage, flush=True))
    np.savez(sys.argv[2], magnetization=solution.magnetization, covariance=solution.covariance)
