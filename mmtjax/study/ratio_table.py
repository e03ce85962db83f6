"""Tabulate the distribution of the uncertainty ratio in every model (Out et al. 2022, section 3.1, Fig. 4 and S1)."""

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.study.config import PARAMETERS
from mmtjax.study.pool import Pool

#: Uncertainty ratios up to which the table gives the share of the grains.
SHARES = (0.01, 0.10, 1.00)

_STATISTICS = ("minimum", "first_quartile", "median", "third_quartile", "maximum")

RATIO_UNITS = {
    **PARAMETERS,
    **dict.fromkeys(_STATISTICS, "1"),
    **{f"within_{100 * share:.0f}": "1" for share in SHARES},
}


def order_statistic(values: Float[np.ndarray, " value"], share: float) -> float:
    """Return the smallest of some values that at least a share of them does not exceed; values may be infinite.

    Examples
    --------
    >>> order_statistic(np.array([3.0, 1.0, np.inf, 2.0]), 0.5)
    2.0
    """
    return float(np.quantile(values, share, method="inverted_cdf"))


def ratio_table(pool: Pool) -> pandas.DataFrame:
    """Return quartiles and extremes of the uncertainty ratio, one row for each noise level.

    Returns
    -------
    pandas.DataFrame
        The model (`mmtjax.study.config.PARAMETERS`), ``repeats``, ``grains``, ``unknown`` (grains of inversions that
        failed; their ratio counts as infinite), ``minimum`` to ``maximum`` (fractions), and the shares of the grains
        ``within_1``, ``within_10`` and ``within_100`` percent.
    """
    rows = []
    for level, model in pool.models():
        ratio = pool.uncertainty_ratio[level]
        rows.append(
            model
            | {
                "repeats": len(pool.repeats),
                "grains": ratio.size,
                "unknown": int(np.isinf(pool.confidence_radius[level]).sum()),
                "minimum": float(ratio.min()),
                "first_quartile": order_statistic(ratio, 0.25),
                "median": order_statistic(ratio, 0.5),
                "third_quartile": order_statistic(ratio, 0.75),
                "maximum": float(ratio.max()),
            }
            | {f"within_{100 * share:.0f}": float(np.mean(ratio <= share)) for share in SHARES}
        )
    return pandas.DataFrame(rows)
