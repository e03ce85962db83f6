"""A small solution, and its results on disk, for the tests of pages and of commands that read results."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

import mmtjax
from mmtjax.io import grain_dataset, write_results

CUBOIDS = [
    [10, 10, -5, 2, 2, 2, 7],
    [14, 10, -5, 2, 1, 1, 7],
    [30, 30, -8, 3, 3, 3, 3],
    [12, 30, -6, 2, 2, 3, 5],
    [31, 11, -9, 1.5, 2, 1, 12],
]


@pytest.fixture(scope="module")
def solved():
    """A small solution with a background, and its grains."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(3)
        grains = mmtjax.Grains.from_cuboids(CUBOIDS)
        grid = mmtjax.SensorGrid(origin=(0, 0), spacing=1.0, shape=(41, 43), height=2.0)
        truth = rng.normal(0, 5e3, (4, 3))
        field = np.asarray(mmtjax.forward(grains, truth, grid)) + rng.normal(0, 20, grid.shape)
        mask = np.ones(grid.shape, bool)
        mask[:3] = False
        scan = mmtjax.Scan(field, grid, mask=mask)
        yield mmtjax.invert(scan, grains, noise=20.0, background="plane")


@pytest.fixture(scope="module")
def parts(solved):
    """What its results hold."""
    with jax.enable_x64(True):
        grains = grain_dataset(solved, limit=0.1)
        record = {"options": {"limit": 0.1, "scan": "map.txt"}, "time": "today"}
        return SimpleNamespace(table=solved.table(), maps=solved.maps(), record=record, grains=grains)


@pytest.fixture(scope="module")
def results(parts, tmp_path_factory):
    """The directory of its results."""
    place = tmp_path_factory.mktemp("results") / "run"
    return write_results(place, table=parts.table, maps=parts.maps, provenance=parts.record, grains=parts.grains)
