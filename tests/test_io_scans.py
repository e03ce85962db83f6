"""Maps that are bare matrices, their JSON, masks and windows: what is refused, and the peculiarities of real files."""

import json

import numpy as np
import pytest

from mmtjax import Grains, Scan, SensorGrid
from mmtjax.io import (
    DomainBounds,
    crop_to_bounds,
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
    with pytest.raises(ValueError, match="does not read as JSON .*cut short"):
        sensor_grid_from_json(file)
    file.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"must hold an object in braces; it holds '.1, 2.'; is it the right file"):
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
    with pytest.raises(ValueError, match="spacing=1.2 and parameters=.* both describe the grid"):
        read_scan(matrix, parameters=parameters(DCI), spacing=1.2)
    with pytest.raises(ValueError, match="frame='crop' says how to read bounds, but no bounds are given"):
        read_scan(matrix, parameters=parameters(DCI), frame="crop")
    with pytest.raises(ValueError, match="mask_true_is='bad' says how to read a mask, but no mask is given"):
        read_scan(matrix, parameters=parameters(DCI), mask_true_is="bad")
    with pytest.raises(ValueError, match="format 'text' has no option surface.*it has parameters, unit, spacing"):
        read_scan(matrix, surface="zmax")


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("nT", "nowhere exceeds 8e-06 nT.*read in nT; pass the unit of the file.* as unit="),
        ("teslas", "'teslas' is not a known unit of magnetic field"),
    ],
)
def test_invalid_units(matrix, unit, message):
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
def test_invalid_lengths(matrix, options, message):
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


def test_mask_of_unknown_meaning(tmp_path):
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
