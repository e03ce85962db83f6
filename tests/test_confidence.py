"""Confidence radii against 30-digit integrals, exact distributions, draws and finite differences."""

import itertools
from collections.abc import Callable

import jax
import mpmath
import numpy as np
import pytest
import scipy.stats

from mmtjax.uncertainty import (
    bootstrap_radius,
    confidence_radius,
    covariance_matrix,
    joint_bootstrap_radius,
    uncertainty_ratio,
)

ANISOTROPY = [1.0, 0.5, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-12, 1e-16, 0.0]
SHAPES = np.array([(1.0, b, c) for b, c in itertools.combinations_with_replacement(ANISOTROPY, 2)])
PLAIN = np.array([np.diag(values) for values in SHAPES])
FEW_SHAPES = [(1, 1, 1), (1, 1, 0.3), (1, 0.2, 0.2), (1, 0.3, 0.01), (1, 1e-3, 1e-6), (1, 0.5, 0), (1, 1, 0), (1, 0, 0)]

#: Of the sum of the radii, which are independent: the gradient of every one.
GRADIENT = jax.jit(jax.grad(lambda covariance, level: confidence_radius(covariance, level).sum()))


def rotation(seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def covariances(eigenvalues: np.ndarray) -> np.ndarray:
    """Covariances with these eigenvalues, (grain, 3), along axes that point anywhere."""
    turned = [rotation(seed) * np.sqrt(values) for seed, values in enumerate(np.asarray(eigenvalues, float))]
    return np.array([half @ half.T for half in turned])


def laplace(eigenvalues: tuple[float, float, float], power: int = 0) -> Callable[[mpmath.mpc], mpmath.mpc]:
    """Laplace transform of the density (power 0) or distribution (power 1) of |δ|², δ normal with these variances."""
    return lambda s: mpmath.fprod(1 / mpmath.sqrt(1 + 2 * s * mpmath.mpf(float(v))) for v in eigenvalues) / s**power


def relative_error(radius: float, eigenvalues: tuple[float, float, float], level: float) -> float:
    """Of a radius, from the chance it leaves: by inversion of the Laplace transform in 30 digits."""
    with mpmath.workdps(30):
        square = mpmath.mpf(float(radius)) ** 2
        chance = mpmath.invertlaplace(laplace(eigenvalues, 1), square, method="talbot")
        density = mpmath.invertlaplace(laplace(eigenvalues), square, method="talbot")
        return float((chance - mpmath.mpf(level)) / (2 * square * density))


@pytest.mark.parametrize(
    ("level", "tolerance"),
    [(0.95, 1e-14), (0.5, 2e-14), (0.9999, 1e-14), (1 - 1e-9, 1e-14), (0.01, 1e-12), (1e-5, 1e-10)],
)
def test_radius_solves_the_integral(level: float, tolerance: float) -> None:
    found = confidence_radius(PLAIN, level)
    chosen = range(len(SHAPES)) if level == 0.95 else range(0, len(SHAPES), 3)
    errors = [relative_error(found[i], SHAPES[i], level) for i in chosen]
    assert np.max(np.abs(errors)) < tolerance, SHAPES[chosen[np.argmax(np.abs(errors))]]


@pytest.mark.parametrize("level", [0.05, 0.5, 0.95, 0.9999])
def test_radius_of_a_sphere_a_disc_and_a_line(level: float) -> None:
    for freedom in (1, 2, 3):
        flat = covariances([[1.0] * freedom + [0.0] * (3 - freedom)])[0]
        exact = scipy.stats.chi(freedom).ppf(level)
        assert float(confidence_radius(flat, level)) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e-8, 1e8, 1e30])
def test_radius_scales_and_turns_with_the_covariance(size: float) -> None:
    np.testing.assert_allclose(confidence_radius(size * PLAIN), np.sqrt(size) * confidence_radius(PLAIN), rtol=1e-13)
    np.testing.assert_allclose(confidence_radius(covariances(SHAPES)), confidence_radius(PLAIN), rtol=1e-13)


