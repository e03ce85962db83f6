"""NetCDF of other programs: variables by name and coordinate, meanings of masks, units, packed values, fill values."""

import numpy as np
import pytest
import xarray

from mmtjax import Scan, SensorGrid
from mmtjax.io import read_scan

FIELD = np.random.default_rng(3).normal(size=(4, 5)) * 1e3
X, Y = 10 + np.arange(5.0), 20 + 2 * np.arange(4.0)


def dataset(field=FIELD, *, x=X, y=Y, names=("y", "x"), units="nT", lengths="um", **attributes):
    """A map with coordinates, as another program writes it."""
    coordinates = {name: (name, values, {"units": lengths}) for name, values in zip(names, (y, x), strict=True)}
    attributes = {"sensor_height": 5.0} | attributes
    return xarray.Dataset({"bz": (names, field, {"units": units})}, coordinates, attributes)


@pytest.fixture
def read(tmp_path):
    """Write a dataset, with the encoding of its variables if one is given, and read it as a scan."""

    def read(data, encoding=None, **options):
        file = tmp_path / "map.nc"
        data.to_netcdf(file, engine="h5netcdf", encoding=encoding)
        return read_scan(file, **options)

    return read


def test_every_variable_by_name_and_coordinate(read):
    """Noise and mask lie on the axes of the map, whatever the order and direction of the axes of each."""
    noise, mask = 1 + np.arange(20.0).reshape(4, 5), FIELD > -800
    plain = dataset().assign(
        noise=(("y", "x"), noise, {"units": "nT"}), mask=(("y", "x"), mask, {"long_name": "sensor is used"})
    )
    square = plain.isel(x=slice(0, 4))
    turned = square.transpose("x", "y")
    mixed = square.assign(noise=square["noise"].transpose("x", "y"))
    falling = square.isel(x=slice(None, None, -1), y=slice(None, None, -1))
    for each in (square, turned, mixed, falling, falling.transpose("x", "y")):
        for scan in (Scan.from_xarray(each), read(each)):
            np.testing.assert_array_equal(scan.field, FIELD[:, :4])
            np.testing.assert_array_equal(scan.noise, noise[:, :4])
            np.testing.assert_array_equal(scan.mask, mask[:, :4])
            np.testing.assert_array_equal(scan.grid.origin, [10, 20])
            np.testing.assert_array_equal(scan.grid.spacing, [1, 2])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            ("row", "column"),
            r"'noise' has the dimensions row \(4\), column \(5\), the map y, x; it must lie on the axes",
        ),
        (("northing", "easting"), r"'noise' has the dimensions northing \(4\), easting \(5\), the map y, x"),
    ],
)
def test_variables_on_other_axes_are_refused(other, message):
    data = dataset().assign(noise=(other, np.ones((4, 5)), {"units": "nT"}))
    with pytest.raises(ValueError, match=message):
        Scan.from_xarray(data)


def test_noise_in_a_unit_of_its_own(read):
    """The unit of one quantity is not that of another: an option for the field does not change the noise."""
    data = dataset(FIELD / 1e3, units="uT").assign(noise=(("y", "x"), np.full((4, 5), 20.0), {"units": "nT"}))
    scan = read(data, unit="mT")
    np.testing.assert_allclose(scan.field, FIELD * 1e3)
    np.testing.assert_allclose(scan.noise, 20)
    np.testing.assert_allclose(read(data.assign(noise=((), 20.0, {"units": "nT"}))).noise, 20)
    del data["noise"].attrs["units"]
    with pytest.raises(ValueError, match="'noise' has no attribute 'units'; give it one"):
        read(data, unit="nT")


def test_meaning_of_a_foreign_mask_is_needed(read):
    bad = FIELD > 1000
    data = dataset().assign(mask=(("y", "x"), bad, {"long_name": "outliers, True = masked out"}))
    message = r"\(long_name 'outliers, .*'\) does not say .* mask_true_is='bad' or mask_true_is='good'"
    for make in (read, Scan.from_xarray):
        with pytest.raises(ValueError, match=message):
            make(data)
        np.testing.assert_array_equal(make(data, mask_true_is="bad").mask, ~bad)
        np.testing.assert_array_equal(make(data, mask_true_is="good").mask, bad)
        with pytest.raises(ValueError, match="mask_true_is='maybe' is not known"):
            make(data, mask_true_is="maybe")
        with pytest.raises(ValueError, match="mask_true_is='bad' says how to read a mask, but there is no variable"):
            make(dataset(), mask_true_is="bad")
    ours = Scan(FIELD, SensorGrid((0, 0), 1, (4, 5), 1), mask=~bad).to_xarray()
    with pytest.raises(ValueError, match="mask_true_is='bad', but the variable 'mask' says 'sensor is used' of True"):
        Scan.from_xarray(ours, mask_true_is="bad")
    np.testing.assert_array_equal(read(ours, mask_true_is="good").mask, ~bad)


