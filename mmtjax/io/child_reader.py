"""Read one file that may be damaged and write its arrays to standard output: the script that `untrusted` runs.

It imports nothing of mmtjax, because importing JAX takes seconds, and only the library that reads the file.
"""

import contextlib
import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from io import BufferedWriter
from typing import NamedTuple

import numpy as np

#: A value that JSON can hold.
Fact = str | float | bool | list | dict | None

#: Kinds of numbers and texts, which can be written as plain bytes.
_PLAIN = "biufcSU"

#: Units of length of ImageJ and OME, µm; ImageJ writes the sign for micro in several ways.
_MICROMETRES = {"micron": 1.0, "microns": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00B5m": 1.0} | {
    "nm": 1e-3,
    "mm": 1e3,
}

#: The units of TIFF, µm.
_MICROMETRES_OF_TIFF = {2: 25_400.0, 3: 10_000.0}


class RefusedFileError(Exception):
    """A file that cannot be read for a known reason; the text says the reason and what to do."""


class Content(NamedTuple):
    """What a file holds: arrays by name, and facts about them that JSON can hold."""

    arrays: dict[str, np.ndarray]
    facts: dict[str, Fact]


def read_mat(path: str) -> Content:
    """Read a MAT file; the fact ``others`` describes its variables that are neither numbers nor text."""
    import scipy.io

    try:
        content = scipy.io.loadmat(path, verify_compressed_data_integrity=True)
    except NotImplementedError as error:
        msg = "is a MAT file of version 7.3; save it in MATLAB with the option '-v7'"
        raise RefusedFileError(msg) from error
    # Names that begin with "__" are not variables but properties of the file.
    variables = {name: value for name, value in content.items() if not name.startswith("__")}
    plain = {
        name: value for name, value in variables.items() if isinstance(value, np.ndarray) and value.dtype.kind in _PLAIN
    }
    return Content(plain, {"others": {name: _words_for(variables[name]) for name in variables.keys() - plain}})


def _words_for(variable: object) -> str:
    """Return what a variable of a MAT file is that is neither numbers nor text."""
    if not isinstance(variable, np.ndarray):
        return "a sparse matrix"
    return "a struct" if variable.dtype.names else "a cell array"


def read_netcdf(path: str) -> Content:
    """Read the variables of a NetCDF file of version 3 or 4, as they are stored.

    The facts are ``attributes``, those of the file, and, by variable, ``dimensions`` and ``attributes_of_variables``.
    """
    with open(path, "rb") as stream:
        is_version_3 = stream.read(3) == b"CDF"
    return _read_netcdf_3(path) if is_version_3 else _read_netcdf_4(path)


def _read_netcdf_3(path: str) -> Content:
    import scipy.io

    with scipy.io.netcdf_file(path, "r", mmap=False) as file:
        # Attributes of a variable are also entries of its dictionary, as `_attributes` lists them.
        found = file.variables.items()
        return Content(
            {name: np.asarray(variable.data) for name, variable in found},
            {
                "attributes": _attributes(file._attributes),
                "dimensions": {name: list(variable.dimensions) for name, variable in found},
                "attributes_of_variables": {name: _attributes(variable._attributes) for name, variable in found},
            },
        )


def _read_netcdf_4(path: str) -> Content:
    import h5netcdf

    arrays, dimensions, attributes = {}, {}, {}
    with h5netcdf.File(path, "r", decode_vlen_strings=True, phony_dims="access") as file:
        for name, variable in file.variables.items():
            values = np.asarray(variable[...])
            if values.dtype.kind == "O" and all(isinstance(value, str) for value in values.flat):
                values = values.astype(np.str_)
            if values.dtype.kind in _PLAIN:
                arrays[name], dimensions[name] = values, list(variable.dimensions)
                attributes[name] = _attributes(dict(variable.attrs))
        of_file = _attributes(dict(file.attrs))
    return Content(arrays, {"attributes": of_file, "dimensions": dimensions, "attributes_of_variables": attributes})


def read_qdm(path: str) -> Content:
    """Read Bz from a ``.qdm`` file; the facts are the attributes of the file and the names and unit of the fields."""
    import h5py

    with h5py.File(path, "r") as file:
        facts: dict[str, Fact] = {"attributes": _attributes(dict(file.attrs))}
        fields = file.get("b_field")
        if not isinstance(fields, h5py.Group):
            return Content({}, facts | {"fields": {}})
        bz = fields.get("bz")
        facts |= {"fields": {name: True for name, value in fields.items() if isinstance(value, h5py.Dataset)}}
        if not isinstance(bz, h5py.Dataset) or bz.dtype.kind not in _PLAIN:
            return Content({}, facts)
        unit = _attributes(dict(bz.attrs)).get("units") or _attributes(dict(fields.attrs)).get("units")
        return Content({"bz": bz[...]}, facts | {"unit": unit})


