"""Sensor grids and scans: cropping, binning, units, and what is refused."""

import numpy as np
import pytest
import xarray

from mmtjax import Grains, Scan, SensorGrid, forward

GRID = SensorGrid(origin=(10, 20), spacing=(1.0, 1.5), shape=(6, 8), height=2)


def test_coordinates():
    np.testing.assert_allclose(GRID.x, 10 + np.arange(8))
    np.testing.assert_allclose(GRID.y, 20 + 1.5 * np.arange(6))
    assert GRID.sensors_adjoin
    assert not SensorGrid(origin=(0, 0), spacing=1, shape=(2, 2), height=0, side=0.5).sensors_adjoin
    assert SensorGrid(origin=(0, 0), spacing=1, shape=(2, 2), height=0, side=1.0).sensors_adjoin


def test_crop_keeps_places():
    field = np.arange(48.0).reshape(6, 8)
    part = Scan(field, GRID, noise=np.full((6, 8), 3.0)).crop(x=(12, 14.5), y=(21.5, 24.6))
    np.testing.assert_array_equal(part.field, field[1:4, 2:5])
    np.testing.assert_allclose(part.grid.origin, [12, 21.5])
    assert part.noise.shape == part.field.shape
    with pytest.raises(ValueError, match="the scan covers x 10 to 17, y 20 to 27.5"):
        Scan(field, GRID).crop(x=(0, 1), y=(20, 22))


def test_binned_sensors_are_large_sensors():
    """The mean over a block is what one large sensor measures."""
    grains = Grains.from_cuboids([[5.3, 6.1, -3, 1, 0.8, 1.2, 1]])
    fine = SensorGrid(origin=(0, 0), spacing=0.5, shape=(24, 26), height=1)
    magnetization = [[1e4, -2e4, 3e4]]
    binned = Scan(forward(grains, magnetization, fine), fine, noise=8.0).bin(2)
    np.testing.assert_allclose(binned.grid.origin, [0.25, 0.25])
    np.testing.assert_allclose(binned.field, forward(grains, magnetization, binned.grid), atol=1e-4)
    np.testing.assert_allclose(binned.noise, 4.0)


def test_bins_with_a_masked_sensor_are_masked():
    mask = np.ones((6, 8), bool)
    mask[0, 1] = False
    field = np.where(mask, 1.0, np.nan)
    with np.errstate(invalid="ignore"):
        binned = Scan(field, GRID, mask).bin(2)
    assert binned.mask.sum() == 11
    assert not binned.mask[0, 0]


def test_invalid_binning():
    scan = Scan(np.zeros((6, 8)), GRID)
    for factor in (0, 7):
        with pytest.raises(ValueError, match=f"binning factor must be an integer from 1 to 6; got {factor}"):
            scan.bin(factor)
    apart = SensorGrid(origin=(0, 0), spacing=1, shape=(6, 8), height=1, side=0.5)
    with pytest.raises(ValueError, match="do not adjoin"):
        Scan(np.zeros((6, 8)), apart).bin(2)
    np.testing.assert_array_equal(Scan(np.zeros((6, 8)), apart).bin(1).grid.side, [0.5, 0.5])


@pytest.mark.parametrize("side", [None, (0.4, 0.5)])
def test_xarray_and_back(side):
    grid = SensorGrid(origin=(10, 20), spacing=(1.0, 1.5), shape=(6, 8), height=2, side=side)
    mask = np.random.default_rng(0).uniform(size=(6, 8)) > 0.2
    scan = Scan(np.random.default_rng(1).normal(size=(6, 8)), grid, mask, noise=4.0)
    dataset = scan.to_xarray()
    assert dataset["bz"].attrs["units"] == "nT"
    assert dataset["x"].attrs["units"] == "µm"
    back = Scan.from_xarray(dataset)
    np.testing.assert_allclose(back.field, scan.field)
    np.testing.assert_array_equal(back.mask, mask)
    np.testing.assert_allclose(back.grid.side, grid.side)
    np.testing.assert_allclose(back.grid.x, grid.x)
    assert float(back.grid.height) == 2


def test_units_are_converted_and_are_required():
    array = xarray.DataArray(
        np.ones((3, 4)),
        dims=("y", "x"),
        coords={"y": ("y", [0, 1e-6, 2e-6], {"units": "m"}), "x": ("x", [0, 1, 2, 3], {"units": "um"})},
        attrs={"units": "uT", "sensor_height": 5.0},
    )
    scan = Scan.from_xarray(array)
    np.testing.assert_allclose(scan.field, 1000)
    np.testing.assert_allclose(scan.grid.spacing, [1, 1])
    del array.attrs["units"]
    with pytest.raises(ValueError, match="'bz' has no attribute 'units'"):
        Scan.from_xarray(array)
    array.attrs["units"] = "furlong"
    with pytest.raises(ValueError, match="'furlong' is not a known unit of magnetic field; use one of"):
        Scan.from_xarray(array)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 4)}, r"two positive integers \(ny, nx\); got \(0, 4\)"),
        ({"shape": (2.5, 4)}, "two positive integers"),
        ({"spacing": 0}, "spacing must be positive, in µm; got 0"),
        ({"spacing": (1, -2)}, "spacing must be positive"),
        ({"side": -1}, "side must be positive"),
        ({"height": np.nan}, "height must be finite"),
        ({"origin": (0, 1, 2)}, "origin must be one number or a pair"),
    ],
)
def test_invalid_grids(arguments, message):
    with pytest.raises(ValueError, match=message):
        SensorGrid(**{"origin": (0, 0), "spacing": 1, "shape": (3, 4), "height": 1, **arguments})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_not_finite_need_a_mask(bad):
    field = np.ones((6, 8))
    field[2, 3] = bad
    with pytest.raises(ValueError, match=rf"1 used pixels are not finite, the first is {bad} at \[y, x\] = \[2, 3\]"):
        Scan(field, GRID)
    assert Scan(field, GRID, mask=np.isfinite(field)).used == 47


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        (np.ones((8, 6)), {}, "is the map transposed"),
        (np.ones((6, 8)), {"mask": np.ones((6, 8), int)}, "mask must be boolean"),
        (np.ones((6, 8)), {"mask": np.zeros((6, 8), bool)}, "leaves no sensor"),
        (np.ones((6, 8)), {"noise": 0.0}, "noise must be positive"),
        (np.ones((6, 8)), {"noise": np.ones(3)}, "one number or a map of shape"),
    ],
)
def test_invalid_scans(field, options, message):
    with pytest.raises(ValueError, match=message):
        Scan(field, GRID, **options)
