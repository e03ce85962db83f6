"""Load a NetCDF file of any contents into memory, in a process of its own."""

import numpy as np
import xarray

from mmtjax.errors import InputError
from mmtjax.io.text import AnyPath, JsonValue
from mmtjax.io.untrusted import read_untrusted

#: A value of an attribute.
AttributeValue = str | list[str] | np.generic | np.ndarray


def load_dataset(path: AnyPath) -> xarray.Dataset:
    """Read a whole NetCDF file, or HDF5 file, into memory, with its packed and missing values decoded.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, damaged or not NetCDF.
    """
    content = read_untrusted(path, reader="netcdf", kind="NetCDF")
    dimensions, attributes = content.facts_of("dimensions"), content.facts_of("attributes_of_variables")
    try:
        stored = {
            name: (dimensions[name], values, _attributes(attributes[name])) for name, values in content.arrays.items()
        }
        dataset = xarray.Dataset(stored, attrs=_attributes(content.facts["attributes"]))
        return xarray.decode_cf(dataset).load()
    except Exception as error:  # any, because decoding trusts attributes, which may hold anything
        msg = f"{path} does not read as NetCDF ({error}); was its copy cut short?"
        raise InputError(msg) from error


def _attributes(described: JsonValue) -> dict[str, AttributeValue]:
    """Return attributes with the types that they have in the file."""
    found: dict[str, AttributeValue] = {}
    for name, value in described.items() if isinstance(described, dict) else ():
        if isinstance(value, dict):
            found[name] = np.array(value["value"], value["type"])[()]
        elif isinstance(value, (str, list)):
            found[name] = value
    return found
