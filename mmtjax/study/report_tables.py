"""Make all tables of a study in one pass over its samples."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas

from mmtjax.errors import InputError
from mmtjax.progress import StageProgress
from mmtjax.study.convergence import CONVERGENCE_UNITS, convergence_table
from mmtjax.study.pool import Pool
from mmtjax.study.ratio_table import RATIO_UNITS, ratio_table
from mmtjax.study.scaling import NOISE_UNITS, SCAN_UNITS, noise_table, scan_table
from mmtjax.study.strengths import DISTRIBUTION_UNITS, THRESHOLD_UNITS, distribution_table, threshold_table


class StudyTables(NamedTuple):
    """The tables of a study; units of the columns are in ``attrs["units"]`` of each.

    Attributes
    ----------
    ratios
        Quartiles of the uncertainty ratio of every model, see `mmtjax.study.ratio_table.ratio_table`.
    thresholds
        SSR thresholds, see `mmtjax.study.strengths.threshold_table`.
    distribution
        Share of the grains above an SSR, see `mmtjax.study.strengths.distribution_table`.
    convergence
        What each repeat changed, see `mmtjax.study.convergence.convergence_table`.
    noise_scaling, coarse_scans
        How uncertainties scale, see `mmtjax.study.scaling`.
    """

    ratios: pandas.DataFrame
    thresholds: pandas.DataFrame
    distribution: pandas.DataFrame
    convergence: pandas.DataFrame
    noise_scaling: pandas.DataFrame
    coarse_scans: pandas.DataFrame


#: Units of the columns of each table.
_UNITS = {
    "ratios": RATIO_UNITS,
    "thresholds": THRESHOLD_UNITS,
    "distribution": DISTRIBUTION_UNITS,
    "convergence": CONVERGENCE_UNITS,
    "noise_scaling": NOISE_UNITS,
    "coarse_scans": SCAN_UNITS,
}


def study_tables(
    samples: Iterable[Mapping[float, Pool]], *, progress: StageProgress | None = None, total: int = 0
) -> StudyTables:
    """Return the tables of a study from its samples, of which one is in memory at a time.

    Parameters
    ----------
    samples
        For each sample (side, thickness, density) its pools by sampling interval, as
        `mmtjax.study.pool.pooled_samples` gives them.
    progress, total
        Called as ``progress("tables", done, total)`` after each sample.

    Raises
    ------
    ValueError
        If there is no sample.
    """
    parts = defaultdict(list)
    strengths = defaultdict(list)
    for done, pools in enumerate(samples, start=1):
        for pool in pools.values():
            for name, table in (
                ("ratios", ratio_table),
                ("thresholds", threshold_table),
                ("convergence", convergence_table),
                ("noise_scaling", noise_table),
            ):
                parts[name].append(table(pool))
        parts["coarse_scans"].append(scan_table(pools))
        # All intervals and noise levels have the same grains.
        fullest = max(pools.values(), key=lambda pool: pool.repeat.size)
        strengths[fullest.thickness].append(fullest.signal_strength_ratio)
        if progress is not None:
            progress("tables", done, total)
    if not parts:
        msg = "the study has no finished cells yet; run it first"
        raise InputError(msg)
    joined = {thickness: np.concatenate(values) for thickness, values in strengths.items()}
    tables = {name: _joined(tables, _UNITS[name]) for name, tables in parts.items()}
    tables["distribution"] = distribution_table(joined)
    for name, units in _UNITS.items():
        tables[name].attrs["units"] = {column: unit for column, unit in units.items() if column in tables[name]}
    return StudyTables(**tables)


def _joined(tables: list[pandas.DataFrame], units: dict[str, str]) -> pandas.DataFrame:
    """Join the tables that have rows; an empty table still has its headings."""
    filled = [table for table in tables if len(table)]
    return pandas.concat(filled, ignore_index=True) if filled else pandas.DataFrame(columns=list(units))
