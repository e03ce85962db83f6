"""Values that stand for missing ones: declared, by the conventions of NetCDF, or only by lying far from all others."""

import numpy as np
import pytest
import scipy.io
import xarray

from mmtjax import Scan
from mmtjax.io import read_scan

FIELD = np.random.default_rng(7).normal(size=(12, 10)) * 1e3
PLACE = {"spacing": 1.0, "height": 2.0}
LOST = np.zeros(FIELD.shape, bool)
LOST[[0, 5, 11], [3, 0, 9]] = True


def dataset(field=FIELD, **attributes):
    coordinates = {
        name: (name, np.arange(float(count)), {"units": "um"}) for name, count in zip("yx", field.shape, strict=True)
    }
    return xarray.Dataset(
        {"bz": (("y", "x"), field, {"units": "nT"} | attributes)}, coordinates, {"sensor_height": 2.0}
    )


@pytest.fixture
def file(tmp_path):
    """Write a dataset, without fill values that it does not declare, and return the file."""

    def file(data, version="h5netcdf"):
        data.to_netcdf(
            tmp_path / "map.nc", engine=version, encoding={name: {"_FillValue": None} for name in data.variables}
        )
        return tmp_path / "map.nc"

    return file


@pytest.mark.parametrize("version", ["h5netcdf", "scipy"])
@pytest.mark.parametrize(
    ("kind", "fill"),
    [("f8", 9.969209968386869e36), ("f4", 9.969209968386869e36), ("i2", -32767), ("i4", -2147483647)],
)
def test_default_fill_values_are_missing(file, version, kind, fill):
    """The library of NetCDF writes them where a program has written nothing."""
    field = np.where(LOST, fill, FIELD.round()).astype(kind)
    np.testing.assert_array_equal(read_scan(file(dataset(field), version)).mask, ~LOST)


def test_default_fill_values_of_packed_integers(file):
    for lowest in (-32768, -32767):
        stored = np.where(LOST, lowest, FIELD.round()).astype("i2")
        scan = read_scan(file(dataset(stored, scale_factor=0.5)))
        np.testing.assert_array_equal(scan.mask, ~LOST)


@pytest.mark.parametrize(
    ("kind", "attributes", "valid"),
    [
        ("f8", {"valid_range": [-900.0, 1e4]}, FIELD.round() >= -900),
        ("i4", {"valid_min": -900}, FIELD.round() >= -900),
        ("f8", {"valid_max": 900.0, "valid_min": -np.inf}, FIELD.round() <= 900),
        ("i2", {"valid_range": np.array([-900, 32767], "i2"), "scale_factor": 0.5}, FIELD.round() >= -900),
        ("i2", {"valid_min": -450.0, "scale_factor": 0.5}, FIELD.round() >= -900),
    ],
)
def test_values_outside_a_declared_range_are_missing(file, kind, attributes, valid):
    """A range of integers is that of packed values, another that of the unpacked ones."""
    assert 60 < valid.sum() < 120
    np.testing.assert_array_equal(read_scan(file(dataset(FIELD.round().astype(kind), **attributes))).mask, valid)


@pytest.mark.parametrize("value", ["everything", [1.0, 2.0, 3.0], [np.nan, 1.0]])
def test_a_declared_range_that_is_none(file, value):
    with pytest.raises(ValueError, match=r"map.nc: 'bz': the attribute 'valid_range' must .*correct or remove the"):
        read_scan(file(dataset(valid_range=value)))


def test_missing_coordinates_masks_and_noise(file):
    data = dataset()
    data["x"].attrs["valid_max"] = 8.0
    with pytest.raises(ValueError, match="axis x has 1 missing or infinite values of 10"):
        read_scan(file(data))
    noise = xarray.DataArray(np.where(LOST, 9.969209968386869e36, 5.0), dims=("y", "x"), attrs={"units": "nT"})
    with pytest.raises(ValueError, match="'noise' is missing .* at 3 sensors that are used"):
        read_scan(file(dataset().assign(noise=noise)))
    mask = xarray.DataArray(np.where(LOST, -32767, 1).astype("i2"), dims=("y", "x"))
    with pytest.raises(ValueError, match=r"numbers 0 and 1; got nan at \[y, x\] = \[0, 3\]"):
        read_scan(file(dataset().assign(mask=mask)), mask_true_is="good")
    noise = xarray.DataArray(np.where(LOST, 9999.0, 5.0 + FIELD % 1), dims=("y", "x"), attrs={"units": "nT"})
    with pytest.raises(ValueError, match="3 values of the noise are 9999 nT, which seems to stand for"):
        read_scan(file(dataset().assign(noise=noise)))
    # A noise that says not to use a sensor may be meant.
    assert read_scan(file(dataset().assign(noise=noise.where(~LOST, 1e6)))).used == 120


