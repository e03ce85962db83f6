"""Tabulate signal strength ratios of a study: their distribution (Fig. 3b) and thresholds on them (Fig. 5 and 6)."""

from collections.abc import Mapping

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.selection import LIMIT, PURITIES, PURITY, ssr_threshold
from mmtjax.study.config import PARAMETERS
from mmtjax.study.pool import Pool

#: Limits of the uncertainty ratio for which Fig. 5 has thresholds, at the purity `PURITY`.
LIMITS = (0.01, 0.03, 0.05, 0.10, 0.20)

THRESHOLD_UNITS = {**PARAMETERS, "limit": "1", "purity": "1", "ssr": "1/µm", "recovered": "1"}
DISTRIBUTION_UNITS = {"thickness": "µm", "ssr": "1/µm", "share": "1"}

#: First and last decade of SSR of the distribution, and steps in each decade.
_DECADES, _STEPS = (-8, 3), 50


def threshold_table(pool: Pool) -> pandas.DataFrame:
    """Return the SSR thresholds at all noise levels, for `LIMITS` at 99 % purity and for all purities at 10 %.

    Returns
    -------
    pandas.DataFrame
        The model, ``repeats``, ``limit``, ``purity``, ``ssr`` (the threshold, 1/µm; infinite where no selection is pure
        enough), the counts and shares of `mmtjax.Threshold`, and ``reached``, the purity of the selected grains.
    """
    cases = [(limit, PURITY) for limit in LIMITS]
    cases += [(LIMIT, purity) for purity in PURITIES if purity != PURITY]
    rows = []
    for level, model in pool.models():
        for limit, purity in cases:
            found = ssr_threshold(pool.signal_strength_ratio, pool.uncertainty_ratio[level], limit, purity)
            rows.append(
                model
                | {
                    "repeats": len(pool.repeats),
                    "limit": limit,
                    "purity": purity,
                    "ssr": found.value,
                    "selected": found.selected,
                    "violators": found.violators,
                    "recovered": found.recovered,
                    "resolved": found.resolved,
                    "total": found.total,
                    "reached": found.purity,
                }
            )
    return pandas.DataFrame(rows)


def distribution_table(strengths: Mapping[float, Float[np.ndarray, " grain"]]) -> pandas.DataFrame:
    """Return the share of the grains with at least a given SSR, for each thickness (Fig. 3b).

    Parameters
    ----------
    strengths
        SSR of the grains, 1/µm, by thickness in µm.

    Returns
    -------
    pandas.DataFrame
        ``thickness``, ``ssr`` in steps of 0.02 decades, ``share``, and ``grains``, the number of all grains.

    Examples
    --------
    >>> table = distribution_table({50.0: np.array([1e-4, 1e-2])})
    >>> share_above(table, thickness=50.0, ssr=1e-3)
    0.5
    """
    steps = np.logspace(*_DECADES, _STEPS * (_DECADES[1] - _DECADES[0]) + 1)
    tables = []
    for thickness, strength in sorted(strengths.items()):
        share = 1 - np.searchsorted(np.sort(strength), steps) / strength.size
        # One step beyond either end shows that no grain lies there.
        shown = slice(max(int((share == 1).sum()) - 1, 0), len(steps) - max(int((share == 0).sum()) - 1, 0))
        tables.append(
            pandas.DataFrame(
                {"thickness": thickness, "ssr": steps[shown], "share": share[shown], "grains": strength.size}
            )
        )
    return pandas.concat(tables, ignore_index=True)


def share_above(distribution: pandas.DataFrame, *, thickness: float, ssr: float) -> float:
    """Return the share of the grains of a thickness with at least this SSR, by interpolation in `distribution_table`.

    Raises
    ------
    ValueError
        If the distribution does not have the thickness.
    """
    rows = distribution[distribution["thickness"] == thickness]
    if rows.empty:
        known = sorted(set(distribution["thickness"]))
        msg = f"the distribution has no thickness of {thickness:g} µm; it has {known}"
        raise InputError(msg)
    return float(np.interp(np.log(ssr), np.log(rows["ssr"]), rows["share"]))
