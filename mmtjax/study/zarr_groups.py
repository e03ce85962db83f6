"""Write groups of arrays in Zarr so that they are complete or absent, and read them fast."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from mmtjax.errors import InputError
from mmtjax.files import read_json
from mmtjax.lazy import zarr

#: Codecs of arrays that others have packed; none of them can hold objects of Python.
_CODECS = {"bytes", "blosc", "gzip", "zstd", "crc32c", "transpose", "sharding_indexed"}


def write_group(final: Path, dataset: xarray.Dataset) -> None:
    """Write a dataset as a group of Zarr, version 3, that gets its name once all of it is on the disk.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk; nothing of it remains then.
    """
    partial = final.with_name(f".{final.name}.partial-{os.getpid()}")
    encoding = {
        # One chunk of plain numbers: random digits do not compress, and NumPy reads it in one call.
        str(name): {"compressors": None, "chunks": values.shape or None, "_FillValue": None}
        for name, values in dataset.variables.items()
    }
    try:
        dataset.to_zarr(
            partial, mode="w", zarr_format=3, consolidated=False, encoding=encoding, write_empty_chunks=True
        )
        _flush(partial)
        partial.rename(final)
        _flush_entry(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_partial_groups(place: Path, pattern: str) -> None:
    """Remove unfinished groups of a killed run below `place` whose final names would match `pattern`."""
    parents, _, name = pattern.rpartition("/")
    for leftover in place.glob(f"{parents}/.{name}.partial-*" if parents else f".{name}.partial-*"):
        shutil.rmtree(leftover)


def read_array(directory: Path) -> tuple[np.ndarray, tuple[str, ...], dict[str, Any]]:
    """Return values, names of the dimensions and attributes of an array.

    Zarr takes milliseconds for each array, and a study has twenty thousand. Arrays of one chunk of plain numbers, as
    this package writes them, are read without it.

    Raises
    ------
    ValueError
        If the files are damaged, or have anything but plain numbers in them.
    """
    remedy = "remove this part of the store, and run the study again"
    metadata = read_json(directory / "zarr.json", remedy=remedy)
    try:
        values = _values(directory, metadata)
        dimensions = tuple(str(name) for name in metadata.get("dimension_names") or ())
        if len(dimensions) not in (0, values.ndim):
            msg = f"{len(dimensions)} names for {values.ndim} dimensions"
            raise InputError(msg)
        attributes = dict(metadata["attributes"])
    # Zarr, NumPy and the compressions may raise anything for a damaged file.
    except Exception as error:
        msg = f"the array cannot be read ({type(error).__name__}: {str(error)[:200]})"
        raise InputError(msg, where=str(directory), remedy=remedy) from error
    return values.astype(values.dtype.newbyteorder("="), copy=False), dimensions, attributes


def _values(directory: Path, metadata: dict[str, Any]) -> np.ndarray:
    """Return the values of an array whose metadata may be damaged; raise any error if they are."""
    shape = tuple(metadata["shape"])
    kind = np.dtype(metadata["data_type"])
    codecs = [codec["name"] for codec in metadata["codecs"]]
    if kind.kind not in "biuf" or not set(codecs) <= _CODECS:
        msg = f"only plain numbers are read, but it has {kind} and the codecs {', '.join(map(str, codecs))}"
        raise InputError(msg)
    whole = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"]) == shape
    if whole and metadata["codecs"] == [{"name": "bytes", "configuration": {"endian": "little"}}]:
        chunk = directory.joinpath("c", *("0" for _ in shape))
        return np.fromfile(chunk, kind.newbyteorder("<")).reshape(shape)
    return np.asarray(zarr.open_array(directory, mode="r", zarr_format=3)[...])


def _flush(directory: Path) -> None:
    """Make the system write all files below a directory to the disk, so that a crash leaves no empty file."""
    for file in directory.rglob("*"):
        if file.is_file():
            _flush_entry(file)


def _flush_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
