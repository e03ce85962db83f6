"""Load a NetCDF file of any contents into memory, in a process of its own."""

import numpy as np

from mmtjax.errors import InputError, located
from mmtjax.io.netcdf_missing import missing_values
from mmtjax.io.text import AnyPath, JsonValue
from mmtjax.io.untrusted import read_untrusted
from mmtjax.lazy import xarray
from mmtjax.scan.declared_range import RANGE_ATTRIBUTES

#: A value of an attribute.
AttributeValue = str | list[str] | np.generic | np.ndarray


def load_dataset(path: AnyPath) -> "xarray.Dataset":
    """Read a whole NetCDF file, or HDF5 file, into memory, with its packed and missing values decoded.

    Missing are the values that `missing_values` finds, too.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, damaged or not NetCDF, or declares a valid range that is none.
    """
    content = read_untrusted(path, reader="netcdf", kind="NetCDF")
    dimensions = content.facts_of("dimensions")
    attributes = {name: _attributes(each) for name, each in content.facts_of("attributes_of_variables").items()}
    try:
        with located(str(path)):
            missing = {
                name: missing_values(values, attributes[name], name=name) for name, values in content.arrays.items()
            }
        stored = {name: (dimensions[name], values, attributes[name]) for name, values in content.arrays.items()}
        dataset = xarray.Dataset(stored, attrs=_attributes(content.facts["attributes"]))
        dataset = xarray.decode_cf(dataset).load()
        for name, lost in missing.items():
            for attribute in RANGE_ATTRIBUTES:
                dataset[name].attrs.pop(attribute, None)
            if lost.any():
                dataset[name] = dataset[name].where(~xarray.DataArray(lost, dims=dataset[name].dims))
    except InputError:
        raise
    except Exception as error:  # any, because decoding trusts attributes, which may hold anything
        msg = f"{path} does not read as NetCDF ({error}); was its copy cut short?"
        raise InputError(msg) from error
    return dataset


def _attributes(described: JsonValue) -> dict[str, AttributeValue]:
    """Return attributes with the types that they have in the file."""
    found: dict[str, AttributeValue] = {}
    for name, value in described.items() if isinstance(described, dict) else ():
        if isinstance(value, dict):
            found[name] = np.array(value["value"], value["type"])[()]
        elif isinstance(value, (str, list)):
            found[name] = value
    return found
