"""Maps of QDMlab whose lengths are in other units, maps of qdmpy-core in HDF5, and odd files of both."""

import h5py
import numpy as np
import pytest
import scipy.io
import xarray

from mmtjax.io import describe, read_scan
from mmtjax.io.scans import _READERS
from tests.test_layering import PACKAGE

FIELD = np.arange(12.0).reshape(3, 4) - 3


@pytest.fixture
def mat(tmp_path):
    def write(**variables):
        file = tmp_path / "Bz_uc0.mat"
        scipy.io.savemat(file, {"Bz": FIELD * 1e-6, "h": 5e-6, "step": 4.7e-6} | variables)
        return file

    return write


@pytest.fixture
def qdm(tmp_path):
    def write(name="a.qdm", *, fields=None, units="uT", **attributes):
        file = tmp_path / name
        with h5py.File(file, "w") as content:
            content.attrs.update({"qdm_version": "1.0", "pixel_spacing": 1.2e-6} | attributes)
            content.create_group("fit")["frequencies"] = np.ones(5)
            group = content.create_group("b_field")
            for field, values in ({"bz": FIELD, "b111_remanent": FIELD} if fields is None else fields).items():
                group.create_dataset(field, data=values, compression="gzip" if np.ndim(values) else None)
                if units:
                    group[field].attrs["units"] = units
        return file

    return write


def test_a_step_in_micrometres_beside_a_height_in_metres(mat):
    file = mat(step=4.7)
    with pytest.raises(ValueError, match=r"spacing of 4.7e\+06 µm .* as spacing=. The file has step = 4.7"):
        read_scan(file, height=5)
    scan = read_scan(file, height=5, spacing=4.7)
    np.testing.assert_allclose(scan.grid.spacing, 4.7)
    np.testing.assert_allclose(scan.field, FIELD * 1e3)
    assert "step = 4.7, not in m, h 5 µm" in describe(file)["contents"]


def test_a_height_in_micrometres_beside_a_step_in_metres(mat):
    # The height of the file is only compared: no warning where it agrees in one of the units.
    assert read_scan(mat(h=5.0), height=5).grid.height == 5
    for height in (np.zeros(0), np.array([1.0, 2.0]), "five", np.nan):
        assert read_scan(mat(h=height), height=5).grid.height == 5


def test_a_spacing_that_contradicts_the_step(mat):
    with pytest.warns(UserWarning, match=r"step is 4.7e-06, neither in m nor in µm the spacing=2.35"):
        assert read_scan(mat(), height=5, spacing=2.35).grid.spacing[0] == 2.35


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"step": "wide"}, "'step' must be one number, in m; .* pass the spacing of the sensors in µm as spacing="),
        ({"step": {"x": 1}}, "'step' must be one number, in m; got 'a struct'"),
        ({"Bz": {"map": FIELD}}, r"Bz is a struct; it has h, step, Bz \(a struct\)"),
        ({"Bz": np.array([[FIELD, "a"]], object)}, r"Bz is a cell array"),
        ({"Bz": scipy.sparse.csc_array(FIELD)}, "Bz is a sparse matrix"),
        ({"Bz": "none"}, "Bz must be a matrix of real numbers"),
        ({"Bz": FIELD + 1j}, "Bz must be a matrix of real numbers .* complex128"),
        ({"Bz": np.ones((2, 3, 4))}, r"Bz must be a matrix of real numbers .* \(2, 3, 4\)"),
        ({"Bz": np.zeros((0, 0))}, "Bz must be a matrix of real numbers"),
        ({"Bz": FIELD * np.nan}, "all 12 pixels are NaN"),
    ],
)
def test_odd_variables(mat, variables, words):
    file = mat(**variables)
    with pytest.raises(ValueError, match=words):
        read_scan(file, format="qdmlab", height=5)


@pytest.mark.parametrize(
    "variables",
    [
        {"step": np.zeros(0)},
        {"step": "wide"},
        {"h": "high"},
        {"Bz": "text"},
        {"Bz": FIELD + 1j},
        {"Bz": FIELD * np.nan},
    ],
)
def test_info_on_odd_variables(mat, variables):
    described = describe(mat(**variables))
    assert described["kind"] == "map of QDMlab"
    assert all(isinstance(text, str) for text in described.values())


