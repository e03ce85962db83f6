"""Invert several samples of one model at once, for an accelerator that a single one does not fill."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import xarray

from mmtjax.errors import InversionWarning
from mmtjax.inversion.batch import MOST_UNKNOWNS, batch_bytes, invert_batch
from mmtjax.inversion.memory import device_memory
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Cell, Geometry, grain_count, sensor_count
from mmtjax.study.config import StudyConfig
from mmtjax.study.geometry import cell_dataset, inverted_cell, sample_of, unsolvable

#: Number of samples that an accelerator inverts at once, as far as they fit into its memory.
ON_ACCELERATOR = 16

#: Share of the memory of a device that a batch may take.
_SHARE = 0.5


class Batch(NamedTuple):
    """Samples that differ in the repeat only, and the sampling intervals (µm) at which they are inverted."""

    geometries: list[Geometry]
    intervals: list[float]


def in_batches(config: StudyConfig, missing: Mapping[Geometry, list[float]], *, most: int) -> list[Batch]:
    """Group samples into batches of up to `most` repeats of one model that lack the same sampling intervals.

    Samples that are large, or do not fit together into the memory of the device, are batches of their own.

    Parameters
    ----------
    config
        The study.
    missing
        Sampling intervals that are to be computed, for each sample.
    most
        Largest number of samples in a batch.
    """
    limit = _SHARE * device_memory() if most > 1 else 0.0
    batches: list[Batch] = []
    latest: dict[tuple[float, float, float, tuple[float, ...]], list[Geometry]] = {}
    for geometry, intervals in missing.items():
        unknowns, sensors = 3 * grain_count(geometry), max(sensor_count(Cell(*geometry, one)) for one in intervals)
        each = batch_bytes(grain_count(geometry), sensors, maps=len(config.noise))
        room = min(most, int(limit // each)) if unknowns <= MOST_UNKNOWNS else 1
        kind = (*geometry[:3], tuple(intervals))
        if kind not in latest or len(latest[kind]) >= room:
            latest[kind] = []
            batches.append(Batch(latest[kind], intervals))
        latest[kind].append(geometry)
    return batches


def run_batch(
    config: StudyConfig,
    geometries: Sequence[Geometry],
    intervals: Sequence[float],
    *,
    library: ShapeLibrary | None = None,
) -> Iterator[tuple[Cell, xarray.Dataset]]:
    """Make some samples of one model and invert their maps at once.

    Samples for which normal equations are not accurate enough are inverted one by one. The numbers are those of
    `run_geometry` but for the last digits, which may depend on the other samples of the batch.

    Parameters
    ----------
    config
        The study.
    geometries
        Samples that differ in the repeat only.
    intervals
        Sampling intervals, µm.
    library
        Shapes of the grains; the synthetic ones by default.

    Yields
    ------
    tuple of Cell and xarray.Dataset
        A cell, and its results as they are stored.
    """
    samples = [sample_of(config, geometry, library=library) for geometry in geometries]
    for interval in intervals:
        scans = [[sample.sample(spacing=interval, noise=noise) for noise in config.noise] for sample in samples]
        grains = [sample.grains for sample in samples]
        solved = [None] * len(samples)
        if not unsolvable(scans[0][0], grains[0]):
            with warnings.catch_warnings():
                # The results show what the warnings say, see `solved_maps`.
                warnings.simplefilter("ignore", InversionWarning)
                solved = invert_batch(scans, grains, config.noise, level=config.level, tolerance=config.tolerance)
        for geometry, sample, solutions in zip(geometries, samples, solved, strict=True):
            cell = Cell(*geometry, interval)
            if solutions is None:
                yield cell, inverted_cell(config, cell, sample)
            else:
                yield cell, cell_dataset(config, cell, sample, solutions=solutions, failure="")
