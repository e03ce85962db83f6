"""Find the SSR threshold for one sample and scan from models that are run until it is stable (sections 4.3 and 4.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import numpy as np
import pandas
from jaxtyping import Float, Int

from mmtjax.errors import InputError
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.options import value_or_fields
from mmtjax.precision import require_float64
from mmtjax.progress import StageProgress
from mmtjax.selection import SMALLER_IS_BETTER, crowded_signal_strength, signal_strength_ratio, ssr_threshold
from mmtjax.simulation import simulate
from mmtjax.simulation.feasibility import require_hours
from mmtjax.study.cell import Cell
from mmtjax.study.config import check_interval
from mmtjax.study.cost import estimated_hours
from mmtjax.study.geometry import solved_maps
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error
from mmtjax.study.stability import Stability
from mmtjax.study.statistic_table import statistic_table
from mmtjax.study.threshold_case import ThresholdCase, ThresholdFields

#: From this number of samples on their number does not matter.
_UNCOUNTED = 10**12

#: Units of the columns of the table of a `ThresholdAnswer`.
_UNITS = {
    "purity": "1",
    "ssr": "1/µm",
    "sampling_error": "decades",
    "interpolation_error": "decades",
    "selected_share": "1",
    "recovered": "1",
}


@dataclass(frozen=True)
class ThresholdAnswer:
    """SSR thresholds for one sample and scan, and how they were obtained.

    Attributes
    ----------
    table
        One row for each purity: ``purity``; ``ssr``, the threshold (1/µm, infinite if no selection of grains is pure
        enough); ``sampling_error``, its standard error over samples, and ``interpolation_error`` (both in decades, NaN
        where not known); ``selected`` and ``violators``, grains of all samples at or above it, and those of them beyond
        the limit (missing where it was interpolated); ``selected_share``, share of all grains that are selected;
        ``recovered``, share of all grains within the limit that are selected. Units in ``attrs["units"]``.
    convergence
        Samples one after the other: ``models`` (their number so far), ``ssr`` (1/µm) of all of them at the purity that
        must be stable, and ``ssr_change`` (decades) by the last. Where it was interpolated, this is given for every
        model of the study that it is based on, whose ``density``, ``interval`` and ``noise`` come first.
    statistics
        The SSR beside the other statistics that are known without a scan, one row for each purity and statistic, see
        `mmtjax.study.statistic_table.statistic_table`.
    source
        ``"models"`` that were run, ``"study"`` for a model of a study, ``"interpolation"`` between models of a study.
    models
        Number of samples that were run, or that each model of the study has; the smallest where these differ.
    failures
        Number of inversions that failed; none of their grains counts as resolved.
    converged
        Whether the threshold is stable, see `find_threshold`.
    how
        The same in words.
    """

    table: pandas.DataFrame
    convergence: pandas.DataFrame
    statistics: pandas.DataFrame
    source: str
    models: int
    failures: int
    converged: bool
    how: str


class ModelGrains(NamedTuple):
    """The grains of one inverted sample, as the threshold needs them.

    Attributes
    ----------
    signal_strength_ratio
        SSR, (grain,), 1/µm.
    uncertainty_ratio
        Ratios as fractions, (grain,); infinite where not known.
    failure
        Why the inversion failed; empty where it did not.
    crowded_signal_strength, expected_uncertainty_ratio
        Values of the functions of the same names, (grain,); None where not known.
    """

    signal_strength_ratio: Float[np.ndarray, " grain"]
    uncertainty_ratio: Float[np.ndarray, " grain"]
    failure: str = ""
    crowded_signal_strength: Float[np.ndarray, " grain"] | None = None
    expected_uncertainty_ratio: Float[np.ndarray, " grain"] | None = None


def find_threshold(
    key: jax.Array,
    case: ThresholdCase | None = None,
    *,
    minimum: int = 5,
    maximum: int = 60,
    progress: StageProgress | None = None,
    model: Callable[[jax.Array], ModelGrains] | None = None,
    **fields: Unpack[ThresholdFields],
) -> ThresholdAnswer:
    """Find SSR thresholds for a sample and scan from made-up samples (Out et al. 2022, section 4.4).

    Samples are made and inverted one after the other and their grains pooled. The search ends when the threshold at
    ``case.purity`` is stable: there are at least `minimum` samples (and four), each of the last three changed it by
    less than ``case.stable`` decades, and its standard error over samples is less than that. The change is the
    criterion of section 4.3, which alone may be met by chance. A threshold that is infinite and stays so is stable.

    Parameters
    ----------
    key
        Random key of JAX; the same key and values give the same answer. More samples do not change the first ones.
    case
        The sample, the scan and the selection.
    minimum, maximum
        Number of samples that are made at least and at most.
    progress
        Called as ``progress("models", done, maximum)``.
    model
        Function that makes and inverts one sample, given its random key; `run_model` by default.
    **fields
        Instead of `case` its fields and those of its sample by keyword, such as ``side``, ``thickness``, ``density``,
        ``interval`` and ``noise``, see `mmtjax.study.ThresholdCase` and `mmtjax.SampleSpec`.

    Returns
    -------
    ThresholdAnswer
        With ``converged`` False where the maximum was reached first.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For values for which there is no sample, map or threshold, and for a maximum of samples that would take longer
        than a month; the message names them.

    Examples
    --------
    >>> def plain_model(key: jax.Array) -> ModelGrains:
    ...     strength = np.asarray(jax.random.uniform(key, 500))
    ...     return ModelGrains(strength, np.where(strength > 0.3, 0.01, 1.0))
    >>> answer = find_threshold(
    ...     jax.random.key(1), side=200, thickness=50, density=2.5e5, interval=1, noise=5, model=plain_model
    ... )
    >>> answer.models, answer.converged, round(float(answer.table["ssr"].max()), 2)
    (5, True, 0.3)
    """
    require_float64()
    case = value_or_fields(case, ThresholdCase.from_fields, fields=fields)
    check_interval(case.interval, side=case.sample.side)
    if not 2 <= minimum <= maximum:
        msg = f"minimum and maximum of samples must be 2 or more, in order; got {minimum} and {maximum}"
        raise InputError(msg)
    if model is None:
        _check_time(case, maximum)
    solve = partial(run_model, case=case) if model is None else model
    found: list[ModelGrains] = []
    record = Stability(purity=case.purity, limit=case.limit, stable=case.stable, minimum=minimum)
    while len(found) < maximum and not record.converged:
        found.append(solve(jax.random.fold_in(key, len(found))))
        record.add(*_pooled(found))
        if progress is not None:
            progress("models", len(found), maximum)
    strength, ratio, sample = _pooled(found)
    failures = sum(bool(one.failure) for one in found)
    how = (
        f"{len(found)} samples were made up and inverted, {case.description}, scanning plane at "
        f"{case.sample.height:g} µm"
        + (f"; {failures} inversions failed" if failures else "")
        + f"; {record.description()}"
    )
    return ThresholdAnswer(
        table=pooled_thresholds(strength, ratio, sample, limit=case.limit, purities=case.purities),
        convergence=record.table(),
        statistics=statistic_table(_statistics(found), ratio, limit=case.limit, purities=case.purities),
        source="models",
        models=len(found),
        failures=failures,
        converged=record.converged,
        how=how,
    )


def _check_time(case: ThresholdCase, maximum: int) -> None:
    """Raise an error if as many samples as are allowed at most would take too long."""
    sample = case.sample
    one = Cell(sample.side, sample.thickness, sample.density, 0, case.interval)
    require_hours(
        min(maximum, _UNCOUNTED) * estimated_hours([one]),
        work=f"up to {maximum if maximum < _UNCOUNTED else 'more than 1e12'} samples, {case.description}, take",
        remedy="pass a smaller maximum=, or a smaller sample",
    )


def run_model(key: jax.Array, case: ThresholdCase) -> ModelGrains:
    """Make one sample and invert its map.

    Parameters
    ----------
    key
        Random key of the sample.
    case
        The sample and the scan.
    """
    sample = simulate(key, case.sample, noise=case.noise, spacing=case.interval)
    strength = np.asarray(signal_strength_ratio(sample.grains, case.sample.height))
    crowded = np.asarray(crowded_signal_strength(sample.grains, case.sample.height))
    solutions, failure = solved_maps(
        [sample.scan], sample.grains, [case.noise], level=case.level, tolerance=DEFAULT_TOLERANCE
    )
    if solutions is None or failure:
        unknown = np.full(strength.shape, np.inf)
        return ModelGrains(strength, unknown, failure, crowded, unknown)
    ratio, expected = (
        np.where(np.isnan(values), np.inf, values)
        for values in (solutions[0].uncertainty_ratio, solutions[0].expected_uncertainty_ratio)
    )
    return ModelGrains(strength, ratio, "", crowded, expected)


def pooled_thresholds(
    strength: Float[np.ndarray, " grain"],
    ratio: Float[np.ndarray, " grain"],
    sample: Int[np.ndarray, " grain"],
    *,
    limit: float,
    purities: Sequence[float],
) -> pandas.DataFrame:
    """Return the table of a `ThresholdAnswer`.

    Parameters
    ----------
    strength, ratio, sample
        SSR (1/µm), uncertainty ratio and number of the sample, from 0, of the grains of all samples.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved.
    """
    samples = int(sample.max()) + 1
    drawn = resampled_thresholds(sample_counts(samples), strength, ratio, sample, limit=limit, purities=purities)
    errors = sampling_error(np.log10(drawn), samples)
    rows = []
    for purity, error in zip(purities, errors, strict=True):
        chosen = ssr_threshold(strength, ratio, limit, purity)
        rows.append(
            {
                "purity": purity,
                "ssr": chosen.value,
                "sampling_error": error if np.isfinite(chosen.value) else np.nan,
                "interpolation_error": 0.0,
                "selected": chosen.selected,
                "violators": chosen.violators,
                "selected_share": chosen.selected / chosen.total,
                "recovered": chosen.recovered,
            }
        )
    return threshold_frame(rows)


def threshold_frame(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """Return rows as the table of a `ThresholdAnswer`: counts may be missing, units are in ``attrs["units"]``."""
    table = pandas.DataFrame(rows).astype({"selected": "Int64", "violators": "Int64"})
    table.attrs["units"] = dict(_UNITS)
    return table


def _pooled(found: Sequence[ModelGrains]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return SSR and ratio of the grains of all samples, and the number of the sample of each."""
    counts = [len(one.signal_strength_ratio) for one in found]
    return (
        np.concatenate([one.signal_strength_ratio for one in found]),
        np.concatenate([one.uncertainty_ratio for one in found]),
        np.repeat(np.arange(len(found)), counts),
    )


def _statistics(found: Sequence[ModelGrains]) -> dict[str, Float[np.ndarray, " grain"]]:
    """Return the statistics that are known for the grains of all samples, pooled."""
    known = {name: [getattr(one, name) for one in found] for name in SMALLER_IS_BETTER}
    return {name: np.concatenate(parts) for name, parts in known.items() if all(part is not None for part in parts)}
