"""Magnetizations within a bound: against SciPy's solver for constrained problems, and the conditions of an optimum."""

import jax
import numpy as np
import pytest
from scipy.optimize import NonlinearConstraint, minimize

from mmtjax import BoundedLeastSquares, Grains, InversionError, Scan, greens_matrix, invert
from mmtjax.linalg.ball_projection import project_on_balls
from tests.inversions import GRID, noisy_scan
from tests.samples import small_sample

NOISE = 5.0
KEY = jax.random.key(7)


def by_scipy(scan: Scan, grains: Grains, limit: float, *, noise: float, prior: float | None) -> np.ndarray:
    """Solution within the bound by the trust-region method of SciPy, in coordinates with a Hessian of one."""
    matrix = np.asarray(greens_matrix(grains, scan.grid)) * limit / noise
    field = np.ravel(scan.field) / noise
    rows = matrix if prior is None else np.vstack([matrix, limit / prior * np.eye(matrix.shape[1])])
    data = field if prior is None else np.append(field, np.zeros(matrix.shape[1]))
    basis, factor = np.linalg.qr(rows)
    free, back = basis.T @ data, np.linalg.inv(factor).reshape(len(grains), 3, -1)
    cut = np.array([own / max(1.0, np.linalg.norm(own)) for own in back @ free])
    start = factor @ cut.ravel()
    scale = np.linalg.norm(start)

    def squares(values: np.ndarray) -> np.ndarray:
        return ((back @ (scale * values)) ** 2).sum(axis=1)

    def slopes(values: np.ndarray) -> np.ndarray:
        return 2 * scale**2 * np.einsum("gia,gi->ga", back, back @ values)

    def curvature(_: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
        return 2 * scale**2 * np.einsum("g,gia,gib->ab", multipliers, back, back)

    found = minimize(
        lambda values: 0.5 * np.sum((values - free / scale) ** 2),
        start / scale,
        jac=lambda values: values - free / scale,
        hess=lambda _: np.eye(len(free)),
        constraints=NonlinearConstraint(squares, -np.inf, 1.0, jac=slopes, hess=curvature),
        method="trust-constr",
        options={"gtol": 1e-13, "xtol": 1e-15, "barrier_tol": 1e-13, "maxiter": 5000},
    )
    return limit * (back @ (scale * found.x))


@pytest.mark.filterwarnings("ignore::mmtjax.InversionWarning")
@pytest.mark.parametrize("number", range(20))
def test_solutions_are_those_of_scipy(number):
    """Samples of two to eight grains, with and without a prior, of which some, all or no grains meet the bound."""
    rng = np.random.default_rng(number)
    grains = small_sample(seed=number, grains=2 + number % 7, width=18.0, depth=10.0)
    _, scan = noisy_scan(grains, seed=number, noise=NOISE, scale=5e3)
    prior, limit = (None, 1e4, 3e3)[number % 3], 10 ** rng.uniform(3.2, 4.2)
    found = invert(scan, grains, NOISE, prior=prior, estimator=BoundedLeastSquares(limit, KEY, draws=20))
    assert np.all(np.linalg.norm(found.magnetization, axis=1) <= limit)
    expected = by_scipy(scan, grains, limit, noise=NOISE, prior=prior)
    np.testing.assert_allclose(found.magnetization, expected, atol=1e-6 * limit)


def test_grains_at_the_bound_and_beside_it():
    """Some of a sample are beyond it without a bound; none is with one, and the misfit is hardly worse."""
    grains = Grains.from_cuboids(
        [[5, 5, -3, 1, 1, 1, 1], [15, 12, -40, 0.3, 0.3, 0.3, 2], [18, 12, -40, 0.3, 0.3, 0.3, 3]]
    )
    truth = np.array([[1e4, 2e3, -4e3], [1e4, 0, 0], [0, 1e4, 0]])
    scan = scan_of(grains, truth)
    free = invert(scan, grains, NOISE)
    limit = 2e4
    assert np.sum(free.magnitude > limit) >= 1
    with_bound = invert(scan, grains, NOISE, estimator=BoundedLeastSquares(limit, KEY))
    assert np.all(with_bound.magnitude <= limit)
    assert float(with_bound.reduced_chi_square) < 1.05 * float(free.reduced_chi_square)
    assert free.is_gaussian
    assert not with_bound.is_gaussian
    # What cannot be is left out of the sphere.
    assert with_bound.confidence_radius[1] < 0.5 * free.confidence_radius[1]
    assert "by bootstrap" in with_bound.table().attrs["notes"]


def scan_of(grains: Grains, truth: np.ndarray) -> Scan:
    noise = np.random.default_rng(3).normal(0, NOISE, GRID.shape)
    return Scan((np.asarray(greens_matrix(grains, GRID)) @ truth.ravel()).reshape(GRID.shape) + noise, GRID)


@pytest.mark.parametrize("prior", [None, 4e3])
@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
def test_radii_of_the_bootstrap_are_those_of_normal_errors_where_no_grain_meets_the_bound(prior, method):
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains, noise=NOISE)
    exact = invert(scan, grains, NOISE, prior=prior, method=method)
    found = invert(scan, grains, NOISE, prior=prior, method=method, estimator=BoundedLeastSquares(1e7, KEY, draws=4000))
    np.testing.assert_allclose(found.magnetization, exact.magnetization, rtol=1e-9)
    # The quantile of 4,000 lengths has a standard deviation of 1.2 %.
    np.testing.assert_allclose(found.confidence_radius, exact.confidence_radius, rtol=0.06)
    np.testing.assert_allclose(found.standard_deviation, exact.standard_deviation, rtol=0.06)


