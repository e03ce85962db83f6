"""Maps in MATLAB and NetCDF files, what each refuses, and what is said of a file of any format."""

import numpy as np
import pytest
import scipy.io
import xarray

from mmtjax import Scan, SensorGrid
from mmtjax.io import describe, read_scan

FIELD = np.arange(12.0).reshape(3, 4) * 1e-6 - 3e-6


@pytest.fixture
def qdmlab(tmp_path):
    def write(name="Bz_uc10.mat", **variables):
        file = tmp_path / name
        scipy.io.savemat(file, {"Bz": FIELD, "Bt": FIELD, "h": 15e-6, "step": 4.7e-6, "corners": np.eye(2)} | variables)
        return file

    return write


def test_qdmlab(qdmlab):
    scan = read_scan(qdmlab(), height=5)
    np.testing.assert_allclose(scan.field, FIELD * 1e9)
    np.testing.assert_allclose(scan.grid.spacing, 4.7)
    assert scan.grid.height == 15


def test_qdmlab_heights_add_up_over_the_name(qdmlab):
    assert read_scan(qdmlab("Bz_uc5_uc10.mat", h=20e-6), height=5).grid.height == 20
    assert read_scan(qdmlab("Bz_uc2.5.mat", h=7.5e-6), height=5).grid.height == 7.5
    assert read_scan(qdmlab("Bz.mat", h=5e-6), height=5, upward_continuation=0).grid.height == 5


def test_accumulated_height_of_qdmlab_is_not_used(qdmlab):
    with pytest.warns(UserWarning, match=r"h is 35 µm; not used.* lie at 25 µm"):
        scan = read_scan(qdmlab("Bz_uc20.mat", h=35e-6), height=5)
    assert scan.grid.height == 25


@pytest.mark.parametrize(
    ("name", "variables", "options", "message"),
    [
        ("Bz_uc10.mat", {}, {}, r"\(its h is 15 µm.*pass height=, .* continuation of 10 µm is added"),
        ("Bz.mat", {}, {"height": 5}, "pass upward_continuation= in µm"),
        ("Bz_uc10.mat", {}, {"height": 5, "upward_continuation": 20}, "the name says 10 µm"),
        ("Bz_uc10.mat", {"step": np.zeros(0)}, {"height": 5}, "'step' must be one number, in m"),
        ("Bz_uc10.mat", {"step": 4.7}, {"height": 5}, "spacing of 4.7e.06 µm"),
        ("Bz_uc10.mat", {}, {"height": 5, "unit": "nT"}, "nowhere exceeds .* as unit="),
        ("Bz_uc10.mat", {"Bz": FIELD * 1e9}, {"height": 5}, "reaches .* read in T"),
    ],
)
def test_refused_qdmlab(qdmlab, name, variables, options, message):
    with pytest.raises(ValueError, match=message):
        read_scan(qdmlab(name, **variables), **options)


def test_b111_is_not_bz(tmp_path):
    file = tmp_path / "B111dataToPlot.mat"
    scipy.io.savemat(file, {"B111ferro": FIELD, "B111para": FIELD, "ledImg": FIELD})
    for options in ({}, {"format": "qdmlab", "height": 5}):
        with pytest.raises(ValueError, match="B111, .*in gauss.* not Bz.*; make Bz from it in QDMlab"):
            read_scan(file, **options)
    assert "not Bz" in describe(file)["notes"]


@pytest.mark.parametrize("compressed", [False, True])
def test_mat_file_cut_short(qdmlab, tmp_path, compressed):
    whole = tmp_path / "Bz_uc1.mat"
    scipy.io.savemat(whole, {"Bz": np.random.default_rng(1).normal(size=(30, 30))}, do_compression=compressed)
    content = whole.read_bytes()
    for length in (60, 130, 300, len(content) - 5):
        whole.write_bytes(content[:length])
        with pytest.raises(ValueError, match="cut short"):
            read_scan(whole, height=5)
    whole.write_bytes(content[:128])
    with pytest.raises(ValueError, match="there is no Bz; it has nothing"):
        read_scan(whole, format="qdmlab", height=5)


def test_mat_file_of_version_7_3(tmp_path):
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "Bz_uc1.mat").write_bytes(head + b"\x89HDF\r\n\x1a\n" + bytes(400))
    with pytest.raises(ValueError, match="version 7.3; save it in MATLAB with the option '-v7'"):
        read_scan(tmp_path / "Bz_uc1.mat", height=5)


