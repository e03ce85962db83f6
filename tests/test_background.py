"""A background of the map is solved for with the grains: it is told apart from them and has its own uncertainty."""

import functools
import re

import numpy as np
import pytest

from mmtjax import Background, InversionWarning, Prior, Scan, SensorGrid, invert, invert_series
from tests.inversions import largest_difference, noisy_scan
from tests.samples import small_sample
from tests.subdomains_process import NOISE, by_windows, sample

GRID = SensorGrid(origin=(0, 0), spacing=1.0, shape=(101, 101), height=1.0)
GRAINS = small_sample(grains=30, width=100.0, depth=5.0)
X, Y = GRID.x[None, :] - 50.0, GRID.y[:, None] - 50.0

#: A background of 1 µT over 100 µm, in nT, with a constant part.
PLANE = 250.0 + 8.0 * X - 6.0 * Y


@functools.cache
def noise_free():
    """Magnetizations, and the map that they give, as a scan without noise."""
    return noisy_scan(GRAINS, GRID, noise=0.0, seed=2)


@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
@pytest.mark.parametrize("green", ["dense", "tiled", "compressed", "sharded"])
def test_a_plane_of_a_microtesla_moves_no_magnetization(method, green):
    """Not at all if a background is solved for with and without it, and less than a tenth of a radius from a fit of
    the grains alone, where there is none; a fit of the grains alone is far off where there is one.
    """
    rng = np.random.default_rng(5)
    field = noise_free()[1].field + NOISE * rng.normal(size=GRID.shape)
    level, tilted = Scan(field, GRID), Scan(field + PLANE, GRID)
    options = {"method": method, "green": green}
    found = invert(tilted, GRAINS, NOISE, background=1, **options)
    assert largest_difference(found, invert(level, GRAINS, NOISE, background=1, **options)) < 1e-6
    alone = invert(level, GRAINS, NOISE, **options)
    assert largest_difference(found, alone) < 0.1
    with pytest.warns(InversionWarning, match="cannot explain the residual"):
        assert largest_difference(invert(tilted, GRAINS, NOISE, **options), alone) > 1
    own = found.estimate_of("background")
    assert [(one.name, one.unit) for one in own.unknowns.components] == [
        ("constant", "nT"),
        ("x", "nT/µm"),
        ("y", "nT/µm"),
    ]
    assert np.all(np.abs(np.asarray(own.values)[0] - [250.0, 8.0, -6.0]) < 4 * own.standard_deviation[0])
    assert np.all(np.asarray(own.standard_deviation)[0] < [0.1, 0.003, 0.003])


def test_windows_solve_for_the_background_of_the_whole():
    """Magnetizations, radii, coefficients and their deviations; the noise of the draws is 1/√(2·64) at most."""
    scan, grains = sample()
    grid = scan.grid
    plane = 100.0 + 5.0 * (grid.x[None, :] - 75) - 8.0 * (grid.y[:, None] - 75)
    tilted = Scan(np.asarray(scan.field) + plane, grid)
    whole = invert(tilted, grains, NOISE, background="plane", method="orthogonal")
    found = by_windows(tilted, grains, background="plane", draws=64)
    assert largest_difference(found, whole) < 1e-2
    np.testing.assert_allclose(found.confidence_radius, whole.confidence_radius, rtol=0.05)
    ours, exact = found.estimate_of("background"), whole.estimate_of("background")
    assert np.all(np.abs(ours.values - exact.values) < 1e-2 * exact.standard_deviation)
    np.testing.assert_allclose(ours.standard_deviation, exact.standard_deviation, rtol=0.25)
    assert np.all(np.abs(np.asarray(exact.values)[0] - [100, 5, -8]) < 4 * exact.standard_deviation[0])


def test_spheres_and_the_background_hold_the_truth_as_often_as_they_say():
    """3,600 spheres (0.36 % standard error) and 720 coefficients (0.81 %), at 95 %."""
    truth, quiet = noise_free()
    rng = np.random.default_rng(11)
    curved = PLANE + 0.01 * X**2 - 0.02 * X * Y + 0.005 * Y**2
    scans = [Scan(quiet.field + curved + NOISE * rng.normal(size=GRID.shape), GRID) for _ in range(120)]
    inside, within = [], []
    for one in invert_series(scans, GRAINS, NOISE, background=2):
        inside.append(np.linalg.norm(one.magnetization - truth, axis=1) < one.confidence_radius)
        own = one.estimate_of("background")
        error = np.abs(np.asarray(own.values)[0] - [250, 8, -6, 0.01, -0.02, 0.005])
        within.append(error < 1.96 * own.standard_deviation[0])
    assert abs(np.mean(inside) - 0.95) < 0.01
    assert abs(np.mean(within) - 0.95) < 0.025


def test_a_prior_of_the_background_holds_it_back():
    """A slope that is known to be zero to 1e-6 nT/µm stays there; one without a prior takes what the map shows."""
    field = noise_free()[1].field + PLANE + NOISE * np.random.default_rng(3).normal(size=GRID.shape)
    known = Background(1, prior=Prior([np.inf, 1e-6, np.inf]))
    with pytest.warns(InversionWarning, match="cannot explain the residual"):
        own = invert(Scan(field, GRID), GRAINS, NOISE, background=known).estimate_of("background")
    assert abs(own.values[0, 1]) < 1e-5
    assert own.standard_deviation[0, 1] <= 1e-6
    free = invert(Scan(field, GRID), GRAINS, NOISE, background=1).estimate_of("background")
    assert own.standard_deviation[0, 2] == pytest.approx(float(free.standard_deviation[0, 2]), rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Background(3), r"degree of a background must be one of 0 or 'constant', .*; got 3"),
        (lambda: Background("linear"), "got 'linear'"),
        (lambda: Background(True), "got True"),
        (lambda: Background(1, prior=5.0), r"units are nT, nT/µm; got shape \(\), pass \(3,\)"),
        (lambda: Background(0, prior=-5.0), r"prior must be a positive standard deviation .*; got -5.0"),
        (lambda: Background(1, prior=[1.0, 1.0]), r"a prior of background must be .*got shape \(2,\)"),
        (
            lambda: invert(Scan(PLANE, GRID), [Background(1), GRAINS], 1.0),
            r"got \[Background, Grains\]",
        ),
        (
            lambda: invert(Scan(PLANE, GRID), [GRAINS, Background(1)], 1.0, background=1),
            "sources already hold a background, .*keep one of them",
        ),
        (
            lambda: invert(Scan(PLANE, GRID), GRAINS, 1.0, prior={"backgroud": 1.0}),
            "no set of unknowns has that name; the sets are grains",
        ),
    ],
)
def test_backgrounds_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert not re.search(r"f64|<", str(raised.value))
