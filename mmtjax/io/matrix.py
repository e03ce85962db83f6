"""Maps that are a bare matrix, in text or ``.npy``: all else about them comes from a JSON file or from the user."""

import re
from pathlib import Path

import numpy as np

from mmtjax.io.arrays import load_npy
from mmtjax.io.parameters import sensor_grid_from_json
from mmtjax.io.plausible import check_scan, check_spacing
from mmtjax.io.text import AnyPath, read_numbers
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.units import field_in_nanotesla

# "mT" and "T" are not looked for: in these names they are the step of the demagnetization, "10mT".
_UNIT_IN_NAME = re.compile(r"(?<![A-Za-zµμ])(muT|uT|µT|μT|nT)(?![A-Za-z])")


def read_matrix(
    path: AnyPath,
    *,
    parameters: AnyPath | None = None,
    unit: str | None = None,
    spacing: object = None,
    height: object = None,
    origin: object = None,
    side: object = None,
    grains: Grains | None = None,
) -> Scan:
    """Scan from a matrix of Bz, [y, x], row 0 the lowest y; pixels that are NaN are left out.

    Parameters
    ----------
    path
        A text file, or a ``.npy``.
    parameters
        The JSON file that belongs to it, of mmt_dipole_cuboid_inversion or, ``MetaDict_*.json``, of
        mmt_multipole_inversion.
    unit
        Unit of the field. With `parameters` it is T; else the file name may tell (``muT``, ``uT``, ``nT``).
    spacing
        Sampling interval, µm: one number or (x, y). Needed without `parameters`, not allowed with them.
    height
        z of the scanning plane, µm. Needed without `parameters`; overrides theirs.
    origin
        Centre (x, y) of the sensor [0, 0], µm; (0, 0) by default. Not allowed with `parameters`.
    side
        Edge of a sensor, µm: one number or (x, y); that of `parameters`, or the spacing, by default.
    grains
        Raise unless `parameters` speak of as many.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If something needed is neither given nor told, the file is cut short, its shape is not that of `parameters`, or
        the field, the spacing or the height can only come from a mistaken unit.
    """
    field = load_matrix(path)
    if parameters is None:
        unit, grid = _told_by_user(
            path, field.shape, unit=unit, spacing=spacing, height=height, origin=origin, side=side
        )
    else:
        for name, value in (("spacing", spacing), ("origin", origin)):
            if value is not None:
                raise ValueError(f"{path}: {name}={value!r} and parameters={parameters!s} both tell the grid; drop one")
        unit, grid = unit or "T", sensor_grid_from_json(parameters, grains=grains, height=height)
        if field.shape != grid.shape:
            hint = "; is it transposed? Rows are y" if field.shape == grid.shape[::-1] else ""
            raise ValueError(
                f"{path} has {field.shape[0]} rows and {field.shape[1]} columns, but {parameters} describes (ny, nx) = "
                f"{grid.shape} sensors; is the map cut short, or of another scan?{hint}"
            )
        if side is not None:
            grid = SensorGrid(grid.origin, grid.spacing, grid.shape, height=grid.height, side=side)
    scan = Scan(field * field_in_nanotesla(unit), grid, _measured(field, path=path))
    return check_scan(scan, unit=unit, path=path)


def load_matrix(path: AnyPath) -> np.ndarray:
    """Matrix of real numbers of a text file or a ``.npy``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is cut short, is not two-dimensional, or holds a mask or complex numbers.
    """
    if Path(path).suffix.lower() != ".npy":
        return read_numbers(path).values
    field = load_npy(path)
    if field.ndim != 2 or field.dtype.kind not in "fiu":
        hint = "; it may be a mask: pass it as mask=" if field.dtype == bool else ""
        hint = "; it may be a stack of grains: see read_grains" if field.ndim == 3 else hint
        raise ValueError(
            f"{path}: a map is a matrix of real numbers [y, x]; got shape {field.shape}, dtype {field.dtype}{hint}"
        )
    return field.astype(np.float64)


def unit_in_name(path: AnyPath) -> str | None:
    """Unit of the field that a file name tells, or None.

    Examples
    --------
    >>> unit_in_name("1bin_Bz_muT_20250514.npy"), unit_in_name("NRM_10mT.npy")
    ('uT', None)
    """
    found = _UNIT_IN_NAME.search(Path(path).name)
    return None if found is None else "nT" if found.group(1) == "nT" else "uT"


def _told_by_user(
    path: AnyPath,
    shape: tuple[int, ...],
    *,
    unit: str | None,
    spacing: object,
    height: object,
    origin: object,
    side: object,
) -> tuple[str, SensorGrid]:
    unit = unit or unit_in_name(path)
    needed = {
        "unit": (unit, "the unit of the field, 'T', 'uT' or 'nT'"),
        "spacing": (spacing, "the sampling interval in µm"),
        "height": (height, "the height of the scanning plane above the surface of the sample in µm"),
    }
    missing = [f"{name}= ({what})" for name, (value, what) in needed.items() if value is None]
    if missing:
        raise ValueError(
            f"{path} is a bare matrix of shape {shape} and does not tell everything; pass {', '.join(missing)}"
            f"{_parameters_beside(path)}"
        )
    check_spacing(spacing, path=path)
    return unit, SensorGrid(
        origin=(0.0, 0.0) if origin is None else origin, spacing=spacing, shape=shape, height=height, side=side
    )


def _parameters_beside(path: AnyPath) -> str:
    beside = sorted(file.name for file in Path(path).parent.glob("*.json"))
    return f"; or parameters=, a JSON file of the group's programs ({', '.join(beside[:3]) or 'none lies beside it'})"


def _measured(field: np.ndarray, *, path: AnyPath) -> np.ndarray:
    measured = ~np.isnan(field)
    if not measured.any():
        raise ValueError(f"{path}: all {field.size} pixels are NaN; is it the right variable or file?")
    return measured
