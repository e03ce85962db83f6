"""Read grain tables that Dragonfly exports, such as ``grain_loc.csv`` and ``all_grains.csv``."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_grain_size
from mmtjax.io.text import AnyPath, is_number, read_text
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
        The file: cells separated by ``;``, a line of headings with units.
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
        Without `surface`; for a table that lacks a column, a line that is cut short, a cell that is not a number; if
        grains lie on both sides of the surface, or no grain is left.
    """
    table = read_dragonfly_table(path)
    height = _height(table.position[:, 2], surface=surface, path=path)
    keep = table.voxels >= min_voxels
    for axis, bounds in ((0, x), (1, y)):
        if bounds is not None:
            keep &= (table.position[:, axis] >= bounds[0]) & (table.position[:, axis] <= bounds[1])
    if not keep.any():
        low, high = table.position.min(axis=0), table.position.max(axis=0)
        msg = (
            f"{path}: none of the {len(keep)} grains has min_voxels={min_voxels} and lies in x={x}, y={y} µm; they lie "
            f"in x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        )
        raise InputError(msg)
    position = np.column_stack([table.position[:, :2] - np.asarray(origin, np.float64), height])
    return Grains.from_volumes(position[keep], table.volume[keep], ids=table.ids[keep])


def read_dragonfly_table(path: AnyPath) -> DragonflyTable:
    """Read the columns of a Dragonfly export that are needed for grains, lengths in µm.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If a column is missing, a line is cut short, or a cell is not a number.
    """
    lines = read_text(path).splitlines()
    headings = [cell.strip().strip('"') for cell in lines[0].split(";")]
    column, unit = _find_columns(headings, path=path)
    numbers, needed = [], sorted(column.values())
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split(";")
        if len(cells) <= needed[-1] or len(cells) < len([heading for heading in headings if heading]):
            msg = (
                f"{path}, line {number}: {len(cells)} cells where the headings have {len(headings)}; is the file cut "
                "short?"
            )
            raise InputError(msg)
        for index in needed:
            if not is_number(cells[index]):
                msg = (
                    f"{path}, line {number}: {headings[index]} is {cells[index]!r}, not a number (with a decimal point)"
                )
                raise InputError(msg)
        numbers.append([float(cells[index]) for index in column.values()])
    if not numbers:
        msg = f"{path} has headings and no grains; was the export cut short?"
        raise InputError(msg)
    table = dict(zip(column, np.array(numbers).T, strict=True))
    scale = {name: length_in_micrometres(unit[name]) for name in ("x", "y", "z", "volume")}
    volume = table["volume"] * scale["volume"] ** 3
    remedy = f"its heading says {headings[column['volume']]!r}; correct the unit there"
    check_grain_size(np.cbrt(volume), remedy=remedy, path=path)
    return DragonflyTable(
        ids=table["label"].astype(np.int64),
        voxels=table["voxels"].astype(np.int64),
        position=np.column_stack([table[name] * scale[name] for name in "xyz"]),
        volume=volume,
    )


def _find_columns(headings: list[str], *, path: AnyPath) -> tuple[dict[str, int], dict[str, str]]:
    """Return the index of the column of every quantity, and the unit of those that have one."""
    column, unit = {}, {}
    for name, pattern in _HEADINGS.items():
        found = [(index, re.fullmatch(pattern, heading)) for index, heading in enumerate(headings)]
        matches = [(index, match) for index, match in found if match]
        if not matches:
            msg = (
                f"{path} has no column {pattern!r} among its headings {headings}; export the label index, the voxel "
                "count, the volume and the centre of mass from Dragonfly"
            )
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
