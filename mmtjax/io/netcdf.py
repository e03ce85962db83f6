"""Read maps in NetCDF: those of mmtjax, of magali, and of qdmpy-core."""

import numpy as np
import xarray

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_scan, check_spacing
from mmtjax.io.text import AnyPath, require_file
from mmtjax.precision import ArrayLike
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.units import field_in_nanotesla


def read_netcdf(
    path: AnyPath,
    *,
    height: ArrayLike | None = None,
    unit: str | None = None,
    variable: str | None = None,
    origin: ArrayLike | None = None,
) -> Scan:
    """Read a scan from a NetCDF file; pixels that are NaN are masked.

    Parameters
    ----------
    path
        A file of `Scan.to_xarray`, or a map with units on the field and on x and y; or one of qdmpy-core, without
        coordinates and with the attribute ``pixel_spacing`` (m).
    height
        z of the scanning plane, µm; needed where the file has no attribute ``sensor_height``, which it overrides.
    unit
        Unit of the field; it overrides that of the file.
    variable
        Name of the variable that holds the map; ``bz`` or ``Bz`` by default.
    origin
        Centre (x, y) of the sensor [0, 0], µm, for a map without coordinates; (0, 0) by default.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short or not NetCDF, if the map, its unit, its coordinates or its height are missing, and if
        field, spacing or height is only possible with a wrong unit.
    """
    dataset = load_dataset(path)
    name = _name_of_map(dataset, variable, path=path)
    dataset = dataset.rename({name: "bz"}) if name != "bz" else dataset
    bz = dataset["bz"]
    field_unit = unit or bz.attrs.get("units") or dataset.attrs.get("units")
    if field_unit is None:
        msg = f"{path}: {name!r} has no attribute 'units'; pass the unit of the field as unit="
        raise InputError(msg)
    bz.attrs["units"] = field_unit
    if height is not None:
        dataset.attrs.update(sensor_height=height, sensor_units="µm")
    if "sensor_height" not in dataset.attrs:
        msg = (
            f"{path} does not hold the height of the scanning plane (attribute 'sensor_height'); pass it in µm as "
            "height="
        )
        raise InputError(msg)
    try:
        if "x" not in bz.coords and "pixel_spacing" in bz.attrs:
            scan = _scan_without_coordinates(dataset, unit=field_unit, origin=origin, path=path)
        else:
            if "mask" not in dataset:
                dataset["mask"] = bz.notnull()
            scan = Scan.from_xarray(dataset)
    except (ValueError, KeyError) as error:
        msg = f"{path}: {error}"
        raise InputError(msg) from error
    return check_scan(scan, unit=field_unit, path=path)


def load_dataset(path: AnyPath) -> xarray.Dataset:
    """Read a whole NetCDF file into memory.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short or not NetCDF.
    """
    file = require_file(path)
    try:
        return xarray.load_dataset(file)
    except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
        msg = f"{file} does not read as NetCDF ({error}); was its copy cut short?"
        raise InputError(msg) from error


def _name_of_map(dataset: xarray.Dataset, variable: str | None, *, path: AnyPath) -> str:
    """Return the name of the variable that holds the map of Bz."""
    for name in ("bz", "Bz") if variable is None else (variable,):
        if name in dataset.data_vars:
            return name
    msg = (
        f"{path} has no variable {'bz' if variable is None else variable!r}; it has "
        f"{', '.join(map(str, dataset.data_vars)) or 'none'}. Pass the name of the map of Bz as variable="
    )
    raise InputError(msg)


def _scan_without_coordinates(dataset: xarray.Dataset, *, unit: str, origin: ArrayLike | None, path: AnyPath) -> Scan:
    """Return the scan of a map of qdmpy-core, which has a spacing instead of coordinates."""
    bz = dataset["bz"].transpose("y", "x")
    spacing = float(bz.attrs["pixel_spacing"]) * 1e6
    check_spacing(spacing, path=path)
    grid = SensorGrid(
        origin=(0.0, 0.0) if origin is None else origin,
        spacing=spacing,
        shape=bz.shape,
        height=dataset.attrs["sensor_height"],
    )
    field = bz.to_numpy().astype(np.float64) * field_in_nanotesla(unit)
    return Scan(field, grid, ~np.isnan(field))
