"""The SSR threshold for one sample and scan from a study, between the models that it has."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas

from mmtjax.selection import LIMIT, PURITIES, PURITY, ssr_threshold
from mmtjax.study.cell import Cell
from mmtjax.study.config import PARAMETERS, StudyConfig
from mmtjax.study.pool import Pool, pooled
from mmtjax.study.read import Study
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error
from mmtjax.study.stability import STABLE, judged
from mmtjax.study.statistic_table import interpolated_statistics, statistic_table
from mmtjax.study.threshold import ThresholdAnswer, check_selection, in_words, pooled_thresholds, threshold_frame

#: What thresholds are interpolated over.
_AXES = ("density", "interval", "noise")

#: Density, interval and noise of a model of the study.
_Model = tuple[float, float, float]


class NotCovered(ValueError):
    """A sample or scan for which a study has no threshold."""


def interpolate_threshold(
    study: Study,
    *,
    side: float,
    thickness: float,
    density: float,
    interval: float,
    noise: float,
    height: float = 0.0,
    limit: float = LIMIT,
    purities: Sequence[float] = PURITIES,
    directions: str = "printed",
    level: float = 0.95,
    purity: float = PURITY,
    stable: float = STABLE,
) -> ThresholdAnswer:
    """SSR thresholds for a sample and scan from a study: those of its model, or between its models.

    The logarithm of the threshold is linear in the logarithms of density, interval and noise between neighbouring
    values of the study, for a side and thickness that it has. Shares are interpolated in the same way.

    Parameters
    ----------
    study
        As `mmtjax.study.open_study` gives it; at least two repeats of the models that are needed must be there.
    side, thickness, height
        Edge of the sample, its thickness, and z of the scanning plane, µm, as in the study.
    density, interval, noise
        Grains per mm³, µm and nT, within the values of the study.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved, one row of the table each.
    directions, level
        How magnetizations are drawn, and the probability of the confidence sphere, as in the study.
    purity, stable
        The share whose threshold must be stable, and decades, for ``converged``; see `mmtjax.study.find_threshold`.

    Returns
    -------
    ThresholdAnswer
        A threshold is infinite where it is so in a model that it rests on. ``sampling_error`` takes into account that
        maps of one sample go together. ``interpolation_error`` is what the curvature adds, from the next value of the
        study along each axis; NaN if it has none.

    Raises
    ------
    NotCovered
        If the study does not cover it; the message says what it covers.
    ValueError
        For a limit or purity that cannot be.
    """
    check_selection(limit, [*purities, purity])
    asked = dict(side=side, thickness=thickness, density=density, interval=interval, noise=noise)
    config = study.config
    _require_same(config, asked | {"height": height, "level": level, "directions": directions})
    nodes = {axis: _nodes(getattr(config, axis), asked[axis]) for axis in _AXES}
    weights = _corners(nodes)
    # The curvature is read apart, for it may have fewer repeats.
    reader, further = (_Reader(study, side=side, thickness=thickness, limit=limit, purities=purities) for _ in range(2))
    reader.read(weights)
    models = min(reader.samples[model[0]] for model in weights)
    stability = {model: judged(*reader.grains(model), limit=limit, purity=purity, stable=stable) for model in weights}
    failures = reader.failures(weights)
    lost = f"; {failures} inversions could not be vouched for" if failures else ""
    if len(weights) == 1:
        (model,) = weights
        converged, words, convergence = stability[model]
        return ThresholdAnswer(
            table=pooled_thresholds(*reader.grains(model), limit=limit, purities=purities),
            convergence=convergence,
            statistics=reader.statistics(model),
            source="study",
            models=models,
            failures=failures,
            converged=converged,
            how=f"taken from the study {config.name}, {models} samples of {in_words(asked)}{lost}; {words}",
        )
    firm = sum(converged for converged, _, _ in stability.values())
    between = ", ".join(
        f"{axis} {' and '.join(f'{value:g}' for value in nodes[axis])} {PARAMETERS[axis]}"
        for axis in _AXES
        if len(nodes[axis]) > 1
    )
    return ThresholdAnswer(
        table=_interpolated(reader, weights, _curvature(further, config, nodes, asked), purities),
        convergence=_convergence({model: table for model, (_, _, table) in stability.items()}),
        statistics=interpolated_statistics([(weight, reader.statistics(model)) for model, weight in weights.items()]),
        source="interpolation",
        models=models,
        failures=failures,
        converged=firm == len(weights),
        how=(
            f"interpolated for {in_words(asked)}, in the study {config.name} between {len(weights)} models of "
            f"{between}, each of {models} samples or more{lost}; the threshold for {100 * purity:g} % of {firm} of "
            f"them is stable to {stable:g} decades"
        ),
    )


def _require_same(config: StudyConfig, asked: Mapping[str, object]) -> None:
    for name in ("side", "thickness", *_AXES):
        grid, value = getattr(config, name), asked[name]
        inside = grid[0] <= value <= grid[-1] if name in _AXES else value in grid
        if not inside:
            raise NotCovered(
                f"the study {config.name} does not cover a {name} of {value:g} {PARAMETERS[name]}; {_has(config)}"
            )
    for name in ("height", "level", "directions"):
        if getattr(config, name) != asked[name]:
            raise NotCovered(f"the study {config.name} does not cover {name}={asked[name]!r}; {_has(config)}")


def _has(config: StudyConfig) -> str:
    """What a study covers."""

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
    """Neighbours of a value in a grid that spans it, with their weights; one where the grid has it."""
    if value in grid:
        return {value: 1.0}
    high = next(number for number, there in enumerate(grid) if there > value)
    share = math.log(value / grid[high - 1]) / math.log(grid[high] / grid[high - 1])
    return {grid[high - 1]: 1 - share, grid[high]: share}


def _corners(nodes: Mapping[str, Mapping[float, float]]) -> dict[_Model, float]:
    """The models that neighbours along all axes make up, with the products of their weights."""
    return {
        (density, interval, noise): nodes["density"][density] * nodes["interval"][interval] * nodes["noise"][noise]
        for density, interval, noise in itertools.product(*(nodes[axis] for axis in _AXES))
    }


class _Reader:
    """Grains and thresholds of models of one side and thickness, read as they are needed."""

    def __init__(self, study: Study, *, side: float, thickness: float, limit: float, purities: Sequence[float]) -> None:
        self.study, self.limit, self.purities = study, limit, purities
        self.cells = [cell for cell in study.cells() if (cell.side, cell.thickness) == (side, thickness)]
        self.pools: dict[tuple[float, float], Pool] = {}
        self.samples: dict[float, int] = {}

    def read(self, models: Mapping[_Model, float]) -> None:
        """Read the repeats that all intervals of a density have."""
        for density in sorted({model[0] for model in models}):
            intervals = sorted({model[1] for model in models if model[0] == density})
            members = {interval: self._cells(density, interval) for interval in intervals}
            common = set.intersection(*({cell.repeat for cell in cells} for cells in members.values()))
            if len(common) < 2:
                raise NotCovered(
                    f"the study {self.study.config.name} has {len(common)} complete repeats with {density:g} grains "
                    f"per mm³ and intervals of {', '.join(f'{interval:g}' for interval in intervals)} µm; a sampling "
                    "error takes 2 at least, so let it run on"
                )
            self.samples[density] = len(common)
            wanted = [cell for cells in members.values() for cell in cells if cell.repeat in common]
            for interval, pool in pooled(self.study, wanted).items():
                self.pools[density, interval] = pool

    def failures(self, models: Mapping[_Model, float]) -> int:
        """Inversions of the models that could not be vouched for."""
        places = {model[:2] for model in models}
        return sum(
            bool(self.study.failure(cell))
            for place in places
            for cell in self._cells(*place)
            if cell.repeat in self.pools[place].repeats
        )

    def grains(self, model: _Model) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Strengths, ratios and numbers of the samples, from 0, of the grains of a model."""
        pool, level = self._pool(model)
        _, sample = np.unique(pool.repeat, return_inverse=True)
        return pool.signal_strength_ratio, pool.uncertainty_ratio[level], sample

    def statistics(self, model: _Model) -> pandas.DataFrame:
        """Thresholds of a model on every statistic."""
        pool, level = self._pool(model)
        ratio = pool.uncertainty_ratio[level]
        return statistic_table(pool.statistics(level), ratio, limit=self.limit, purities=self.purities)

    def decades(self, model: _Model) -> np.ndarray:
        """Logarithms of the thresholds, (purity,)."""
        strength, ratio, _ = self.grains(model)
        return np.log10([ssr_threshold(strength, ratio, self.limit, purity).value for purity in self.purities])

    def drawn(self, model: _Model) -> np.ndarray:
        """The same for other samples, (draw, purity); models of one density have the same samples in each draw."""
        stream = self.study.config.density.index(model[0])
        counts = sample_counts(self.samples[model[0]], stream=stream)
        return np.log10(resampled_thresholds(counts, *self.grains(model), limit=self.limit, purities=self.purities))

    def _pool(self, model: _Model) -> tuple[Pool, int]:
        """The pool of a model, and the number of its noise level."""
        pool = self.pools[model[:2]]
        return pool, int(np.flatnonzero(pool.noise == model[2])[0])

    def _cells(self, density: float, interval: float) -> list[Cell]:
        return [cell for cell in self.cells if (cell.density, cell.interval) == (density, interval)]


