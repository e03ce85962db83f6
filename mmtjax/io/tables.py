"""Write and read tables as CSV, with units in the headings and comment lines above them."""

import re
from pathlib import Path

import pandas

from mmtjax.errors import InputError
from mmtjax.io.text import AnyPath, require_file


def write_table(file: AnyPath, table: pandas.DataFrame, *, comment: str = "", digits: int | None = 6) -> Path:
    """Write a table with the units of ``table.attrs["units"]`` in its headings, ``name (unit)``.

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
    path = Path(file)
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(f"# {line}\n" for line in comment.splitlines())
        number_format = None if digits is None else f"%.{digits}g"
        table.rename(columns=headings).to_csv(stream, index=False, lineterminator="\n", float_format=number_format)
    return path


def read_table(file: AnyPath) -> pandas.DataFrame:
    """Read a table that `write_table` has written; ``attrs["units"]`` has the units of its columns.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file holds no table.
    """
    path = require_file(file)
    try:
        table = pandas.read_csv(path, comment="#", encoding="utf-8")
    except pandas.errors.EmptyDataError as error:
        msg = f"{path} holds no table"
        raise InputError(msg) from error
    units = {}
    for heading in table.columns:
        if found := re.fullmatch(r"(.*) \((.*)\)", heading):
            units[heading] = found.groups()
    table = table.rename(columns={heading: name for heading, (name, _) in units.items()})
    table.attrs["units"] = dict(units.values())
    return table
