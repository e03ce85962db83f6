"""Maps that were turned, mirrored or given in a wrong unit: no grain is trusted, and the mistake is named."""

import warnings

import jax
import numpy as np
import pytest

from mmtjax import Grains, InversionWarning, Multipoles, Scan, SensorGrid, forward, invert, invert_subdomains
from mmtjax.inversion import orientation
from mmtjax.inversion.misfit import MOST_UNEXPLAINED
from mmtjax.patterns.fixed import FixedColumns
from mmtjax.report.summary import summary
from tests.inversions import noisy_scan

NOISE = 5.0

#: For each orientation that has to be named, the way to make a map that has to be read in it.
SPOILED = {
    "field[::-1] (mirrored along y)": lambda field: field[::-1],
    "field[:, ::-1] (mirrored along x)": lambda field: field[:, ::-1],
    "field[::-1, ::-1] (turned by 180°)": lambda field: field[::-1, ::-1],
    "transposed, field.T": lambda field: field.T,
    "field[::-1].T": lambda field: field.T[::-1],
    "field[:, ::-1].T": lambda field: field.T[:, ::-1],
    "diagonal, field[::-1, ::-1].T": lambda field: field.T[::-1, ::-1],
}
TURNED = [name for name in SPOILED if name.endswith(".T")]

SQUARE = SensorGrid(origin=(-6, -6), spacing=1.0, shape=(37, 37), height=1.0)
OBLONG = SensorGrid(origin=(-6, -6), spacing=1.0, shape=(31, 43), height=1.0)
UNEQUAL = SensorGrid(origin=(-6, -7), spacing=(1.0, 1.3), shape=(31, 43), height=1.0, side=(0.9, 1.1))


def scattered(count=12, *, seed=2):
    """Cubes at random places below all of the grids, of different sizes and depths."""
    rng = np.random.default_rng(seed)
    place = np.column_stack([rng.uniform(-3, 24, (count, 2)), -rng.uniform(1.5, 7, count)])
    return Grains.from_volumes(place, rng.uniform(0.4, 1.4, count) ** 3)


