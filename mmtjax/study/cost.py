"""Estimate how long the rest of a study takes, from the seconds that its cells took."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import nnls

from mmtjax.errors import InputError
from mmtjax.study.cell import Cell, cell_of_path, grain_count, sensor_count

#: Number of measured cells from which on their times are fitted; before, times are proportional to the estimated work.
_ENOUGH = 6


def seconds_left(missing: Iterable[Cell], log: Iterable[Mapping[str, Any]], *, workers: int = 1) -> float | None:
    """Return the seconds until `missing` cells are done, None as long as none has been measured.

    The time of a cell is modelled as a sum of a constant, the columns of the Green's matrix (grains × sensors), their
    products (grains² × sensors) and the factorization (grains³), with factors fitted to the relative errors of the
    measured times.

    Parameters
    ----------
    missing
        Cells that are to be computed.
    log
        Entries of the log of the store; those with seconds count.
    workers
        Number of workers that compute at once.

    Examples
    --------
    >>> done = [{"cell": str(Cell(200, 50, 1e4, number, 1)), "seconds": 2.0} for number in range(3)]
    >>> round(seconds_left([Cell(200, 50, 1e4, 9, 1)], done), 3)
    2.0
    """
    measured = list(filter(None, map(_measured, log)))
    rest = list(missing)
    if not rest:
        return 0.0
    if not measured:
        return None
    seconds = np.maximum([one for _, one in measured], 1e-3)
    work = np.array([_work(cell) for cell, _ in measured])
    ahead = np.array([_work(cell) for cell in rest]).sum(axis=0)
    if len(measured) < _ENOUGH:
        return float(seconds.sum() * ahead.sum() / work.sum() / workers)
    factors, _ = nnls(work / seconds[:, None], np.ones(len(seconds)))
    return float(ahead @ factors / workers)


def _measured(entry: Mapping[str, Any]) -> tuple[Cell, float] | None:
    """Return the cell of an entry of the log and the seconds that it took; None if the entry does not have both."""
    seconds = entry.get("seconds")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= sys.float_info.max:
        return None
    try:
        return cell_of_path(str(entry.get("cell"))), float(seconds)
    except InputError:
        return None


def estimated_hours(cells: Iterable[Cell]) -> float:
    """Return the hours that cells take on one slow core, from their numbers of grains and sensors alone.

    Examples
    --------
    >>> round(estimated_hours([Cell(500, 75, 1e5, 0, 1)]), 3)
    0.053
    """
    return sum(sum(_work(cell)) for cell in cells) / 3600


def _work(cell: Cell) -> tuple[float, float, float, float]:
    """Return the parts of the work of a cell, roughly in seconds of a slow core."""
    grains, sensors = float(grain_count(cell.geometry)), float(sensor_count(cell))
    return 0.2, 2e-7 * grains * sensors, 1e-10 * grains**2 * sensors, 1e-9 * grains**3
