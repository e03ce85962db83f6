"""A figure of a study with its data and caption, and the text and colours that such figures share."""

from typing import NamedTuple

import numpy as np
import pandas
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Red, green, blue and opacity, 0 to 1.
Colour = tuple[float, float, float, float]


class StudyFigure(NamedTuple):
    """A figure with the numbers that it shows.

    Attributes
    ----------
    figure
        The figure.
    data
        The numbers that it shows, with units in ``attrs["units"]``.
    caption
        What it shows.
    others
        Further tables by name.
    """

    figure: Figure
    data: pandas.DataFrame
    caption: str
    others: tuple[tuple[str, pandas.DataFrame], ...] = ()


def ordered_colours(count: int) -> list[Colour]:
    """Return colours from dark to light for values in order, which colour-blind readers and grey prints tell apart."""
    return [tuple(colour) for colour in colormaps["cividis"](np.linspace(0.0, 0.92, max(count, 2)))][:count]


def letter(axes: Axes, number: int, text: str) -> None:
    """Set the title of a panel, with its letter.

    Examples
    --------
    >>> axes = Figure().add_subplot()
    >>> letter(axes, 1, "50 µm thick")
    >>> axes.get_title(loc="left")
    'b) 50 µm thick'
    """
    axes.set_title(f"{chr(ord('a') + number)}) {text}", loc="left", fontsize="medium")


def repeats_of(table: pandas.DataFrame) -> str:
    """Return how many repeats the models of a table have, in words.

    Examples
    --------
    >>> repeats_of(pandas.DataFrame({"repeats": [15, 15]})), repeats_of(pandas.DataFrame({"repeats": [1, 15]}))
    ('15 repeats', '1 to 15 repeats')
    """
    repeats = table["repeats"].to_numpy()
    fewest, most = int(np.min(repeats)), int(np.max(repeats))
    if fewest == most:
        return f"{most} repeat" + "s" * (most != 1)
    return f"{fewest} to {most} repeats"


def thousands(density: float) -> str:
    """Return a density in thousands of grains per mm³, as the paper writes it.

    Examples
    --------
    >>> thousands(2500.0), thousands(100000.0)
    ('2.5', '100')
    """
    return f"{density / 1e3:g}"


def rows_of(table: pandas.DataFrame, **values: float) -> pandas.DataFrame:
    """Return the rows of a table that have given values of some columns, with its units."""
    chosen = np.ones(len(table), bool)
    for name, value in values.items():
        chosen &= np.isclose(table[name], value, rtol=1e-9, atol=0)
    rows = pandas.DataFrame(table[chosen]).reset_index(drop=True)
    rows.attrs = table.attrs
    return rows


def values_of(table: pandas.DataFrame, column: str) -> list[float]:
    """Return the distinct values of a column, in ascending order."""
    return sorted(float(value) for value in set(table[column]))
