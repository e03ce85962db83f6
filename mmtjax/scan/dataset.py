"""Read the map in a dataset of xarray by the names, coordinates and units of its variables."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mmtjax.errors import InputError, located
from mmtjax.lazy import xarray
from mmtjax.precision import AnyArray, ArrayLike
from mmtjax.scan.axes import (
    Axis,
    axes_of_map,
    numbers_in_attribute,
    places_of_sensors,
    real_numbers,
    values_on_axes,
)
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.pixels import measured_pixels
from mmtjax.scan.sensor_mask import checked_mask
from mmtjax.units import field_in_nanotesla, length_in_micrometres

#: ``long_name`` of a mask in which True means that a sensor is used.
SENSOR_IS_USED = "sensor is used"


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """What a user says of a map in addition to its dataset; see `Scan.from_xarray`."""

    height: ArrayLike | None = None
    unit: str | None = None
    spacing: ArrayLike | None = None
    origin: ArrayLike | None = None
    side: ArrayLike | None = None
    mask_true_is: str | None = None


class MapValues(NamedTuple):
    """What makes a scan, and the unit in which its field was read."""

    field: Float[np.ndarray, "ny nx"]
    grid: SensorGrid
    mask: Bool[np.ndarray, "ny nx"]
    noise: Float[AnyArray, "..."] | None
    unit: str


def map_of_dataset(dataset: "xarray.Dataset", *, variable: str, options: DatasetOptions) -> MapValues:
    """Return the map of a dataset, with row 0 at the lowest y and column 0 at the lowest x.

    Parameters
    ----------
    dataset
        The dataset. Beside the map, the variables ``mask`` and ``noise`` are used where it has them.
    variable
        Name of the variable that holds Bz.
    options
        What the user says of it.

    Raises
    ------
    ValueError
        If something is missing, has an unknown unit, does not lie on the axes of the map, or contradicts an option.
    """
    bz = dataset[variable]
    axes = axes_of_map(bz)
    stated = bz.attrs.get("units", dataset.attrs.get("units"))
    unit = stated if options.unit is None else options.unit
    scale = _field_unit(unit, name=variable, remedy="pass the unit of the field as unit=")
    field = values_on_axes(bz, axes) * scale
    measured = measured_pixels(field, name=repr(variable), remedy="write nan where nothing was measured")
    used = measured & _mask_of(dataset, axes, options.mask_true_is)
    if not used.any():
        msg = f"the variable 'mask' leaves no sensor where {variable!r} has a value; is True the opposite of that?"
        raise InputError(msg)
    return MapValues(field, _grid_of(dataset, variable, axes, options), used, _noise_of(dataset, axes, used), str(unit))


def _field_unit(unit: str | None, *, name: str, remedy: str) -> float:
    """Return the field of one `unit`, in which a variable is, in nT."""
    if unit is None:
        msg = f"{name!r} has no attribute 'units'; {remedy}"
        raise InputError(msg)
    with located(repr(name), remedy=remedy):
        return field_in_nanotesla(str(unit))


def _grid_of(dataset: "xarray.Dataset", variable: str, axes: tuple[Axis, Axis], options: DatasetOptions) -> SensorGrid:
    """Return the sensors: their places from coordinates or options, height and side from attributes or options."""
    bz, attributes = dataset[variable], dataset.attrs
    pixel_spacing = None
    for each in (attributes, bz.attrs):
        if "pixel_spacing" in each:
            pixel_spacing = float(numbers_in_attribute(each, "pixel_spacing", pair=False)) * 1e6
    places = places_of_sensors(axes, pixel_spacing=pixel_spacing, spacing=options.spacing, origin=options.origin)
    height, side = options.height, options.side
    if height is None:
        if "sensor_height" not in attributes:
            msg = (
                "the dataset does not hold the height of the scanning plane (attribute 'sensor_height'); pass it in µm "
                "as height="
            )
            raise InputError(msg)
        height = numbers_in_attribute(attributes, "sensor_height", pair=False) * _length_unit(attributes)
    if side is None and "sensor_side" in attributes:
        stated = numbers_in_attribute(attributes, "sensor_side", pair=True) * _length_unit(attributes)
        # Coordinates give the spacing up to rounding only; sensors that adjoin do so exactly.
        adjoin = np.allclose(stated, places.spacing, rtol=max(1e-9, places.error), atol=0)
        side = None if adjoin else stated
    return SensorGrid(
        places.origin,
        places.spacing,
        tuple(bz.sizes[axis.dimension] for axis in axes),
        height=height,
        side=side,
    )


def _length_unit(attributes: dict[str, ArrayLike]) -> float:
    """Return the unit of the attributes ``sensor_height`` and ``sensor_side``, in µm."""
    unit = str(attributes.get("sensor_units", "µm"))
    with located("the attribute 'sensor_units'"):
        return length_in_micrometres(unit)


def _mask_of(dataset: "xarray.Dataset", axes: tuple[Axis, Axis], mask_true_is: str | None) -> Bool[np.ndarray, "ny nx"]:
    """Return the mask of a dataset with True where a sensor is used; all are if it has none."""
    if "mask" not in dataset:
        if mask_true_is is not None:
            msg = f"mask_true_is={mask_true_is!r} says how to read a mask, but there is no variable 'mask'"
            raise InputError(msg)
        return np.ones(tuple(dataset.sizes[axis.dimension] for axis in axes), bool)
    variable = dataset["mask"]
    if mask_true_is not in (None, "bad", "good"):
        msg = f"mask_true_is={mask_true_is!r} is not known; use 'bad' or 'good'"
        raise InputError(msg)
    with located("the variable 'mask'"):
        mask = checked_mask(values_on_axes(variable, axes, booleans=True), numbers=True)
    ours = _is_ours(variable)
    if ours and mask_true_is == "bad":
        msg = f"mask_true_is='bad', but the variable 'mask' says {SENSOR_IS_USED!r} of True; correct one of them"
        raise InputError(msg)
    if not ours and mask_true_is is None:
        if mask.all() or not mask.any():
            # Of the two meanings, one leaves no sensor.
            return np.ones_like(mask)
        raise InputError(_unknown_meaning(variable), remedy="pass mask_true_is='bad' or mask_true_is='good'")
    return ~mask if mask_true_is == "bad" else mask


def _is_ours(mask: "xarray.DataArray") -> bool:
    """Return whether `Scan.to_xarray` has made a mask."""
    return mask.attrs.get("long_name") == SENSOR_IS_USED


def _unknown_meaning(mask: "xarray.DataArray") -> str:
    """Return what is wrong with a mask of another program."""
    about = ", ".join(f"{key} {value!r}" for key, value in mask.attrs.items()) or "without attributes"
    return f"the variable 'mask' ({about}) does not say whether True marks sensors to leave out or to use"


def refuse_second_mask(dataset: "xarray.Dataset") -> None:
    """Raise ValueError if a dataset holds a mask of another program, beside which a mask in a file is given.

    What the user says of True is about the file. A mask that is the same everywhere leaves all sensors.
    """
    if "mask" in dataset and not _is_ours(dataset["mask"]) and len(np.unique(dataset["mask"].to_numpy())) > 1:
        what = f"{_unknown_meaning(dataset['mask'])}, and mask_true_is= is about the file of the mask"
        raise InputError(what, remedy="join the two in that file, and remove the variable from the map")


def _noise_of(
    dataset: "xarray.Dataset", axes: tuple[Axis, Axis], used: Bool[np.ndarray, "ny nx"]
) -> Float[AnyArray, "..."] | None:
    """Return the standard deviation of the noise of a dataset, nT, or None if it has none."""
    if "noise" not in dataset:
        return None
    variable = dataset["noise"]
    unit = variable.attrs.get("units", dataset.attrs.get("units"))
    scale = _field_unit(unit, name="noise", remedy="give it one, e.g. 'nT'")
    if variable.size == 1 and not {axis.dimension for axis in axes} & set(variable.dims):
        return np.asarray(real_numbers(variable).item() * scale)
    noise = values_on_axes(variable, axes) * scale
    missing = np.isnan(noise)
    if (missing & used).any():
        row, column = np.argwhere(missing & used)[0]
        msg = (
            f"'noise' is missing (NaN or the fill value) at {np.sum(missing & used)} sensors that are used, the first "
            f"at [y, x] = [{row}, {column}]; write nan into the map there as well"
        )
        raise InputError(msg)
    # The noise of sensors that are left out has no influence, and every other check wants a number.
    return np.where(missing, np.median(noise[~missing]), noise) if missing.any() else noise
