"""Read numbers and JSON from text files that people have edited; errors quote the line that is wrong."""

import codecs
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError, MissingFileError
from mmtjax.files import json_object
from mmtjax.io.cells import content_lines, text_table
from mmtjax.sources.ids import LARGEST_EXACT

AnyPath = str | os.PathLike[str]

#: A value that JSON can hold.
JsonValue = str | float | bool | list | dict | None


class NumberTable(NamedTuple):
    """Rows of numbers (row, column), the line of the file that each is in (row,), counted from 1, and headings."""

    values: Float[np.ndarray, "row column"]
    lines: Int[np.ndarray, " row"]
    headings: tuple[str, ...] = ()


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
    """Read a text file: UTF-8 with or without byte-order mark, UTF-16 with one, else Latin-1.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is empty, holds only white space, or is binary.
    """
    file = require_file(path)
    raw = file.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        # Spreadsheets call it "Unicode text".
        raw = raw.decode("utf-16", errors="replace").encode()
    if b"\0" in raw:
        msg = f"{file} is not a text file: it holds zero bytes"
        raise InputError(msg)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.removeprefix(codecs.BOM_UTF8).decode("latin-1")
    if not text.strip():
        msg = f"{file} holds only white space; was its copy or download cut short?"
        raise InputError(msg)
    return text


def read_numbers(path: AnyPath, *, columns: int | None = None, names: str = "") -> NumberTable:
    """Read a table of numbers; blank lines, comments and headings above the first row are skipped.

    A file may have decimal commas where semicolons, tabs or blanks separate its cells. Empty cells, and words for
    missing numbers, are NaN.

    Parameters
    ----------
    path
        A text file, with cells separated by blanks, tabs, commas or semicolons.
    columns
        Number of columns; by default that of the first row.
    names
        What the columns hold, for the errors.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        For a cell that is not a number, a line with more or fewer cells than the others, headings that are numbers,
        a file without numbers, and commas that may mean one thing or another.
    """
    described = f" ({names})" if names else ""
    table = text_table(content_lines(read_text(path)), file=str(path))
    if table is None:
        msg = f"{path} holds no numbers{described}; was its copy or download cut short?"
        raise InputError(msg)
    expected = len(table.rows[0]) if columns is None else columns
    values: list[list[float]] = []
    for line, cells in zip(table.lines, table.rows, strict=True):
        values.append(table.layout.numbers(line, cells, file=str(path)))
        if len(cells) != expected:
            msg = (
                f"{path}, line {line.number}: {len(cells)} columns where {expected} are expected{described}; is the "
                "file cut short, or another kind of file?"
            )
            raise InputError(msg)
    numbers = NumberTable(np.array(values), np.array([line.number for line in table.lines]), tuple(table.headings))
    _refuse_counted_columns(numbers, path=path)
    return numbers


def _refuse_counted_columns(table: NumberTable, *, path: AnyPath) -> None:
    """Raise ValueError if the first row is 0, 1, 2, …, as data frames without names of columns write headings."""
    count = np.arange(table.values.shape[1])
    if len(count) < 4 or len(table.values) < 2 or not np.array_equal(table.values[0], count):
        return
    if np.ptp(np.diff(table.values[1])) != 0:
        msg = (
            f"{path}, line {table.lines[0]}: 0, 1, 2, … up to {count[-1]} are numbers of the columns, as data frames "
            "write them; remove the line (pandas: header=False)"
        )
        raise InputError(msg)


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
        For a value that is not a whole number, or is too large to be exact; the message quotes its line.

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
    large = np.flatnonzero(np.abs(values) >= LARGEST_EXACT)
    if len(large):
        row = large[0]
        msg = (
            f"{path}, line {table.lines[row]}: the {name} {values[row]:.0f} is too large to be exact; expected less "
            f"than {LARGEST_EXACT} in size"
        )
        raise InputError(msg)
    return values.astype(np.int64)


def with_lines(message: str, lines: Int[np.ndarray, " row"]) -> str:
    """Return a message about rows or cuboids of a table with the lines of the file that they are in.

    Examples
    --------
    >>> with_lines("cuboids 0 and 1 overlap", np.array([3, 5]))
    'cuboids 0 (line 3) and 1 (line 5) overlap'
    """
    number = re.compile(r"\d+")

    def located(found: re.Match[str]) -> str:
        return number.sub(lambda each: f"{each[0]} (line {lines[int(each[0])]})", found[0])

    return re.sub(r"\b(?:cuboid|row) \d+|\bcuboids \d+ and \d+", located, message)


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
        If the text is not JSON, for example because its copy was cut short, or not an object, or if it has a key twice.
    """
    return json_object(read_text(path), where=str(path), remedy="is it the right file, or was its copy cut short?")