def inverted(scan, sources=None, noise=NOISE, solve=invert, **options):
    """The solution and the text of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InversionWarning)
        solution = solve(scan, scattered() if sources is None else sources, noise, **options)
    return solution, "\n".join(str(entry.message) for entry in caught)


def assert_named(solution, text, name):
    assert solution.better_reading is not None
    assert name in solution.better_reading
    assert f"fits far better {solution.better_reading}" in text
    assert not solution.trusted(100.0).any()
    assert not solution.table()["trusted"].any()


@pytest.mark.parametrize("name", SPOILED)
def test_each_orientation_is_named(name):
    _, scan = noisy_scan(scattered(), SQUARE)
    solution, text = inverted(Scan(SPOILED[name](scan.field), SQUARE))
    assert_named(solution, text, name)
    assert float(solution.misfit.share) > MOST_UNEXPLAINED
    assert f"is {float(solution.misfit.share):.0%} of the map, and far larger than the noise" in text


@pytest.mark.parametrize(
    ("name", "grid", "exchanged"),
    list(zip(TURNED, (OBLONG, OBLONG, UNEQUAL, UNEQUAL), (False, True, False, True), strict=True)),
)
def test_sensors_that_are_not_the_same_along_x_and_y(name, grid, exchanged):
    """A transposed file read with the spacing of the true axes, or with that of its own."""
    _, scan = noisy_scan(scattered(), grid)
    wrong = SensorGrid(
        grid.origin[::-1] if exchanged else grid.origin,
        grid.spacing[::-1] if exchanged else grid.spacing,
        grid.shape[::-1],
        grid.height,
        grid.side[::-1] if exchanged else grid.side,
    )
    solution, text = inverted(Scan(SPOILED[name](scan.field), wrong))
    assert_named(solution, text, name)
    differs = exchanged and grid is UNEQUAL
    assert ("spacing and origin exchanged" in solution.better_reading) == differs


@pytest.mark.parametrize("name", ["field[::-1] (mirrored along y)", "field[:, ::-1].T"])
def test_the_mask_is_turned_with_the_map(name):
    """Sensors that are not used hold nonsense, which no reading may use."""
    _, scan = noisy_scan(scattered(), SQUARE)
    mask = np.ones(SQUARE.shape, bool)
    mask[:9, :20], mask[30:, 33] = False, False
    field = np.where(mask, scan.field, np.nan)
    solution, text = inverted(Scan(SPOILED[name](field), SQUARE, SPOILED[name](mask)))
    assert_named(solution, text, name)


def test_a_map_of_noise_of_its_own_a_background_and_a_pattern():
    _, scan = noisy_scan(scattered(), SQUARE)
    rng = np.random.default_rng(3)
    noise = rng.uniform(4, 6, SQUARE.shape)
    stripes = np.broadcast_to(np.sign(np.sin(np.arange(37.0))), SQUARE.shape)
    field = (scan.field + 400 + 3 * np.arange(37.0))[::-1] + 80 * stripes
    sources = [scattered(), FixedColumns(stripes[None], prior=100.0, label="stripes")]
    solution, text = inverted(Scan(field, SQUARE), sources, noise, background="plane")
    assert_named(solution, text, "field[::-1] (mirrored along y)")


def test_none_is_named_of_a_map_that_none_explains():
    _, scan = noisy_scan(scattered(seed=8), SQUARE)
    solution, text = inverted(scan)
    assert solution.better_reading is None
    assert "fits far better" not in text
    assert "of the map, and far larger than the noise" in text
    assert not solution.trusted(100.0).any()


@pytest.mark.parametrize(
    ("name", "grid"),
    [
        ("a spacing (and origin) 0.1 times as large", SensorGrid((-60, -60), 10.0, (37, 37), 1.0, side=10.0)),
        ("a height 0.1 times as large", SensorGrid((-6, -6), 1.0, (37, 37), 10.0)),
        ("all lengths of the grains 10 times as large", SensorGrid((-60, -60), 10.0, (37, 37), 10.0)),
    ],
)
def test_lengths_off_by_a_power_of_ten_are_named(name, grid):
    """Grains about the origin, so that they lie below the map in either unit."""
    _, scan = noisy_scan(scattered(), SQUARE)
    solution, text = inverted(Scan(scan.field, grid), prior=480e3)
    assert_named(solution, text, name)


def test_slices_in_reverse_order_are_named():
    labels = np.zeros((9, 30, 30), int)
    rng = np.random.default_rng(4)
    for number in range(1, 11):
        z, y, x = rng.integers(0, 8), *rng.integers(0, 28, 2)
        labels[z : z + 2, y : y + 2, x : x + 1 + number % 2] = number
    right, wrong = (Grains.from_voxels(one, spacing=0.8, origin=(0, 0, -8.0)) for one in (labels, labels[::-1]))
    _, scan = noisy_scan(right, SQUARE)
    solution, text = inverted(scan, wrong)
    assert_named(solution, text, "with the z of all grains reversed")


def test_point_sources_are_tried_as_well():
    points = Multipoles(scattered().position, degree=1)
    _, scan = noisy_scan(points, SQUARE)
    solution, text = inverted(Scan(scan.field.T, SQUARE), points)
    assert_named(solution, text, "transposed, field.T")


def test_noise_of_the_residual_explains_nothing_that_is_correlated():
    _, scan = noisy_scan(scattered(), SQUARE)
    solution, text = inverted(Scan(scan.field[::-1], SQUARE), noise="residual")
    assert_named(solution, text, "field[::-1] (mirrored along y)")
    assert "correlated between neighbours" in text


def test_white_noise_as_large_as_the_map_is_no_reason_for_distrust(monkeypatch):
    monkeypatch.setattr(orientation, "orientations", _not_to_be_called)
    grains = scattered()
    truth = np.full((len(grains), 3), 5e3)
    truth[0] = 4e5
    clean = np.asarray(forward(grains, truth, SQUARE))
    spread = 0.5 * np.sqrt(np.mean(clean**2))
    scan = Scan(clean + spread * np.random.default_rng(0).normal(size=SQUARE.shape), SQUARE)
    for noise in (spread, "residual"):
        solution, text = inverted(scan, grains, noise)
        assert float(solution.misfit.share) > MOST_UNEXPLAINED
        assert bool(solution.misfit.is_explained)
        assert "of the map" not in text
        np.testing.assert_array_equal(solution.trusted(0.5), _ratio_within(solution, 0.5))


def test_a_good_map_costs_nothing(monkeypatch):
    monkeypatch.setattr(orientation, "orientations", _not_to_be_called)
    monkeypatch.setattr(orientation, "_as_given", _not_to_be_called)
    _, scan = noisy_scan(scattered(), SQUARE)
    solution, text = inverted(scan)
    assert text == ""
    assert solution.better_reading is None
    assert solution.trusted().any()


def test_traced_maps_are_not_tried(monkeypatch):
    monkeypatch.setattr(orientation, "_as_given", _not_to_be_called)
    _, scan = noisy_scan(scattered(), SQUARE)

    @jax.jit
    def trusted(field):
        return invert(Scan(field, SQUARE), scattered(), NOISE).trusted(100.0)

    assert trusted(scan.field).any()
    assert not trusted(scan.field[::-1]).any()


@pytest.mark.parametrize(("factor", "words"), [(10.0, "10"), (1e3, "1000"), (1e-2, "0.01")])
def test_a_field_off_by_a_power_of_ten_is_named(factor, words):
    _, scan = noisy_scan(scattered(), SQUARE)
    _, text = inverted(Scan(scan.field * factor, SQUARE))
    assert f"{words} times the noise of 5 nT: is the unit of the map or of the noise wrong by that factor?" in text


def test_many_grains_are_tried_by_those_in_the_middle(monkeypatch):
    monkeypatch.setattr(orientation, "_SOURCES", 20)
    grains = scattered(60)
    _, scan = noisy_scan(grains, SQUARE)
    sizes = []
    coarse_part = orientation._coarse_part

    def noted(reading):
        found = coarse_part(reading)
        sizes.extend([] if found is None else [len(found.sources)])
        return found

    monkeypatch.setattr(orientation, "_coarse_part", noted)
    solution, text = inverted(Scan(scan.field[:, ::-1], SQUARE), grains)
    assert_named(solution, text, "field[:, ::-1] (mirrored along x)")
    assert set(sizes) == {20}


def test_windows_and_the_summary_say_so():
    _, scan = noisy_scan(scattered(), SQUARE)
    solution, text = inverted(
        Scan(scan.field[::-1], SQUARE),
        solve=lambda *problem: invert_subdomains(jax.random.key(0), *problem, core=30, buffer=30, draws=2),
    )
    assert_named(solution, text, "field[::-1] (mirrored along y)")
    rows = summary(solution)
    share = round(float(solution.misfit.share) * 100)
    assert rows["verdict"].startswith("Believe 0 of 12 grains")
    assert rows["model"].startswith(f"{share} % of the map is not explained")
    assert "field[::-1]" in rows["model"]


def _not_to_be_called(*_):
    pytest.fail("a map that is explained, or traced, is not read in another way")


def _ratio_within(solution, limit):
    possible = ~np.asarray(solution.beyond_saturation)
    widened = np.asarray(solution.uncertainty_ratio) * np.sqrt(max(float(solution.reduced_chi_square), 1))
    return possible & (widened <= limit)