def test_radius_holds_its_share_of_a_million_draws() -> None:
    draws = np.random.default_rng(5).normal(size=(1_000_000, 3))
    for covariance in covariances([(1, 1, 1), (1, 0.3, 0.01), (1, 1, 0)]):
        values, vectors = np.linalg.eigh(covariance)
        length = np.linalg.norm(draws * np.sqrt(np.maximum(values, 0)) @ vectors.T, axis=1)
        for level in (0.5, 0.95, 0.999):
            inside = np.mean(length <= confidence_radius(covariance, level))
            assert abs(inside - level) < 4 * np.sqrt(level * (1 - level) / len(draws))


def test_radius_of_certainty_is_zero() -> None:
    blocks = covariances(FEW_SHAPES)
    blocks[3] = 0
    assert np.flatnonzero(confidence_radius(blocks) == 0).tolist() == [3]
    gradient = GRADIENT(blocks, 0.95)
    np.testing.assert_array_equal(gradient[3], np.zeros((3, 3)))
    assert np.all(np.isfinite(gradient))


def test_many_grains_are_those_of_one_at_a_time() -> None:
    many = np.tile(covariances(SHAPES), (40, 1, 1))
    assert len(many) > 2048
    found = confidence_radius(many)
    np.testing.assert_allclose(found, np.tile(found[: len(SHAPES)], 40), rtol=1e-14)
    alone = [float(confidence_radius(block)) for block in many[:5]]
    np.testing.assert_allclose(found[:5], alone, rtol=1e-14)


def central(function: Callable[[float], jax.Array], step: float) -> jax.Array:
    """Derivative at 0 by central differences of fourth order."""
    near, far = (function(step) - function(-step)), (function(2 * step) - function(-2 * step))
    return (8 * near - far) / (12 * step)


def one_sided(function: Callable[[float], jax.Array], step: float) -> jax.Array:
    """Derivative at 0 from values at 0 and above, of fourth order."""
    weights = (-25, 48, -36, 16, -3)
    return sum(weight * function(k * step) for k, weight in enumerate(weights)) / (12 * step)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
def test_gradient_is_that_of_finite_differences(level: float) -> None:
    blocks = covariances(FEW_SHAPES)
    half = np.random.default_rng(3).normal(size=blocks.shape)
    change = half @ np.swapaxes(half, 1, 2) / 3
    slope = jax.jvp(lambda c: confidence_radius(c, level), (blocks,), (change,))[1]
    gradient = GRADIENT(blocks, level)
    np.testing.assert_allclose(np.sum(gradient * change, axis=(1, 2)), slope, rtol=1e-13)
    # Below zero the covariances of vanishing eigenvalues are none: there the difference is to one side.
    numerical = one_sided(lambda t: confidence_radius(blocks + t * change, level), 1e-4)
    np.testing.assert_allclose(slope, numerical, rtol=1e-6)
    inner = np.min(FEW_SHAPES, axis=1) > 1e-3
    safe = np.where(inner[:, None, None], blocks, np.eye(3))
    numerical = central(lambda t: confidence_radius(safe + t * change, level), 1e-4)
    np.testing.assert_allclose(slope[inner], numerical[inner], rtol=1e-7)


@pytest.mark.parametrize(("level", "tolerance"), [(0.95, 1e-9), (0.5, 1e-7), (0.01, 1e-6)])
def test_gradient_is_that_of_the_integral(level: float, tolerance: float) -> None:
    radii, blocks = confidence_radius(covariances(FEW_SHAPES), level), covariances(FEW_SHAPES)
    for seed, (values, radius, gradient) in enumerate(zip(FEW_SHAPES, radii, GRADIENT(blocks, level), strict=True)):
        with mpmath.workdps(30):
            square, law = mpmath.mpf(float(radius)) ** 2, laplace(values)
            density = mpmath.invertlaplace(law, square, method="talbot")
            slopes = [
                float(
                    mpmath.invertlaplace(lambda s, v=v, law=law: law(s) / (1 + 2 * s * v), square, method="talbot")
                    / (density * 2 * radius.item())
                )
                for v in values
            ]
        expected = rotation(seed) * slopes @ rotation(seed).T
        np.testing.assert_allclose(gradient, expected, atol=tolerance * np.max(slopes))


