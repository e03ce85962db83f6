"""What is asked of a triangular factor, by BLAS and LAPACK and by JAX, against dense inverses and singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax.linalg import triangular
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


@pytest.mark.parametrize("small", [SIZE, 0])
@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("layout", [((0, 32, 3),), ((0, 10, 3), (30, 4, 15), (90, 1, 6)), ((0, 1, 1), (1, 19, 5))])
def test_blocks_are_those_of_the_dense_inverse(factor, traced, layout, small, monkeypatch):
    """Of one set of sources and of several, whole and in panels."""
    monkeypatch.setattr(triangular, "SMALL", small)
    triangular._inverse_blocks.clear_cache()
    inverse = np.linalg.inv(factor)
    whole = inverse @ inverse.T
    found = (jax.jit(inverse_blocks, static_argnums=1) if traced else inverse_blocks)(factor, layout)
    assert len(found) == len(layout)
    for blocks, (first, sources, components) in zip(found, layout, strict=True):
        for source, block in enumerate(blocks):
            own = slice(first + components * source, first + components * (source + 1))
            np.testing.assert_allclose(block / whole[own, own], 1.0, rtol=1e-9)
        assert len(blocks) == sources


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
