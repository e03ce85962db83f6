"""Tables as CSV: units in the headings, where they come from in comment lines."""

import re
from pathlib import Path

import pandas

from mmtjax.io.text import AnyPath, require_file


def write_table(file: AnyPath, table: pandas.DataFrame, *, comment: str = "", digits: int | None = 6) -> Path:
    """Write a table with the units of ``table.attrs["units"]`` in its headings, ``name (unit)``.

    Parameters
    ----------
    file
        Where to write; a file of that name is replaced.
    table
        The table; its index is left out.
    comment
        Text for lines that begin with ``#``, above the headings.
    digits
        Significant digits that are written, None for all; figures and comparisons need four.

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
    place = Path(file)
    with place.open("w", encoding="utf-8", newline="") as stream:
        stream.writelines(f"# {line}\n" for line in comment.splitlines())
        digits_of = None if digits is None else f"%.{digits}g"
        table.rename(columns=headings).to_csv(stream, index=False, lineterminator="\n", float_format=digits_of)
    return place


def read_table(file: AnyPath) -> pandas.DataFrame:
    """Table that `write_table` has written, with plain names of columns and the units in ``attrs``.

    Raises
    ------
    FileNotFoundError
        If the file is not there.
    ValueError
        If it holds no table.
    """
    place = require_file(file)
    try:
        table = pandas.read_csv(place, comment="#", encoding="utf-8")
    except pandas.errors.EmptyDataError as error:
        raise ValueError(f"{place} holds no table") from error
    units = {}
    for heading in table.columns:
        if found := re.fullmatch(r"(.*) \((.*)\)", heading):
            units[heading] = found.groups()
    table = table.rename(columns={heading: name for heading, (name, _) in units.items()})
    table.attrs["units"] = dict(units.values())
    return table
