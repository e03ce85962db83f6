"""Maps from files: every format, what each refuses, and the traps of the real files."""

import json

import numpy as np
import pytest
import scipy.io
import xarray

from mmtjax import Grains, Scan, SensorGrid
from mmtjax.io import (
    DomainBounds,
    crop_to_bounds,
    describe,
    read_domainbounds,
    read_mask,
    read_scan,
    sensor_grid_from_dci,
    sensor_grid_from_json,
    sensor_grid_from_metadict,
)

FIELD = np.arange(12.0).reshape(3, 4) * 1e-6 - 3e-6
DCI = {
    "Sensor center domain LL-x-y": [1e-4, 2e-4],
    "Sensor center domain UR-x-y": [1.06e-4, 2.04e-4],
    "Scan spacing": 2e-6,
    "Scan delta-x": 1e-6,
    "Scan delta-y": 1e-6,
    "Scan area": 4e-12,
    "Scan height": 6e-6,
}
METADICT = {
    "Scan height Hz": 2e-6,
    "Scan area x-dimension Sx": 4.8e-6,
    "Scan area y-dimension Sy": 3.6e-6,
    "Scan x-step Sdx": 1.2e-6,
    "Scan y-step Sdy": 1.2e-6,
    "Time stamp": "20250523-103120",
    "Number of particles": 2,
}


@pytest.fixture
def parameters(tmp_path):
    def write(content, **changes):
        file = tmp_path / "parameters.json"
        kept = {key: value for key, value in (content | changes).items() if value is not None}
        file.write_text(json.dumps(kept))
        return file

    return write


@pytest.fixture
def matrix(tmp_path):
    np.savetxt(tmp_path / "map.txt", FIELD)
    return tmp_path / "map.txt"


@pytest.fixture
def qdmlab(tmp_path):
    def write(name="Bz_uc10.mat", **variables):
        file = tmp_path / name
        scipy.io.savemat(file, {"Bz": FIELD, "Bt": FIELD, "h": 15e-6, "step": 4.7e-6, "corners": np.eye(2)} | variables)
        return file

    return write


def test_matrix_with_dci_parameters(matrix, parameters):
    scan = read_scan(matrix, parameters=parameters(DCI))
    np.testing.assert_allclose(scan.field, FIELD * 1e9)
    np.testing.assert_allclose(scan.grid.x, [100, 102, 104, 106])
    np.testing.assert_allclose(scan.grid.y, [200, 202, 204])
    assert scan.grid.height == pytest.approx(6)
    assert scan.grid.sensors_adjoin
    assert read_scan(matrix, parameters=parameters(DCI), height=7.5).grid.height == 7.5
    assert read_scan(matrix, parameters=parameters(DCI), unit="mT").field[0, 0] == pytest.approx(-3)
    np.testing.assert_allclose(read_scan(matrix, parameters=parameters(DCI), side=0.5).grid.side, [0.5, 0.5])


def test_negative_height_is_the_sign_of_z_and_not_a_place_below(matrix, parameters):
    scan = read_scan(matrix, parameters=parameters(DCI, **{"Scan height": -6e-6}))
    assert scan.grid.height == pytest.approx(6)
    np.testing.assert_allclose(scan.field, FIELD * 1e9)


def test_dci_sensors_smaller_than_the_spacing_and_outer_domain(parameters):
    smaller = {"Scan delta-x": 5e-7, "Scan delta-y": 2.5e-7, "Scan area": 5e-13}
    np.testing.assert_allclose(sensor_grid_from_dci(parameters(DCI, **smaller)).side, [1, 0.5])
    outer = {"Sensor center domain LL-x-y": None, "Scan domain LL-x-y": [0, 0], "Scan domain UR-x-y": [8e-6, 6e-6]}
    grid = sensor_grid_from_dci(parameters(DCI, **outer, **{"Scan spacing": [2e-6, 2e-6]}))
    assert grid.shape == (3, 4)
    np.testing.assert_allclose(grid.origin, [1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Scan area": 1e-12}, "'Scan area' is 1e-12 m².* make 4e-12 m².* half of a sensor's edges"),
        ({"Scan spacing": None}, "has no key 'Scan spacing'"),
        ({"Scan spacing": "2 µm"}, "'Scan spacing' is '2 µm'; expected 1 or 2 finite numbers"),
        ({"Scan spacing": 2.3e-6}, "expected whole numbers"),
        ({"Sensor center domain LL-x-y": [1e-4]}, r"is \[0.0001\]; expected 2 finite numbers"),
        ({"Scan height": 6.0}, "6e.06 µm above the surface.* as height="),
        (
            {"Sensor center domain LL-x-y": [0, 0], "Sensor center domain UR-x-y": [6, 4], "Scan spacing": 2},
            "spacing of 2e.06 µm is not between",
        ),
    ],
)
def test_damaged_dci_parameters(matrix, parameters, changes, message):
    with pytest.raises(ValueError, match=message):
        read_scan(matrix, parameters=parameters(DCI, **changes))


