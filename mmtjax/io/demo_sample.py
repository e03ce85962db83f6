"""A small synthetic sample in files of the kinds that users have, and the comparison of a solution with its truth."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.greens.forward import forward
from mmtjax.inversion.solution import Solution
from mmtjax.io.cuboids import write_cuboids
from mmtjax.lazy import pandas
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.sources.magnetization import magnetization_of_volume

#: Standard deviation of the noise of the map, nT.
NOISE = 20.0

_SEED = 2022
_COUNT = 40

#: Width of the sample, thickness, and edge of a voxel, µm.
_WIDTH, _THICKNESS, _VOXEL = 100.0, 40.0, 0.75

#: Range of the diameters of the grains, µm, and standard deviation of log10 |M| around equation (1).
_DIAMETERS = (1.0, 6.0)
_SPREAD = 0.25


class DemoFiles(NamedTuple):
    """The files of the sample, and the true magnetizations (grain, 3) in A/m."""

    scan: Path
    grains: Path
    truth: Float[np.ndarray, "grain 3"]


def write_sample(directory: Path) -> DemoFiles:
    """Make the sample and write ``scan.nc``, ``cuboids.txt`` and ``truth.csv``.

    The sample has 40 ragged grains of 1 to 6 µm in 100 × 100 × 40 µm. Their magnetizations scatter around equation (1)
    and around one mean direction. The map has 101 × 101 sensors of 1 µm at a height of 2 µm, with white noise of
    `NOISE`. Every call makes the same sample.

    Parameters
    ----------
    directory
        An existing directory.
    """
    rng = np.random.default_rng(_SEED)
    labels = _labels(rng)
    low = _VOXEL / 2
    grains = Grains.from_voxels(labels, spacing=_VOXEL, origin=(low, low, low - _VOXEL * labels.shape[0]))
    size = np.asarray(magnetization_of_volume(grains.volume)) * 10 ** rng.normal(0, _SPREAD, len(grains))
    direction = np.array([0.4, 0.7, -0.6]) + rng.normal(0, 0.6, (len(grains), 3))
    truth = size[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    grid = SensorGrid(origin=(0.0, 0.0), spacing=1.0, shape=(101, 101), height=2.0)
    field = np.asarray(forward(grains, truth, grid)) + rng.normal(0, NOISE, grid.shape)
    files = DemoFiles(directory / "scan.nc", directory / "cuboids.txt", truth)
    Scan(field, grid).to_xarray().to_netcdf(files.scan, engine="h5netcdf")
    write_cuboids(files.grains, grains)
    table = pandas.DataFrame({"id": grains.ids} | {f"m{axis} (A/m)": truth[:, i] for i, axis in enumerate("xyz")})
    table.to_csv(directory / "truth.csv", index=False)
    return files


def count_spheres_with_truth(solution: Solution, truth: Float[np.ndarray, "grain 3"]) -> tuple[int, int]:
    """Return the number of confidence spheres that contain the true magnetization, and the number of all spheres.

    Parameters
    ----------
    solution
        Solution for the sample of `write_sample`.
    truth
        True magnetizations, A/m.
    """
    distance = np.linalg.norm(np.asarray(solution.magnetization) - truth, axis=1)
    return int(np.sum(distance <= np.asarray(solution.confidence_radius))), len(truth)


def _labels(rng: np.random.Generator) -> Int[np.ndarray, "z y x"]:
    """Return a stack of ragged ellipsoids that touch neither each other nor the border."""
    shape = np.round(np.array([_THICKNESS, _WIDTH, _WIDTH]) / _VOXEL).astype(int)
    labels = np.zeros(shape, np.int64)
    placed = 0
    while placed < _COUNT:
        radii = rng.uniform(0.7, 1.3, 3) * rng.uniform(*_DIAMETERS) / 2 / _VOXEL
        reach = np.ceil(radii * 1.3).astype(int) + 1
        centre = [rng.integers(margin, length - margin) for margin, length in zip(reach, shape, strict=True)]
        window = tuple(slice(c - r, c + r + 1) for c, r in zip(centre, reach, strict=True))
        if labels[window].any():
            continue
        steps = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
        distance = np.sum([(step / radius) ** 2 for step, radius in zip(steps, radii, strict=True)], axis=0)
        # A rough surface; the central voxel always belongs to the grain.
        body = (distance <= rng.uniform(0.6, 1.4, distance.shape)) | (distance == 0)
        placed += 1
        labels[window][body] = placed
    return labels
