"""Noise, priors, patterns, options and bounds that cannot be: the message quotes the value and says what to do."""

import re

import jax
import numpy as np
import pytest

import mmtjax
from mmtjax import BoundedLeastSquares, InversionOptions, NoiseMap, Prior, ResidualNoise, Scan, SensorGrid, WhiteNoise
from mmtjax.noise import as_noise
from mmtjax.patterns import FixedColumns
from tests.inversions import GRID, noisy_scan
from tests.samples import small_sample

GRAINS = small_sample(grains=4)
KEY = jax.random.key(0)


def flat() -> Scan:
    return Scan(np.zeros(GRID.shape), GRID)


def solved(**options):
    return mmtjax.invert(noisy_scan(GRAINS)[1], GRAINS, 5.0, **options)


NOISES = [
    (lambda: WhiteNoise(0.0), "noise must be positive and finite, in nT; got 0"),
    (lambda: WhiteNoise(np.nan), "got nan"),
    (lambda: WhiteNoise([1.0, 2.0]), r"one standard deviation, in nT; got shape \(2,\): use NoiseMap for a map"),
    (lambda: WhiteNoise("5"), "noise"),
    (lambda: NoiseMap(5.0), r"a map of noise must be \(ny, nx\), in nT; got shape \(\)"),
    (lambda: NoiseMap([[1.0, -2.0]]), r"noise.*-2"),
    (lambda: NoiseMap([[1.0, np.inf]]), r"noise.*inf"),
    (lambda: NoiseMap(np.ones((2, 3))).weights(flat()), r"shape \(33, 33\).*got.*\(2, 3\)"),
    (lambda: as_noise("auto", flat()), "or 'residual'; got 'auto'"),
    (lambda: as_noise(None, flat()), "the noise is not known: pass noise= in nT"),
]

PRIORS = [
    (lambda: Prior(0.0), "positive standard deviation in A/m, or None; got 0.0"),
    (lambda: Prior(np.inf), "got inf"),
    (lambda: Prior([1.0, np.nan, 1.0]), "got nan"),
    (lambda: Prior("480e3"), "got '480e3'"),
    (lambda: Prior(np.ones((2, 2, 2))), r"got shape \(2, 2, 2\)"),
    (lambda: solved(prior=np.ones(4)), r"a prior of grains must be one number, \(4, 1\).*got shape \(4,\)"),
    (lambda: solved(prior={"grain": 1e3}), "given for 'grain', but no set .* has that name; the sets are grains"),
]

PATTERNS = [
    (lambda: FixedColumns(np.ones((3, 4))), r"maps must be \(component, ny, nx\), in nT; got shape \(3, 4\)"),
    (lambda: solved(background=FixedColumns(np.ones((1, 3, 4)))), r"shape \(3, 4\), but the grid has \(33, 33\)"),
    (
        lambda: FixedColumns(np.full((1, 2, 2), np.nan)),
        r"finite at all sensors; got nan at .* = \[0, 0, 0\]",
    ),
    (lambda: solved(background="linear"), "'quadratic'; got 'linear'"),
]

OPTIONS = [
    (lambda: InversionOptions(method="svd"), "method must be one of .*; got 'svd'"),
    (lambda: InversionOptions(level=95.0), "between 0 and 1, e.g. 0.95; got 95"),
    (lambda: InversionOptions(memory_limit=8), r"pass 8 \* 2\*\*30"),
    (lambda: InversionOptions(background=4), "got 4"),
    (lambda: InversionOptions(prior=-1.0), "got -1.0"),
    (
        lambda: BoundedLeastSquares(0.0, KEY),
        "a positive magnetization in A/m, such as 480e3; got 0.0",
    ),
    (lambda: BoundedLeastSquares(np.inf, KEY), "got inf"),
    (lambda: BoundedLeastSquares(480e3, KEY, draws=5), "draws must be 20 or more, for a radius of 95 %; got 5"),
]


@pytest.mark.parametrize(("make", "message"), NOISES + PRIORS + PATTERNS + OPTIONS)
def test_parts_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert not re.search(r"f64\[|Array\(|object at", str(raised.value))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: solved(sigma=5.0), "there is no option 'sigma'; the options are prior, method, "),
        (
            lambda: solved(options=InversionOptions(), level=0.9),
            "either InversionOptions or its fields, not both",
        ),
    ],
)
def test_names_that_are_no_options_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_a_bound_cannot_be_differentiated():
    _, scan = noisy_scan(GRAINS)

    def length(noise):
        found = mmtjax.invert(scan, GRAINS, noise, estimator=BoundedLeastSquares(1e4, KEY, draws=20), throw=False)
        return found.magnetization.sum()

    with pytest.raises(ValueError, match="a bounded solution is a search, which cannot be traced; use LeastSquares"):
        jax.grad(length)(5.0)


def test_noise_from_the_residual_needs_more_sensors_than_unknowns():
    grid = SensorGrid(origin=(0, 0), spacing=8, shape=(3, 4), height=1)
    with pytest.raises(ValueError, match="12 sensors"):
        mmtjax.invert(Scan(np.ones((3, 4)), grid), GRAINS, ResidualNoise())


@pytest.mark.parametrize(
    ("base", "missing"),
    [
        (mmtjax.noise.AbstractNoise, "is_known|patterns|standard_deviation|weights"),
        (mmtjax.sources.AbstractSource, "components|name|parts|select|top"),
        (mmtjax.solvers.AbstractSolver, "limit.*squares|squares.*limit"),
        (mmtjax.estimators.AbstractEstimator, "estimate|uncertainty"),
        (mmtjax.patterns.AbstractPattern, "columns|components|name"),
        (mmtjax.greens.AbstractGreen, "mv|rmv"),
    ],
)
def test_a_new_part_that_lacks_a_method_says_which(base, missing):
    """Equinox refuses to make it, and names what is missing."""
    with pytest.raises(TypeError, match=missing):
        type("Unfinished", (base,), {})()