def test_shape_that_is_not_that_of_the_parameters(tmp_path, matrix, parameters):
    lines = matrix.read_text().splitlines(keepends=True)
    (tmp_path / "cut.txt").write_text("".join(lines[:2]))
    with pytest.raises(ValueError, match=r"has 2 rows and 4 columns.* \(3, 4\) sensors; is the map cut short"):
        read_scan(tmp_path / "cut.txt", parameters=parameters(DCI))
    np.savetxt(tmp_path / "turned.txt", FIELD.T)
    with pytest.raises(ValueError, match="is it transposed"):
        read_scan(tmp_path / "turned.txt", parameters=parameters(DCI))
    (tmp_path / "ragged.txt").write_text("".join(lines)[:-30])
    with pytest.raises(ValueError, match="line 3: 3 columns where 4 are expected; is the file cut short"):
        read_scan(tmp_path / "ragged.txt", parameters=parameters(DCI))


def test_matrix_with_metadict(matrix, parameters):
    scan = read_scan(matrix, parameters=parameters(METADICT))
    assert scan.grid.shape == (3, 4)
    np.testing.assert_allclose(scan.grid.origin, 0)
    assert scan.grid.sensors_adjoin
    moved = parameters(
        METADICT, **{"Sensor origin x": 1e-6, "Sensor origin y": 2e-6, "Sensor dimensions": [5e-7, 4e-7]}
    )
    grid = sensor_grid_from_json(moved)
    np.testing.assert_allclose(grid.origin, [1, 2])
    np.testing.assert_allclose(grid.side, [1, 0.8])


def test_number_of_particles(matrix, parameters):
    file = parameters(METADICT)
    two = Grains.from_volumes([[0, 0, -4], [9, 0, -4]], [8.0, 8])
    assert read_scan(matrix, parameters=file, grains=two).grid.shape == (3, 4)
    with pytest.raises(ValueError, match="scan with 2 grains .*, but 1 grains are given"):
        sensor_grid_from_metadict(file, grains=two.select([0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Scan x-step Sdx": None}, "has no key 'Scan x-step Sdx'"),
        ({"Scan x-step Sdx": 0}, "expected positive whole numbers"),
        ({"Scan area x-dimension Sx": 5.4e-6}, r"are \[4.5, 3.0\d*\] steps"),
        ({"Sensor dimensions": [5e-7, 5e-7, 1e-7]}, "give the sensors a thickness"),
        ({"Sensor dimensions": [5e-7]}, "expected 2 or 3 finite numbers"),
    ],
)
def test_damaged_metadict(parameters, changes, message):
    with pytest.raises(ValueError, match=message):
        sensor_grid_from_metadict(parameters(METADICT, **changes))


def test_json_that_is_cut_short_or_of_another_kind(tmp_path, parameters):
    file = parameters(METADICT)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ValueError, match="is not JSON .*cut short"):
        sensor_grid_from_json(file)
    file.write_text("[1, 2]")
    with pytest.raises(ValueError, match="holds a JSON list where an object"):
        sensor_grid_from_json(file)
    with pytest.raises(ValueError, match="describes no scan: its keys are name"):
        sensor_grid_from_json(parameters({"name": "basalt"}))


def test_bare_matrix_needs_unit_spacing_and_height(tmp_path, matrix):
    with pytest.raises(ValueError, match=r"pass unit= .*, spacing= .*, height= .*none lies beside it"):
        read_scan(matrix)
    (tmp_path / "scan_params.json").write_text("{}")
    with pytest.raises(ValueError, match=r"pass height= .*; or parameters=, .*\(scan_params.json\)"):
        read_scan(matrix, unit="T", spacing=1.2)
    scan = read_scan(matrix, unit="T", spacing=(1, 2), height=5, origin=(7, 8), side=1)
    np.testing.assert_allclose(scan.grid.spacing, [1, 2])
    np.testing.assert_allclose(scan.grid.origin, [7, 8])
    np.testing.assert_allclose(scan.field, FIELD * 1e9)