def _interpolated(
    reader: _Reader, weights: Mapping[_Model, float], curvature: np.ndarray, purities: Sequence[float]
) -> pandas.DataFrame:
    decades = sum(weight * reader.decades(model) for model, weight in weights.items())
    drawn = sum(weight * reader.drawn(model) for model, weight in weights.items())
    errors = sampling_error(drawn, min(reader.samples[model[0]] for model in weights))
    rows = []
    for number, purity in enumerate(purities):
        shares = np.zeros(2)
        for model, weight in weights.items():
            strength, ratio, _ = reader.grains(model)
            chosen = ssr_threshold(strength, ratio, reader.limit, purity)
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


def _curvature(
    reader: _Reader, config: StudyConfig, nodes: Mapping[str, Mapping[float, float]], asked: Mapping[str, float]
) -> np.ndarray:
    """Difference of parabolas through three values of the study from the lines, summed over the axes, decades.

    NaN where an axis has no third value, or a threshold there is infinite or not known yet.
    """
    total = np.zeros(len(reader.purities))
    for axis in (axis for axis in _AXES if len(nodes[axis]) > 1):
        low, high = nodes[axis]
        others = set(getattr(config, axis)) - {low, high}
        if not others:
            return np.full(len(total), np.nan)
        third = min(others, key=lambda value: abs(math.log(value / asked[axis])))
        corners = {value: _corners({**nodes, axis: {value: 1.0}}) for value in (low, high, third)}
        try:
            reader.read({model: weight for part in corners.values() for model, weight in part.items()})
        except NotCovered:
            return np.full(len(total), np.nan)
        decades = np.array(
            [sum(weight * reader.decades(model) for model, weight in part.items()) for part in corners.values()]
        )
        known = np.where(np.isfinite(decades), decades, np.nan)
        x, place = np.log([low, high, third]), math.log(asked[axis])
        slopes = np.diff(known, axis=0) / np.diff(x)[:, None]
        bend = (slopes[1] - slopes[0]) / (x[2] - x[0])
        total += np.abs(bend) * (place - x[0]) * (x[1] - place)
    return total


def _convergence(tables: Mapping[_Model, pandas.DataFrame]) -> pandas.DataFrame:
    parts = []
    for model, table in tables.items():
        for number, (axis, value) in enumerate(zip(_AXES, model, strict=True)):
            table.insert(number, axis, value)
        parts.append(table)
    joined = pandas.concat(parts, ignore_index=True)
    joined.attrs["units"] = {axis: PARAMETERS[axis] for axis in _AXES} | tables[next(iter(tables))].attrs["units"]
    return joined
