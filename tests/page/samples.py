"""Results to make pages of, without an inversion: a large sample whose covariance is known by construction."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray

from mmtjax.io import write_results
from mmtjax.sources.cuboids import join_cells
from mmtjax.sources.magnetization import magnetization_of_volume
from mmtjax.units import MAGNETITE_SATURATION

#: Thresholds on each statistic for which the covariance of sums is stored.
_THRESHOLDS = 16


class Sample(NamedTuple):
    """A directory of results, and what its page must show."""

    directory: Path
    table: pd.DataFrame
    grains: xarray.Dataset
    deviation: np.ndarray
    shared: np.ndarray

    def sum_covariance(self, members: np.ndarray) -> np.ndarray:
        """Covariance of the sum of the moments of some grains, (A m²)²."""
        size = 1e-18 * self.table["volume"].to_numpy()[members]
        own = np.sum((size[:, None] * self.deviation[members]) ** 2, axis=0)
        together = np.einsum("g,gif->if", size, self.shared[members])
        return np.diag(own) + together @ together.T


def sample(
    folder: Path,
    *,
    count: int = 5000,
    shape: tuple[int, int] = (771, 951),
    chi_square: float = 4.0,
    ragged: bool = False,
) -> Sample:
    """Write the results of a made-up inversion: errors are independent but for three patterns that grains share.

    Grains are three cuboids in a row, or `ragged` bodies of some tens of cuboids.
    """
    rng = np.random.default_rng(7)
    ny, nx = shape
    spacing = 1.2
    volume = rng.lognormal(np.log(40.0), 1.2, count)
    position = np.column_stack(
        [rng.uniform(0, nx * spacing, count), rng.uniform(0, ny * spacing, count), -rng.uniform(3, 60, count)]
    )
    size = np.asarray(magnetization_of_volume(volume)) * rng.lognormal(0, 0.5, count)
    size[rng.random(count) < 0.05] = 2 * MAGNETITE_SATURATION
    direction = rng.normal(0, 1, (count, 3)) + [0.2, 0.9, -0.8]
    vector = size[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    depth = 5.0 - position[:, 2]
    diameter = np.cbrt(6 * volume / np.pi)
    strength = volume / (depth**3 * diameter)
    ratio = 2e-4 / strength * rng.lognormal(0, 0.7, count)
    deviation = (ratio * size / 3)[:, None] * np.ones(3)
    shared = 0.2 * deviation[:, :, None] * rng.normal(0, 1, (count, 3, 3))
    horizontal = np.hypot(vector[:, 0], vector[:, 1])
    widened = ratio * np.sqrt(max(chi_square, 1.0))
    beyond = size > MAGNETITE_SATURATION
    table = pd.DataFrame(
        {"id": rng.permutation(count) + 100}
        | {axis: position[:, i] for i, axis in enumerate("xyz")}
        | {"depth": depth, "volume": volume, "diameter": diameter}
        | {f"m{axis}": vector[:, i] for i, axis in enumerate("xyz")}
        | {"magnetization": np.linalg.norm(vector, axis=1)}
        | {f"sd_m{axis}": deviation[:, i] for i, axis in enumerate("xyz")}
        | {
            "confidence_radius": ratio * size,
            "uncertainty_ratio": ratio,
            "signal_strength_ratio": strength,
            "moment": 1e-18 * volume * size,
            "declination": np.degrees(np.arctan2(vector[:, 0], vector[:, 1])) % 360,
            "inclination": np.degrees(np.arctan2(-vector[:, 2], horizontal)),
            "beyond_saturation": beyond,
            "trusted": (widened <= 0.1) & ~beyond,
        }
    )
    made = Sample(folder / "results", table, xarray.Dataset(), deviation, shared)
    grains = _grains(made, volume=volume, position=position, chi_square=chi_square)
    if ragged:
        grains = grains.drop_dims("cuboid").assign(_ragged_cuboids(rng, volume=volume, position=position))
    maps = _maps(rng, shape=shape, spacing=spacing)
    write_results(made.directory, table=table, maps=maps, provenance={"options": {"limit": 0.1}}, grains=grains)
    return made._replace(grains=grains)


def _grains(made: Sample, *, volume: np.ndarray, position: np.ndarray, chi_square: float) -> xarray.Dataset:
    """Return what grains.nc holds: each grain is three cuboids in a row."""
    edge = np.cbrt(volume)
    offset = np.array([-1, 0, 1])[None, :, None] * np.array([1.0, 0, 0]) / 3
    half = np.array([[1, 0.8, 0.8], [1, 1.2, 1.2], [1, 0.8, 0.8]]) / [6, 2, 2]
    strength, ratio = made.table["signal_strength_ratio"].to_numpy(), made.table["uncertainty_ratio"].to_numpy()
    widened = ratio * np.sqrt(max(chi_square, 1.0))
    nodes = [np.quantile(values, np.linspace(0, 1, _THRESHOLDS)) for values in (strength, widened)]
    sums = np.zeros((2, _THRESHOLDS, _THRESHOLDS, 3, 3))
    beyond = made.table["beyond_saturation"].to_numpy()
    for included in (0, 1):
        for i, low in enumerate(nodes[0]):
            for j, high in enumerate(nodes[1]):
                members = (strength >= low) & (widened <= high) & (~beyond | bool(included))
                sums[included, i, j] = made.sum_covariance(members)
    covariance = np.einsum("gif,gjf->gij", made.shared, made.shared)
    covariance += np.einsum("gi,ij->gij", made.deviation**2, np.eye(3))
    return xarray.Dataset(
        {
            "id": (("grain",), made.table["id"].to_numpy()),
            "cuboid_centre": (("cuboid", "axis"), (position[:, None] + edge[:, None, None] * offset).reshape(-1, 3)),
            "cuboid_half_length": (("cuboid", "axis"), (edge[:, None, None] * half).reshape(-1, 3)),
            "cuboid_grain": (("cuboid",), np.repeat(np.arange(len(volume)), 3)),
            "covariance": (("grain", "axis", "other_axis"), covariance),
            "ssr_threshold": (("ssr",), nodes[0]),
            "ratio_threshold": (("ratio",), nodes[1]),
            "sum_covariance": (("saturation", "ssr", "ratio", "axis", "other_axis"), sums),
        },
        attrs={"reduced_chi_square": chi_square, "level": 0.95, "limit": 0.1, "is_explained": 1, "warnings": "[]"},
    )


def _ragged_cuboids(rng: np.random.Generator, *, volume: np.ndarray, position: np.ndarray) -> xarray.Dataset:
    """Return the cuboids of grains of random cells."""
    centres, halves, owners = [], [], []
    for grain, (size, place) in enumerate(zip(volume, position, strict=True)):
        boxes = join_cells(rng.random((5, 5, 5)) < 0.7)
        edge = np.cbrt(size / 0.7) / 5
        centres.append(place + edge * (boxes.mean(axis=1) - 2.5))
        halves.append(edge * np.diff(boxes, axis=1)[:, 0] / 2)
        owners.append(np.full(len(boxes), grain))
    return xarray.Dataset(
        {
            "cuboid_centre": (("cuboid", "axis"), np.concatenate(centres)),
            "cuboid_half_length": (("cuboid", "axis"), np.concatenate(halves)),
            "cuboid_grain": (("cuboid",), np.concatenate(owners)),
        }
    )


def _maps(rng: np.random.Generator, *, shape: tuple[int, int], spacing: float) -> xarray.Dataset:
    """Return smooth maps with noise; a strip of sensors is not used."""
    ny, nx = shape
    x, y = spacing * np.arange(nx), spacing * np.arange(ny)
    forward = np.zeros(shape)
    for _ in range(60):
        across, along = (
            np.exp(-(((axis - rng.uniform(0, axis[-1])) / rng.uniform(5, 60)) ** 2) / 2) for axis in (x, y)
        )
        forward += rng.normal(0, 2e4) * np.outer(along, across)
    residual = rng.normal(0, 300, shape)
    mask = np.ones(shape, bool)
    mask[:, 3:6] = False
    maps = {"bz": forward + residual, "forward": forward, "residual": residual, "mask": mask}
    return xarray.Dataset({name: (("y", "x"), values) for name, values in maps.items()}, coords={"x": x, "y": y})
