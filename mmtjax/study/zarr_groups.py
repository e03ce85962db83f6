"""Write groups of arrays in Zarr so that they are complete or absent, and read them fast."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray
import zarr


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
    """
    metadata = json.loads((directory / "zarr.json").read_text(encoding="utf-8"))
    shape = tuple(metadata["shape"])
    dimensions = tuple(metadata.get("dimension_names") or ())
    whole = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"]) == shape
    if whole and metadata["codecs"] == [{"name": "bytes", "configuration": {"endian": "little"}}]:
        chunk = directory.joinpath("c", *("0" for _ in shape))
        values = np.fromfile(chunk, np.dtype(metadata["data_type"]).newbyteorder("<")).reshape(shape)
    else:
        values = np.asarray(zarr.open_array(directory, mode="r")[...])
    return values.astype(values.dtype.newbyteorder("="), copy=False), dimensions, metadata["attributes"]


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
