"""Read maps in NetCDF: those of mmtjax, of magali, of qdmpy-core, and of other programs."""

from mmtjax.errors import InputError, located
from mmtjax.io.netcdf_file import load_dataset
from mmtjax.io.plausible import check_scan, check_spacing
from mmtjax.io.text import AnyPath
from mmtjax.lazy import xarray
from mmtjax.precision import ArrayLike
from mmtjax.scan.axes import axes_of_map
from mmtjax.scan.dataset import DatasetOptions, map_of_dataset, refuse_second_mask
from mmtjax.scan.scan import Scan


def read_netcdf(
    path: AnyPath,
    *,
    height: ArrayLike | None = None,
    unit: str | None = None,
    variable: str | None = None,
    spacing: ArrayLike | None = None,
    origin: ArrayLike | None = None,
    side: ArrayLike | None = None,
    mask_true_is: str | None = None,
) -> Scan:
    """Read a scan from a NetCDF file; pixels that are NaN or have the fill value are masked.

    Parameters
    ----------
    path
        A file of `Scan.to_xarray`, or a map with units on the field and on x and y; or one of qdmpy-core, without
        coordinates and with the attribute ``pixel_spacing`` (m). Axes may have any order and direction, and be called
        northing and easting. The variables ``mask`` and ``noise`` and the attributes ``sensor_height``,
        ``sensor_side`` and ``sensor_units`` are used where the file has them.
    height
        z of the scanning plane, µm; needed where the file has no attribute ``sensor_height``, which it overrides.
    unit
        Unit of the field; it overrides that of the file.
    variable
        Name of the variable that holds the map; ``bz`` or ``Bz`` by default.
    spacing
        Sampling interval, µm, for a map whose coordinates are missing or have no unit.
    origin
        Centre (x, y) of the sensor [0, 0], µm, for a map whose coordinates are missing or have no unit; (0, 0) by
        default.
    side
        Edge of a sensor, µm; it overrides the attribute ``sensor_side``. The spacing by default.
    mask_true_is
        ``"bad"`` or ``"good"``: what True means in the variable ``mask``; needed unless `Scan.to_xarray` made it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short or not NetCDF, if the map, its unit, its coordinates, its height or the meaning of its
        mask are missing, if an option and the coordinates both say where the sensors are, and if field, spacing, side
        or height is only possible with a wrong unit.
    """
    dataset = load_dataset(path)
    name = _name_of_map(dataset, variable, path=path)
    options = DatasetOptions(
        height=height, unit=unit, spacing=spacing, origin=origin, side=side, mask_true_is=mask_true_is
    )
    with located(str(path)):
        found = map_of_dataset(dataset, variable=name, options=options)
        scan = Scan(found.field, found.grid, found.mask, noise=found.noise)
    check_spacing(
        scan.grid.spacing,
        path=path,
        remedy="Pass it in µm as spacing="
        if spacing is not None
        else "Correct the units of the coordinates in the file",
    )
    return check_scan(scan, unit=found.unit, path=path)


def check_companions(path: AnyPath, *, mask: bool, variable: str | None = None) -> None:
    """Raise ValueError if a map in NetCDF cannot have a mask or bounds in a file beside it.

    Parameters
    ----------
    path
        The file of the map.
    mask
        Whether there is a file of a mask, and not only one of bounds.
    variable
        Name of the variable that holds the map; ``bz`` or ``Bz`` by default.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        As `read_netcdf`; if a coordinate falls, so that it is not known from which end a file counts pixels; and if the
        meaning of a mask of the map itself would have to be given as well.
    """
    dataset = load_dataset(path)
    axes = axes_of_map(dataset[_name_of_map(dataset, variable, path=path)])
    falling = [axis.name for axis in axes if axis.falling]
    if falling:
        msg = (
            f"{path}: {' and '.join(falling)} fall in the file, so that it is not known from which end a file of a "
            "mask or of bounds counts its pixels; save the map with rising coordinates, or the mask as its variable "
            "'mask'"
        )
        raise InputError(msg)
    if mask:
        with located(str(path)):
            refuse_second_mask(dataset)


def _name_of_map(dataset: "xarray.Dataset", variable: str | None, *, path: AnyPath) -> str:
    """Return the name of the variable that holds the map of Bz."""
    for name in ("bz", "Bz") if variable is None else (variable,):
        if name in dataset.data_vars:
            return name
    msg = (
        f"{path} has no variable {'bz' if variable is None else variable!r}; it has "
        f"{', '.join(map(str, dataset.data_vars)) or 'none'}. Pass the name of the map of Bz as variable="
    )
    raise InputError(msg)
