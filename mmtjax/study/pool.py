"""Pool the grains of all repeats of a model, as tables and figures of a study need them."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import xarray
from jaxtyping import Bool, Float, Int

from mmtjax.selection import crowding, expected_uncertainty_ratio, log_crowded_strength
from mmtjax.study.cell import Cell
from mmtjax.study.read import Study


@dataclasses.dataclass(frozen=True)
class Pool:
    """The grains of all repeats of one side, thickness, density and sampling interval, at every noise level.

    Attributes
    ----------
    side, thickness, interval
        Edge of the sample, its thickness, and the sampling interval, µm.
    density
        Grains per mm³.
    noise
        Noise levels, (noise,), nT.
    repeat
        Number of the repeat that a grain belongs to, (grain,).
    depth, volume, signal_strength_ratio
        Depth below the scanning plane (µm), volume (µm³) and SSR (1/µm) of every grain, (grain,).
    crowded_signal_strength
        Strength by the learned formula among the grains of the same repeat, (grain,), see
        `mmtjax.crowded_signal_strength`.
    confidence_radius, uncertainty_ratio
        Radius (A/m) and ratio, (noise, grain). Infinite where the inversion failed: such a grain is not resolved.
    """

    side: float
    thickness: float
    density: float
    interval: float
    noise: Float[np.ndarray, " noise"]
    repeat: Int[np.ndarray, " grain"]
    depth: Float[np.ndarray, " grain"]
    volume: Float[np.ndarray, " grain"]
    signal_strength_ratio: Float[np.ndarray, " grain"]
    crowded_signal_strength: Float[np.ndarray, " grain"]
    confidence_radius: Float[np.ndarray, "noise grain"]
    uncertainty_ratio: Float[np.ndarray, "noise grain"]

    @property
    def repeats(self) -> Int[np.ndarray, " repeat"]:
        """Numbers of the repeats in the pool, in ascending order."""
        return np.unique(self.repeat)

    @property
    def expected_uncertainty_ratio(self) -> Float[np.ndarray, "noise grain"]:
        """Uncertainty ratio to expect without a scan, see `mmtjax.expected_uncertainty_ratio`."""
        return np.asarray(expected_uncertainty_ratio(self.volume, self.confidence_radius))

    def statistics(self, level: int) -> dict[str, Float[np.ndarray, " grain"]]:
        """Return the statistics that are known without a scan at one noise level, by name."""
        return {
            "signal_strength_ratio": self.signal_strength_ratio,
            "crowded_signal_strength": self.crowded_signal_strength,
            "expected_uncertainty_ratio": self.expected_uncertainty_ratio[level],
        }

    def model(self, level: int) -> dict[str, float]:
        """Return the parameters of the model at one noise level, by their names in `mmtjax.study.config.PARAMETERS`."""
        return {
            "side": self.side,
            "thickness": self.thickness,
            "density": self.density,
            "interval": self.interval,
            "noise": float(self.noise[level]),
        }

    def models(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield the number of each noise level and the parameters of the model there."""
        return ((level, self.model(level)) for level in range(len(self.noise)))

    def select(self, keep: Bool[np.ndarray, " grain"]) -> "Pool":
        """Return the pool of some of the grains."""
        return dataclasses.replace(
            self,
            repeat=self.repeat[keep],
            depth=self.depth[keep],
            volume=self.volume[keep],
            signal_strength_ratio=self.signal_strength_ratio[keep],
            crowded_signal_strength=self.crowded_signal_strength[keep],
            confidence_radius=self.confidence_radius[:, keep],
            uncertainty_ratio=self.uncertainty_ratio[:, keep],
        )


def sample_values(study: Study) -> list[tuple[float, float, float]]:
    """Return side, thickness (µm) and density (1/mm³) of the samples of which a study has cells, in ascending order."""
    return sorted({cell[:3] for cell in study.cells()})


def pooled_samples(study: Study) -> Iterator[dict[float, Pool]]:
    """Yield the pools of each sample by sampling interval, in the order of `sample_values`, reading one at a time."""
    cells = study.cells()
    for values in sample_values(study):
        yield pooled(study, [cell for cell in cells if cell[:3] == values])


def pooled(study: Study, cells: Iterable[Cell]) -> dict[float, Pool]:
    """Return the pools of the cells of one sample by sampling interval in µm.

    Parameters
    ----------
    study
        The study to read from.
    cells
        Cells of one side, thickness and density.
    """
    by_interval: dict[float, list[Cell]] = {}
    for cell in sorted(cells):
        by_interval.setdefault(cell.interval, []).append(cell)
    return {interval: _pool(study, members) for interval, members in sorted(by_interval.items())}


def _pool(study: Study, cells: list[Cell]) -> Pool:
    parts = [study.load(cell) for cell in cells]
    failed = [np.full(part["volume"].size, bool(part.attrs["failure"])) for part in parts]
    radius, ratio = (
        np.where(np.concatenate(failed) | np.isnan(values), np.inf, values)
        for values in (
            np.concatenate([part[name].transpose("noise", "grain").to_numpy() for part in parts], axis=1)
            for name in ("confidence_radius", "uncertainty_ratio")
        )
    )
    crowded = [_crowded(part, study.config.height) for part in parts]
    first = cells[0]
    return Pool(
        side=first.side,
        thickness=first.thickness,
        density=first.density,
        interval=first.interval,
        noise=parts[0]["noise"].to_numpy(),
        repeat=np.concatenate(
            [np.full(part["volume"].size, cell.repeat) for cell, part in zip(cells, parts, strict=True)]
        ),
        depth=study.config.height - np.concatenate([part["position"].to_numpy()[:, 2] for part in parts]),
        volume=np.concatenate([part["volume"].to_numpy() for part in parts]),
        signal_strength_ratio=np.concatenate([part["signal_strength_ratio"].to_numpy() for part in parts]),
        crowded_signal_strength=np.concatenate(crowded),
        confidence_radius=radius,
        uncertainty_ratio=ratio,
    )


def _crowded(part: xarray.Dataset, height: float) -> Float[np.ndarray, " grain"]:
    position = part["position"].to_numpy()
    depth = height - position[:, 2]
    return np.exp(log_crowded_strength(part["volume"].to_numpy(), depth, neighbours=crowding(position, depth)))