@pytest.mark.parametrize("every", [True, False])
def test_a_mask_that_is_the_same_everywhere_leaves_all_sensors(read, every):
    assert read(dataset().assign(mask=(("y", "x"), np.full((4, 5), every)))).used == 20


@pytest.mark.parametrize(
    ("values", "encoding", "message"),
    [
        (
            np.where(FIELD > 1000, np.nan, 1.0),
            {},
            r"the variable 'mask': .* the numbers 0 and 1; got nan at \[y, x\] =",
        ),
        (np.where(FIELD > 1000, 2, 1), {}, r"numbers 0 and 1; got 2 at \[y, x\] ="),
        (np.where(FIELD > 1000, -1, 1), {"_FillValue": -1, "dtype": "int8"}, r"numbers 0 and 1; got nan at \[y, x\] ="),
    ],
)
def test_values_of_a_mask(read, values, encoding, message):
    data = dataset().assign(mask=(("y", "x"), values))
    with pytest.raises(ValueError, match=message):
        read(data, {"mask": encoding}, mask_true_is="good")


def test_pixels_without_a_value_beside_a_mask(read):
    field = np.where(FIELD > 1000, np.nan, FIELD)
    mask = np.ones((4, 5), bool)
    mask[0, 0] = False
    noise = np.where(np.isnan(field), np.nan, 7.0)
    data = dataset(field).assign(
        mask=(("x", "y"), mask.T, {"long_name": "sensor is used"}), noise=(("y", "x"), noise, {"units": "nT"})
    )
    for make in (read, Scan.from_xarray):
        scan = make(data)
        np.testing.assert_array_equal(scan.mask, mask & np.isfinite(field))
        np.testing.assert_array_equal(scan.noise, 7)
    data["noise"][1, 1] = np.nan
    with pytest.raises(ValueError, match=r"'noise' is missing .* at 1 sensors that are used.*\[y, x\] = \[1, 1\]"):
        read(data)
    with pytest.raises(ValueError, match="'bz': all 20 pixels are NaN or declared as missing"):
        read(dataset(field * np.nan))
    field[2, 3] = np.inf
    with pytest.raises(
        ValueError, match=r"'bz': 1 pixels are infinite in nT, the first at \[y, x\] = \[2, 3\]; write nan"
    ):
        read(dataset(field))


def test_height_does_not_change_the_unit_of_the_side(read):
    for lengths, factor in (("nm", 1e3), ("m", 1e-6), ("um", 1)):
        data = dataset(sensor_height=5.0 * factor, sensor_side=0.5 * factor, sensor_units=lengths)
        for options in ({}, {"height": 5}):
            grid = read(data, **options).grid
            np.testing.assert_allclose(grid.side, 0.5)
            np.testing.assert_allclose(grid.height, 5)
        np.testing.assert_allclose(read(data, side=0.25).grid.side, 0.25)
    with pytest.raises(ValueError, match="the attribute 'sensor_units': 'furlong' is not a known unit of length"):
        read(dataset(sensor_units="furlong"))
    for name, wrong in (("sensor_height", "5 µm"), ("sensor_side", [1.0, 2.0, 3.0]), ("sensor_height", [1.0, 2.0])):
        with pytest.raises(ValueError, match=rf"the attribute '{name}' must be one .*number.*; got "):
            read(dataset(**{name: wrong}))


def test_sensors_that_adjoin_do_so_after_a_round_trip(read):
    """The spacing is that of coordinates, which rounding changes."""
    grid = SensorGrid(origin=(780, 249.6), spacing=1.2, shape=(4, 5), height=2)
    assert read(Scan(FIELD, grid).to_xarray()).grid.sensors_adjoin


def test_names_of_axes_and_axes_of_length_one(read):
    named = [dataset(names=("northing", "easting")), dataset(names=("Y", "X"))]
    rows = dataset().rename_dims(y="row", x="column")
    timed = dataset().expand_dims("time")
    for data in (*named, rows, timed, timed.assign_coords(time=[3.0])):
        for scan in (read(data), Scan.from_xarray(data)):
            np.testing.assert_array_equal(scan.field, FIELD)
            np.testing.assert_array_equal(scan.grid.origin, [10, 20])
    several = xarray.concat([dataset(), dataset()], "time", data_vars="all")
    with pytest.raises(ValueError, match=r"map.nc: 'bz' has the dimensions .*time \(2\).* y and x alone; select one"):
        read(several)
    with pytest.raises(ValueError, match=r"'bz' has no axis y or Y or northing: its dimensions are lat \(4\), x \(5\)"):
        read(dataset(names=("lat", "x")))
    with pytest.raises(ValueError, match="'bz' has both x and easting"):
        read(dataset().assign_coords(easting=("x", X, {"units": "um"})))


