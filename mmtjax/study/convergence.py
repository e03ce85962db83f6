"""Tabulate what each further repeat changes, to see how many are enough (Out et al. 2022, section 4.3)."""

import numpy as np
import pandas

from mmtjax.selection import LIMIT, PURITY, ssr_threshold
from mmtjax.study.config import PARAMETERS
from mmtjax.study.pool import Pool
from mmtjax.study.ratio_table import order_statistic

CONVERGENCE_UNITS = {
    **PARAMETERS,
    "median": "1",
    "median_change": "1",
    "ssr": "1/µm",
    "ssr_change": "decades",
}


def convergence_table(pool: Pool) -> pandas.DataFrame:
    """Return median ratio and SSR threshold of the first repeats, as their number grows.

    Returns
    -------
    pandas.DataFrame
        The model, ``repeats`` (their number), ``median`` of the uncertainty ratio, ``median_change`` (share by which
        the last repeat changed it), ``ssr`` (threshold for 99 % of the grains within 10 %, 1/µm), and ``ssr_change``
        (decades). A change is NaN for the first repeat, and where a threshold or median is infinite.
    """
    rows = []
    for level, model in pool.models():
        median = ssr = np.nan
        for count, last in enumerate(pool.repeats, start=1):
            first = pool.repeat <= last
            ratio, strength = pool.uncertainty_ratio[level, first], pool.signal_strength_ratio[first]
            before = median, ssr
            median, ssr = order_statistic(ratio, 0.5), ssr_threshold(strength, ratio, LIMIT, PURITY).value
            finite = np.isfinite([median, before[0]]).all(), np.isfinite([ssr, before[1]]).all()
            rows.append(
                model
                | {
                    "repeats": count,
                    "median": median,
                    "median_change": abs(median / before[0] - 1) if finite[0] else np.nan,
                    "ssr": ssr,
                    "ssr_change": abs(np.log10(ssr / before[1])) if finite[1] else np.nan,
                }
            )
    return pandas.DataFrame(rows)


def mean_changes(convergence: pandas.DataFrame, *by: str) -> pandas.DataFrame:
    """Return the mean over the models of what a repeat changes, by the number of repeats and the columns `by`.

    Returns
    -------
    pandas.DataFrame
        Columns `by`, ``repeats``, ``median_change``, ``ssr_change``, and ``models`` (the number with a finite change of
        the median).
    """
    later = convergence[convergence["repeats"] > 1]
    groups = later.groupby([*by, "repeats"], as_index=False)
    means = groups.agg(
        median_change=("median_change", "mean"), ssr_change=("ssr_change", "mean"), models=("median_change", "count")
    )
    return pandas.DataFrame(means)
