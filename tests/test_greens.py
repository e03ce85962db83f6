"""Forms of the Green's operator against each other and against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import SensorGrid, forward, greens_matrix
from mmtjax.greens import CompressedGreen, DenseGreen, TiledGreen
from tests.samples import small_sample

#: Not a multiple of a tile in either direction.
GRID = SensorGrid(origin=(-4, -6), spacing=1.0, shape=(37, 45), height=1.0)
GRAINS = small_sample(grains=9)


@pytest.fixture(params=["dense", "tiled", "tile by tile", "compressed"])
def green(request):
    """The operator whole, in one block, in blocks of one tile, and on a tree of squares."""
    if request.param == "compressed":
        return CompressedGreen(GRAINS, GRID)
    if request.param == "dense":
        return DenseGreen.from_operator(TiledGreen(GRAINS, GRID))
    return TiledGreen(GRAINS, GRID, block_bytes=2**30 if request.param == "tiled" else 1)


@pytest.fixture(scope="module")
def matrix():
    return np.asarray(greens_matrix(GRAINS, GRID))


def test_products_are_those_of_the_matrix(green, matrix):
    rng = np.random.default_rng(0)
    magnetization, field = rng.normal(size=27), rng.normal(size=GRID.shape)
    weight = rng.uniform(size=GRID.shape) * (rng.uniform(size=GRID.shape) > 0.4)
    weighted = matrix * weight.reshape(-1, 1)
    np.testing.assert_allclose(np.ravel(green.mv(jnp.asarray(magnetization))), matrix @ magnetization, atol=1e-11)
    np.testing.assert_allclose(green.rmv(jnp.asarray(field)), matrix.T @ field.ravel(), atol=1e-10)
    np.testing.assert_allclose(green.gram(jnp.asarray(weight)), weighted.T @ weighted, rtol=1e-11, atol=1e-9)
    root = np.asarray(green.root(jnp.asarray(weight)))
    np.testing.assert_allclose(root.T @ root, weighted.T @ weighted, rtol=1e-10, atol=1e-9)
    np.testing.assert_array_equal(root, np.triu(root))


def test_root_where_no_grain_is_near_most_squares():
    grid = SensorGrid(origin=(0, 0), spacing=1.0, shape=(260, 250), height=1.0)
    grains = small_sample(grains=2, width=20.0, depth=12.0)
    green, expected = CompressedGreen(grains, grid), TiledGreen(grains, grid).gram()
    assert any(len(leaf.near) == 0 for leaf in green.levels[0])
    root = green.root()
    np.testing.assert_allclose(root.T @ root, expected, rtol=1e-6, atol=1e-7 * np.max(expected))


def test_adjoint_identity(green):
    rng = np.random.default_rng(1)
    magnetization, field = jnp.asarray(rng.normal(size=27)), jnp.asarray(rng.normal(size=GRID.shape))
    one, other = jnp.vdot(green.mv(magnetization), field), jnp.vdot(magnetization, green.rmv(field))
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_progress_is_reported_to_the_end():
    seen = []
    TiledGreen(GRAINS, GRID, block_bytes=1).mv(jnp.zeros(27), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len(seen) == 9
    assert seen[-1] == (GRID.size, GRID.size)


def test_forward_of_a_map_in_parts_is_the_product_with_the_matrix():
    """The parts meet at sensors 512; grains lie below and beside the seams."""
    grid = SensorGrid(origin=(-509, -510), spacing=1.0, shape=(520, 525), height=1.0)
    magnetization = np.random.default_rng(3).normal(size=(9, 3))
    field = forward(GRAINS, magnetization, grid)
    for rows, columns in [(slice(500, 520), slice(490, 525)), (slice(3, 520, 40), slice(2, 525, 40))]:
        expected = greens_matrix(GRAINS, grid.window(rows, columns)) @ magnetization.ravel()
        np.testing.assert_allclose(np.ravel(field[rows, columns]), expected, atol=1e-8 * np.max(np.abs(field)))


def test_forward_refuses_another_shape():
    with pytest.raises(
        ValueError, match=r"values of grains must be \(source, component\) = \(9, 3\), in A/m; got shape \(3, 9\)"
    ):
        forward(GRAINS, np.zeros((3, 9)), GRID)


def test_single_precision_is_refused_with_the_line_to_type():
    with jax.enable_x64(False), pytest.raises(RuntimeError, match='jax.config.update."jax_enable_x64", True'):
        forward(GRAINS, np.zeros((9, 3)), GRID)
