"""What is asked of a triangular factor, by BLAS and LAPACK and by JAX, against dense inverses and singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax.linalg.triangular import condition_number, inverse_blocks, solve

SIZE = 96


@pytest.fixture(scope="module")
def factor() -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.linalg.qr(rng.normal(size=(SIZE, SIZE)) * 10.0 ** rng.uniform(-3, 0, SIZE))[1]


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_solves_are_those_of_the_dense_matrix(factor, traced, transposed):
    vector = np.random.default_rng(2).normal(size=SIZE)

    def found(factor, vector):
        return solve(factor, vector, transposed=transposed)

    expected = np.linalg.solve(factor.T if transposed else factor, vector)
    np.testing.assert_allclose((jax.jit(found) if traced else found)(factor, vector), expected, rtol=1e-9)


@pytest.mark.parametrize("of", [inverse_blocks, jax.jit(inverse_blocks)])
def test_blocks_are_those_of_the_dense_inverse(factor, of):
    inverse = np.linalg.inv(factor)
    whole = (inverse @ inverse.T).reshape(SIZE // 3, 3, SIZE // 3, 3)
    expected = whole[np.arange(SIZE // 3), :, np.arange(SIZE // 3)]
    np.testing.assert_allclose(of(factor) / expected, 1.0, rtol=1e-9)


@pytest.mark.parametrize("of", [condition_number, jax.jit(condition_number)])
def test_condition_is_the_ratio_of_singular_values(factor, of):
    assert of(factor) == pytest.approx(np.linalg.cond(factor), rel=0.05)
    assert of(factor) <= np.linalg.cond(factor) * (1 + 1e-9)


@pytest.mark.parametrize("of", [condition_number, jax.jit(condition_number)])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_condition_of_a_broken_factor_is_infinite(factor, of, value):
    broken = factor.copy()
    broken[4, 4] = value
    assert of(jnp.asarray(broken)) == np.inf