def test_options_that_contradict(matrix, parameters):
    with pytest.raises(ValueError, match="spacing=1.2 and parameters=.* both tell the grid"):
        read_scan(matrix, parameters=parameters(DCI), spacing=1.2)
    with pytest.raises(ValueError, match="frame='crop' says how to take bounds, and there are none"):
        read_scan(matrix, parameters=parameters(DCI), frame="crop")
    with pytest.raises(ValueError, match="mask_true_is='bad' says how to take a mask, and there is none"):
        read_scan(matrix, parameters=parameters(DCI), mask_true_is="bad")
    with pytest.raises(ValueError, match="format 'text' has no option surface.*it has parameters, unit, spacing"):
        read_scan(matrix, surface="zmax")


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("nT", "nowhere exceeds 8e-06 nT.*read in nT; pass the unit of the file.* as unit="),
        ("teslas", "unit 'teslas' is not a magnetic field known here"),
    ],
)
def test_units_that_cannot_be(matrix, unit, message):
    with pytest.raises(ValueError, match=message):
        read_scan(matrix, unit=unit, spacing=1, height=1)


def test_nanotesla_taken_for_tesla(tmp_path):
    np.save(tmp_path / "map.npy", FIELD * 1e9)
    with pytest.raises(ValueError, match="reaches 8e.12 nT, more than 1 T.*read in T; .* as unit="):
        read_scan(tmp_path / "map.npy", unit="T", spacing=1, height=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spacing": 1.2e-6, "height": 1}, "spacing of 1.2e-06 µm.* as? spacing="),
        ({"spacing": 1200.0, "height": 1}, "spacing of 1200 µm.* spacing="),
        ({"spacing": 1, "height": 6000}, "6000 µm above the surface.* as height="),
        ({"spacing": 1, "height": -6}, "-6 µm above the surface"),
    ],
)
def test_lengths_that_cannot_be(matrix, options, message):
    with pytest.raises(ValueError, match=message):
        read_scan(matrix, unit="T", **options)


def test_npy_in_microtesla_by_its_name(tmp_path):
    file = tmp_path / "1bin_Bz_muT_20250514.npy"
    np.save(file, FIELD * 1e6)
    scan = read_scan(file, spacing=1.2, height=1.5)
    np.testing.assert_allclose(scan.field, FIELD * 1e9)
    np.testing.assert_allclose(read_scan(file, spacing=1.2, height=1.5, unit="nT").field, FIELD * 1e6)
    with pytest.raises(ValueError, match=r"pass spacing= .*, height= ") as caught:
        read_scan(file)
    assert "unit=" not in str(caught.value)


def test_the_step_of_demagnetization_is_no_unit(tmp_path):
    np.save(tmp_path / "Bz_10mT.npy", FIELD * 1e6)
    with pytest.raises(ValueError, match="pass unit= "):
        read_scan(tmp_path / "Bz_10mT.npy", spacing=1.2, height=1.5)


def test_pixels_without_a_value_are_left_out(tmp_path):
    field = FIELD.copy()
    field[1, 2] = np.nan
    np.save(tmp_path / "map.npy", field)
    scan = read_scan(tmp_path / "map.npy", unit="T", spacing=1, height=1)
    assert scan.used == 11
    assert not scan.mask[1, 2]
    np.save(tmp_path / "none.npy", field * np.nan)
    with pytest.raises(ValueError, match="all 12 pixels are NaN"):
        read_scan(tmp_path / "none.npy", unit="T", spacing=1, height=1)


