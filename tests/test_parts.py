"""Every solver with every operator, prior and noise: the same least squares as that of NumPy.

A new solver, operator or noise gets a row here.
"""

import numpy as np
import pytest

from mmtjax import Background, Grains, NoiseMap, Prior, ResidualNoise, Scan, SensorGrid, WhiteNoise, forward, invert
from mmtjax.greens import greens_matrix
from mmtjax.solvers import SOLVERS

GRAINS = Grains.from_cuboids(
    [
        [4, 5, -4, 1.0, 1.5, 1.0, 1],
        [13, 6, -5, 1.5, 1.0, 1.0, 2],
        [12, 14, -6, 1.0, 1.0, 1.5, 3],
        [5, 13, -9, 1.0, 1.0, 1.0, 4],
    ]
)
GRID = SensorGrid(origin=(0, 0), spacing=1.0, shape=(19, 18), height=1.0)
EXACT = 1e-12

#: Standard deviation of the noise of each sensor, nT.
SIGMA = 4.0 + 3.0 * np.random.default_rng(8).random(GRID.shape)

OPERATORS = ["dense", "tiled", "compressed", "sharded"]
NOISES = {"white": WhiteNoise(5.0), "map": NoiseMap(SIGMA), "residual": ResidualNoise()}
PRIORS = {
    "none": None,
    "one number": Prior(2e3),
    "one per source": Prior([[1e3], [np.inf], [3e3], [500.0]]),
    "one per component": Prior([1e3, 2e3, np.inf]),
}


@pytest.fixture(scope="module")
def scan():
    """A map with a plane, noise and sensors that are not used."""
    rng = np.random.default_rng(4)
    field = np.asarray(forward(GRAINS, rng.normal(scale=2e3, size=(4, 3)), GRID, tolerance=EXACT))
    plane = 300.0 + 4.0 * GRID.x[None, :] - 7.0 * GRID.y[:, None]
    mask = rng.random(GRID.shape) > 0.1
    return Scan(field + plane + SIGMA * rng.normal(size=GRID.shape), GRID, mask=mask)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("green", OPERATORS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_all_parts_together_are_bayesian_least_squares(scan, solver, green, prior, noise):
    """Magnetizations, the background, their covariances, χ² and the noise."""
    found = invert(
        scan,
        GRAINS,
        NOISES[noise],
        prior=PRIORS[prior],
        method=solver,
        green=green,
        background=Background(1),
        tolerance=EXACT,
    )
    values, covariance, variance, chi_square = by_numpy(scan, PRIORS[prior], noise)
    # The variance of the residual is iterated to 1e-6 where there is a prior.
    precise = 1e-5 if noise == "residual" and prior != "none" else 1e-8
    deviation = np.sqrt(np.diag(covariance))
    ours = np.concatenate([np.ravel(one.values) for one in found.estimates])
    assert np.all(np.abs(ours - values) < precise * deviation)
    for number, block in enumerate(found.covariance):
        own = slice(3 * number, 3 * number + 3)
        np.testing.assert_allclose(block, covariance[own, own], rtol=precise, atol=precise * deviation[own].max() ** 2)
    np.testing.assert_allclose(found.estimate_of("background").standard_deviation[0], deviation[12:], rtol=precise)
    np.testing.assert_allclose(found.reduced_chi_square, chi_square, rtol=2 * precise)
    if noise == "residual":
        np.testing.assert_allclose(found.noise, np.sqrt(variance), rtol=precise)
    # As long as the variance, and with it the ridge, is not known, the state has to be right for any condition number.
    chosen = "orthogonal" if noise == "residual" and prior != "none" else "cholesky"
    assert found.method == (chosen if solver == "auto" else solver)


def by_numpy(scan, prior, noise):
    """Values and covariance of all unknowns, variance of a sensor of weight one, and χ²: dense singular values."""
    used = np.asarray(scan.mask).ravel()
    x, y = np.meshgrid(GRID.x - np.mean(GRID.x), GRID.y - np.mean(GRID.y))
    smooth = np.stack([np.ones(GRID.size), x.ravel(), y.ravel()], axis=1)
    columns = np.hstack([np.asarray(greens_matrix(GRAINS, GRID, tolerance=EXACT)), smooth])[used]
    field = np.asarray(scan.field).ravel()[used]
    spread = np.full((4, 3), np.inf)
    if prior is not None:
        spread = np.broadcast_to(prior.standard_deviation, (4, 3))
    precision = np.concatenate([1 / spread.ravel() ** 2, np.zeros(3)])
    relative = SIGMA.ravel()[used] if noise == "map" else np.ones(used.sum())
    variance = {"white": 25.0, "map": 1.0, "residual": float(np.mean(field**2))}[noise]
    for _ in range(200):
        sigma = np.sqrt(variance) * relative
        rows = np.vstack([columns / sigma[:, None], np.diag(np.sqrt(precision))])
        scale = np.linalg.norm(rows, axis=0)
        inverse = np.linalg.pinv(rows / scale, rcond=1e-15)
        values = inverse @ np.concatenate([field / sigma, np.zeros(15)]) / scale
        covariance = inverse @ inverse.T / np.outer(scale, scale)
        freedom = used.sum() - 15 + np.sum(precision * np.diag(covariance))
        mean_square = np.sum(((field - columns @ values) / relative) ** 2) / freedom
        if noise != "residual" or abs(mean_square / variance - 1) < 1e-13:
            return values, covariance, variance, mean_square / variance
        variance = mean_square
    raise AssertionError("the variance of the residual has not converged")