def test_second_derivatives_are_those_of_finite_differences() -> None:
    inner = np.min(FEW_SHAPES, axis=1) > 1e-3
    blocks = np.where(inner[:, None, None], covariances(FEW_SHAPES), np.eye(3))
    half = np.random.default_rng(4).normal(size=blocks.shape)
    change = half + np.swapaxes(half, 1, 2)
    second = jax.jvp(lambda c: GRADIENT(c, 0.95), (blocks,), (change,))[1]
    numerical = central(lambda t: GRADIENT(blocks + t * change, 0.95), 3e-4)
    np.testing.assert_allclose(second, numerical, atol=1e-6 * np.max(np.abs(numerical)))


def test_radius_is_differentiable_in_the_level() -> None:
    blocks = covariances(FEW_SHAPES)
    slope = jax.jvp(lambda level: confidence_radius(blocks, level), (0.9,), (1.0,))[1]
    numerical = central(lambda t: confidence_radius(blocks, 0.9 + t), 1e-4)
    np.testing.assert_allclose(slope, numerical, rtol=1e-8)


def deviation_of_rank(blocks: np.ndarray, level: float, draws: int) -> np.ndarray:
    """Standard deviation of the norm of rank level · draws: that of the rank over the density of the norm."""
    slope = jax.jvp(lambda share: confidence_radius(blocks, share), (level,), (1.0,))[1]
    return slope * np.sqrt(level * (1 - level) / draws)


def test_bootstrap_estimates_the_exact_radius() -> None:
    blocks = 1e-6 * covariances(SHAPES)
    assert len(blocks) > 64
    scores = (bootstrap_radius(jax.random.key(1), blocks) - confidence_radius(blocks)) / deviation_of_rank(
        blocks, 0.95, 10_000
    )
    assert np.max(np.abs(scores)) < 4
    assert 0.7 < np.std(scores) < 1.3


def test_bootstrap_takes_the_norm_of_that_rank() -> None:
    key, block = jax.random.key(2), covariances([(1, 0.5, 0.1)])[0]
    # Of 20 draws, rank 19 for 0.95 and, rounded, for 0.94; rank 20 for 0.99.
    one, same, next_one = (float(bootstrap_radius(key, block, 20, level)) for level in (0.95, 0.94, 0.99))
    assert one == same < next_one


def test_bootstrap_of_a_grain_does_not_depend_on_the_others() -> None:
    key, blocks = jax.random.key(3), covariances(FEW_SHAPES)
    others = blocks.copy()
    others[3:] = 0
    found = bootstrap_radius(key, others, 100)
    np.testing.assert_array_equal(found[:3], bootstrap_radius(key, blocks, 100)[:3])
    np.testing.assert_array_equal(found[3:], 0)


def test_joint_bootstraps_agree_with_the_exact_radius() -> None:
    rng = np.random.default_rng(6)
    matrix = rng.normal(size=(60, 30)) * 10.0 ** rng.uniform(-3, 2, 30)
    matrix[:, 1] += 20 * matrix[:, 4]
    scale = np.linalg.norm(matrix, axis=0)
    factor = np.linalg.qr(matrix / scale)[1]
    whole = covariance_matrix(factor, scale, variance=400.0)
    blocks = np.stack([whole[3 * g : 3 * g + 3, 3 * g : 3 * g + 3] for g in range(10)])
    exact, deviation = confidence_radius(blocks), deviation_of_rank(blocks, 0.95, 4_000)
    key = jax.random.key(7)
    for estimate in (
        bootstrap_radius(key, whole, 4_000),
        joint_bootstrap_radius(key, factor, scale, variance=400.0, draws=4_000),
    ):
        assert np.max(np.abs(estimate - exact) / deviation) < 4


def test_joint_bootstrap_draws_the_grains_together() -> None:
    half = np.random.default_rng(8).normal(size=(3, 2))
    twins = np.tile(half @ half.T, (2, 2))
    radii = bootstrap_radius(jax.random.key(9), twins, 700)
    np.testing.assert_allclose(radii[0], radii[1], rtol=1e-7)


