"""Find the SSR threshold for one sample and scan from a study, between the models that it has."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Unpack

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.options import value_or_fields
from mmtjax.selection import ssr_threshold
from mmtjax.simulation import SampleSpec
from mmtjax.study.cell import Cell
from mmtjax.study.config import PARAMETERS, StudyConfig
from mmtjax.study.pool import Pool, pooled
from mmtjax.study.read import Study
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error
from mmtjax.study.stability import stability_of
from mmtjax.study.statistic_table import interpolated_statistics, statistic_table
from mmtjax.study.stored_shapes import shapes_fingerprint
from mmtjax.study.threshold import ThresholdAnswer, pooled_thresholds, threshold_frame
from mmtjax.study.threshold_case import ThresholdCase, ThresholdFields

#: Parameters that thresholds are interpolated over.
_AXES = ("density", "interval", "noise")

#: Density, interval and noise of a model of the study.
_Model = tuple[float, float, float]


class NotCovered(InputError):
    """A sample or scan for which a study has no threshold."""


def interpolate_threshold(
    study: Study, case: ThresholdCase | None = None, **fields: Unpack[ThresholdFields]
) -> ThresholdAnswer:
    """Return SSR thresholds for a sample and scan from a study: those of its model, or between its models.

    The logarithm of the threshold is linear in the logarithms of density, interval and noise between neighbouring
    values of the study, for a side and thickness that it has. Shares are interpolated in the same way.

    Parameters
    ----------
    study
        The study, from `mmtjax.study.open_study`; it must have at least two repeats of the models that are needed.
    case
        The sample, the scan and the selection. The sample must have the side, thickness, height and directions of the
        study, and, if its library is given, the shapes; density, interval and noise must lie within the values of the
        study.
    **fields
        Instead of `case` its fields and those of its sample by keyword, such as ``side``, ``thickness``, ``density``,
        ``interval`` and ``noise``, see `mmtjax.study.ThresholdCase` and `mmtjax.SampleSpec`.

    Returns
    -------
    ThresholdAnswer
        A threshold is infinite where it is so in a model that it is based on. ``sampling_error`` takes into account
        that all maps of a sample have the same grains. ``interpolation_error`` is the effect of the curvature, from the
        next value of the study along each axis; NaN if there is none.

    Raises
    ------
    NotCovered
        If the study does not cover the case; the message says what it covers.
    ValueError
        For an invalid value.
    """
    case = value_or_fields(case, ThresholdCase.from_fields, fields=fields)
    config, values = study.config, case.parameters()
    _require_covered(study, case)
    nodes = {axis: _nodes(getattr(config, axis), values[axis]) for axis in _AXES}
    weights = _corners(nodes)
    # Another reader for the curvature, whose models may have fewer repeats.
    reader, further = _Reader(study, case), _Reader(study, case)
    reader.read(weights)
    models = min(reader.samples[model[0]] for model in weights)
    stability = {
        model: stability_of(*reader.grains(model), limit=case.limit, purity=case.purity, stable=case.stable)
        for model in weights
    }
    failures = reader.failures(weights)
    failed = f"; {failures} inversions failed" if failures else ""
    if len(weights) == 1:
        (model,) = weights
        record = stability[model]
        return ThresholdAnswer(
            table=pooled_thresholds(*reader.grains(model), limit=case.limit, purities=case.purities),
            convergence=record.table(),
            statistics=reader.statistics(model),
            source="study",
            models=models,
            failures=failures,
            converged=record.converged,
            how=(
                f"taken from the study {config.name}, {models} samples of {case.description}{failed}; "
                f"{record.description()}"
            ),
        )
    stable = sum(record.converged for record in stability.values())
    between = ", ".join(
        f"{axis} {' and '.join(f'{value:g}' for value in nodes[axis])} {PARAMETERS[axis]}"
        for axis in _AXES
        if len(nodes[axis]) > 1
    )
    return ThresholdAnswer(
        table=_interpolated(reader, weights, _curvature(further, nodes)),
        convergence=_convergence({model: record.table() for model, record in stability.items()}),
        statistics=interpolated_statistics([(weight, reader.statistics(model)) for model, weight in weights.items()]),
        source="interpolation",
        models=models,
        failures=failures,
        converged=stable == len(weights),
        how=(
            f"interpolated for {case.description}, in the study {config.name} between {len(weights)} models of "
            f"{between}, each of {models} samples or more{failed}; the threshold for {100 * case.purity:g} % of "
            f"{stable} of them is stable to {case.stable:g} decades"
        ),
    )


def _require_covered(study: Study, case: ThresholdCase) -> None:
    """Raise `NotCovered` unless the models of a study, or values between them, are those of a case."""
    config = study.config
    for name, value in case.parameters().items():
        grid = getattr(config, name)
        inside = grid[0] <= value <= grid[-1] if name in _AXES else value in grid
        if not inside:
            msg = (
                f"the study {config.name} does not cover a {name} of {value:g} {PARAMETERS[name]}; {_coverage(config)}"
            )
            raise NotCovered(msg)
    for name, ours, theirs in (
        ("height", config.height, case.sample.height),
        ("level", config.level, case.level),
        ("directions", config.directions, case.sample.directions),
        ("clearance", SampleSpec().clearance, case.sample.clearance),
    ):
        if ours != theirs:
            msg = f"the study {config.name} does not cover {name}={theirs!r}; {_coverage(config)}"
            raise NotCovered(msg)
    library = case.sample.library
    if library is not None and shapes_fingerprint(library) != shapes_fingerprint(study.library()):
        msg = f"the study {config.name} does not cover grains of other shapes than its own"
        raise NotCovered(msg)


def _coverage(config: StudyConfig) -> str:
    """Return what a study covers, for messages."""

    def listed(name: str) -> str:
        return " or ".join(f"{value:g}" for value in getattr(config, name))

    def spanned(name: str) -> str:
        grid = getattr(config, name)
        return f"{grid[0]:g}" + (f" to {grid[-1]:g}" if len(grid) > 1 else "")

    return (
        f"it has samples of side {listed('side')} µm, {listed('thickness')} µm thick, with {spanned('density')} grains "
        f"per mm³, intervals of {spanned('interval')} µm, noise of {spanned('noise')} nT, a scanning plane at "
        f"{config.height:g} µm, confidence of {config.level:g} and {config.directions} directions"
    )


def _nodes(grid: Sequence[float], value: float) -> dict[float, float]:
    """Return the neighbours of a value in a grid that spans it, with their weights; one where the grid has it."""
    if value in grid:
        return {value: 1.0}
    high = next(number for number, other in enumerate(grid) if other > value)
    share = math.log(value / grid[high - 1]) / math.log(grid[high] / grid[high - 1])
    return {grid[high - 1]: 1 - share, grid[high]: share}


def _corners(nodes: Mapping[str, Mapping[float, float]]) -> dict[_Model, float]:
    """Return the models of the neighbours along all axes, with the products of their weights."""
    return {
        (density, interval, noise): nodes["density"][density] * nodes["interval"][interval] * nodes["noise"][noise]
        for density, interval, noise in itertools.product(*(nodes[axis] for axis in _AXES))
    }


class _Reader:
    """Grains and thresholds of the models of a study with the side and thickness of a case, read as needed."""

    def __init__(self, study: Study, case: ThresholdCase) -> None:
        self.study, self.case = study, case
        size = case.sample.side, case.sample.thickness
        self.cells = [cell for cell in study.cells() if (cell.side, cell.thickness) == size]
        self.pools: dict[tuple[float, float], Pool] = {}
        self.samples: dict[float, int] = {}

    def read(self, models: Mapping[_Model, float]) -> None:
        """Read the repeats that all intervals of each density have."""
        for density in sorted({model[0] for model in models}):
            intervals = sorted({model[1] for model in models if model[0] == density})
            members = {interval: self._cells(density, interval) for interval in intervals}
            common = set.intersection(*({cell.repeat for cell in cells} for cells in members.values()))
            if len(common) < 2:
                msg = (
                    f"the study {self.study.config.name} has {len(common)} complete repeats with {density:g} grains "
                    f"per mm³ and intervals of {', '.join(f'{interval:g}' for interval in intervals)} µm; a sampling "
                    "error needs 2 at least, so let it run on"
                )
                raise NotCovered(msg)
            self.samples[density] = len(common)
            complete = [cell for cells in members.values() for cell in cells if cell.repeat in common]
            for interval, pool in pooled(self.study, complete).items():
                self.pools[density, interval] = pool

    def failures(self, models: Mapping[_Model, float]) -> int:
        """Return the number of inversions of some models that failed."""
        places = {model[:2] for model in models}
        return sum(
            bool(self.study.failure(cell))
            for place in places
            for cell in self._cells(*place)
            if cell.repeat in self.pools[place].repeats
        )

    def grains(self, model: _Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return SSR, ratio and number of the sample, from 0, of the grains of a model."""
        pool, level = self._pool(model)
        _, sample = np.unique(pool.repeat, return_inverse=True)
        return pool.signal_strength_ratio, pool.uncertainty_ratio[level], sample

    def statistics(self, model: _Model) -> pandas.DataFrame:
        """Return the thresholds of a model on every statistic."""
        pool, level = self._pool(model)
        ratio = pool.uncertainty_ratio[level]
        return statistic_table(pool.statistics(level), ratio, limit=self.case.limit, purities=self.case.purities)

    def decades(self, models: Mapping[_Model, float]) -> Float[np.ndarray, " purity"]:
        """Return the weighted mean over models of the logarithms of their thresholds."""
        total = np.zeros(len(self.case.purities))
        for model, weight in models.items():
            strength, ratio, _ = self.grains(model)
            values = [ssr_threshold(strength, ratio, self.case.limit, purity).value for purity in self.case.purities]
            total += weight * np.log10(values)
        return total

    def drawn(self, models: Mapping[_Model, float]) -> Float[np.ndarray, "draw purity"]:
        """Return `decades` for draws of other samples; models of one density have the same samples in each draw."""
        total = np.zeros(())
        for model, weight in models.items():
            stream = self.study.config.density.index(model[0])
            counts = sample_counts(self.samples[model[0]], stream=stream)
            values = resampled_thresholds(
                counts, *self.grains(model), limit=self.case.limit, purities=self.case.purities
            )
            total = total + weight * np.log10(values)
        return total

    def _pool(self, model: _Model) -> tuple[Pool, int]:
        """Return the pool of a model, and the number of its noise level."""
        pool = self.pools[model[:2]]
        return pool, int(np.flatnonzero(pool.noise == model[2])[0])

    def _cells(self, density: float, interval: float) -> list[Cell]:
        return [cell for cell in self.cells if (cell.density, cell.interval) == (density, interval)]


