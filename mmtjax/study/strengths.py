"""Signal strength ratios of a study: their distribution (Fig. 3b) and the thresholds on them (Fig. 5 and 6)."""

from collections.abc import Mapping

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.selection import ssr_threshold
from mmtjax.study.config import PARAMETERS
from mmtjax.study.pool import Pool

#: Limits of the uncertainty ratio of Fig. 5, at `CRITERION`, and purities of Fig. 6, at `LIMIT`.
LIMITS = (0.01, 0.03, 0.05, 0.10, 0.20)
PURITIES = (0.999, 0.99, 0.95, 0.90)
CRITERION, LIMIT = 0.99, 0.10

THRESHOLD_UNITS = {**PARAMETERS, "limit": "1", "purity": "1", "ssr": "1/µm", "recovered": "1"}
DISTRIBUTION_UNITS = {"thickness": "µm", "ssr": "1/µm", "share": "1"}

#: Decades of SSR that the distribution covers, and steps in each.
_DECADES, _STEPS = (-8, 3), 50


def threshold_table(pool: Pool) -> pandas.DataFrame:
    """Thresholds of `mmtjax.ssr_threshold` at all noise levels, for `LIMITS` at 99 % and `PURITIES` at 10 %.

    Returns
    -------
    pandas.DataFrame
        The model, ``repeats``, ``limit``, ``purity``, and the fields of `mmtjax.selection.SsrThreshold`, where
        ``reached`` is the purity of the selected grains. ``ssr`` is infinite where no choice is pure enough.
    """
    asked = [(limit, CRITERION) for limit in LIMITS]
    asked += [(LIMIT, purity) for purity in PURITIES if purity != CRITERION]
    rows = []
    for level, model in pool.models():
        for limit, purity in asked:
            found = ssr_threshold(pool.signal_strength_ratio, pool.uncertainty_ratio[level], limit, purity)._asdict()
            reached = found.pop("purity")
            rows.append(
                model | {"repeats": len(pool.repeats), "limit": limit, "purity": purity} | found | {"reached": reached}
            )
    return pandas.DataFrame(rows)


def distribution_table(strengths: Mapping[float, Float[np.ndarray, " grain"]]) -> pandas.DataFrame:
    """Share of the grains with at least an SSR, for each thickness (Fig. 3b).

    Parameters
    ----------
    strengths
        SSR of the grains, 1/µm, for every thickness in µm.

    Returns
    -------
    pandas.DataFrame
        ``thickness``, ``ssr`` in steps of 0.02 decades, ``share``, and ``grains``, the number of all.

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
        # One step beyond either end says that nothing lies there.
        shown = slice(max(int((share == 1).sum()) - 1, 0), len(steps) - max(int((share == 0).sum()) - 1, 0))
        tables.append(
            pandas.DataFrame(
                {"thickness": thickness, "ssr": steps[shown], "share": share[shown], "grains": strength.size}
            )
        )
    return pandas.concat(tables, ignore_index=True)


def share_above(distribution: pandas.DataFrame, *, thickness: float, ssr: float) -> float:
    """Share of the grains of a thickness with at least this SSR, between the steps of `distribution_table`."""
    of_it = distribution[distribution["thickness"] == thickness]
    if of_it.empty:
        known = sorted(set(distribution["thickness"]))
        raise ValueError(f"the distribution has no thickness of {thickness:g} µm; it has {known}")
    return float(np.interp(np.log(ssr), np.log(of_it["ssr"]), of_it["share"]))