def test_coordinates_of_single_precision(read):
    far = (1e5 + X).astype(np.float32)
    grid = read(dataset(x=far, sensor_side=(1.0, 2.0))).grid
    np.testing.assert_allclose(grid.x, 1e5 + X, atol=0.01)
    np.testing.assert_allclose(
        read(dataset(x=1e5 + 1.23 * X), {"x": {"dtype": "float32"}}).grid.x, 1e5 + 1.23 * X, atol=0.01
    )
    assert read(dataset(x=(1e5 + 1.23 * X).astype(np.float32), sensor_side=(1.23, 2.0))).grid.sensors_adjoin
    with pytest.raises(ValueError, match="rounded to 0.25, which is too coarse: store them as float64"):
        read(dataset(x=(3e6 + 1.1 * X).astype(np.float32)))
    bent = X + [0, 0.004, 0, 0, 0]
    with pytest.raises(ValueError, match="axis x must rise or fall in equal steps; its steps go from 0.996 to 1.004"):
        read(dataset(x=bent))
    for wrong in (np.array([1, 2, np.nan, 4, 5]), np.array([1.0, 2, 2, 1, 1])):
        with pytest.raises(ValueError, match="axis x (has 1 missing|must rise or fall)"):
            read(dataset(x=wrong))


@pytest.mark.parametrize("units", ["microtesla", "Microtesla", " µT ", "uT"])
@pytest.mark.parametrize("lengths", ["micrometre", "Micrometers", "microns", "μm"])
def test_units_in_words(units, lengths):
    scan = Scan.from_xarray(dataset(FIELD / 1e3, units=units, lengths=lengths))
    np.testing.assert_allclose(scan.field, FIELD)
    np.testing.assert_array_equal(scan.grid.spacing, [1, 2])


def test_unknown_units_name_a_way_out(read):
    data = dataset(units="counts")
    with pytest.raises(
        ValueError, match="'bz': 'counts' is not a known unit of magnetic .*; pass the unit .* as unit="
    ):
        read(data)
    np.testing.assert_array_equal(read(data, unit="nT").field, FIELD)
    for lengths in ("pixel", 1.0):
        data = dataset(lengths=lengths, y=[0, -1, -2, -3.0])
        with pytest.raises(
            ValueError, match="the unit of 'x', is not a known unit of length; pass spacing= and origin="
        ):
            read(data)
        with pytest.raises(ValueError, match="no known unit and start with y at -3, x at 10; pass origin="):
            read(data, spacing=1.5)
        scan = read(data, spacing=1.5, origin=(1, 2))
        np.testing.assert_array_equal(scan.grid.origin, [1, 2])
        np.testing.assert_array_equal(scan.grid.spacing, 1.5)
        np.testing.assert_array_equal(scan.field, FIELD[::-1])


def test_a_map_without_coordinates(read):
    bare = dataset().drop_vars(["x", "y"])
    with pytest.raises(ValueError, match="'x' has no coordinates, .* no attribute 'pixel_spacing'; pass spacing= and"):
        read(bare)
    np.testing.assert_array_equal(read(bare, spacing=(1.5, 2), origin=(3, 4)).grid.x, 3 + 1.5 * np.arange(5))
    bare["bz"].attrs["pixel_spacing"] = 1.2e-6
    with pytest.raises(ValueError, match="spacing=2 and the attribute 'pixel_spacing', 1.2 µm, .*; drop spacing="):
        read(bare, spacing=2)
    contradicted = dataset()
    contradicted["bz"].attrs["pixel_spacing"] = 1.2e-6
    with pytest.raises(ValueError, match=r"steps of \[1.0, 2.0\] µm, but the attribute 'pixel_spacing' says 1.2 µm"):
        read(contradicted)


def test_pixel_spacing_beside_a_mask_noise_side_and_units(read):
    """A map with a spacing instead of coordinates keeps everything else that a file holds."""
    mask, noise = FIELD < 1000, 1 + np.arange(20.0).reshape(4, 5)
    data = dataset(sensor_height=5e3, sensor_side=600.0, sensor_units="nm").drop_vars(["x", "y"])
    data["bz"].attrs["pixel_spacing"] = 1.2e-6
    data = data.assign(
        mask=(("x", "y"), mask.T, {"long_name": "sensor is used"}), noise=(("x", "y"), noise.T / 1e3, {"units": "uT"})
    )
    scan = read(data)
    np.testing.assert_array_equal(scan.mask, mask)
    np.testing.assert_allclose(scan.noise, noise)
    np.testing.assert_allclose(scan.grid.side, 0.6)
    np.testing.assert_allclose(scan.grid.height, 5)


