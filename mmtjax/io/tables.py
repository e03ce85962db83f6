"""Write and read tables as CSV, with units in the headings and comment lines above them."""

import csv
import io
import re
from collections.abc import Hashable
from pathlib import Path

from mmtjax.errors import InputError
from mmtjax.io.cells import split_lines
from mmtjax.io.text import AnyPath, require_file
from mmtjax.lazy import pandas

#: A value in a table, or the name of a column.
TableValue = Hashable

#: What begins a formula in a spreadsheet, at the beginning of a cell, and is not a number. In some countries
#: spreadsheets separate cells by semicolons.
_FORMULA = re.compile(
    r"""((?:^|[,;\t\r\n])[ \t]*"?)(?=[=@\t\r]|[+-](?!\s*[\d.]+(?:[eE][+-]?\d+)?\s*(?:[,;\t\r\n"]|$)))"""
)


def write_table(file: AnyPath, table: "pandas.DataFrame", *, comment: str = "", digits: int | None = 6) -> Path:
    """Write a table with the units of ``table.attrs["units"]`` in its headings, ``name (unit)``.

    Text that a spreadsheet would take for a formula gets an apostrophe in front, in cells, headings and comments.

    Parameters
    ----------
    file
        The file to write; an existing one is replaced.
    table
        The table; its index is not written.
    comment
        Text that is written above the headings, in lines that begin with ``#``.
    digits
        Number of significant digits, or None for all.

    Returns
    -------
    pathlib.Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> table = pandas.DataFrame({"depth": [1.5]})
    >>> table.attrs["units"] = {"depth": "µm"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table(Path(folder) / "grains.csv", table).read_text(), end="")
    depth (µm)
    1.5
    """
    headings = {name: f"{name} ({unit})" for name, unit in table.attrs.get("units", {}).items() if unit}
    written = table.rename(columns=headings).rename(columns=_inert)
    for name, column in written.items():
        if not pandas.api.types.is_numeric_dtype(column):
            written[name] = column.map(_inert)
    path = Path(file)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(f"# {_inert(line)}\n" for line in comment.splitlines())
        number_format = None if digits is None else f"%.{digits}g"
        written.to_csv(stream, index=False, lineterminator="\n", float_format=number_format)
    return path


def read_table(file: AnyPath) -> "pandas.DataFrame":
    """Read a table that `write_table` has written; ``attrs["units"]`` has the units of its columns.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file holds no table, is not UTF-8, ends within a line, or a line has more or fewer cells than the
        headings.
    """
    lines = split_lines(_utf_8(require_file(file)))
    first = next((number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if first is None:
        msg = f"{file} holds no table"
        raise InputError(msg)
    if lines[-1]:
        msg = "the last line has no end, as in a file that is cut short"
        raise InputError(msg, where=f"{file}, line {len(lines)}", remedy="copy it anew, or end the line")
    _check_cells(lines[first:], first, file=file)
    try:
        table = pandas.read_csv(io.StringIO("\n".join(lines[first:])))
    except (ValueError, OverflowError) as error:
        msg = f"{file} does not read as a table ({error})"
        raise InputError(msg) from error
    units = {}
    for heading in table.columns:
        if found := re.fullmatch(r"(.*) \((.*)\)", heading):
            units[heading] = found.groups()
    table = table.rename(columns={heading: name for heading, (name, _) in units.items()})
    table.attrs["units"] = dict(units.values())
    return table


def _inert(cell: TableValue) -> TableValue:
    """Return a value with apostrophes where a spreadsheet, whatever its separator, would see a formula begin."""
    return _FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell


def _utf_8(file: Path) -> str:
    """Return the text of a file; raise ValueError, with the line, if it is not UTF-8."""
    raw = file.read_bytes()
    try:
        return raw.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        number = raw.count(b"\n", 0, error.start) + 1
        msg = f"the byte {raw[error.start]:#x} is not UTF-8"
        raise InputError(msg, where=f"{file}, line {number}", remedy="save the file as UTF-8") from error


def _check_cells(lines: list[str], skipped: int, *, file: AnyPath) -> None:
    """Raise ValueError, with the line, unless all lines have as many cells as the first."""
    reader = csv.reader(line + "\n" for line in lines)
    try:
        headings = next(reader)
        for cells in reader:
            if cells and len(cells) != len(headings):
                msg = f"{len(cells)} cells where the headings have {len(headings)}; is the file cut short?"
                raise InputError(msg, where=f"{file}, line {skipped + reader.line_num}")
    except csv.Error as error:
        raise InputError(str(error), where=f"{file}, line {skipped + reader.line_num}") from error
