"""Find the axes of a map in a dataset of xarray, and the places of its sensors from coordinates and attributes."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num, Shaped

from mmtjax.errors import InputError
from mmtjax.lazy import xarray
from mmtjax.precision import ArrayLike, float64_array
from mmtjax.scan.declared_range import DeclaredRange, declared_range
from mmtjax.units import length_in_micrometres

#: Names of the coordinates along each axis of a map, in the order [y, x] of its arrays.
AXIS_NAMES: Mapping[str, tuple[str, ...]] = {"y": ("y", "Y", "northing"), "x": ("x", "X", "easting")}

#: Largest difference of two steps of an axis, and of a place from what its rounding in the file leaves, in steps.
_EQUAL_STEPS, _COARSEST_ROUNDING = 1e-4, 0.02

_PLACES = "pass spacing= and origin=, the sampling interval and the centre of the sensor [0, 0], in µm"


class Axis(NamedTuple):
    """An axis of a map, with its coordinates in their own unit.

    Attributes
    ----------
    name
        Name of the coordinate in the dataset.
    dimension
        The dimension that it runs along.
    first
        Lowest coordinate; None where the dimension has no coordinates.
    step
        Distance of neighbours, positive; None where the dimension has no coordinates.
    step_error
        Error of the step from the rounding of the coordinates, in steps.
    falling
        Whether the coordinates fall along the dimension.
    unit
        Unit that the coordinates have in the dataset, if any.
    scale
        One unit in µm; None without coordinates or a known unit.
    """

    name: str
    dimension: Hashable
    first: float | None = None
    step: float | None = None
    step_error: float = 0.0
    falling: bool = False
    unit: str | None = None
    scale: float | None = None


class Places(NamedTuple):
    """Where the sensors are: origin and spacing as for a `SensorGrid`, and the relative error of the spacing."""

    origin: ArrayLike
    spacing: ArrayLike
    error: float


def axes_of_map(bz: "xarray.DataArray") -> tuple[Axis, Axis]:
    """Return the axes y and x of a map.

    Parameters
    ----------
    bz
        The map, on y and x or on northing and easting in any order and direction; further dimensions have length 1.

    Raises
    ------
    ValueError
        If the map does not have exactly these axes, or the coordinates are not numbers with equal steps.
    """
    y, x = (_axis(bz, names) for names in AXIS_NAMES.values())
    further = [str(name) for name in bz.dims if name not in (y.dimension, x.dimension) and bz.sizes[name] != 1]
    if further or y.dimension == x.dimension:
        msg = (
            f"{bz.name!r} has the dimensions {_dimensions(bz)}, but a map has y and x alone; select one value of "
            f"{', '.join(further) or 'the others'}, e.g. with isel of xarray, and write it to a file of its own"
        )
        raise InputError(msg)
    return y, x


def values_on_axes(
    array: "xarray.DataArray", axes: tuple[Axis, Axis], *, booleans: bool = False
) -> Shaped[np.ndarray, "ny nx"]:
    """Return the values of a variable as [y, x] with both axes rising.

    Parameters
    ----------
    array
        A variable on the axes of the map; further dimensions have length 1.
    axes
        The axes of the map.
    booleans
        Whether its values may be booleans as well as numbers.

    Raises
    ------
    ValueError
        If it has other dimensions, or other values.
    """
    dimensions = [axis.dimension for axis in axes]
    flat = array.squeeze([name for name in array.dims if name not in dimensions and array.sizes[name] == 1], drop=True)
    if set(flat.dims) != set(dimensions):
        msg = (
            f"{array.name!r} has the dimensions {_dimensions(array)}, the map {', '.join(map(str, dimensions))}; it "
            "must lie on the axes of the map"
        )
        raise InputError(msg)
    values = real_numbers(flat.transpose(*dimensions), booleans=booleans)
    return values[tuple(slice(None, None, -1 if axis.falling else 1) for axis in axes)]


def real_numbers(array: "xarray.DataArray", *, booleans: bool = False) -> Shaped[np.ndarray, "..."]:
    """Return the values of a variable, after a check that they are real numbers, or `booleans` where these may be."""
    values = array.to_numpy()
    if values.dtype.kind not in ("biuf" if booleans else "iuf"):
        msg = f"the values of {array.name!r} must be real numbers; got dtype {values.dtype}"
        raise InputError(msg)
    _refuse_invalid(array, values)
    return values


def _refuse_invalid(array: "xarray.DataArray", values: Shaped[np.ndarray, "..."]) -> None:
    """Raise ValueError if values of a variable lie outside the range that its attributes declare as valid.

    Readers of files have replaced them by NaN, and removed the attributes. Others may have computed with the values
    since, so that the attributes are no longer certain.
    """
    valid = declared_range(array.attrs, name=str(array.name))
    if valid is None or values.dtype.kind == "b":
        return
    packing = {key: array.encoding[key] for key in ("scale_factor", "add_offset") if key in array.encoding}
    if valid.integers and packing:
        # The range is that of packed values. Half of a step more, because unpacking rounds.
        scale, offset = float(packing.get("scale_factor", 1)), float(packing.get("add_offset", 0))
        ends = sorted((valid.least * scale + offset, valid.largest * scale + offset))
        valid = DeclaredRange(ends[0] - abs(scale) / 2, ends[1] + abs(scale) / 2, integers=True)
    wrong = valid.excludes(values)
    if wrong.any():
        msg = (
            f"{wrong.sum()} values of {array.name!r} lie outside the range from {valid.least:g} to {valid.largest:g} "
            f"that it declares as valid, the first is {values[wrong][0]:g}"
        )
        raise InputError(msg, remedy="replace them by NaN, or remove the attributes valid_range, valid_min, valid_max")


def numbers_in_attribute(
    attributes: Mapping[Hashable, ArrayLike], name: str, *, pair: bool
) -> Float[np.ndarray, "..."]:
    """Return an attribute that holds one number or, if `pair`, one or two, as a scalar or a pair."""
    try:
        values = np.asarray(float64_array(attributes[name], name=name))
    except InputError:
        values = np.array([np.nan])
    if not np.all(np.isfinite(values)) or values.size not in ((1, 2) if pair else (1,)) or values.ndim > 1:
        msg = (
            f"the attribute {name!r} must be {'one or two numbers' if pair else 'one number'}; got {attributes[name]!r}"
        )
        raise InputError(msg)
    return values.reshape(()) if values.size == 1 else values


def places_of_sensors(
    axes: tuple[Axis, Axis], *, pixel_spacing: float | None, spacing: ArrayLike | None, origin: ArrayLike | None
) -> Places:
    """Return where the sensors are, from coordinates that have units, or else from the other arguments.

    Parameters
    ----------
    axes
        The axes y and x of the map.
    pixel_spacing
        Sampling interval that the dataset gives beside the coordinates or in place of them, µm.
    spacing, origin
        What the user gives, µm; not allowed beside coordinates that have units.

    Raises
    ------
    ValueError
        If something is missing, or given twice.
    """
    if all(axis.scale is not None for axis in axes):
        return _places_from_coordinates(axes, pixel_spacing=pixel_spacing, spacing=spacing, origin=origin)
    interval = pixel_spacing if spacing is None else spacing
    if interval is None:
        raise InputError(_why_not_located(axes), remedy=_PLACES)
    if spacing is not None and pixel_spacing is not None:
        msg = f"spacing={spacing!r} and the attribute 'pixel_spacing', {pixel_spacing:g} µm, both give the interval"
        raise InputError(msg, remedy="drop spacing=")
    if origin is None:
        starts = {axis.name: axis.first for axis in axes if axis.first}
        if starts:
            begin = ", ".join(f"{name} at {value:g}" for name, value in starts.items())
            msg = f"the coordinates have no known unit and start with {begin}"
            raise InputError(msg, remedy="pass origin=, the centre (x, y) of the sensor [0, 0], in µm")
        origin = (0.0, 0.0)
    return Places(origin, interval, 0.0)


def _places_from_coordinates(
    axes: tuple[Axis, Axis], *, pixel_spacing: float | None, spacing: ArrayLike | None, origin: ArrayLike | None
) -> Places:
    for name, value in (("spacing", spacing), ("origin", origin)):
        if value is not None:
            msg = f"{name}={value!r} and the coordinates of the file both say where the sensors are; drop {name}="
            raise InputError(msg)
    first, step = (
        np.array([getattr(axis, number) * axis.scale for axis in axes[::-1]]) for number in ("first", "step")
    )
    if pixel_spacing is not None and not np.allclose(step, pixel_spacing, rtol=1e-3, atol=0):
        msg = (
            f"the coordinates x and y have steps of {step.tolist()} µm, but the attribute 'pixel_spacing' says "
            f"{pixel_spacing:g} µm; correct the one that is wrong in the file"
        )
        raise InputError(msg)
    return Places(first, step, max(axis.step_error for axis in axes))


def _why_not_located(axes: tuple[Axis, Axis]) -> str:
    """Return what is missing in a dataset whose coordinates do not say where the sensors are."""
    axis = next(axis for axis in axes[::-1] if axis.scale is None)
    if axis.first is None:
        return f"the dimension {str(axis.dimension)!r} has no coordinates, and there is no attribute 'pixel_spacing'"
    if axis.unit is None:
        return f"{axis.name!r} has no attribute 'units'"
    return f"{axis.unit!r}, the unit of {axis.name!r}, is not a known unit of length"


def _axis(bz: "xarray.DataArray", names: tuple[str, ...]) -> Axis:
    """Return the axis of a map that has one of `names`."""
    found = [name for name in names if name in bz.coords and bz[name].ndim == 1]
    found = found or [name for name in names if name in bz.dims]
    if len(found) != 1:
        what = f"both {' and '.join(found)}" if found else f"no axis {' or '.join(names)}"
        msg = (
            f"{bz.name!r} has {what}: its dimensions are {_dimensions(bz)}; name those of a map y and x, or northing "
            "and easting"
        )
        raise InputError(msg)
    (name,) = found
    if name not in bz.coords:
        return Axis(name, name)
    coordinate = bz[name]
    first, last, step_error = _equal_steps(coordinate, name)
    unit = coordinate.attrs.get("units")
    return Axis(
        name=name,
        dimension=coordinate.dims[0],
        first=min(first, last),
        step=abs(last - first) / (len(coordinate) - 1),
        step_error=step_error,
        falling=last < first,
        unit=None if unit is None else str(unit),
        scale=None if unit is None else _length(str(unit)),
    )


def _length(unit: str) -> float | None:
    """Return one `unit` in µm, or None for an unknown unit of length."""
    try:
        return length_in_micrometres(unit)
    except InputError:
        return None


def _equal_steps(coordinate: "xarray.DataArray", name: str) -> tuple[float, float, float]:
    """Return the first and the last coordinate, and the error of a step in steps, after a check of all steps."""
    stored = real_numbers(coordinate)
    axis = stored.astype(np.float64)
    if len(axis) < 2:
        msg = f"axis {name} has {len(axis)} value; the spacing needs two"
        raise InputError(msg)
    if not np.all(np.isfinite(axis)):
        msg = f"axis {name} has {np.sum(~np.isfinite(axis))} missing or infinite values of {len(axis)}"
        raise InputError(msg)
    steps = np.diff(axis)
    step = (axis[-1] - axis[0]) / (len(axis) - 1)
    rounding = _rounding(coordinate, stored)
    if step == 0 or np.max(np.abs(steps - step)) > _EQUAL_STEPS * abs(step) + 2 * min(
        rounding, _COARSEST_ROUNDING * abs(step)
    ):
        coarse = rounding > _COARSEST_ROUNDING * abs(step)
        hint = f"; they are rounded to {rounding:g}, which is too coarse: store them as float64" if coarse else ""
        msg = (
            f"axis {name} must rise or fall in equal steps; its steps go from {steps.min():g} to {steps.max():g}, in "
            f"its own unit{hint}"
        )
        raise InputError(msg)
    return float(axis[0]), float(axis[-1]), float(rounding / abs(step) / (len(axis) - 1))


def _rounding(coordinate: "xarray.DataArray", stored: Num[np.ndarray, " sensor"]) -> float:
    """Return how far apart the numbers are that the file can hold as a coordinate, in its unit."""
    kept = np.dtype(coordinate.encoding.get("dtype", stored.dtype))
    kinds = [each for each in (kept, stored.dtype) if each.kind == "f"]
    largest = np.max(np.abs(stored))
    spaced = [float(np.spacing(largest.astype(kind))) for kind in kinds]
    return max([*spaced, abs(float(coordinate.encoding.get("scale_factor", 0.0)))])


def _dimensions(array: "xarray.DataArray") -> str:
    return ", ".join(f"{name} ({array.sizes[name]})" for name in array.dims) or "none"
