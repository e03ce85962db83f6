"""Read grain tables that Dragonfly exports, such as ``grain_loc.csv`` and ``all_grains.csv``."""

import csv
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError, located
from mmtjax.io.cells import Line, content_lines, is_number
from mmtjax.io.plausible import check_grain_size
from mmtjax.io.text import AnyPath, NumberTable, read_text, whole_numbers
from mmtjax.sources.grains import Grains
from mmtjax.units import length_in_micrometres

#: Pattern of the heading of each quantity, with its unit. Dragonfly has two headings for the number of voxels.
_HEADINGS = {
    "label": r"Label Index",
    "voxels": r"Voxel count(?: \(NA\))?",
    "volume": r"Volume \((?P<unit>.+)\)",
    "x": r"Center Of Mass X \((?P<unit>.+)\)",
    "y": r"Center Of Mass Y \((?P<unit>.+)\)",
    "z": r"Center Of Mass Z \((?P<unit>.+)\)",
}


class DragonflyTable(NamedTuple):
    """Columns of an export: ids, numbers of voxels, centroids (grain, 3) in µm as in the file, and volumes in µm³."""

    ids: Int[np.ndarray, " grain"]
    voxels: Int[np.ndarray, " grain"]
    position: Float[np.ndarray, "grain 3"]
    volume: Float[np.ndarray, " grain"]