def _interpolated(
    reader: _Reader, weights: Mapping[_Model, float], curvature: Float[np.ndarray, " purity"]
) -> pandas.DataFrame:
    decades = reader.decades(weights)
    errors = sampling_error(reader.drawn(weights), min(reader.samples[model[0]] for model in weights))
    rows = []
    for number, purity in enumerate(reader.case.purities):
        shares = np.zeros(2)
        for model, weight in weights.items():
            strength, ratio, _ = reader.grains(model)
            chosen = ssr_threshold(strength, ratio, reader.case.limit, purity)
            shares += weight * np.array([chosen.selected / chosen.total, chosen.recovered])
        found = np.isfinite(decades[number])
        rows.append(
            {
                "purity": purity,
                "ssr": 10.0 ** decades[number],
                "sampling_error": errors[number] if found else np.nan,
                "interpolation_error": curvature[number] if found else np.nan,
                "selected": pandas.NA,
                "violators": pandas.NA,
                "selected_share": shares[0],
                "recovered": shares[1],
            }
        )
    return threshold_frame(rows)


def _curvature(reader: _Reader, nodes: Mapping[str, Mapping[float, float]]) -> Float[np.ndarray, " purity"]:
    """Return the difference of parabolas through three values of the study from lines, summed over the axes, decades.

    It is NaN where an axis has no third value, or a threshold there is infinite or not known yet.
    """
    values = reader.case.parameters()
    total = np.zeros(len(reader.case.purities))
    for axis in (axis for axis in _AXES if len(nodes[axis]) > 1):
        low, high = nodes[axis]
        others = set(getattr(reader.study.config, axis)) - {low, high}
        if not others:
            return np.full(len(total), np.nan)
        third = min(others, key=lambda value: abs(math.log(value / values[axis])))
        corners = {value: _corners({**nodes, axis: {value: 1.0}}) for value in (low, high, third)}
        try:
            reader.read({model: weight for part in corners.values() for model, weight in part.items()})
        except NotCovered:
            return np.full(len(total), np.nan)
        decades = np.array([reader.decades(part) for part in corners.values()])
        known = np.where(np.isfinite(decades), decades, np.nan)
        x, place = np.log([low, high, third]), math.log(values[axis])
        slopes = np.diff(known, axis=0) / np.diff(x)[:, None]
        bend = (slopes[1] - slopes[0]) / (x[2] - x[0])
        total += np.abs(bend) * (place - x[0]) * (x[1] - place)
    return total


def _convergence(tables: Mapping[_Model, pandas.DataFrame]) -> pandas.DataFrame:
    """Join the tables of several models, with the parameters of each."""
    parts = []
    for model, table in tables.items():
        for number, (axis, value) in enumerate(zip(_AXES, model, strict=True)):
            table.insert(number, axis, value)
        parts.append(table)
    joined = pandas.concat(parts, ignore_index=True)
    joined.attrs["units"] = {axis: PARAMETERS[axis] for axis in _AXES} | tables[next(iter(tables))].attrs["units"]
    return joined
