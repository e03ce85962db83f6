"""Read maps that are a bare matrix, in text or ``.npy``; units and geometry come from a JSON file or from options."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.cells import is_comment, is_number, split_lines
from mmtjax.io.coordinates import refuse_coordinates
from mmtjax.io.npy import load_npy
from mmtjax.io.parameters import sensor_grid_from_json
from mmtjax.io.plausible import check_scan, check_spacing, pixels_of_file
from mmtjax.io.text import AnyPath, NumberTable, read_numbers, read_text
from mmtjax.precision import ArrayLike
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.units import field_in_nanotesla

# "mT" and "T" are no units of the map: in these names they are the step of the demagnetization, "10mT".
_UNIT_IN_NAME = re.compile(r"(?<![A-Za-zµμ])(muT|uT|µT|μT|nT)(?![A-Za-z])")

# Beside another unit, they may be a unit too: "mT_to_nT".
_FURTHER_UNIT = re.compile(r"(?<![A-Za-zµμ\d])(mT|T|[Gg]auss|G)(?![A-Za-z])")


@dataclass(frozen=True, kw_only=True)
class MatrixOptions:
    """Unit and geometry of a bare matrix as the user gives them; see `read_matrix`."""

    unit: str | None
    spacing: ArrayLike | None
    height: ArrayLike | None
    origin: ArrayLike | None
    side: ArrayLike | None


def read_matrix(
    path: AnyPath,
    *,
    parameters: AnyPath | None = None,
    unit: str | None = None,
    spacing: ArrayLike | None = None,
    height: ArrayLike | None = None,
    origin: ArrayLike | None = None,
    side: ArrayLike | None = None,
    grains: Grains | None = None,
) -> Scan:
    """Read a scan from a matrix of Bz, [y, x], with row 0 at the lowest y; pixels that are NaN are masked.

    Parameters
    ----------
    path
        A text file or a ``.npy`` file.
    parameters
        The JSON file that belongs to it, of mmt_dipole_cuboid_inversion or, ``MetaDict_*.json``, of
        mmt_multipole_inversion.
    unit
        Unit of the field; by default T with `parameters`, else that of the file name, see `unit_in_name`.
    spacing
        Sampling interval, µm: one number or (x, y). Needed without `parameters`, not allowed with them.
    height
        z of the scanning plane, µm. Needed without `parameters`, whose height it overrides.
    origin
        Centre (x, y) of the sensor [0, 0], µm; (0, 0) by default. Not allowed with `parameters`.
    side
        Edge of a sensor, µm: one number or (x, y); by default that of `parameters`, or the spacing.
    grains
        Grains of the scan: an error is raised if `parameters` give another number of them.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If something is missing, the file is cut short, its shape is not that of `parameters`, the matrix holds
        coordinates or is a list of points, or the field, the spacing or the height is only possible with a wrong unit.
    """
    field = load_matrix(path)
    options = MatrixOptions(unit=unit, spacing=spacing, height=height, origin=origin, side=side)
    if parameters is None:
        field_unit, grid = _unit_and_grid_from_options(path, field.shape, options)
    else:
        field_unit = unit or "T"
        grid = _grid_from_json(path, field.shape, options, parameters=parameters, grains=grains)
    with np.errstate(over="ignore"):
        # The check below refuses what becomes infinite.
        nanotesla = field * field_in_nanotesla(field_unit)
    scan = Scan(nanotesla, grid, pixels_of_file(nanotesla, path=path))
    return check_scan(scan, unit=field_unit, path=path)


def load_matrix(path: AnyPath) -> Float[np.ndarray, "row column"]:
    """Read the matrix of real numbers in a text file or a ``.npy`` file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, is not two-dimensional, holds a mask or complex numbers, coordinates beside the
        field, or a list of points, or, in text, infinite numbers or rows that are comments.
    """
    if Path(path).suffix.lower() != ".npy":
        table = read_numbers(path)
        _check_text_map(table, path=path)
        refuse_coordinates(table.values, file=str(path), headings=table.headings)
        return table.values
    field = load_npy(path)
    if field.ndim != 2 or field.dtype.kind not in "fiu":
        hint = "; it may be a mask: pass it as mask=" if field.dtype == bool else ""
        hint = "; it may be a stack of grains: see read_grains" if field.ndim == 3 else hint
        msg = f"{path}: a map is a matrix of real numbers [y, x]; got shape {field.shape}, dtype {field.dtype}{hint}"
        raise InputError(msg)
    field = field.astype(np.float64)
    refuse_coordinates(field, file=str(path))
    return field


def _check_text_map(table: NumberTable, *, path: AnyPath) -> None:
    """Raise ValueError for infinite numbers, and for rows that are comments, which would move those after them."""
    infinite = np.argwhere(np.isinf(table.values))
    if len(infinite):
        row, column = infinite[0]
        msg = f"column {column + 1} is {table.values[row, column]}"
        raise InputError(msg, where=f"{path}, line {table.lines[row]}", remedy="write nan where there is no value")
    columns = table.values.shape[1]
    # A comment sign may stand in place of the first number. A few numbers may be the shape of the map.
    counts = {columns, columns - 1} if columns > 4 else {columns}
    for number, text in enumerate(split_lines(read_text(path)), start=1):
        if is_comment(text) and _is_row(text, counts):
            msg = "a row of the map is a comment, and the rows after it would move"
            remedy = "remove #, or write nan in place of its numbers"
            raise InputError(msg, where=f"{path}, line {number}", remedy=remedy)


def _is_row(comment: str, counts: set[int]) -> bool:
    """Whether a comment is one of these counts of numbers, whose decimal sign may be a comma."""
    for cell in (r"[^,;\s#%]+", r"[^;\s#%]+"):
        cells = re.findall(cell, comment)
        if len(cells) in counts and all(is_number(each.replace(",", ".")) for each in cells):
            return True
    return False


def unit_in_name(path: AnyPath) -> str | None:
    """Return the unit of the field that a file name holds: ``muT``, ``uT`` or ``nT``.

    None where there is none, where a number stands before it, which may be a step or a bias, and where another unit is
    in the name.

    Examples
    --------
    >>> unit_in_name("1bin_Bz_muT_20250514.npy"), unit_in_name("NRM_10mT.npy"), unit_in_name("bias_50uT.npy")
    ('uT', None, None)
    """
    name = Path(path).name
    found = list(_UNIT_IN_NAME.finditer(name))
    units = {"nT" if match.group(1) == "nT" else "uT" for match in found}
    numbered = any(re.search(r"\d[ _.-]?$", name[: match.start()]) for match in found)
    if len(units) != 1 or numbered or _FURTHER_UNIT.search(name):
        return None
    return units.pop()


def _unit_and_grid_from_options(
    path: AnyPath, shape: tuple[int, int], options: MatrixOptions
) -> tuple[str, SensorGrid]:
    """Return the unit of the field and the sensors of a matrix without a JSON file."""
    unit = options.unit or unit_in_name(path)
    needed = {
        "unit": (unit, f"the unit of the field, 'T', 'uT' or 'nT'{_doubt_about_unit(path)}"),
        "spacing": (options.spacing, "the sampling interval in µm"),
        "height": (options.height, "the height of the scanning plane above the surface of the sample in µm"),
    }
    if unit is None or options.spacing is None or options.height is None:
        missing = [f"{name}= ({what})" for name, (value, what) in needed.items() if value is None]
        msg = (
            f"{path} is a bare matrix of shape {shape} and does not hold everything that is needed; pass "
            f"{', '.join(missing)}{_json_files_beside(path)}"
        )
        raise InputError(msg)
    check_spacing(options.spacing, path=path)
    origin = (0.0, 0.0) if options.origin is None else options.origin
    return unit, SensorGrid(origin, options.spacing, shape, height=options.height, side=options.side)


def _doubt_about_unit(path: AnyPath) -> str:
    """Return the part of an error that says why a unit in the name of a file does not count."""
    found = [match.group(1) for match in _UNIT_IN_NAME.finditer(Path(path).name)]
    return f", which {' and '.join(found)} in the file name does not settle" if found else ""


def _grid_from_json(
    path: AnyPath, shape: tuple[int, int], options: MatrixOptions, *, parameters: AnyPath, grains: Grains | None
) -> SensorGrid:
    """Return the sensors that the JSON file describes, with the height and side of the options if they are given."""
    for name, value in (("spacing", options.spacing), ("origin", options.origin)):
        if value is not None:
            msg = f"{path}: {name}={value!r} and parameters={parameters!s} both describe the grid; drop one"
            raise InputError(msg)
    grid = sensor_grid_from_json(parameters, grains=grains, height=options.height)
    if shape != grid.shape:
        hint = "; is it transposed? Rows are y" if shape == grid.shape[::-1] else ""
        msg = (
            f"{path} has {shape[0]} rows and {shape[1]} columns, but {parameters} describes (ny, nx) = {grid.shape} "
            f"sensors; is the map cut short, or of another scan?{hint}"
        )
        raise InputError(msg)
    if options.side is None:
        return grid
    return SensorGrid(grid.origin, grid.spacing, grid.shape, height=grid.height, side=options.side)


def _json_files_beside(path: AnyPath) -> str:
    """Return the part of an error that suggests the JSON files in the folder of a map."""
    names = sorted(file.name for file in Path(path).parent.glob("*.json"))
    return f"; or parameters=, a JSON file of the group's programs ({', '.join(names[:3]) or 'none lies beside it'})"
