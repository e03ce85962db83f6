"""Covariances from a triangular factor against dense inverses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import Background, Grains, Scan, SensorGrid, invert
from mmtjax.uncertainty import (
    correlation,
    covariance_blocks,
    covariance_matrix,
    grain_correlation,
    standard_deviation,
)


def green(grains: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix with columns of very different length, its scale, and the factor of the scaled matrix."""
    rng = np.random.default_rng(grains)
    matrix = rng.normal(size=(3 * grains + 20, 3 * grains)) * 10.0 ** rng.uniform(-6, 2, 3 * grains)
    scale = np.linalg.norm(matrix, axis=0)
    return matrix, scale, np.linalg.qr(matrix / scale)[1]


def dense(matrix: np.ndarray, scale: np.ndarray, variance: float) -> np.ndarray:
    """σ² (QᵀQ)⁻¹, by the inverse of the equilibrated normal matrix."""
    unit = matrix / scale
    return variance * np.linalg.inv(unit.T @ unit) / np.outer(scale, scale)


@pytest.mark.parametrize("grains", [1, 17, 50])
def test_covariance_is_the_dense_inverse(grains: int) -> None:
    matrix, scale, factor = green(grains)
    expected = dense(matrix, scale, 25.0)
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = covariance_matrix(factor, scale, variance=25.0)
    np.testing.assert_allclose(found / size, expected / size, atol=1e-12)
    rows = 3 * np.arange(grains)[:, None, None] + np.arange(3)[:, None]
    columns = 3 * np.arange(grains)[:, None, None] + np.arange(3)
    blocks = covariance_blocks(factor, scale, variance=25.0)
    np.testing.assert_allclose(blocks / size[rows, columns], (expected / size)[rows, columns], atol=1e-12)


def test_only_the_upper_triangle_is_read() -> None:
    _, scale, factor = green(4)
    spoiled = np.where(np.tri(12, k=-1, dtype=bool), np.nan, factor)
    np.testing.assert_array_equal(
        covariance_blocks(spoiled, scale, variance=1.0), covariance_blocks(factor, scale, variance=1.0)
    )
    np.testing.assert_array_equal(
        covariance_matrix(spoiled, scale, variance=1.0), covariance_matrix(factor, scale, variance=1.0)
    )


def test_blocks_are_differentiable() -> None:
    rng = np.random.default_rng(0)
    factor, scale = np.triu(rng.normal(size=(9, 9))) + 3 * np.eye(9), rng.uniform(1, 2, 9)
    weight, steps = rng.normal(size=(3, 3, 3)), (np.triu(rng.normal(size=(9, 9))), rng.normal(size=9), 0.3)

    def total(factor: jax.Array, scale: jax.Array, variance: jax.Array) -> jax.Array:
        return jnp.sum(weight * covariance_blocks(factor, scale, variance=variance))

    gradient = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(factor, scale, 2.0)
    slope = sum(np.sum(part * step) for part, step in zip(gradient, steps, strict=True))
    h = 1e-5
    up, down = (
        total(*(value + sign * h * step for value, step in zip((factor, scale, 2.0), steps, strict=True)))
        for sign in (1, -1)
    )
    np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-8)


def test_standard_deviation_and_correlation() -> None:
    matrix, scale, factor = green(6)
    expected = dense(matrix, scale, 4.0)
    deviation = np.sqrt(np.diag(expected))
    found = standard_deviation(covariance_blocks(factor, scale, variance=4.0))
    np.testing.assert_allclose(found, deviation.reshape(6, 3), rtol=1e-12)
    cosines = correlation(covariance_matrix(factor, scale, variance=4.0))
    np.testing.assert_allclose(cosines, expected / np.outer(deviation, deviation), atol=1e-12)
    np.testing.assert_array_equal(np.diag(cosines), 1.0)
    pairs = grain_correlation(cosines)
    for one in range(6):
        for other in range(6):
            block = np.abs(cosines[3 * one : 3 * one + 3, 3 * other : 3 * other + 3])
            assert pairs[one, other] == (1.0 if one == other else block.max())


def test_an_unknown_without_variance_has_no_correlation_and_finite_derivatives() -> None:
    matrix = np.diag([4.0, 0.0, 1.0])
    np.testing.assert_array_equal(correlation(matrix), np.eye(3))
    assert np.all(np.isfinite(jax.grad(lambda c: correlation(c)[0, 1])(matrix)))
    assert np.all(np.isfinite(jax.grad(lambda c: standard_deviation(c).sum())(matrix[None])))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_correlation_does_not_depend_on_the_unit(size: float) -> None:
    matrix = np.array([[4.0, 1.0, 0.5], [1.0, 2.0, -1.0], [0.5, -1.0, 3.0]])
    np.testing.assert_allclose(correlation(size * matrix), correlation(matrix), rtol=1e-14)


@pytest.mark.parametrize("compute", [covariance_blocks, covariance_matrix])
def test_bad_factors_are_refused(compute: object) -> None:
    eye, ones = np.eye(6), np.ones(6)
    singular, broken = np.diag([1.0, 1, 1, 1, 0, 1]), np.diag([1.0, np.nan, 1, 1, 1, 1])
    with pytest.raises(ValueError, match=r"got shapes \(6, 6\), \(5,\) and \(\)"):
        compute(eye, np.ones(5), variance=1.0)
    with pytest.raises(ValueError, match=r"got shapes \(4, 4\), \(4,\) and \(\)"):
        compute(np.eye(4), np.ones(4), variance=1.0)
    with pytest.raises(ValueError, match=r"factor\[4, 4\] is 0.0: the magnetization of grain 1 is not determined"):
        compute(singular, ones, variance=1.0)
    with pytest.raises(ValueError, match=r"factor\[1, 1\] is nan"):
        compute(broken, ones, variance=1.0)
    with pytest.raises(ValueError, match=r"scale\[2\] is -1.0"):
        compute(eye, np.array([1, 1, -1.0, 1, 1, 1]), variance=1.0)
    with pytest.raises(ValueError, match="variance of the noise must be finite and not negative, in nT²; got -1.0"):
        compute(eye, ones, variance=-1.0)
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        compute(eye, ones, variance=1.0)


@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
def test_unknowns_need_not_be_a_multiple_of_three(method: str) -> None:
    grid = SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1)
    grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    solution = invert(Scan(np.full(grid.shape, 7.0), grid), [grains, Background(0)], 5.0, method=method)
    matrix = np.asarray(solution.covariance_matrix())
    level = solution.estimate_of("background")
    np.testing.assert_allclose(level.values, 7.0, rtol=1e-9)
    np.testing.assert_allclose(level.covariance[0, 0, 0], matrix[6, 6], rtol=1e-9)
    np.testing.assert_allclose(solution.covariance[1], matrix[3:6, 3:6], rtol=1e-9)


def test_bad_matrices_are_refused() -> None:
    with pytest.raises(ValueError, match="a variance is negative: .*-2.0"):
        standard_deviation(np.diag([1.0, -2.0, 1.0])[None])
    with pytest.raises(ValueError, match=r"three rows per grain; got shape \(4, 4\)"):
        grain_correlation(np.eye(4))
