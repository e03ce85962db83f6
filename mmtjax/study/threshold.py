"""The SSR threshold for one sample and scan, from models that are run until it is stable (sections 4.3 and 4.4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
import pandas
from jaxtyping import Float, Int

from mmtjax.precision import require_float64
from mmtjax.selection import (
    LIMIT,
    PURITIES,
    PURITY,
    SMALLER_IS_BETTER,
    crowded_signal_strength,
    signal_strength_ratio,
    ssr_threshold,
)
from mmtjax.simulation import simulate
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library
from mmtjax.study.config import StudyConfig
from mmtjax.study.geometry import solved_maps
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error
from mmtjax.study.stability import STABLE, Stability
from mmtjax.study.statistic_table import statistic_table

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
        One row for each purity: ``purity``; ``ssr``, the threshold (1/µm, infinite if no choice of grains is pure
        enough); ``sampling_error``, its standard error over samples, and ``interpolation_error`` (both in decades, NaN
        where not known); ``selected`` and ``violators``, grains of all samples at or above it, and those of them beyond
        the limit (missing where it was interpolated); ``selected_share``, of all grains; ``recovered``, share of all
        grains within the limit that are selected. Units in ``attrs["units"]``.
    convergence
        Samples one after the other: ``models`` (how many so far), ``ssr`` (1/µm) of all of them at the purity that has
        to be stable, and ``ssr_change`` (decades) by the last; where it was interpolated, so for every model of the
        study that it rests on, whose ``density``, ``interval`` and ``noise`` come first.
    statistics
        SSR beside the other statistics that are known without a scan, one row for each purity and statistic, see
        `mmtjax.study.statistic_table.statistic_table`.
    source
        ``"models"`` that were run, ``"study"`` for a model of a study, ``"interpolation"`` between models of a study.
    models
        Samples that were run, or that each model of the study has; the fewest where these differ.
    failures
        Inversions that could not be vouched for; none of their grains counts as resolved.
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
    """What the threshold needs of one inverted sample.

    Attributes
    ----------
    signal_strength_ratio
        (grain,), 1/µm.
    uncertainty_ratio
        (grain,), as fractions; infinite where not known.
    failure
        Why the inversion cannot be vouched for; empty where it can.
    crowded_signal_strength, expected_uncertainty_ratio
        (grain,), see the functions of the same names; None where not known.
    """

    signal_strength_ratio: Float[np.ndarray, " grain"]
    uncertainty_ratio: Float[np.ndarray, " grain"]
    failure: str = ""
    crowded_signal_strength: Float[np.ndarray, " grain"] | None = None
    expected_uncertainty_ratio: Float[np.ndarray, " grain"] | None = None


def find_threshold(
    key: jax.Array,
    *,
    side: float,
    thickness: float,
    density: float,
    interval: float,
    noise: float,
    height: float = 0.0,
    limit: float = LIMIT,
    purities: Sequence[float] = PURITIES,
    library: ShapeLibrary | None = None,
    directions: str = "printed",
    level: float = 0.95,
    purity: float = PURITY,
    stable: float = STABLE,
    minimum: int = 5,
    maximum: int = 60,
    progress: Callable[[str, int, int], None] | None = None,
    model: Callable[[jax.Array], ModelGrains] | None = None,
) -> ThresholdAnswer:
    """SSR thresholds for a sample and scan, from as many made-up samples as it takes (Out et al. 2022, section 4.4).

    Samples are made and inverted one after the other and their grains pooled. The threshold at `purity` is stable, and
    no more are made, once there are at least `minimum` samples (and four), each of the last three changed it by less
    than `stable` decades, and its standard error over samples is less than that. The change is the criterion of section
    4.3, which alone may be met by chance; a threshold that is infinite and stays so is stable.

    Parameters
    ----------
    key
        Random key of JAX; the same key and values give the same answer. More samples do not change the first ones.
    side, thickness
        Edge of the square surface of the sample, a whole number of intervals, and its thickness, µm.
    density
        Grains per mm³.
    interval
        Sampling interval of the map, a whole number of µm; sensors have an edge of 1 µm.
    noise
        Standard deviation of the noise of a sensor, nT.
    height
        z of the scanning plane above the surface of the sample, µm.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved, one row of the table each.
    library
        Shapes of the grains; `mmtjax.sources.shape_library.synthetic_library` by default.
    directions
        ``"printed"`` or ``"isotropic"``, see `mmtjax.sources.magnetization.draw_magnetization`.
    level
        Probability of the confidence sphere.
    purity
        The share whose threshold must be stable.
    stable
        Decades.
    minimum, maximum
        Samples that are made at least and at most.
    progress
        Called as ``progress("models", done, maximum)``.
    model
        What makes and inverts one sample, given its random key; `run_model` by default.

    Returns
    -------
    ThresholdAnswer
        With ``converged`` False where the maximum was reached first.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For values of which there can be no sample, map or threshold; the message names them.

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
    case = StudyConfig(
        name="threshold",
        seed=0,
        side=(side,),
        thickness=(thickness,),
        density=(density,),
        interval=(interval,),
        noise=(noise,),
        height=height,
        level=level,
        directions=directions,
    )
    if not 2 <= minimum <= maximum:
        raise ValueError(f"minimum and maximum of samples must be 2 or more, in order; got {minimum} and {maximum}")
    if not 0 < stable < np.inf:
        raise ValueError(f"stable must be a number of decades above 0, such as 0.25; got {stable!r}")
    check_selection(limit, [*purities, purity])
    if model is None:
        shapes = synthetic_library() if library is None else library

        def model(key: jax.Array) -> ModelGrains:
            return run_model(key, case, library=shapes)

    found: list[ModelGrains] = []
    record = Stability(purity=purity, limit=limit, stable=stable, minimum=minimum)
    while len(found) < maximum and not record.converged:
        found.append(model(jax.random.fold_in(key, len(found))))
        strength, ratio, sample = _together(found)
        record.add(strength, ratio, sample)
        if progress is not None:
            progress("models", len(found), maximum)
    strength, ratio, sample = _together(found)
    failures = sum(bool(one.failure) for one in found)
    values = dict(side=side, thickness=thickness, density=density, interval=interval, noise=noise)
    how = (
        f"{len(found)} samples were made up and inverted, {in_words(values)}, scanning plane at {height:g} µm"
        + (f"; {failures} inversions could not be vouched for" if failures else "")
        + f"; {record.words()}"
    )
    return ThresholdAnswer(
        table=pooled_thresholds(strength, ratio, sample, limit=limit, purities=purities),
        convergence=record.table(),
        statistics=statistic_table(_statistics(found), ratio, limit=limit, purities=purities),
        source="models",
        models=len(found),
        failures=failures,
        converged=record.converged,
        how=how,
    )


