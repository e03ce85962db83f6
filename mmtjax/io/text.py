"""Read numbers and JSON from text files that people have edited; errors quote the line that is wrong."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError, MissingFileError

AnyPath = str | os.PathLike[str]

#: A value that JSON can hold.
JsonValue = str | float | bool | list | dict | None


class NumberTable(NamedTuple):
    """Rows of numbers (row, column), and the line of the file that each row is in (row,), counted from 1."""

    values: Float[np.ndarray, "row column"]
    lines: Int[np.ndarray, " row"]


def require_file(path: AnyPath) -> Path:
    """Return `path` as a `Path` if it is a file that is not empty.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is a directory or an empty file.
    """
    file = Path(path)
    if not file.exists():
        msg = f"{file}: there is no such file"
        raise MissingFileError(msg)
    if file.is_dir():
        msg = f"{file} is a directory; name a file in it"
        raise InputError(msg)
    if file.stat().st_size == 0:
        msg = f"{file} is empty; was its copy or download cut short?"
        raise InputError(msg)
    return file


def read_text(path: AnyPath) -> str:
    """Read a text file: UTF-8 with or without byte-order mark, else Latin-1.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is empty, holds only white space, or is binary.
    """
    file = require_file(path)
    raw = file.read_bytes()
    if b"\0" in raw:
        msg = f"{file} is not a text file: it holds zero bytes"
        raise InputError(msg)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    if not text.strip():
        msg = f"{file} holds only white space; was its copy or download cut short?"
        raise InputError(msg)
    return text


def split_cells(line: str) -> list[str]:
    """Split a line into cells, which are separated by white space, commas or semicolons.

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
    """Read a table of numbers; blank lines, lines that begin with ``#`` and headings above the first row are skipped.

    Parameters
    ----------
    path
        A text file, with cells separated by white space, commas or semicolons.
    columns
        Number of columns; by default that of the first row.
    names
        What the columns hold, for the errors.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        For a cell that is not a number, a line with more or fewer cells than the others, and a file without numbers.
    """
    rows: list[list[float]] = []
    lines: list[int] = []
    described = f" ({names})" if names else ""
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
            msg = f"{path}, line {number}: {wrong!r} is not a number"
            raise InputError(msg) from None
        expected = columns if columns is not None else len(rows[0]) if rows else len(row)
        if len(row) != expected:
            msg = (
                f"{path}, line {number}: {len(row)} columns where {expected} are expected{described}; is the file cut "
                "short, or another kind of file?"
            )
            raise InputError(msg)
        rows.append(row)
        lines.append(number)
    if not rows:
        msg = f"{path} holds no numbers{described}; was its copy or download cut short?"
        raise InputError(msg)
    return NumberTable(np.array(rows), np.array(lines))


def whole_numbers(table: NumberTable, column: int, *, path: AnyPath, name: str) -> Int[np.ndarray, " row"]:
    """Return one column of `table` as integers.

    Parameters
    ----------
    table
        As `read_numbers` returns it.
    column
        Index of the column, from 0.
    path, name
        The file and what the column holds, for the error.

    Raises
    ------
    ValueError
        For a value that is not a whole number; the message quotes its line.

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
        msg = f"{path}, line {table.lines[row]}: the {name} must be a whole number; got {values[row]}"
        raise InputError(msg)
    return values.astype(np.int64)


def require_finite(table: NumberTable, *, path: AnyPath) -> None:
    """Raise ValueError, with the line, unless every value of `table` is finite."""
    wrong = np.argwhere(~np.isfinite(table.values))
    if len(wrong):
        row, column = wrong[0]
        msg = (
            f"{path}, line {table.lines[row]}: column {column + 1} is {table.values[row, column]}; remove the line or "
            "correct the value"
        )
        raise InputError(msg)


def read_json(path: AnyPath) -> dict[str, JsonValue]:
    """Read a JSON file that holds one object, as a dictionary.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the text is not JSON, for example because its copy was cut short, or not an object.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        msg = f"{path} is not JSON ({error}); was its copy or download cut short?"
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a JSON {type(content).__name__} where an object {{...}} is expected"
        raise InputError(msg)
    return content
