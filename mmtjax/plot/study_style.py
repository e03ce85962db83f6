"""What the figures of a study share: what a figure is, its words, and colours in an order that grey prints keep."""

from typing import NamedTuple

import numpy as np
import pandas
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure


class StudyFigure(NamedTuple):
    """A figure, the numbers that it shows (units in ``attrs["units"]``), what it is, and further tables by name."""

    figure: Figure
    data: pandas.DataFrame
    caption: str
    others: tuple[tuple[str, pandas.DataFrame], ...] = ()


def ordered_colours(count: int) -> list[tuple[float, float, float, float]]:
    """Colours from dark to light for values in order, which colour-blind readers tell apart."""
    return [tuple(colour) for colour in colormaps["cividis"](np.linspace(0.0, 0.92, max(count, 2)))][:count]


def letter(axes: Axes, number: int, text: str) -> None:
    """Title of a panel, with its letter.

    Examples
    --------
    >>> axes = Figure().add_subplot()
    >>> letter(axes, 1, "50 µm thick")
    >>> axes.get_title(loc="left")
    'b) 50 µm thick'
    """
    axes.set_title(f"{chr(ord('a') + number)}) {text}", loc="left", fontsize="medium")


def repeats_of(table: pandas.DataFrame) -> str:
    """How many repeats the models of a table have, in words.

    Examples
    --------
    >>> repeats_of(pandas.DataFrame({"repeats": [15, 15]})), repeats_of(pandas.DataFrame({"repeats": [1, 15]}))
    ('15 repeats', '1 to 15 repeats')
    """
    fewest, most = int(table["repeats"].min()), int(table["repeats"].max())
    if fewest == most:
        return f"{most} repeat" + "s" * (most != 1)
    return f"{fewest} to {most} repeats"


def thousands(density: float) -> str:
    """A density in thousands of grains per mm³, as the paper writes it.

    Examples
    --------
    >>> thousands(2500.0), thousands(100000.0)
    ('2.5', '100')
    """
    return f"{density / 1e3:g}"


def rows_of(table: pandas.DataFrame, **values: float) -> pandas.DataFrame:
    """Rows of `table` that have these values, with its units."""
    chosen = np.ones(len(table), bool)
    for name, value in values.items():
        chosen &= np.isclose(table[name], value, rtol=1e-9, atol=0)
    picked = table[chosen].reset_index(drop=True)
    picked.attrs = table.attrs
    return picked


def values_of(table: pandas.DataFrame, column: str) -> list[float]:
    """The distinct values of a column, in order."""
    return sorted(float(value) for value in set(table[column]))