@pytest.fixture
def scan():
    grid = SensorGrid(origin=(10, 20), spacing=(1, 2), shape=(3, 4), height=5, side=(1, 1))
    return Scan(FIELD * 1e9, grid, mask=FIELD < 5e-6, noise=20.0)


def test_our_own_netcdf(tmp_path, scan):
    scan.to_xarray().to_netcdf(tmp_path / "scan.nc", engine="h5netcdf")
    again = read_scan(tmp_path / "scan.nc")
    for name in ("field", "mask"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scan, name))
    np.testing.assert_allclose(again.grid.side, [1, 1])
    np.testing.assert_allclose(again.noise, 20)
    assert read_scan(tmp_path / "scan.nc", height=9).grid.height == 9


def test_netcdf_without_something(tmp_path, scan):
    dataset = scan.to_xarray()
    dataset["bz"][0, 0] = np.nan
    dataset = dataset.drop_vars(["mask", "noise"]).rename(bz="signal")
    dataset.attrs.clear()
    file = tmp_path / "signal.nc"
    dataset.to_netcdf(file, engine="h5netcdf")
    with pytest.raises(ValueError, match="has no variable 'bz'; it has signal.* as variable="):
        read_scan(file)
    with pytest.raises(ValueError, match=r"does not hold the height .* as height="):
        read_scan(file, variable="signal")
    assert read_scan(file, variable="signal", height=5).used == 11
    del dataset["signal"].attrs["units"], dataset["x"].attrs["units"]
    dataset.to_netcdf(tmp_path / "bare.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="'signal' has no attribute 'units'; pass .* as unit="):
        read_scan(tmp_path / "bare.nc", variable="signal", height=5)
    with pytest.raises(ValueError, match="bare.nc: 'x' has no attribute 'units'"):
        read_scan(tmp_path / "bare.nc", variable="signal", height=5, unit="nT")


def test_netcdf_of_qdmpy(tmp_path):
    attributes = {"pixel_spacing": 1.2e-6, "component": "Bz"}
    maps = dict.fromkeys(("b111", "Bx", "By", "Bz", "Btotal"), (("y", "x"), FIELD * 1e6, attributes))
    file = tmp_path / "map.nc"
    xarray.Dataset(maps, attrs={"units": "µT", "nv_axis": [0, 0.8, 0.6]}).to_netcdf(file, engine="h5netcdf")
    with pytest.raises(ValueError, match="as height="):
        read_scan(file)
    scan = read_scan(file, height=5, origin=(3, 4))
    np.testing.assert_allclose(scan.field, FIELD * 1e9)
    np.testing.assert_allclose(scan.grid.spacing, 1.2)
    np.testing.assert_allclose(scan.grid.origin, [3, 4])
    assert np.max(read_scan(file, height=5, unit="nT").field) == pytest.approx(8)


def test_netcdf_cut_short(tmp_path, scan):
    scan.to_xarray().to_netcdf(tmp_path / "scan.nc", engine="h5netcdf")
    content = (tmp_path / "scan.nc").read_bytes()
    (tmp_path / "scan.nc").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="does not read as NetCDF .*cut short"):
        read_scan(tmp_path / "scan.nc")


def test_descriptions(tmp_path, qdmlab, scan):
    scan.to_xarray().to_netcdf(tmp_path / "scan.nc", engine="h5netcdf")
    np.save(tmp_path / "trueisbad.npy", FIELD > 0)
    np.save(tmp_path / "mask.npy", FIELD > 0)
    np.savetxt(tmp_path / "map.txt", FIELD)
    (tmp_path / "MetaDict.json").write_text(
        '{"Scan height Hz": 2e-6, "Scan area x-dimension Sx": 4.8e-6, "Scan area y-dimension Sy": 3.6e-6, '
        '"Scan x-step Sdx": 1.2e-6, "Scan y-step Sdy": 1.2e-6}'
    )
    expected = {
        tmp_path / "map.txt": "of unknown unit",
        tmp_path / "MetaDict.json": "[y, x] = (3, 4), x 0 to 3.6 µm",
        qdmlab(): "continued by 10 µm, step 4.7 µm, h 15 µm",
        tmp_path / "scan.nc": "bz (3, 4), nT",
        tmp_path / "trueisbad.npy": "True is bad",
        tmp_path / "mask.npy": "the name does not say what True means",
    }
    for file, text in expected.items():
        described = describe(file)
        assert text in " ".join(described.values())
        assert all(isinstance(value, str) for value in described.values())
    (tmp_path / "letter.txt").write_text("Dear colleague")
    with pytest.raises(ValueError, match="of no known kind; known are grains"):
        describe(tmp_path / "letter.txt")