def run_model(key: jax.Array, case: StudyConfig, *, library: ShapeLibrary) -> ModelGrains:
    """Make one sample of a study of one model and invert its map.

    Parameters
    ----------
    key
        Random key of the sample.
    case
        A study of one model.
    library
        Shapes of the grains.
    """
    sample = simulate(
        key,
        side=case.side[0],
        thickness=case.thickness[0],
        density=case.density[0],
        noise=case.noise[0],
        spacing=case.interval[0],
        height=case.height,
        library=library,
        directions=case.directions,
    )
    strength = np.asarray(signal_strength_ratio(sample.grains, case.height))
    crowded = np.asarray(crowded_signal_strength(sample.grains, case.height))
    solutions, reason = solved_maps([sample.scan], sample.grains, case)
    if solutions is None or reason:
        unknown = np.full(strength.shape, np.inf)
        return ModelGrains(strength, unknown, reason, crowded, unknown)
    ratio, expected = (
        np.where(np.isnan(values), np.inf, values)
        for values in (solutions[0].uncertainty_ratio, solutions[0].expected_uncertainty_ratio)
    )
    return ModelGrains(strength, ratio, "", crowded, expected)


def check_selection(limit: float, purities: Sequence[float]) -> None:
    """Refuse limits and purities that cannot be, before models are run for them."""
    if not 0 < limit < np.inf:
        raise ValueError(f"limit must be an uncertainty ratio as a fraction, such as 0.10; got {limit!r}")
    if not purities or not all(0 < share <= 1 for share in purities):
        raise ValueError(f"purities must be shares above 0 and up to 1, such as 0.99; got {list(purities)}")


def pooled_thresholds(
    strength: Float[np.ndarray, " grain"],
    ratio: Float[np.ndarray, " grain"],
    sample: Int[np.ndarray, " grain"],
    *,
    limit: float,
    purities: Sequence[float],
) -> pandas.DataFrame:
    """The table of a `ThresholdAnswer` from the grains of all samples, whose numbers count from 0."""
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


def threshold_frame(rows: list[dict[str, float]]) -> pandas.DataFrame:
    """Rows as the table of a `ThresholdAnswer`: counts that may be missing, units in ``attrs["units"]``."""
    table = pandas.DataFrame(rows).astype({"selected": "Int64", "violators": "Int64"})
    table.attrs["units"] = dict(_UNITS)
    return table


def in_words(values: dict[str, float]) -> str:
    """A sample and scan, for messages."""
    return (
        f"{values['side']:g} × {values['side']:g} × {values['thickness']:g} µm with {values['density']:g} grains per "
        f"mm³, a sensor every {values['interval']:g} µm, noise {values['noise']:g} nT"
    )


def _together(found: Sequence[ModelGrains]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strengths and ratios of the grains of all samples, and the number of the sample of each."""
    counts = [len(one.signal_strength_ratio) for one in found]
    return (
        np.concatenate([one.signal_strength_ratio for one in found]),
        np.concatenate([one.uncertainty_ratio for one in found]),
        np.repeat(np.arange(len(found)), counts),
    )


def _statistics(found: Sequence[ModelGrains]) -> dict[str, Float[np.ndarray, " grain"]]:
    """The statistics that are known of the grains of all samples, together."""
    known = {name: [getattr(one, name) for one in found] for name in SMALLER_IS_BETTER}
    return {name: np.concatenate(parts) for name, parts in known.items() if all(part is not None for part in parts)}