def read_dragonfly(
    path: AnyPath,
    *,
    surface: float | str | None = None,
    min_voxels: int = 1,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    origin: tuple[float, float] = (0.0, 0.0),
) -> Grains:
    """Read grains, as cubes of their volume, from a table that Dragonfly exports.

    The bounding boxes ``Min/Max Location`` of the table are not used: they enclose a rotated voxel grid, so that the
    box of a grain of one voxel has twice its volume.

    Parameters
    ----------
    path
        The file: a line of headings with units, and a line per grain.
    surface
        Where the surface of the sample is, which does not follow from z of the file: ``"zmax"`` for the centroid with
        the largest z of the table (z up), ``"zmin"`` for that with the smallest (z down), or a z in µm on one side of
        which all grains lie.
    min_voxels
        Leave out grains of fewer voxels; the protocol of the group that made the format takes 10.
    x, y
        Keep grains whose centroids lie within these ranges (low, high) in the frame of the file, µm.
    origin
        The point (x, y) in the frame of the file, µm, that becomes (0, 0).

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Without `surface`; for a table that `read_dragonfly_table` refuses; if grains lie on both sides of the surface,
        or no grain is left.
    """
    table = read_dragonfly_table(path)
    height = _height(table.position[:, 2], surface=surface, path=path)
    keep = table.voxels >= min_voxels
    for axis, bounds in ((0, x), (1, y)):
        if bounds is not None:
            keep &= (table.position[:, axis] >= bounds[0]) & (table.position[:, axis] <= bounds[1])
    if not keep.any():
        low, high = table.position.min(axis=0), table.position.max(axis=0)
        inside = "" if x is None and y is None else f" and lies in x {x}, y {y} µm"
        msg = (
            f"{path}: none of the {len(keep)} grains has min_voxels={min_voxels}{inside}; they lie "
            f"in x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        )
        raise InputError(msg)
    position = np.column_stack([table.position[:, :2] - np.asarray(origin, np.float64), height])
    with located(str(path)):
        return Grains.from_volumes(position[keep], table.volume[keep], ids=table.ids[keep])


def read_dragonfly_table(path: AnyPath) -> DragonflyTable:
    """Read the columns of a Dragonfly export that are needed for grains, lengths in µm.

    Cells are separated as in the headings, by semicolons as Dragonfly writes them, or by tabs or commas as programs do
    in which the table was saved anew.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a column is missing or there twice, a line is cut short, a cell is not a number or not finite, an id is not a
        whole number or occurs twice, or the table has several time steps.
    """
    lines = content_lines(read_text(path))
    if not lines:
        msg = f"{path} has no headings and no grains; was the export cut short?"
        raise InputError(msg)
    separator = next((mark for mark in ";\t," if mark in lines[0].text), ";")
    headings = _split(lines[0], separator, path=path)
    headings = headings[: _filled(headings)]
    column, unit = _find_columns(headings, where=f"{path}, line {lines[0].number}")
    # Spreadsheets leave separators in lines that were emptied.
    lines = [line for line in lines[1:] if line.text.strip(separator + " \t")]
    rows = [_cells_of(line, headings, separator=separator, path=path) for line in lines]
    if not rows:
        msg = f"{path} has headings and no grains; was the export cut short?"
        raise InputError(msg)
    _refuse_time_steps(lines, rows, headings, path=path)
    numbers = []
    for line, cells in zip(lines, rows, strict=True):
        for index in column.values():
            if not is_number(cells[index]):
                msg = (
                    f"{path}, line {line.number}: {headings[index]} is {cells[index]!r}, not a number (with a decimal "
                    "point)"
                )
                raise InputError(msg)
        numbers.append([float(cells[index]) for index in column.values()])
    table = NumberTable(np.array(numbers), np.array([line.number for line in lines]))
    _check_values(table, [headings[index] for index in column.values()], path=path)
    ids, voxels = (
        whole_numbers(table, list(column).index(name), path=path, name=what)
        for name, what in (("label", "label index"), ("voxels", "voxel count"))
    )
    _refuse_repeats(ids, table.lines, path=path)
    values = dict(zip(column, table.values.T, strict=True))
    scale = {name: _length(unit[name], headings[column[name]], path=path) for name in ("x", "y", "z", "volume")}
    # The checks of sizes and positions refuse what becomes infinite.
    with np.errstate(over="ignore"):
        volume = values["volume"] * scale["volume"] ** 3
        position = np.column_stack([values[name] * scale[name] for name in "xyz"])
    remedy = f"its heading says {headings[column['volume']]!r}; correct the unit there"
    check_grain_size(np.cbrt(volume), remedy=remedy, path=path, lines=table.lines)
    return DragonflyTable(ids=ids, voxels=voxels, position=position, volume=volume)


def _split(line: Line, separator: str, *, path: AnyPath) -> list[str]:
    """Split a line into cells, of which some may be in quotation marks."""
    try:
        return [cell.strip() for cell in next(csv.reader([line.text], delimiter=separator), [])]
    except csv.Error as error:
        raise InputError(str(error), where=f"{path}, line {line.number}") from error


def _filled(cells: Sequence[str]) -> int:
    """Return the number of cells up to the last that is not empty."""
    return max((number for number, cell in enumerate(cells, start=1) if cell), default=0)


def _cells_of(line: Line, headings: Sequence[str], *, separator: str, path: AnyPath) -> list[str]:
    """Return the cells of a line, as many as there are headings."""
    cells = _split(line, separator, path=path)
    if len(cells) < len(headings) or _filled(cells) > len(headings):
        what = "is the file cut short?" if len(cells) < len(headings) else "does its decimal sign separate cells too?"
        msg = f"{path}, line {line.number}: {len(cells)} cells where the headings have {len(headings)}; {what}"
        raise InputError(msg)
    return cells[: len(headings)]


def _refuse_time_steps(
    lines: Sequence[Line], rows: Sequence[Sequence[str]], headings: Sequence[str], *, path: AnyPath
) -> None:
    """Raise ValueError if the table holds the grains of several time steps."""
    if "Time Step" not in headings:
        return
    index = headings.index("Time Step")
    other = next((number for number, row in enumerate(rows) if row[index] != rows[0][index]), None)
    if other is not None:
        msg = (
            f"{path}, line {lines[other].number}: the time step is {rows[other][index]!r}, in line {lines[0].number} "
            f"{rows[0][index]!r}; grains belong to one map, so keep the lines of one time step"
        )
        raise InputError(msg)


def _check_values(table: NumberTable, names: Sequence[str], *, path: AnyPath) -> None:
    """Raise ValueError for numbers that are not finite and volumes that are not positive; errors quote the heading."""
    wrong = np.argwhere(~np.isfinite(table.values))
    if len(wrong):
        row, column = wrong[0]
        msg = (
            f"{path}, line {table.lines[row]}: {names[column]} is {table.values[row, column]}; remove the line or "
            "correct the value"
        )
        raise InputError(msg)
    for column, name in enumerate(names):
        small = np.flatnonzero(table.values[:, column] <= 0)
        if name.startswith("Volume") and len(small):
            msg = (
                f"{path}, line {table.lines[small[0]]}: {name} is {table.values[small[0], column]}; it must be positive"
            )
            raise InputError(msg)


def _refuse_repeats(ids: Int[np.ndarray, " grain"], lines: Int[np.ndarray, " grain"], *, path: AnyPath) -> None:
    """Raise ValueError if two lines have one id."""
    order = np.argsort(ids, kind="stable")
    again = np.flatnonzero(np.diff(ids[order]) == 0)
    if len(again):
        one, other = order[again[0]], order[again[0] + 1]
        msg = f"{path}, line {lines[other]}: the label index {ids[one]} is that of line {lines[one]} too; keep one"
        raise InputError(msg)


def _length(unit: str, heading: str, *, path: AnyPath) -> float:
    """Return the unit of a heading in µm."""
    try:
        return length_in_micrometres(unit)
    except InputError as error:
        msg = f"the heading {heading!r}: {error}"
        raise InputError(msg, where=str(path)) from error


def _find_columns(headings: list[str], *, where: str) -> tuple[dict[str, int], dict[str, str]]:
    """Return the index of the column of every quantity, and the unit of those that have one."""
    column, unit = {}, {}
    for name, pattern in _HEADINGS.items():
        found = [(index, re.fullmatch(pattern, heading)) for index, heading in enumerate(headings)]
        matches = [(index, match) for index, match in found if match]
        if not matches:
            heading = re.split(r"[(\\]", pattern)[0].strip()
            msg = (
                f"{where} has no column {heading!r} among its headings {headings}; export the label index, the voxel "
                "count, the volume and the centre of mass from Dragonfly"
            )
            raise InputError(msg)
        if len(matches) > 1:
            msg = f"{where}: {len(matches)} columns have headings like {headings[matches[0][0]]!r}; keep one of them"
            raise InputError(msg)
        column[name], match = matches[0]
        if "unit" in match.groupdict():
            unit[name] = _unit_of_length(match["unit"])
    return column, unit


def _unit_of_length(unit: str) -> str:
    """Return the unit of length in ``mm³``, or in ``mmÂ³``, which is UTF-8 that a program has read as Latin-1.

    Examples
    --------
    >>> _unit_of_length("mmÂ³"), _unit_of_length("µm")
    ('mm', 'µm')
    """
    return unit.replace("Â", "").rstrip("³^3 ")


def _height(
    z: Float[np.ndarray, " grain"], *, surface: float | str | None, path: AnyPath
) -> Float[np.ndarray, " grain"]:
    """Return heights above the surface of the sample, which are negative, from `z` of the file; both in µm."""
    if surface == "zmax":
        return z - z.max()
    if surface == "zmin":
        return z.min() - z
    if isinstance(surface, (int, float, np.number)) and not isinstance(surface, bool):
        if np.all(z <= surface):
            return z - float(surface)
        if np.all(z >= surface):
            return float(surface) - z
        msg = (
            f"{path}: grains lie on both sides of surface={surface} µm, their z goes from {z.min():g} to {z.max():g} "
            "µm; pass a z beyond either end"
        )
        raise InputError(msg)
    msg = (
        f"{path}: z goes from {z.min():g} to {z.max():g} µm, and the file says neither where z points nor where the "
        f"surface of the sample is; got surface={surface!r}. Pass surface='zmax' if the grain with the largest z is "
        "nearest to the sensor (a bottom sample), surface='zmin' if that with the smallest is (a top sample), or the z "
        "of the surface in µm"
    )
    raise InputError(msg)
