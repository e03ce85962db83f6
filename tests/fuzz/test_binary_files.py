"""Binary files with changed bytes: MATLAB, NetCDF, HDF5, TIFF, NumPy, and the results of mmtjax."""

import functools

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io
import tifffile

from mmtjax import Scan, SensorGrid
from mmtjax.io import describe, read_grains, read_mask, read_moments, read_results, read_scan, untrusted, write_results
from tests.fuzz.mutation import failures

FIELD = np.arange(30.0).reshape(5, 6) + 1
LABELS = np.repeat(np.arange(8, dtype=np.uint16), 9).reshape(2, 6, 6)
SCAN = Scan(FIELD, SensorGrid(origin=(0, 0), spacing=1, shape=FIELD.shape, height=2), FIELD > 3, noise=20.0)


def _mat(file):
    scipy.io.savemat(file, {"Bz": FIELD * 1e-6, "step": 1e-6, "h": 3e-6, "s": {"a": 1}, "c": np.array(["x"], object)})


def _compressed_mat(file):
    scipy.io.savemat(file, {"Bz": FIELD * 1e-6, "step": 1e-6}, do_compression=True)


def _mat_4(file):
    scipy.io.savemat(file, {"Bz": FIELD * 1e-6, "step": 1e-6}, format="4")


def _netcdf(file, engine):
    SCAN.to_xarray().to_netcdf(file, engine=engine)


def _qdm(file):
    with h5py.File(file, "w") as content:
        content.attrs.update({"qdm_version": "1.0", "pixel_spacing": 1e-6})
        content["b_field/bz"] = FIELD
        content["b_field/bz"].attrs["units"] = "uT"


def _tiff(file, **options):
    tifffile.imwrite(file, LABELS, photometric="minisblack", **options)


def _npz(file):
    np.savez(file, inv_multipole_moments=np.ones((4, 8)), identifier=np.arange(4))


MAP = {"describe": describe, "read": functools.partial(read_scan, unit="uT", height=3, spacing=1)}
SIGNALS = {"describe": describe, "read": functools.partial(read_scan, height=3)}
STACK = {"describe": describe, "read": functools.partial(read_grains, spacing=1, origin=(0, 0, -9))}
MOMENTS = {"describe": describe, "read": read_moments}
MASK = {"describe": describe, "read": functools.partial(read_mask, mask_true_is="bad")}

#: Files that are read in a process of their own: what writes them, and what reads them.
IN_PROCESS = {
    "Bz_uc0.mat": (_mat, SIGNALS),
    "Bz_uc1.mat": (_compressed_mat, SIGNALS),
    "Bz_uc4.mat": (_mat_4, SIGNALS),
    "4.nc": (functools.partial(_netcdf, engine="h5netcdf"), SIGNALS),
    "3.nc": (functools.partial(_netcdf, engine="scipy"), SIGNALS),
    "a.qdm": (_qdm, MAP),
    "plain.tif": (_tiff, STACK),
    "deflate.tif": (functools.partial(_tiff, compression="zlib"), STACK),
    "imagej.tif": (functools.partial(_tiff, imagej=True, metadata={"axes": "ZYX"}), STACK),
}

#: Files that are read in this process.
HERE = {
    "stack.npy": (lambda file: np.save(file, LABELS), STACK),
    "map.npy": (lambda file: np.save(file, FIELD), MAP),
    "mask.npy": (lambda file: np.save(file, FIELD > 3), MASK),
    "moments.npz": (_npz, MOMENTS),
}


@pytest.fixture(autouse=True)
def _little_time(monkeypatch):
    """Give the process that reads a file little time: the files are small."""
    monkeypatch.setattr(untrusted, "_SECONDS", 3)


def fuzz(tmp_path, name, *, count, seed):
    write, readers = (HERE | IN_PROCESS)[name]
    file = tmp_path / name
    write(file)
    for read in readers.values():
        read(file)
    return failures(file, readers, count=count, seed=seed)


@pytest.mark.parametrize("name", HERE)
def test_changed_bytes_of_numpy_files(tmp_path, name):
    assert fuzz(tmp_path, name, count=150, seed=1) == []


@pytest.mark.parametrize("name", IN_PROCESS)
def test_changed_bytes_of_files_that_a_process_reads(tmp_path, name):
    assert fuzz(tmp_path, name, count=2, seed=2) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HERE, *IN_PROCESS])
def test_many_changed_bytes(tmp_path, name):
    assert fuzz(tmp_path, name, count=400 if name in HERE else 10, seed=3) == []


@pytest.mark.parametrize("name", ["grains.csv", "maps.nc"])
def test_changed_bytes_of_results(tmp_path, name):
    table = pd.DataFrame({"id": [1, 2], "moment": [1e-14, 2e-14]})
    table.attrs["units"] = {"moment": "A m²"}
    record = {"inputs": {}, "options": {}, "versions": {"mmtjax": "0"}, "time": "now"}
    folder = write_results(tmp_path / "results", table=table, maps=SCAN.to_xarray(), provenance=record)
    readers = {
        name: lambda file, read=read: read(file.parent)
        for name, read in (("describe", describe), ("read", read_results))
    }
    # Each try reads the maps, in a process of its own.
    assert failures(folder / name, readers, count=2, seed=4) == []