def read_tiff(path: str) -> Content:
    """Read the images of a TIFF file as one array, ``labels``.

    Pages of one shape that are series of their own are joined. The facts are ``axes``, letters of tifffile, and
    ``scale``, the edges of a voxel in µm as (x, y) or (x, y, z), or None.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series
        if not series:
            msg = "holds no image; was its copy cut short?"
            raise RefusedFileError(msg)
        shapes = {(each.shape, str(each.dtype)) for each in series}
        if len(series) > 1 and (len(shapes) > 1 or series[0].ndim != 2):
            listed = ", ".join(f"{each.shape} {each.dtype}" for each in series[:4])
            msg = (
                f"holds {len(series)} series of images ({listed}), and not one stack; save the slices of the labels "
                "alone, all of one size and type"
            )
            raise RefusedFileError(msg)
        try:
            images = [np.asarray(each.asarray()) for each in series]
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            compression = getattr(series[0].keyframe.compression, "name", "an unknown method")
            msg = (
                f"is compressed with {compression}, which only the package imagecodecs reads; "
                "install it (pip install imagecodecs), or save the stack without compression"
            )
            raise RefusedFileError(msg) from error
        axes = series[0].axes if len(series) == 1 else f"I{series[0].axes}"
        labels = images[0] if len(images) == 1 else np.stack(images)
        scale = _scale_of_tiff(
            tags={tag.name: tag.value for tag in file.pages.first.tags},
            imagej=file.imagej_metadata or {},
            ome=file.ome_metadata or "",
        )
        return Content({"labels": labels}, {"axes": axes, "scale": scale})


def _scale_of_tiff(*, tags: dict, imagej: dict, ome: str) -> list[float] | None:
    """Return the edges of a voxel, µm, that ImageJ, OME or another program has written, or None.

    Parameters
    ----------
    tags
        Values of the tags of the first page; a resolution is (pixels, units of length).
    imagej, ome
        Metadata of ImageJ and of OME, empty where there are none.
    """
    if ome:
        edges = [_edge_of_ome(ome, axis) for axis in "XYZ"]
        scale = edges if edges[2] else edges[:2]
    else:
        rates = [tags.get(name) for name in ("XResolution", "YResolution")]
        edges = [rate[1] / rate[0] if isinstance(rate, tuple) and rate[0] > 0 else 0.0 for rate in rates]
        if imagej:
            unit, depth = _MICROMETRES.get(str(imagej.get("unit")), 0.0), imagej.get("spacing")
            edges += [float(depth)] if isinstance(depth, (int, float)) else []
        else:
            unit = _MICROMETRES_OF_TIFF.get(tags.get("ResolutionUnit", 0), 0.0)
        scale = [edge * unit for edge in edges]
    return scale if all(np.isfinite(edge) and edge > 0 for edge in scale) else None


def _edge_of_ome(metadata: str, axis: str) -> float:
    """Return the edge of a voxel along an axis, µm, in the metadata of OME, or 0."""
    size = re.search(rf'PhysicalSize{axis}="([\d.eE+-]+)"', metadata)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]*)"', metadata)
    return float(size[1]) * _MICROMETRES.get(unit[1] if unit else "µm", 0.0) if size else 0.0


def _attributes(attributes: dict) -> dict[str, Fact]:
    """Return attributes as text, or as numbers with their type; those of other kinds are left out."""
    found: dict[str, Fact] = {}
    for name, value in attributes.items():
        if isinstance(value, bytes):
            found[name] = value.decode("utf-8", errors="replace")
        elif isinstance(value, str):
            found[name] = value
        elif isinstance(value, (list, np.ndarray)) and all(isinstance(item, str) for item in np.ravel(value)):
            found[name] = [str(item) for item in np.ravel(value)]
        elif isinstance(value, (int, float, np.generic, np.ndarray)) and np.asarray(value).dtype.kind in "biuf":
            found[name] = {"type": np.asarray(value).dtype.str, "value": np.asarray(value).tolist()}
    return found


READERS: dict[str, Callable[[str], Content]] = {
    "mat": read_mat,
    "netcdf": read_netcdf,
    "qdm": read_qdm,
    "tiff": read_tiff,
}


def write_content(content: Content, stream: BufferedWriter) -> None:
    """Write one line of JSON, with the facts and the name, type and shape of every array, and then their bytes."""
    plain = {name: np.ascontiguousarray(value) for name, value in content.arrays.items()}
    listed = [(name, value.dtype.str, np.shape(content.arrays[name])) for name, value in plain.items()]
    stream.write(json.dumps({"facts": content.facts, "arrays": listed}).encode() + b"\n")
    for value in plain.values():
        if value.nbytes:
            stream.write(value.reshape(-1).view(np.uint8).data)


def _limit(*, seconds: int, memory: int) -> None:
    """Limit the computing time and the memory of this process, where the system can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def main(request: str) -> None:
    """Read the file of a request, as `untrusted` makes it, and write its content or the error that came.

    Parameters
    ----------
    request
        JSON with ``reader``, ``path``, ``seconds`` of computing and ``memory`` in bytes.
    """
    wanted = json.loads(request)
    _limit(seconds=wanted["seconds"], memory=wanted["memory"])
    # Whatever a library prints must not come between the bytes of the arrays.
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    warnings.simplefilter("ignore")
    try:
        content = READERS[wanted["reader"]](wanted["path"])
    except RefusedFileError as error:
        stream.write(json.dumps({"refused": str(error)}).encode() + b"\n")
    except MemoryError:
        stream.write(json.dumps({"memory": True}).encode() + b"\n")
    except Exception as error:  # any, because what a library raises on a damaged file is not documented
        stream.write(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
    else:
        write_content(content, stream)
    stream.flush()
    # Without the clean-up of Python and of libraries that hold a damaged file open.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
