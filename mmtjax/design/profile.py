"""Tabulate the objective around an optimum: along each knob, and over two of them."""

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.design.chain import evaluate
from mmtjax.design.optimize import Optimum
from mmtjax.design.setting import UNITS
from mmtjax.errors import InputError
from mmtjax.progress import StageProgress


def profiles(optimum: Optimum, *, points: int = 9, progress: StageProgress | None = None) -> pandas.DataFrame:
    """Return the objective along each free knob, the others at the optimum.

    Parameters
    ----------
    optimum
        The optimum.
    points
        Number of values of each knob between its ends, at equal distances on the scale of the search.
    progress
        Called with ``"profiles"``, the number of values done and the number of all.

    Returns
    -------
    pandas.DataFrame
        Columns ``knob``, ``value``, ``objective`` and ``spread``, the standard deviation over the samples.
    """
    free, rows = optimum.problem.free, []
    for knob in free:
        for value in steps_between(optimum, knob, points):
            found = evaluate(optimum.problem, optimum.chosen | {knob: value})
            spread = float(found.values.std(ddof=1)) if len(found.values) > 1 else np.nan
            rows.append({"knob": knob, "value": value, "objective": found.mean, "spread": spread})
            if progress is not None:
                progress("profiles", len(rows), points * len(free))
    return pandas.DataFrame(rows)


def surface(optimum: Optimum, *, points: int = 7, progress: StageProgress | None = None) -> pandas.DataFrame:
    """Return the objective over the first two free knobs, the others at the optimum.

    Parameters
    ----------
    optimum
        The optimum.
    points
        Number of values of each of the two knobs between its ends, at equal distances on the scale of the search.
    progress
        Called with ``"surface"``, the number of values done and the number of all.

    Returns
    -------
    pandas.DataFrame
        One column for each of the two knobs, and ``objective``.

    Raises
    ------
    ValueError
        If there are fewer than two free knobs.
    """
    free = optimum.problem.free
    if len(free) < 2:
        msg = f"a surface needs two free knobs; there is only {', '.join(free)}"
        raise InputError(msg)
    first, second = free[:2]
    rows = []
    for one in steps_between(optimum, first, points):
        for other in steps_between(optimum, second, points):
            found = evaluate(optimum.problem, optimum.chosen | {first: one, second: other})
            rows.append({first: one, second: other, "objective": found.mean})
            if progress is not None:
                progress("surface", len(rows), points**2)
    table = pandas.DataFrame(rows)
    table.attrs["units"] = {name: UNITS[name] for name in (first, second)}
    return table


def path_of(optimum: Optimum) -> pandas.DataFrame:
    """Return every step of every start of the search: its number, the free knobs, and the objective."""
    rows = [
        {"start": number, "step": step, **chosen, "objective": value}
        for number, start in enumerate(optimum.starts)
        for step, (chosen, value) in enumerate(zip(start.chosen, start.values, strict=True))
    ]
    table = pandas.DataFrame(rows)
    table.attrs["units"] = {name: UNITS[name] for name in optimum.problem.free}
    return table


def steps_between(optimum: Optimum, knob: str, points: int) -> Float[np.ndarray, " point"]:
    """Return values of a knob between its ends, in equal ratios where they are positive."""
    low, high = optimum.problem.bounds[knob]
    return np.geomspace(low, high, points) if low > 0 else np.linspace(low, high, points)