def test_datasets_in_memory_are_refused_where_values_lie_outside_the_declared_range(file):
    """Whoever holds the dataset may have computed with it since it was read."""
    with pytest.raises(
        ValueError, match=r"values of 'bz' lie outside the range from -900 to inf .* replace them by NaN"
    ):
        Scan.from_xarray(dataset(valid_min=-900.0))
    packed = file(dataset(FIELD.astype("i2"), valid_min=np.int16(-20000), scale_factor=0.01))
    assert Scan.from_xarray(xarray.load_dataset(packed)).used == 120
    field = np.where(LOST, -9999, FIELD)
    with pytest.raises(ValueError, match="'bz': 3 pixels are -9999 nT, which seems to stand for a missing value"):
        Scan.from_xarray(dataset(field))


def write_npy(folder, field):
    np.save(folder / "map.npy", field)
    return folder / "map.npy", PLACE


def write_text(folder, field):
    np.savetxt(folder / "map.txt", field)
    return folder / "map.txt", PLACE


def write_mat(folder, field):
    scipy.io.savemat(folder / "Bz_uc0.mat", {"Bz": field, "step": 1e-6})
    return folder / "Bz_uc0.mat", {"height": 2.0}


def write_netcdf(folder, field):
    dataset(field).to_netcdf(folder / "map.nc", engine="h5netcdf", encoding={"bz": {"_FillValue": None}})
    return folder / "map.nc", {}


@pytest.mark.parametrize(
    ("write", "fill"),
    [
        *((write_npy, fill) for fill in (-9999, -999, 99999, -32768, 1e20, 1.70141e38, -1e32, -123456.789)),
        *((write, fill) for write in (write_text, write_mat, write_netcdf) for fill in (-9999, 1e30)),
    ],
)
def test_undeclared_fill_values_are_refused(write, fill, tmp_path):
    """Text, NumPy, MATLAB and NetCDF alike; where a mask leaves them out, they are nobody's business."""
    path, options = write(tmp_path, np.where(LOST, fill, FIELD / 10))
    message = r"3 pixels are -?[\d.e+]+ nT.*, which seems to stand for a missing value; write nan .* '_FillValue'"
    with pytest.raises(ValueError, match=message):
        read_scan(path, unit="nT", **options)
    if abs(fill) < 1e9:
        np.save(tmp_path / "trueisbad.npy", LOST)
        assert read_scan(path, unit="nT", mask=tmp_path / "trueisbad.npy", **options).used == 117


@pytest.mark.parametrize("unit", ["nT", "uT", "mT", "T", "gauss"])
def test_undeclared_fill_values_in_every_unit(unit, tmp_path):
    size = {"nT": 1, "uT": 1e3, "mT": 1e6, "T": 1e9, "gauss": 1e5}[unit]
    path, options = write_npy(tmp_path, np.where(LOST, -9999, FIELD / size))
    with pytest.raises(ValueError, match=r"3 pixels are .*-9999 (nT|µT|mT|T|gauss)\)?, which seems to stand"):
        read_scan(path, unit=unit, **options)


def test_one_pixel_and_pixels_within_the_range_of_the_others(tmp_path):
    one = np.zeros(FIELD.shape, bool)
    one[4, 4] = True
    path, options = write_npy(tmp_path, np.where(one, -9999, FIELD / 1e3))
    with pytest.raises(ValueError, match="1 pixels are -9999 nT"):
        read_scan(path, unit="nT", **options)
    strong = np.random.default_rng(1).normal(size=(40, 40)) * 1e4
    strong[:4] = -9999
    path, options = write_npy(tmp_path, strong)
    with pytest.raises(ValueError, match="160 pixels are -9999 nT"):
        read_scan(path, unit="nT", **options)


@pytest.mark.parametrize(
    "field",
    [
        np.clip(FIELD, -1200, 1200),  # a sensor that saturates
        np.where(LOST, 0, FIELD),  # fits that failed
        FIELD.round(-2),
        np.where(LOST, -9999, FIELD * 10).round(-1),
        np.where(np.arange(120).reshape(12, 10) == 17, 4e5, FIELD),  # one spike
        np.where(LOST, 2e4, FIELD),  # symmetric, strong sources
        np.zeros((12, 10)) + np.eye(12)[:, :10],
        9999 + FIELD / 1e3,
    ],
)
def test_measured_values_are_not_taken_for_missing_ones(field, tmp_path):
    path, options = write_npy(tmp_path, field)
    assert read_scan(path, unit="nT", **options).used == 120