@pytest.mark.parametrize(
    ("maps", "least"),
    # 57 of 60 and 19 of 20 are expected; three standard deviations are 5 and 3.
    [(20, 16), pytest.param(60, 51, marks=pytest.mark.slow)],
)
def test_the_bootstrap_holds_the_truth_at_the_bound(maps, least):
    """The middle grain lies at the bound: its spheres hold the truth about as often as they should, and not less."""
    grains = Grains.from_cuboids([[5, 5, -3, 1, 1, 1, 1], [12, 14, -14, 1, 1, 1, 2]])
    truth = np.array([[4e3, 2e3, -4e3], [0, 9.9e3, 0]])
    matrix, inside = np.asarray(greens_matrix(grains, GRID)), 0
    for number in range(maps):
        noise = np.random.default_rng(number).normal(0, NOISE, GRID.shape)
        scan = Scan((matrix @ truth.ravel()).reshape(GRID.shape) + noise, GRID)
        estimator = BoundedLeastSquares(1e4, jax.random.key(number), draws=100)
        found = invert(scan, grains, NOISE, estimator=estimator)
        inside += np.linalg.norm(found.magnetization[1] - truth[1]) <= found.confidence_radius[1]
    assert inside >= least


@pytest.mark.parametrize("spread", [0, 2, 5])
@pytest.mark.parametrize("count", [1, 6, 40])
def test_conditions_of_an_optimum_hold(count, spread):
    """``v = u - G w``, w along v where it is at the bound, zero elsewhere: for a convex problem that is all."""
    rng = np.random.default_rng(count)
    directions = np.linalg.qr(rng.normal(size=(3 * count, 3 * count)))[0]
    covariance = (directions * 10.0 ** rng.uniform(-spread, 1, 3 * count)) @ directions.T
    covariance = (covariance + covariance.T) / 2
    point = (np.linalg.cholesky(covariance) @ rng.normal(size=3 * count)).reshape(count, 3)
    found = project_on_balls(point, covariance)
    assert found.converged
    length = np.linalg.norm(found.vectors, axis=1)
    assert np.all(length <= 1 + 1e-9)
    met = found.multipliers > 0
    np.testing.assert_allclose(length[met], 1, atol=1e-9)
    np.testing.assert_allclose(found.forces, found.multipliers[:, None] * found.vectors, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        found.vectors.ravel(), point.ravel() - covariance @ found.forces.ravel(), atol=1e-9 * np.abs(point).max()
    )
    again = project_on_balls(point, covariance, found.multipliers)
    np.testing.assert_allclose(again.vectors, found.vectors, atol=1e-8)


def test_what_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match=r"the bound must be a positive magnetization in A/m, such as 480e3; got -1\.0"
    ):
        BoundedLeastSquares(-1.0, KEY)
    with pytest.raises(ValueError, match="got inf"):
        BoundedLeastSquares(np.inf, KEY)
    with pytest.raises(ValueError, match="draws must be 20 or more, for a radius of 95 %; got 5"):
        BoundedLeastSquares(1e4, KEY, draws=5)
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)

    @jax.jit
    def traced(field):
        return invert(Scan(field, GRID), grains, NOISE, estimator=BoundedLeastSquares(1e4, KEY)).magnetization

    with pytest.raises(ValueError, match="a bounded solution is a search, which cannot be traced; use LeastSquares"):
        traced(scan.field)
    with pytest.raises(InversionError, match="far less than what the map shows"):
        invert(scan, grains, NOISE, estimator=BoundedLeastSquares(1e-12, KEY))