def test_packed_values_and_fill_values_of_every_role(read):
    """Integers with a scale and an offset, and values of the fill, as CF describes them."""
    field = np.where(FIELD > 1000, np.nan, np.round(FIELD))
    noise = np.where(np.isnan(field), np.nan, 5.5)
    mask = np.ones((4, 5))
    mask[0, 0] = 0
    data = dataset(field).assign(
        mask=(("y", "x"), mask, {"long_name": "sensor is used"}), noise=(("y", "x"), noise, {"units": "nT"})
    )
    packing = {"dtype": "int16", "_FillValue": -32768}
    encoding = {
        "bz": packing | {"scale_factor": 0.5, "add_offset": 100.0},
        "noise": packing | {"scale_factor": 0.5},
        "mask": {"dtype": "int8", "_FillValue": -1},
        "x": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 10.0, "_FillValue": -32768},
        "y": {"dtype": "int32"},
    }
    scan = read(data, encoding)
    used = np.isfinite(field) & (mask == 1)
    np.testing.assert_array_equal(scan.mask, used)
    np.testing.assert_allclose(np.asarray(scan.field)[used], field[used], rtol=1e-6)
    np.testing.assert_allclose(scan.noise, 5.5)
    np.testing.assert_allclose(scan.grid.x, X, atol=1e-6)
    np.testing.assert_array_equal(scan.grid.y, Y)


@pytest.mark.parametrize("values", [FIELD + 1j, FIELD.astype(str), FIELD.astype("datetime64[s]"), FIELD > 0])
def test_values_that_are_no_numbers(values):
    with pytest.raises(ValueError, match="the values of 'bz' must be real numbers; got dtype"):
        Scan.from_xarray(dataset(values))


def test_a_file_of_a_mask_for_a_map_whose_rows_fall(read, tmp_path):
    np.save(tmp_path / "trueisbad.npy", FIELD > 1000)
    with pytest.raises(ValueError, match="map.nc: y fall in the file, .* save the map with rising coordinates"):
        read(dataset().isel(y=slice(None, None, -1)), mask=tmp_path / "trueisbad.npy")
    np.testing.assert_array_equal(read(dataset(), mask=tmp_path / "trueisbad.npy").mask, ~(FIELD > 1000))


def test_a_file_of_a_mask_beside_a_mask_of_another_program(read, tmp_path):
    """What True means in the file is not said of the variable, so that no option helps."""
    np.save(tmp_path / "trueisbad.npy", FIELD > 1000)
    foreign = dataset().assign(mask=(("y", "x"), FIELD < 900, {"long_name": "outliers"}))
    for options in ({}, {"mask_true_is": "bad"}):
        with pytest.raises(
            ValueError, match=r"long_name 'outliers'\) does not say .* join the two in that file"
        ) as caught:
            read(foreign, mask=tmp_path / "trueisbad.npy", **options)
        assert "pass" not in str(caught.value)
    ours = Scan(FIELD, SensorGrid((10, 20), (1, 2), (4, 5), 5), mask=FIELD < 900).to_xarray()
    for data, own in ((ours, FIELD < 900), (foreign.assign(mask=foreign["mask"] | True), True)):
        expected = own & (FIELD <= 1000)
        for options in ({}, {"mask_true_is": "bad"}):
            np.testing.assert_array_equal(read(data, mask=tmp_path / "trueisbad.npy", **options).mask, expected)


def test_cases_of_other_programs(data):
    folder = data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no small files of other programs: {folder} does not exist")
    mask = read_scan(folder / "netcdf-foreign-mask" / "mask.nc", mask_true_is="bad")
    assert mask.used == mask.grid.size - 101
    assert read_scan(folder / "netcdf-nan-beside-mask" / "mask4.nc").used == 52 * 40 - 101
    for name, side in (("hm2", 1.0), ("hm3", 0.5)):
        scan = read_scan(folder / "netcdf-height-changes-side" / f"{name}.nc", height=2)
        np.testing.assert_allclose(scan.grid.side, side)
    stored = xarray.load_dataset(folder / "netcdf-noise-transposed" / "noiseT.nc")["noise"].to_numpy()
    np.testing.assert_array_equal(read_scan(folder / "netcdf-noise-transposed" / "noiseT.nc").noise, stored.T)
    plain = read_scan(folder / "netcdf-height-changes-side" / "hm2.nc")
    for name in "bhkln":
        scan = read_scan(folder / "netcdf-other-conventions" / f"{name}.nc")
        np.testing.assert_allclose(scan.field, plain.field, rtol=1e-6)
        np.testing.assert_allclose(scan.grid.y, plain.grid.y)
