"""Numbers and JSON from files that people have edited, cut and copied, with the line that is wrong in every error."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

AnyPath = str | os.PathLike[str]


class NumberTable(NamedTuple):
    """Rows of numbers, (row, column), and the line of the file that each stands in, (row,), from 1."""

    values: Float[np.ndarray, "row column"]
    lines: Int[np.ndarray, " row"]


def require_file(path: AnyPath) -> Path:
    """`path` as a `Path`, of a file that is there and not empty.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is a directory, or a file of no bytes.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"{place}: there is no such file")
    if place.is_dir():
        raise ValueError(f"{place} is a directory; name a file in it")
    if place.stat().st_size == 0:
        raise ValueError(f"{place} is empty; was its copy or download cut short?")
    return place


def read_text(path: AnyPath) -> str:
    """Contents of a text file: UTF-8 with or without byte-order mark, else Latin-1.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If the file is empty, white space only, or binary.
    """
    place = require_file(path)
    raw = place.read_bytes()
    if b"\0" in raw:
        raise ValueError(f"{place} is not a text file: it holds zero bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if not text.strip():
        raise ValueError(f"{place} holds nothing but white space; was its copy or download cut short?")
    return text


def split_cells(line: str) -> list[str]:
    """Cells of a line that are separated by white space, commas or semicolons.

    Examples
    --------
    >>> split_cells("1.5, 2 ;3")
    ['1.5', '2', '3']
    """
    return line.replace(",", " ").replace(";", " ").split()


def is_number(cell: str) -> bool:
    """Whether `cell` reads as a number.

    Examples
    --------
    >>> is_number("1e-6"), is_number("x")
    (True, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_numbers(path: AnyPath, *, columns: int | None = None, names: str = "") -> NumberTable:
    """Table of numbers; blank lines, lines that begin with ``#`` and headings above the first row are passed over.

    Parameters
    ----------
    path
        A text file, cells separated by white space, commas or semicolons.
    columns
        How many columns there must be; by default as many as in the first row.
    names
        What the columns hold, for the errors.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        For a cell that is not a number, a line with more or fewer cells than the others, and a file without numbers.
    """
    rows: list[list[float]] = []
    lines: list[int] = []
    wanted = f" ({names})" if names else ""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = split_cells(line)
        if not cells or line.lstrip().startswith("#"):
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            if not rows and not any(is_number(cell) for cell in cells):
                continue
            wrong = next(cell for cell in cells if not is_number(cell))
            raise ValueError(f"{path}, line {number}: {wrong!r} is not a number") from None
        expected = columns if columns is not None else len(rows[0]) if rows else len(row)
        if len(row) != expected:
            raise ValueError(
                f"{path}, line {number}: {len(row)} columns where {expected} are expected{wanted}; is the file cut "
                "short, or another kind of file?"
            )
        rows.append(row)
        lines.append(number)
    if not rows:
        raise ValueError(f"{path} holds no numbers{wanted}; was its copy or download cut short?")
    return NumberTable(np.array(rows), np.array(lines))


def whole_numbers(table: NumberTable, column: int, *, path: AnyPath, name: str) -> Int[np.ndarray, " row"]:
    """One column of `table` as integers.

    Raises
    ------
    ValueError
        For a value that is not a whole number; the message has its line.

    Examples
    --------
    >>> table = NumberTable(np.array([[1.0, 7.0]]), np.array([1]))
    >>> whole_numbers(table, 1, path="grains.txt", name="grain id")
    array([7])
    """
    values = table.values[:, column]
    wrong = np.flatnonzero(~(np.isfinite(values) & (values == np.round(values))))
    if len(wrong):
        row = wrong[0]
        raise ValueError(f"{path}, line {table.lines[row]}: the {name} must be a whole number; got {values[row]}")
    return values.astype(np.int64)


def require_finite(table: NumberTable, *, path: AnyPath) -> None:
    """Raise, naming the line, unless every value of `table` is finite."""
    wrong = np.argwhere(~np.isfinite(table.values))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{path}, line {table.lines[row]}: column {column + 1} is {table.values[row, column]}; remove the line or "
            "mend the value"
        )


def read_json(path: AnyPath) -> dict[str, object]:
    """The object in a JSON file.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If the text is not JSON, as after a cut copy, or not an object.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); was its copy or download cut short?") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a JSON {type(content).__name__} where an object {{...}} is expected")
    return content
