"""Tabulate how uncertainties scale with the noise, and with many coarse scans instead of a fine one (section 3.1.3)."""

from collections.abc import Mapping

import numpy as np
import pandas

from mmtjax.errors import InputError
from mmtjax.study.config import PARAMETERS
from mmtjax.study.pool import Pool
from mmtjax.study.ratio_table import order_statistic

#: Depths that divide the grains of `scan_table` into classes, µm; coarse scans miss shallow grains.
DEPTHS = (0.0, 5.0, 10.0, 20.0, np.inf)

_NOISE_STATISTICS = ("radius_deviation", "ratio_low", "ratio_median", "ratio_high", "median_factor")
_SCAN_STATISTICS = ("minimum", "p05", "p25", "median", "p75", "p95", "maximum", "within_5", "within_20")

NOISE_UNITS = {**PARAMETERS, **dict.fromkeys(_NOISE_STATISTICS, "1")}
SCAN_UNITS = {
    **{name: unit for name, unit in PARAMETERS.items() if name != "noise"},
    **dict.fromkeys(("fine_interval", "depth_from", "depth_to"), "µm"),
    **dict.fromkeys(_SCAN_STATISTICS, "1"),
}


def noise_table(pool: Pool) -> pandas.DataFrame:
    """Return radii and ratios divided by the noise, relative to the lowest noise level.

    Radii scale exactly, as they depend on the noise through σ alone (equation 11). Ratios have the solution in the
    denominator, and so the noise itself, which matters for grains that are not resolved.

    Returns
    -------
    pandas.DataFrame
        One row for each noise level but the lowest: the model; ``radius_deviation``, the largest |1 - f| of any grain,
        with f the radius at this noise over that at the lowest, divided by the ratio of the noises; ``ratio_low``,
        ``ratio_median`` and ``ratio_high``, the 5th, 50th and 95th percentile of the same f of ratios; and
        ``median_factor``, the f of the medians of the ratio.
    """
    lowest = int(np.argmin(pool.noise))
    known = np.isfinite(pool.confidence_radius).all(axis=0)
    rows = []
    for level, model in pool.models():
        if level == lowest or not known.any():
            continue
        step = pool.noise[level] / pool.noise[lowest]
        radius = pool.confidence_radius[level, known] / pool.confidence_radius[lowest, known] / step
        ratio = pool.uncertainty_ratio[level, known] / pool.uncertainty_ratio[lowest, known] / step
        medians = [order_statistic(pool.uncertainty_ratio[number, known], 0.5) for number in (level, lowest)]
        rows.append(
            model
            | {
                "grains": int(known.sum()),
                "radius_deviation": float(np.max(np.abs(radius - 1))),
                "ratio_low": order_statistic(ratio, 0.05),
                "ratio_median": order_statistic(ratio, 0.5),
                "ratio_high": order_statistic(ratio, 0.95),
                "median_factor": medians[0] / medians[1] / step,
            }
        )
    return pandas.DataFrame(rows)


def scan_table(pools: Mapping[float, Pool]) -> pandas.DataFrame:
    """Return the radii from averaged coarse scans over those from one fine scan with as many readings in total.

    For example, a scan at twice the interval that is made four times and averaged has the noise σ/2 at a quarter of the
    sensors.

    Parameters
    ----------
    pools
        The pools of one sample by sampling interval, µm, with the same grains in the same order in each repeat.

    Returns
    -------
    pandas.DataFrame
        Rows for every interval but the finest, and for all depths and each part of `DEPTHS`: the sample,
        ``interval``, ``fine_interval``, ``depth_from``, ``depth_to``, ``grains``, percentiles of the factor (1 where
        the statement of the paper holds), and the shares of grains ``within_5`` and ``within_20`` percent of 1.

    Raises
    ------
    ValueError
        If the pools hold different grains.
    """
    finest = min(pools)
    rows = []
    for interval in sorted(set(pools) - {finest}):
        both = np.intersect1d(pools[finest].repeats, pools[interval].repeats)
        fine, coarse = (pool.select(np.isin(pool.repeat, both)) for pool in (pools[finest], pools[interval]))
        if not np.array_equal(fine.signal_strength_ratio, coarse.signal_strength_ratio):
            msg = (
                f"the grains at {interval:g} µm are not those at {finest:g} µm, for a sample of {fine.side:g} µm, "
                f"{fine.thickness:g} µm thick, with {fine.density:g} grains per mm³; were the repeats run separately?"
            )
            raise InputError(msg)
        radii = coarse.confidence_radius[0] / coarse.noise[0], fine.confidence_radius[0] / fine.noise[0]
        known = np.isfinite(radii).all(axis=0)
        factor, depth = radii[0][known] / radii[1][known] * finest / interval, fine.depth[known]
        model = {name: value for name, value in coarse.model(0).items() if name != "noise"}
        for low, high in [(0.0, np.inf), *zip(DEPTHS[:-1], DEPTHS[1:], strict=True)]:
            within = factor[(depth > low) & (depth <= high)]
            if within.size:
                rows.append(
                    model
                    | {"fine_interval": finest, "depth_from": low, "depth_to": high, "grains": within.size}
                    | _percentiles(within)
                )
    return pandas.DataFrame(rows)


def _percentiles(factor: np.ndarray) -> dict[str, float]:
    named = {f"p{percent:02d}": order_statistic(factor, percent / 100) for percent in (5, 25, 75, 95)}
    return {
        "minimum": float(factor.min()),
        "p05": named["p05"],
        "p25": named["p25"],
        "median": order_statistic(factor, 0.5),
        "p75": named["p75"],
        "p95": named["p95"],
        "maximum": float(factor.max()),
        "within_5": float(np.mean(np.abs(factor - 1) <= 0.05)),
        "within_20": float(np.mean(np.abs(factor - 1) <= 0.20)),
    }