def test_info_on_odd_netcdf(tmp_path):
    variables = {"bz": (("y", "x"), FIELD, {"units": 7}), "deep": ((), 3.0)}
    attributes = {"sensor_height": "two", "sensor_units": [1.0, 2.0]}
    xarray.Dataset(variables, attrs=attributes).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert "bz (3, 4), 7; deep (), unit missing; height two" in describe(tmp_path / "a.nc")["contents"]
    xarray.Dataset(attrs={"sensor_height": [1.0, 2.0]}).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    assert "no variables" in describe(tmp_path / "b.nc")["contents"]


@pytest.mark.parametrize("shape", [(3,), (), (1, 2, 3, 4)])
@pytest.mark.parametrize("kind", ["f8", "c16", "?"])
def test_info_on_arrays_that_are_nothing(tmp_path, shape, kind):
    np.save(tmp_path / "a.npy", np.ones(shape, kind))
    with pytest.raises(ValueError, match="of no known kind"):
        describe(tmp_path / "a.npy")


@pytest.mark.parametrize(("shape", "kind"), [((0, 3), "f8"), ((0, 3), "?"), ((0, 0), "i4"), ((0, 3, 3), "i4")])
def test_info_on_arrays_without_elements(tmp_path, shape, kind):
    np.save(tmp_path / "a.npy", np.ones(shape, kind))
    assert all(isinstance(text, str) for text in describe(tmp_path / "a.npy").values())


def test_qdm(qdm):
    file = qdm()
    with pytest.raises(ValueError, match=r"does not hold everything that is needed; pass height= \(the height"):
        read_scan(file)
    scan = read_scan(file, height=5, origin=(3, 4))
    np.testing.assert_allclose(scan.field, FIELD * 1e3)
    np.testing.assert_allclose(scan.grid.spacing, 1.2)
    np.testing.assert_allclose(scan.grid.origin, [3, 4])
    assert scan.grid.height == 5
    assert np.max(read_scan(file, height=5, unit="nT").field) == 8
    assert read_scan(file, height=5, spacing=2).grid.spacing[0] == 2
    assert "Bz [y, x] = (3, 4), -3 to 8 uT; spacing 1.2 µm" in describe(file)["contents"]
    with pytest.raises(ValueError, match="'qdm'.* has no option upward_continuation"):
        read_scan(file, height=5, upward_continuation=2)


def test_qdm_without_unit_spacing_and_some_pixels(qdm):
    field = FIELD.astype(np.float32)
    field[0, 0] = np.nan
    file = qdm(fields={"bz": field}, units=None, pixel_spacing="wide")
    with pytest.raises(ValueError, match=r"pass unit= .*, spacing= \(the sampling interval in µm\), height="):
        read_scan(file)
    assert read_scan(file, unit="uT", spacing=1, height=5).used == 11
    assert describe(file)["reading"] == "read_scan(path, height=µm, spacing=µm, unit=)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"fields": {"b111_remanent": FIELD}},
            r"no Bz in b_field, which has b111_remanent; .*include_bxyz",
        ),
        ({"fields": {"bz": "text"}}, "b_field/bz|no Bz"),
        ({"fields": {"bz": FIELD[0]}}, r"b_field/bz must be a matrix of real numbers .* got shape \(4,\)"),
        ({"fields": {"bz": FIELD * np.nan}}, "all 12 pixels are NaN"),
        ({"qdm_version": "2.0"}, "qdm_version must be 1.x, as qdmpy-core writes it; got '2.0'"),
        ({"qdm_version": 1.0}, "qdm_version must be 1.x"),
        ({"pixel_spacing": 1.2}, r"spacing of 1.2e\+06 µm"),
        ({"units": "furlong"}, "furlong"),
    ],
)
def test_refused_qdm(qdm, change, words):
    with pytest.raises(ValueError, match=words):
        read_scan(qdm(**change), height=5)


def test_qdm_that_is_another_file_or_cut_short(qdm, tmp_path):
    file = qdm()
    file.write_bytes(file.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"a.qdm does not read as a .qdm file \(.*cut short"):
        read_scan(file, height=5)
    with h5py.File(tmp_path / "b.qdm", "w") as other:
        other["b_field"] = 3
    with pytest.raises(ValueError, match="qdm_version must be 1.x, .*; got none"):
        describe(tmp_path / "b.qdm")


def test_the_map_in_hdf5_of_the_cases(data):
    file = data.parent / "cases" / "qdm-hdf5" / "x.qdm"
    if not file.exists():
        pytest.skip(f"no test data: {file} does not exist")
    assert read_scan(file, height=2, spacing=1).grid.shape == (40, 52)


def test_the_page_on_formats_names_every_reader():
    page = (PACKAGE.parent / "docs" / "howto" / "map-formats.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in _READERS)