def test_arrays_that_are_no_maps(tmp_path):
    place = {"unit": "T", "spacing": 1, "height": 1}
    np.save(tmp_path / "mask.npy", FIELD > 0)
    with pytest.raises(ValueError, match="is not a map of Bz: it is a mask: read the map, with this file as mask="):
        read_scan(tmp_path / "mask.npy", **place)
    np.save(tmp_path / "stack.npy", np.ones((2, 3, 4), int))
    with pytest.raises(ValueError, match="looks like 'stack', not like a map"):
        read_scan(tmp_path / "stack.npy", **place)
    with pytest.raises(ValueError, match="see read_grains"):
        read_scan(tmp_path / "stack.npy", format="npy", **place)
    np.save(tmp_path / "map.npy", FIELD)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "map.npy").read_bytes()[:-9])
    with pytest.raises(ValueError, match="cut short"):
        read_scan(tmp_path / "cut.npy", **place)
    np.savez(tmp_path / "maps.npz", FIELD)
    (tmp_path / "maps.npz").rename(tmp_path / "archive.npy")
    with pytest.raises(ValueError, match="is an archive of arrays"):
        read_scan(tmp_path / "archive.npy", **place)
    (tmp_path / "empty.npy").touch()
    with pytest.raises(ValueError, match="is empty"):
        read_scan(tmp_path / "empty.npy", **place)


def test_files_that_belong_to_a_map(tmp_path, parameters):
    with pytest.raises(ValueError, match="is not a map of Bz: .* as parameters="):
        read_scan(parameters(METADICT))
    (tmp_path / "domainbounds.txt").write_text("1\n2\n3\n4\n")
    with pytest.raises(ValueError, match="is not a map of Bz: .* as bounds="):
        read_scan(tmp_path / "domainbounds.txt")


def test_mask_whose_true_is_bad(tmp_path, matrix, parameters):
    bad = FIELD > 5e-6
    file = tmp_path / "1bin_outlier_mask_trueisbad.npy"
    np.save(file, bad)
    np.testing.assert_array_equal(read_mask(file), ~bad)
    scan = read_scan(matrix, parameters=parameters(DCI), mask=file)
    np.testing.assert_array_equal(scan.mask, ~bad)
    with pytest.raises(ValueError, match="mask_true_is='good', but the file name says True is bad"):
        read_mask(file, mask_true_is="good")


def test_mask_that_does_not_tell(tmp_path):
    file = tmp_path / "mask.npy"
    np.save(file, (FIELD > 5e-6).astype(np.uint8))
    with pytest.raises(ValueError, match="pass mask_true_is='bad' or mask_true_is='good'"):
        read_mask(file)
    assert read_mask(file, mask_true_is="good").sum() == 3
    assert read_mask(file, mask_true_is="bad").sum() == 9
    with pytest.raises(ValueError, match="mask_true_is='maybe' is not known"):
        read_mask(file, mask_true_is="maybe")
    with pytest.raises(ValueError, match=r"mask has shape \(3, 4\), the whole map \(before any crop\) \(9, 9\)"):
        read_mask(file, mask_true_is="bad", shape=(9, 9))
    np.save(file, FIELD)
    with pytest.raises(ValueError, match="a mask is two-dimensional, of booleans"):
        read_mask(file, mask_true_is="bad")


def test_domainbounds_are_y_first_and_inclusive(tmp_path):
    whole = np.arange(30.0).reshape(5, 6)
    np.save(tmp_path / "Bz_muT.npy", whole)
    (tmp_path / "domainbounds.txt").write_text("2.3\n4.1\n2\n3\n")
    options = {"spacing": 2, "height": 1, "bounds": tmp_path / "domainbounds.txt"}
    scan = read_scan(tmp_path / "Bz_muT.npy", **options)
    np.testing.assert_allclose(scan.field, whole[1:4, 2:6] * 1e3)
    np.testing.assert_allclose(scan.grid.origin, [4, 2])
    np.testing.assert_allclose(read_scan(tmp_path / "Bz_muT.npy", frame="crop", **options).grid.origin, [0, 0])
    with pytest.raises(ValueError, match="frame='sample' is not known; use 'map' or 'crop'"):
        read_scan(tmp_path / "Bz_muT.npy", frame="sample", **options)


