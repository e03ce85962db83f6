"""Masks of sensors from every source, and masked arrays of NumPy wherever numbers are expected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import mmtjax
from mmtjax import Grains, Multipoles, Prior, Scan, SensorGrid, selection
from mmtjax.io import read_mask, read_scan
from mmtjax.io.plausible import check_scan
from mmtjax.noise import NoiseMap, WhiteNoise
from mmtjax.patterns import FixedColumns
from mmtjax.precision import float64_array
from mmtjax.uncertainty import correlation, covariance_blocks, grain_correlation, standard_deviation

GRID = SensorGrid(origin=(0, 0), spacing=1, shape=(2, 3), height=1)
CUBES = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [9, 0, -5, 1, 1, 1, 2]])

#: A mask with one value in place of True at [1, 2], and what is said of it.
DAMAGED = {np.nan: "got nan at", 2: "got 2 at", -1: "got -1 at", 0.5: "got 0.5 at"}


def from_netcdf(mask, folder):
    file = folder / "map.nc"
    variables = {"bz": (("y", "x"), np.ones((2, 3)), {"units": "nT"}), "mask": (("y", "x"), mask)}
    xarray.Dataset(variables, attrs={"sensor_height": 1.0}).to_netcdf(file, engine="h5netcdf")
    return read_scan(file, spacing=1, mask_true_is="good").mask


def from_xarray(mask, _):
    variables = {"bz": (("y", "x"), np.ones((2, 3)), {"units": "nT"}), "mask": (("y", "x"), mask)}
    return Scan.from_xarray(xarray.Dataset(variables), height=1, spacing=1, mask_true_is="good").mask


def from_npy(mask, folder):
    np.save(folder / "mask.npy", mask)
    return read_mask(folder / "mask.npy", mask_true_is="good")


@pytest.mark.parametrize("source", [from_netcdf, from_xarray, from_npy])
def test_a_mask_from_any_source_holds_truth_values_alone(source, tmp_path):
    mask = np.array([[1, 0, 1], [1, 1, 1]])
    for kind in (bool, np.int8, np.float64):
        np.testing.assert_array_equal(source(mask.astype(kind), tmp_path), mask.astype(bool))
    for value, message in DAMAGED.items():
        damaged = mask.astype(np.float64)
        damaged[1, 2] = value
        with pytest.raises(ValueError, match=rf"booleans or the numbers 0 and 1; {message} \[y, x\] = \[1, 2\]"):
            source(damaged, tmp_path)
    with pytest.raises(ValueError, match="mask"):
        source(mask.astype(str), tmp_path)


@pytest.mark.parametrize(
    "mask",
    [
        [[True, np.nan, True], [True, True, True]],
        np.full((2, 3), 2),
        [[True], [True, False]],
        np.ones((3, 2), bool),
        np.ma.masked_array(np.ones((2, 3), bool), np.eye(2, 3, dtype=bool)),
    ],
)
def test_a_scan_refuses_what_is_no_mask(mask):
    with pytest.raises(ValueError, match="the mask (must be boolean|is not an array|is a masked array)"):
        Scan(np.ones((2, 3)), GRID, mask=mask)


def test_a_traced_mask_is_refused():
    with pytest.raises(ValueError, match="the mask must be known before a computation"):
        jax.jit(lambda mask: Scan(np.ones((2, 3)), GRID, mask=mask).field)(np.ones((2, 3), bool))


@pytest.mark.parametrize(
    "keep", [[True, np.nan], [0.0, 1.0], [True, False, True], [0, 2], np.ma.masked_equal([0, 1], 1)]
)
def test_a_selection_of_sources_holds_booleans_or_indices_alone(keep):
    with pytest.raises(ValueError, match="sources are selected by 2 booleans or by indices|the selection is a masked"):
        CUBES.select(keep)
    with pytest.raises(ValueError, match="sources are selected by 2 booleans or by indices|the selection is a masked"):
        Multipoles([[0, 0, -5], [9, 0, -5]], degree=1).select(keep)


def test_masked_pixels_of_a_map_are_left_out():
    """netCDF4 and others return such arrays; the number beneath the mask is no field."""
    values = np.array([[1.0, -9999, 3], [4, 5, 6]])
    for kind in (np.float64, np.int32):
        scan = Scan(np.ma.masked_equal(values.astype(kind), -9999), GRID)
        assert scan.used == 5
        assert np.isnan(scan.field[0, 1])
        np.testing.assert_array_equal(scan.field[scan.mask], [1, 3, 4, 5, 6])
    mask = np.ones((2, 3), bool)
    mask[1, 1] = False
    np.testing.assert_array_equal(
        Scan(np.ma.masked_equal(values, -9999), GRID, mask=mask).mask, mask & (values != -9999)
    )
    assert Scan(np.ma.masked_equal(values, 77), GRID).used == 6
    with pytest.raises(ValueError, match="leaves no sensor"):
        Scan(np.ma.masked_less(values, 99), GRID)


HIDDEN = np.ma.masked_array([1.0, -9999.0], [False, True])
PAIR = np.ma.masked_array(np.eye(6), np.eye(6) == 0)
SCAN = Scan(np.ones((2, 3)), GRID, noise=1.0)


def trusted(**changed):
    """`trusted_ratio` of two grains, with one of its arguments changed."""
    right = {"reduced_chi_square": 4.0, "beyond_saturation": np.zeros(2, bool), "is_explained": True}
    arguments = {"ratio": np.ones(2)} | right | changed
    return selection.trusted_ratio(arguments.pop("ratio"), **arguments)


REFUSED = {
    "noise of a scan": lambda: Scan(np.ones((2, 3)), GRID, noise=np.ma.masked_greater(np.ones((2, 3)), 0)),
    "origin": lambda: SensorGrid(HIDDEN, 1, (2, 3)),
    "spacing": lambda: SensorGrid((0, 0), HIDDEN, (2, 3)),
    "side": lambda: SensorGrid((0, 0), 1, (2, 3), side=HIDDEN),
    "height": lambda: SensorGrid((0, 0), 1, (2, 3), height=np.ma.masked),
    "shape": lambda: SensorGrid((0, 0), 1, HIDDEN),
    "white noise": lambda: WhiteNoise(np.ma.masked),
    "noise map": lambda: NoiseMap(np.ma.masked_array(np.ones((2, 3)), np.eye(2, 3))),
    "noise of an inversion": lambda: mmtjax.invert(SCAN, CUBES, np.ma.masked_array(np.ones((2, 3)), np.eye(2, 3))),
    "prior": lambda: Prior(HIDDEN),
    "pattern": lambda: FixedColumns(np.ma.masked_array(np.ones((1, 2, 3)), np.eye(2, 3)[None])),
    "cuboids": lambda: Grains.from_cuboids(np.ma.masked_equal([[0, 0, -5, 1, 1, 1, 1]], -5)),
    "rows of cuboids": lambda: Grains.from_cuboids([np.ma.masked_equal([0, 0, -5, 1, 1, 1, 1], -5)]),
    "labels": lambda: Grains.from_voxels(np.ma.masked_equal(np.ones((2, 2, 2), int), 1), spacing=1, origin=(0, 0, -9)),
    "positions": lambda: Grains.from_volumes(np.ma.masked_equal([[0, 0, -5]], -5), [8]),
    "volumes": lambda: Grains.from_volumes([[0, 0, -5], [9, 0, -5]], HIDDEN),
    "shift": lambda: CUBES.translate(np.ma.masked_array([1, 2, 3], [1, 0, 0])),
    "multipoles": lambda: Multipoles(np.ma.masked_equal([[0, 0, -5]], -5), degree=1),
    "magnetization": lambda: mmtjax.forward(CUBES, np.ma.masked_array(np.ones((2, 3)), np.eye(2, 3)), GRID),
    "covariance": lambda: mmtjax.confidence_radius(PAIR),
    "factor": lambda: covariance_blocks(PAIR, np.ones(6), variance=1.0),
    "deviation": lambda: standard_deviation(PAIR[None]),
    "correlation": lambda: correlation(PAIR),
    "correlation of grains": lambda: grain_correlation(PAIR),
    "radius": lambda: mmtjax.uncertainty_ratio(np.ones((2, 3)), HIDDEN),
    "ratio": lambda: mmtjax.probability_within_limit(HIDDEN),
    "threshold": lambda: mmtjax.ssr_threshold(HIDDEN, np.array([1.0, 2.0])),
    "ids of grains": lambda: Grains.from_volumes([[0, 0, -5], [9, 0, -5]], [8, 8], ids=np.ma.masked_equal([1, 2], 2)),
    "ids of multipoles": lambda: Multipoles([[0, 0, -5]], degree=1, ids=np.ma.masked_equal([1], 1)),
    "trusted ratio": lambda: trusted(ratio=HIDDEN),
    "reduced chi-square": lambda: trusted(reduced_chi_square=np.ma.masked),
    "saturation": lambda: trusted(beyond_saturation=np.ma.masked_array([True, True], [False, True])),
    "explained": lambda: trusted(is_explained=np.ma.masked_array(True, True)),
    "ratio of purities": lambda: selection.thresholds_by_purity({"signal_strength_ratio": np.ones(2)}, HIDDEN),
    "statistic of purities": lambda: selection.thresholds_by_purity({"signal_strength_ratio": HIDDEN}, np.ones(2)),
    "volume in a crowd": lambda: selection.log_crowded_strength(HIDDEN, np.ones(2), neighbours=np.ones(2)),
    "neighbours in a crowd": lambda: selection.log_crowded_strength(np.ones(2), np.ones(2), neighbours=HIDDEN),
}


@pytest.mark.parametrize("case", REFUSED)
def test_masked_arrays_are_refused_elsewhere(case):
    with pytest.raises(ValueError, match="is a masked array, with [0-9]+ of [0-9]+ values masked"):
        REFUSED[case]()


def test_masked_arrays_without_masked_values_are_arrays():
    np.testing.assert_array_equal(float64_array(np.ma.masked_array([1, 2]), name="values"), [1, 2])


def test_numbers_of_jax_are_checked_as_those_of_numpy():
    assert float64_array(jnp.array([1, 2]), name="values").dtype == np.float64
    for wrong in (jnp.array([1j]), np.array([1j]), ["a"], [[1], [1, 2]], None, jax.random.key(0)):
        with pytest.raises(ValueError, match="values must be an array of real numbers"):
            float64_array(wrong, name="values")


@pytest.mark.parametrize("side", [5e-7, 2e3, 101.0, (1.0, 1e-4)])
def test_side_in_another_unit(side, tmp_path):
    """As spacing and height, the side of a sensor is refused where only another unit gives it."""
    np.save(tmp_path / "Bz_nT.npy", np.ones((2, 3)))
    with pytest.raises(ValueError, match="a sensor with a side of .* µm is not between 0.001 and .* as side="):
        read_scan(tmp_path / "Bz_nT.npy", spacing=1, height=1, side=side)
    for possible in (0.01, 1.0, 5.0):
        scan = read_scan(tmp_path / "Bz_nT.npy", spacing=1, height=1, side=possible)
        assert check_scan(scan, unit="nT", path="map") is scan
