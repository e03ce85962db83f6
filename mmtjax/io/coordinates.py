"""Refuse matrices that hold coordinates or numbers of rows and columns beside the field, or a list of points."""

import itertools
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError

#: Fewest numbers in a row or column that can be told to be equally spaced.
_FEWEST = 4

#: Numbers are equally spaced if steps differ by less than the first share of a step; others differ by more than the
#: second. Coordinates in text are rounded.
_EQUAL_STEPS, _UNEQUAL_STEPS = 5e-3, 5e-2

#: A list of points has at most this many columns.
_COLUMNS_OF_LIST = 8

#: A map of so few columns has at most this many rows; x, y and Bz are three, with z four.
_ROWS_OF_MAP = {3: 9, 4: 100}

_REMEDY = (
    "make a matrix of it, with rows from the lowest y (pandas: table.pivot(index='y', columns='x', values='Bz')"
    ".to_csv('map.csv', header=False, index=False))"
)


def refuse_coordinates(field: Float[np.ndarray, "row column"], *, file: str, headings: Sequence[str] = ()) -> None:
    """Raise ValueError if a matrix is not the values of a map alone.

    Parameters
    ----------
    field
        The matrix.
    file
        The file, for the error.
    headings
        Headings of its columns, if it has any.

    Raises
    ------
    ValueError
        If the first row or column is equally spaced and the next are not, so that it numbers columns or rows or is a
        coordinate; if two columns are coordinates of a grid, or are called x and y; and for many rows of three or four
        columns, which a list of scattered points has, and a map hardly.

    Examples
    --------
    >>> refuse_coordinates(np.array([[0.0, 1, 2, 3, 4], [7, 5, -6, 5, 2]]), file="map.csv")
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: map.csv: the first row, 0, 1, 2, … 4, is equally spaced, ...
    """
    _refuse_list(field, file=file, headings=headings)
    if field.size == 0:
        return
    for matrix, name, remedy in (
        (field, "row", "remove the row (pandas: header=False)"),
        (field.T, "column", "remove the column (pandas: index=False)"),
    ):
        # The corner between the coordinates of rows and columns may hold anything.
        first, others = matrix[0, 1:], matrix[1:4, 1:]
        numbered = len(others) > 0 and _equally_spaced(first, tolerance=_EQUAL_STEPS)
        if numbered and not any(_equally_spaced(row, tolerance=_UNEQUAL_STEPS) for row in others):
            begin = ", ".join(f"{value:g}" for value in matrix[0, :3])
            msg = (
                f"the first {name}, {begin}, … {matrix[0, -1]:g}, is equally spaced, unlike the next: it holds "
                "coordinates or a numbering, not the field"
            )
            raise InputError(msg, where=file, remedy=remedy)


def are_coordinates(headings: Sequence[str]) -> bool:
    """Whether headings of columns are those of a list of points: x and y, but neither sizes nor ids of grains.

    Examples
    --------
    >>> are_coordinates(["x (um)", "Y", "Bz"]), are_coordinates(["x", "y", "z", "dx", "dy", "dz", "id"])
    (True, False)
    """
    names = {re.split(r"[^a-z]", heading.strip("\"' ").lower())[0] for heading in headings}
    return names >= {"x", "y"} and not names & {"dx", "id", "vol", "volume"}


def _equally_spaced(values: Float[np.ndarray, " value"], *, tolerance: float) -> bool:
    """Whether the steps between numbers are equal up to a share `tolerance` of a step, and not zero."""
    if len(values) < _FEWEST:
        return False
    largest = np.max(np.abs(values))
    if not np.isfinite(largest) or largest == 0:
        return False
    # Numbers of any size: the steps between the largest of float64 would overflow.
    steps = np.diff(values / largest)
    return bool(np.ptp(steps) < tolerance * np.abs(np.mean(steps)))


def _refuse_list(field: Float[np.ndarray, "row column"], *, file: str, headings: Sequence[str]) -> None:
    rows, columns = field.shape
    if not 3 <= columns <= _COLUMNS_OF_LIST or rows <= columns:
        return
    if are_coordinates(headings):
        msg = f"columns have the headings {', '.join(headings)}: it is a list of points, and a map is a matrix [y, x]"
        raise InputError(msg, where=file, remedy=_REMEDY)
    distinct = [np.unique(column) for column in field.T]
    for one, other in itertools.combinations(range(columns), 2):
        a, b = len(distinct[one]), len(distinct[other])
        if min(a, b) < 2 or a * b > 2 * rows or len(np.unique(field[:, [one, other]], axis=0)) < rows:
            continue
        msg = (
            f"columns {one + 1} and {other + 1} of {columns} are the coordinates of {rows} points, {a} and {b} of them "
            "different: it is a list of points, and a map is a matrix [y, x]"
        )
        raise InputError(msg, where=file, remedy=_REMEDY)
    if rows > _ROWS_OF_MAP.get(columns, rows):
        msg = f"{rows} rows of {columns} columns are no map, it seems, but a list of points x, y, Bz"
        raise InputError(msg, where=file, remedy=f"{_REMEDY}; if it is a map, add columns of nan, up to 5")