def test_crop_keeps_mask_noise_and_side():
    grid = SensorGrid(origin=(0, 0), spacing=2, shape=(5, 6), height=1, side=1)
    scan = Scan(np.ones((5, 6)), grid, mask=np.eye(5, 6, dtype=bool), noise=np.full((5, 6), 3.0))
    part = crop_to_bounds(scan, DomainBounds(2.0, 2.0, 1, 2))
    assert (part.used, part.noise.shape) == (2, (2, 3))
    np.testing.assert_allclose(part.grid.side, [1, 1])
    with pytest.raises(ValueError, match=r"reach to \[y, x\] = \[4, 7\], outside.*are x and y swapped"):
        crop_to_bounds(scan, DomainBounds(2.0, 8.0, 2, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\n3\n", "3 numbers; domain bounds are four"),
        ("1\n2\n3\n4.5\n", "the last two are positive whole numbers"),
        ("-1\n2\n3\n4\n", "none may be negative"),
    ],
)
def test_damaged_domainbounds(tmp_path, text, message):
    (tmp_path / "domainbounds.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_domainbounds(tmp_path / "domainbounds.txt")


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
    with pytest.warns(UserWarning, match=r"h says 35 µm; not used.* lie at 25 µm"):
        scan = read_scan(qdmlab("Bz_uc20.mat", h=35e-6), height=5)
    assert scan.grid.height == 25


@pytest.mark.parametrize(
    ("name", "variables", "options", "message"),
    [
        ("Bz_uc10.mat", {}, {}, r"\(its h says 15 µm.*pass height=, .* continuation of 10 µm is added"),
        ("Bz.mat", {}, {"height": 5}, "pass upward_continuation= in µm"),
        ("Bz_uc10.mat", {}, {"height": 5, "upward_continuation": 20}, "the name tells 10 µm"),
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
        with pytest.raises(ValueError, match="B111, .*in gauss.* not Bz.*; make Bz of it in QDMlab"):
            read_scan(file, **options)
    assert "not Bz" in describe(file)["traps"]


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
    with pytest.raises(ValueError, match=r"does not tell the height .* as height="):
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
    maps = {name: (("y", "x"), FIELD * 1e6, attributes) for name in ("b111", "Bx", "By", "Bz", "Btotal")}
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


def test_descriptions(tmp_path, matrix, parameters, qdmlab, scan):
    scan.to_xarray().to_netcdf(tmp_path / "scan.nc", engine="h5netcdf")
    np.save(tmp_path / "trueisbad.npy", FIELD > 0)
    np.save(tmp_path / "mask.npy", FIELD > 0)
    words = {
        matrix: "unit that nothing tells",
        parameters(DCI): "height 6 µm",
        qdmlab(): "continued by 10 µm, step 4.7 µm, h 15 µm",
        tmp_path / "scan.nc": "bz (3, 4), nT",
        tmp_path / "trueisbad.npy": "True is bad",
        tmp_path / "mask.npy": "nothing tells what True means",
    }
    for file, word in words.items():
        described = describe(file)
        assert word in " ".join(described.values())
        assert all(isinstance(value, str) for value in described.values())
    (tmp_path / "letter.txt").write_text("Dear colleague")
    with pytest.raises(ValueError, match="of no kind known here; known are grains"):
        describe(tmp_path / "letter.txt")


def test_scan_of_the_tutorial(data):
    folder = data / "qdm-tutorial"
    scan = read_scan(folder / "scan_tesla.txt", parameters=folder / "scan_params.json")
    assert scan.grid.shape == (126, 126)
    np.testing.assert_allclose(
        [scan.grid.x[0], scan.grid.x[-1], scan.grid.y[0], scan.grid.y[-1]], [300, 450, 1250, 1400]
    )
    assert scan.grid.sensors_adjoin
    assert scan.grid.height == pytest.approx(6)
    assert np.std(scan.field) == pytest.approx(32526, abs=1)
    with pytest.raises(ValueError, match=r"pass unit= .*scan_params.json"):
        read_scan(folder / "scan_tesla.txt")


def test_a_map_of_the_basalt(data, tmp_path):
    folder = data / "basalt-af" / "NRM"
    file = tmp_path / "1bin_Bz_muT_20250514.npy"
    np.save(file, np.ones((1200, 1920)))
    mask = folder / "outlier_mask_true_is_bad.npy"
    scan = read_scan(file, spacing=1.2, height=1.5, mask=mask, bounds=folder / "domainbounds.txt", frame="crop")
    described = sensor_grid_from_metadict(folder / "MetaDict_dipoles.json")
    assert scan.grid.shape == described.shape == (951, 771)
    np.testing.assert_allclose(scan.grid.origin, described.origin)
    assert 0.9 < scan.used / scan.grid.size < 1
