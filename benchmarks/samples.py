"""The grains and grids that are measured: real ones where they are at hand, synthetic ones otherwise."""

import os
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float

from benchmarks.measure import note
from mmtjax import Grains, Scan, SensorGrid

#: Cuboids of a grain in the tutorial data, on average.
MEAN_CUBOIDS = 12.6

#: Centre of the tutorial scan, µm, its number of sensors along an edge, their spacing and height.
_CENTRE, _SENSORS, _SPACING, _HEIGHT = (375.0, 1325.0), 126, 1.2, 6.0


def scale_of_large() -> float:
    """Edge of the large cases as a share of the whole, to try them: MMTJAX_BENCH_SCALE, by default 1."""
    scale = float(os.environ.get("MMTJAX_BENCH_SCALE", "1"))
    if not 0 < scale <= 1:
        raise ValueError(f"MMTJAX_BENCH_SCALE must be in (0, 1], a share of the edge of the large cases; got {scale}")
    if scale < 1:
        note(f"SMALLER than it should be: edges of {scale:g} of the whole, as MMTJAX_BENCH_SCALE asks for")
    return scale


def survey_folder() -> Path | None:
    """Where the lava slice with its NRM lies, or None: beside the tutorial data."""
    folder = _data() / "basalt-af" / "NRM"
    return folder if (folder / "position_grains.txt").exists() else None


def tutorial_folder() -> Path | None:
    """Where the QDM tutorial data lie, or None: MMTJAX_TEST_DATA, or ``../shared/data`` beside the repository."""
    folder = _data() / "qdm-tutorial"
    return folder if (folder / "cuboids.txt").exists() else None


def hundred_grains() -> Float[np.ndarray, "cuboid 7"]:
    """Cuboids of 100 grains: the 99 of the tutorial and one of them again elsewhere, or 100 synthetic ones."""
    folder = tutorial_folder()
    if folder is None:
        note("grains: SYNTHETIC; no tutorial data, set MMTJAX_TEST_DATA to the folder that holds qdm-tutorial/")
        return ragged_grains(100, width=150.0, deepest=60.0, centre=_CENTRE)
    cuboids = tutorial_cuboids(folder)
    again = cuboids[cuboids[:, 6] == cuboids[0, 6]] + [150, 150, 0, 0, 0, 0, 1e6]
    note("grains: the 99 of the QDM tutorial data, the first once more 150 µm away in x and y")
    return np.concatenate([cuboids, again])


def large_grid() -> SensorGrid:
    """501 × 501 sensors of 1 µm about the middle of the grains."""
    return SensorGrid(origin=(_CENTRE[0] - 250, _CENTRE[1] - 250), spacing=1, shape=(501, 501), height=_HEIGHT)


def grains_of(cuboids: Float[np.ndarray, "cuboid 7"]) -> Grains:
    """Grains that may share some volume, as segmented rock does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Grains.from_cuboids(cuboids, allow_overlap=True)


def tutorial_scan(folder: Path) -> Scan:
    """The scan of the tutorial, nT."""
    low = [middle - _SPACING * (_SENSORS - 1) / 2 for middle in _CENTRE]
    grid = SensorGrid(origin=low, spacing=_SPACING, shape=(_SENSORS, _SENSORS), height=_HEIGHT)
    return Scan(np.loadtxt(folder / "scan_tesla.txt") * 1e9, grid)


def tutorial_cuboids(folder: Path) -> Float[np.ndarray, "cuboid 7"]:
    """Cuboids of the tutorial with z up: the file gives depth."""
    return np.loadtxt(folder / "cuboids.txt") * [1, 1, -1, 1, 1, 1, 1]


def ragged_grains(
    count: int, *, width: float, deepest: float, centre: tuple[float, float], seed: int = 0
) -> Float[np.ndarray, "cuboid 7"]:
    """Grains grown from voxels of 0.75 µm, one in each cell of a square lattice, at depths up to `deepest` µm."""
    rng = np.random.default_rng(seed)
    per_side = int(np.ceil(np.sqrt(count)))
    cell, edge = width / per_side, 0.75
    cuboids = []
    for number in range(count):
        voxels = edge * _grown(rng, size=1 + rng.poisson(MEAN_CUBOIDS - 1))
        place = (np.array(divmod(number, per_side)) + rng.uniform(0.3, 0.7, 2) - per_side / 2) * cell + centre
        depth = rng.uniform(2.0, deepest) + voxels[:, 2].max() + edge / 2
        rows = np.column_stack([voxels + [*place, -depth], np.full(voxels.shape, edge / 2)])
        cuboids.append(np.column_stack([rows, np.full(len(rows), number + 1)]))
    return np.concatenate(cuboids)


def _data() -> Path:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("MMTJAX_TEST_DATA", beside))


def _grown(rng: np.random.Generator, *, size: int) -> Float[np.ndarray, "voxel 3"]:
    body = {(0, 0, 0)}
    while len(body) < size:
        voxel = list(sorted(body)[rng.integers(len(body))])
        voxel[rng.integers(3)] += int(rng.choice([-1, 1]))
        body.add(tuple(voxel))
    return np.array(sorted(body), float)