def test_uncertainty_ratio() -> None:
    magnetization, radius = np.array([[3.0, 0, 4], [0, 0, 0], [0, 1e3, 0]]), np.array([0.5, 1.0, 0.0])
    np.testing.assert_array_equal(uncertainty_ratio(magnetization, radius), [0.1, np.inf, 0.0])
    known = jax.grad(lambda m, u: uncertainty_ratio(m, u)[::2].sum(), argnums=(0, 1))(magnetization, radius)
    np.testing.assert_allclose(known[0][0], [-0.012, 0, -0.016], rtol=1e-14)
    np.testing.assert_allclose(known[1], [0.2, 0, 1e-3], rtol=1e-14)
    assert np.all(np.isfinite(known[0]))
    with pytest.raises(Exception, match="magnetization"):
        uncertainty_ratio(magnetization, radius[:2])


BAD = {
    "not finite": (np.where(np.arange(18).reshape(2, 3, 3) == 13, np.nan, 1.0), r"covariance\[1, 1, 1\] is nan"),
    "not symmetric": (
        np.stack([np.eye(3), np.eye(3) + np.eye(3, k=2)]),
        r"covariance\[1, 0, 2\] is 1.0 and its .* 0.0",
    ),
    "not semidefinite": (np.stack([np.eye(3), np.diag([1, -0.5, 1])]), r"covariance\[1\] has an eigenvalue of -0.5"),
    "one, not semidefinite": (np.diag([1, -0.5, 1]), "covariance has an eigenvalue of -0.5 beside one of 1.0"),
    "shape": (np.ones((2, 3, 4)), r"got shape \(2, 3, 4\)"),
    "no matrix": (np.ones(3), r"got shape \(3,\)"),
    "no numbers": ("large", "covariance must be an array of real numbers; got 'large'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_covariances_are_refused(case: str) -> None:
    covariance, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        confidence_radius(covariance)
    with pytest.raises(ValueError, match=message):
        bootstrap_radius(jax.random.key(0), covariance)


def test_bad_whole_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got shape \(6, 6\)"):
        confidence_radius(np.eye(6))
    with pytest.raises(ValueError, match=r"got shape \(4, 4\)"):
        bootstrap_radius(jax.random.key(0), np.eye(4))
    with pytest.raises(ValueError, match="has an eigenvalue of -3.0 beside one of 1.0"):
        bootstrap_radius(jax.random.key(0), np.diag([1.0, 1, 1, 1, 1, -3]))


def test_rounding_is_forgiven() -> None:
    noisy = np.diag([1.0, 1e-3, -1e-9]) + 1e-9 * np.eye(3, k=1)
    np.testing.assert_allclose(confidence_radius(noisy), confidence_radius(np.diag([1.0, 1e-3, 0])), rtol=1e-8)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 95.0, np.nan, 1e-6])
def test_bad_levels_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"level must be one probability, .* got {level}"):
        confidence_radius(np.eye(3), level)


def test_bad_draws_are_refused() -> None:
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="level must be one probability, between 0 and 1; got 1.5"):
        bootstrap_radius(key, np.eye(3), level=1.5)
    with pytest.raises(ValueError, match="draws must be a positive integer; got 0"):
        bootstrap_radius(key, np.eye(3), 0)
    with pytest.raises(ValueError, match="10 draws are too few for the level 0.01; take 100 or more"):
        joint_bootstrap_radius(key, np.eye(3), np.ones(3), variance=1.0, draws=10, level=0.01)


def test_single_precision_is_refused() -> None:
    with jax.enable_x64(False):
        for compute in (confidence_radius, lambda c: bootstrap_radius(jax.random.key(0), c)):
            with pytest.raises(RuntimeError, match="jax_enable_x64"):
                compute(np.eye(3))


def test_radius_under_jit_and_vmap() -> None:
    blocks = covariances(FEW_SHAPES)
    np.testing.assert_allclose(jax.jit(confidence_radius)(blocks), confidence_radius(blocks), rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(confidence_radius)(blocks), confidence_radius(blocks), rtol=1e-14)
