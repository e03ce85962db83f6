"""Compare the thresholds on every statistic that is known of grains without a scan."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.selection import thresholds_by_purity

_UNITS = {"purity": "1", "statistic": "", "threshold": "", "selected_share": "1", "recovered": "1"}


def statistic_table(
    statistics: Mapping[str, Float[np.ndarray, " grain"]],
    ratio: Float[np.ndarray, " grain"],
    *,
    limit: float,
    purities: Sequence[float],
) -> pandas.DataFrame:
    """Return a table of the threshold of `mmtjax.statistic_threshold` for each purity and statistic.

    Parameters
    ----------
    statistics
        Values of all grains, by names of `mmtjax.selection.SMALLER_IS_BETTER`.
    ratio
        Uncertainty ratios as fractions; infinite where not known.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved.

    Returns
    -------
    pandas.DataFrame
        ``purity``, ``statistic``, ``threshold`` (missing where no selection is pure enough; 1/µm for the SSR, its own
        unit with lengths in µm for the crowded signal strength, 1 for the expected ratio), ``selected``,
        ``violators``, ``selected_share`` and ``recovered``.

    Examples
    --------
    >>> values = {"signal_strength_ratio": np.array([3.0, 2.0, 1.0])}
    >>> table = statistic_table(values, np.array([0.01, 0.02, 0.5]), limit=0.1, purities=[0.9])
    >>> float(table["threshold"][0]), int(table["selected"][0])
    (2.0, 2)
    """
    thresholds = thresholds_by_purity(statistics, ratio, limit=limit, purities=purities)
    rows = []
    for purity in purities:
        for name, by_purity in thresholds.items():
            found = by_purity[purity]
            rows.append(
                {
                    "purity": purity,
                    "statistic": name,
                    "threshold": found.value if found.selected else np.nan,
                    "selected": found.selected,
                    "violators": found.violators,
                    "selected_share": found.selected / found.total,
                    "recovered": found.recovered,
                }
            )
    return _with_units(pandas.DataFrame(rows))


def interpolated_statistics(tables: Sequence[tuple[float, pandas.DataFrame]]) -> pandas.DataFrame:
    """Return the weighted mean of tables of `statistic_table`.

    Logarithms of thresholds and shares are averaged; counts are missing.

    Parameters
    ----------
    tables
        Weights, which add up to 1, and tables for the same purities and statistics.
    """
    mean = tables[0][1].copy()
    mean["threshold"] = 10 ** sum(weight * np.log10(table["threshold"]) for weight, table in tables)
    for name in ("selected_share", "recovered"):
        mean[name] = sum(weight * table[name] for weight, table in tables)
    mean[["selected", "violators"]] = pandas.NA
    return _with_units(mean)


def _with_units(table: pandas.DataFrame) -> pandas.DataFrame:
    table = table.astype({"selected": "Int64", "violators": "Int64"})
    table.attrs["units"] = dict(_UNITS)
    return table
