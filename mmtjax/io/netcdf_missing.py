"""Find missing values in a variable of a NetCDF file that no attribute of it names, by the conventions of NetCDF."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Shaped

from mmtjax.precision import ArrayLike
from mmtjax.scan.declared_range import declared_range

#: What the library of NetCDF fills values with that are never written, by type. Types of one byte have none, because
#: all of their values are in use.
_DEFAULT_FILL = {
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}


def missing_values(
    stored: Shaped[np.ndarray, "..."], attributes: Mapping[str, ArrayLike], *, name: str
) -> Bool[np.ndarray, "..."]:
    """Return where a variable, as it is stored, has no value, beside the fill value that its attributes declare.

    Missing are values outside the range that is declared as valid; and, without a declared fill value, the default one
    of the type, and the least integer in packed values, to which programs clip.

    Parameters
    ----------
    stored
        Values before they are unpacked.
    attributes, name
        Attributes and name of the variable.

    Raises
    ------
    ValueError
        If the attributes of the valid range do not hold numbers.

    Examples
    --------
    >>> missing_values(np.array([1, -32767, 300], np.int16), {"valid_max": 200}, name="bz")
    array([False,  True,  True])
    """
    if stored.dtype.kind not in "iuf":
        return np.zeros(stored.shape, bool)
    packing = {key: float(np.ravel(attributes.get(key, default))[0]) for key, default in _UNPACKED.items()}
    values = _unsigned(stored) if str(attributes.get("_Unsigned", "")).lower() == "true" else stored
    missing = np.zeros(stored.shape, bool)
    valid = declared_range(attributes, name=name)
    if valid is not None:
        unpacked = not valid.integers and stored.dtype.kind in "iu"
        missing |= valid.excludes(values * packing["scale_factor"] + packing["add_offset"] if unpacked else values)
    if not {"_FillValue", "missing_value"} & attributes.keys():
        default = _DEFAULT_FILL.get(f"{values.dtype.kind}{values.dtype.itemsize}")
        if default is not None:
            missing |= values == values.dtype.type(default)
        if values.dtype.kind == "i" and values.dtype.itemsize > 1 and packing != _UNPACKED:
            missing |= values == np.iinfo(values.dtype).min
    return missing


#: The packing of values that are not packed.
_UNPACKED = {"scale_factor": 1.0, "add_offset": 0.0}


def _unsigned(stored: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """Return integers of a format that has signed ones only, as the unsigned ones that they are."""
    return stored.view(stored.dtype.str.replace("i", "u")) if stored.dtype.kind == "i" else stored
