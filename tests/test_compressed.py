"""The compressed operator: its polynomials, its tree, and its products against the dense matrix."""

import gc
import itertools
import warnings
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import InversionWarning, Scan, SensorGrid, greens_matrix, invert
from mmtjax.field.plan import plan_field
from mmtjax.greens import CompressedGreen, DenseGreen, TiledGreen
from mmtjax.greens.compressed.operator import stored_bytes
from mmtjax.greens.compressed.rotation import bases
from mmtjax.greens.compressed.tree import LEAF, grow_tree, leaf_vandermonde
from mmtjax.inversion import strategy
from mmtjax.linalg.gram import gram_of_pieces
from mmtjax.linalg.pieces import Piece
from mmtjax.physics.chebyshev import interpolation, nodes, transfer, truncation_error, vandermonde
from tests.samples import small_sample

#: Several leaves in each direction, none of the edges at a leaf's, and sensors that are not square.
GRID = SensorGrid(origin=(-70, -60), spacing=(1.0, 0.9), shape=(150, 131), height=1.5, side=0.8)
GRAINS = small_sample(grains=14, width=110.0, depth=30.0).translate([-55, -45, 0])


@pytest.fixture(scope="module")
def matrix():
    return np.asarray(greens_matrix(GRAINS, GRID))


@pytest.fixture(scope="module")
def green():
    return CompressedGreen(GRAINS, GRID)


def test_polynomials_of_degree_15_are_found_exactly():
    """A polynomial of total degree 15, made from monomials, from its values at the nodes."""
    rng = np.random.default_rng(0)
    factors = {(k, m): rng.normal() for k in range(16) for m in range(16 - k)}

    def polynomial(x, y):
        return sum(value * x**k * y**m for (k, m), value in factors.items())

    x, y = np.meshgrid(nodes(), nodes())
    found = polynomial(x, y).ravel() @ interpolation()
    places = rng.uniform(-1, 1, (2, 50))
    np.testing.assert_allclose(vandermonde(*places) @ found, polynomial(*places), atol=1e-11)
    for row in (0, 1):
        for column in (0, 1):
            inside = (places + [[2 * column - 1], [2 * row - 1]]) / 2
            moved = transfer(row, column) @ found
            np.testing.assert_allclose(vandermonde(*places) @ moved, polynomial(*inside), atol=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_a_polynomial_is_bounded(seed):
    """Dipoles anywhere around a square, in closed form, at points of which the table knows nothing."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-1, 1, (2, 400))
    x, y = np.meshgrid(nodes(), nodes())
    for _ in range(40):
        source = np.array([*rng.uniform(-4, 4, 2), -rng.uniform(0.3, 4)])
        outside = np.maximum(0, np.abs(source[:2]) - 1)
        bound = truncation_error(np.array([np.hypot(*outside)]), -source[2:])[0]
        for component in range(3):

            def dipole(x, y, component=component, source=source):
                d = np.stack([x - source[0], y - source[1], np.full(np.shape(x), -source[2])])
                square = (d**2).sum(axis=0)
                return (3 * d[component] * d[2] - (component == 2) * square) / square**2.5

            ours = vandermonde(*places) @ (dipole(x, y).ravel() @ interpolation())
            assert np.abs(ours - dipole(*places)).max() <= bound + 1e-13


def test_columns_of_a_part_of_a_map_are_as_right_as_those_of_the_map():
    """To a share of the peak over the whole map, far from which polynomials on large squares are enough."""
    whole = SensorGrid(origin=(-70, -60), spacing=1.0, shape=(120, 500), height=1.5)
    part = whole.window(slice(None), slice(300, 500))
    peak = np.abs(greens_matrix(GRAINS, whole, tolerance=1e-11)).max(axis=0)
    exact = np.asarray(greens_matrix(GRAINS, part, tolerance=1e-11))
    alone = CompressedGreen(GRAINS, part, tolerance=1e-8)
    shared = CompressedGreen(GRAINS, part, tolerance=1e-8, whole=whole)
    columns = np.asarray(shared.mv(jnp.eye(shared.unknowns.size))).reshape(shared.unknowns.size, -1).T
    assert np.max(np.abs(columns - exact) / peak) < 1e-8
    assert shared.nbytes < 0.6 * alone.nbytes


def test_the_tree_covers_every_sensor_once_and_keeps_the_near():
    plan = plan_field(GRAINS, GRID)
    levels = grow_tree(plan)
    covered = np.zeros(GRID.shape, int)
    for leaf in levels[0]:
        row, column = leaf.first
        covered[row : row + LEAF, column : column + LEAF] += 1
    np.testing.assert_array_equal(covered, 1)
    for below, above in zip(levels, levels[1:], strict=False):
        assert sorted(child for square in above for child in square.children) == list(range(len(below)))
        for square in above:
            for child in square.children:
                both = np.concatenate([below[child].near, below[child].far])
                np.testing.assert_array_equal(np.sort(both), square.near)
    assert len(levels[-1]) == 1
    assert sum(len(square.far) for level in levels for square in level) > len(GRAINS)


def test_rotated_rows_are_orthonormal():
    """Bases of weighted polynomials, those of a square in those within it, with sensors that are masked."""
    plan = plan_field(GRAINS, GRID)
    levels = grow_tree(plan)
    rng = np.random.default_rng(1)
    polynomials = leaf_vandermonde()
    weights = [rng.uniform(size=LEAF**2) * (rng.uniform(size=LEAF**2) > 0.4) for _ in levels[0]]
    found = bases(levels, weights)
    for level in found:
        for basis in level:
            count = basis.orthonormal.shape[1]
            np.testing.assert_allclose(basis.orthonormal.T @ basis.orthonormal, np.eye(count), atol=1e-12)
    for basis, weight in zip(found[0], weights, strict=True):
        np.testing.assert_allclose(basis.orthonormal @ basis.triangle, weight[:, None] * polynomials, atol=1e-10)


def test_products_are_those_of_the_matrix(green, matrix):
    rng = np.random.default_rng(2)
    magnetization, field = rng.normal(size=42), rng.normal(size=GRID.shape)
    field_of = matrix @ magnetization
    np.testing.assert_allclose(
        np.ravel(green.mv(jnp.asarray(magnetization))), field_of, atol=1e-8 * np.abs(field_of).max()
    )
    moments = matrix.T @ field.ravel()
    scale = np.linalg.norm(matrix, axis=0) * np.linalg.norm(field)
    assert np.all(np.abs(green.rmv(jnp.asarray(field)) - moments) < 1e-8 * scale)


@pytest.mark.parametrize("order", ["C", "F"])
def test_products_with_the_normal_equations_are_those_of_the_matrix(green, matrix, order):
    rng = np.random.default_rng(4)
    magnetization, weight = rng.normal(size=(5, 42)), rng.uniform(size=GRID.shape)
    weight[:40] = 0
    weighted = matrix * weight.reshape(-1, 1)
    scale = np.linalg.norm(weighted, axis=0)
    expected = (magnetization / scale) @ (weighted.T @ weighted)
    found = green.normal(np.asarray(magnetization / scale, order=order), weight)
    assert np.all(np.abs(found - expected) < 2e-8 * np.sqrt(42) * scale)
    np.testing.assert_allclose(green.normal(magnetization[0] / scale, weight), found[0], rtol=1e-9)


@pytest.mark.parametrize("masked", [0.0, 0.4, "half"])
def test_factors_are_those_of_the_weighted_matrix(green, matrix, masked):
    """Weights of all sizes, 40 % of the sensors masked, and one half of the map with a leaf that is masked whole."""
    rng = np.random.default_rng(3)
    weight = rng.uniform(0.2, 2, size=GRID.shape)
    if masked == "half":
        weight[:70, :] = 0
    else:
        weight[rng.uniform(size=GRID.shape) < masked] = 0
    weighted = matrix * weight.reshape(-1, 1)
    expected = weighted.T @ weighted
    scale = np.sqrt(np.diag(expected))
    gram, root = np.asarray(green.gram(jnp.asarray(weight))), np.asarray(green.root(jnp.asarray(weight)))
    assert np.all(np.abs(gram - expected) < 2e-8 * scale * scale[:, None])
    assert np.all(np.abs(root.T @ root - expected) < 2e-8 * scale * scale[:, None])
    np.testing.assert_array_equal(root, np.triu(root))
    # Of one operator, both are the same to rounding.
    assert np.all(np.abs(root.T @ root - gram) < 1e-13 * scale * scale[:, None])


def test_most_columns_are_polynomials(green):
    """Otherwise nothing would be compressed, and the other tests would not try what they say."""
    dense = 8 * 42 * GRID.size
    assert green.nbytes < 0.75 * dense
    distant = sum(len(square.far) * 4**square.level for level in green.levels for square in level)
    assert distant > 0.5 * len(GRAINS) * len(green.levels[0])


def test_the_bytes_of_its_columns_are_known_before_they_are_made(green):
    assert stored_bytes(plan_field(GRAINS, GRID)) == green.nbytes


def test_the_tolerance_is_the_users(matrix):
    rng = np.random.default_rng(4)
    magnetization = rng.normal(size=42)
    away = []
    for tolerance in (1e-4, 1e-6, 1e-10):
        coarse = CompressedGreen(GRAINS, GRID, tolerance=tolerance)
        away.append(np.abs(np.ravel(coarse.mv(jnp.asarray(magnetization))) - matrix @ magnetization).max())
        assert away[-1] < 10 * max(tolerance, 1e-8) * np.abs(matrix * magnetization).max()
    assert away[0] > 10 * away[1]


def test_a_grid_smaller_than_a_leaf():
    grid = SensorGrid(origin=(-8, -7), spacing=1.0, shape=(15, 20), height=1.0)
    grains = small_sample(grains=3, width=12.0).translate([-6, -6, 0])
    dense = DenseGreen.from_operator(TiledGreen(grains, grid))
    small = CompressedGreen(grains, grid)
    np.testing.assert_allclose(small.gram(), dense.gram(), rtol=1e-10, atol=1e-8)
    np.testing.assert_allclose(small.mv(jnp.ones(9)), dense.mv(jnp.ones(9)), rtol=1e-10, atol=1e-8)


def test_progress_is_reported_to_the_end(green):
    seen = []
    green.gram(progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (GRID.size, GRID.size)


@pytest.mark.parametrize("as_array", [np.asarray, jnp.asarray])
def test_squares_of_few_unknowns_are_added_where_they_belong(as_array):
    rng, place = np.random.default_rng(0), np.array([1, 2, 5, 6, 8])
    columns, weight = rng.normal(size=(5, 7)), rng.uniform(size=7)
    whole = np.zeros((9, 7))
    whole[place] = columns * weight
    found = gram_of_pieces([Piece(as_array(columns), place=place, weight=as_array(weight))], 9)
    np.testing.assert_allclose(found, whole @ whole.T, atol=1e-15)


def test_traced_geometry_needs_a_plan():
    def total(height):
        grid = SensorGrid(origin=(0, 0), spacing=1.0, shape=(40, 40), height=height)
        return CompressedGreen(GRAINS, grid).mv(jnp.ones(42)).sum()

    with pytest.raises(ValueError, match="pass reuse_plan="):
        jax.grad(total)(1.0)


@pytest.mark.slow
def test_derivative_with_a_plan_of_known_geometry():
    """Along the standoff, against central differences of the dense matrix."""
    grid = SensorGrid(origin=(-60, -50), spacing=2.0, shape=(48, 50), height=2.0)
    plan = plan_field(GRAINS, grid)
    field = jnp.asarray(np.random.default_rng(6).normal(size=grid.shape))

    def product(height, form, **options):
        moved = SensorGrid(origin=(-60, -50), spacing=2.0, shape=(48, 50), height=height)
        return jnp.vdot(form(GRAINS, moved, **options).mv(jnp.ones(42)), field)

    slope = jax.grad(lambda height: product(height, CompressedGreen, reuse_plan=plan))(2.0)
    step = 1e-3
    around = [float(product(2.0 + k * step, TiledGreen)) for k in (-2, -1, 1, 2)]
    expected = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_grains_far_from_all_sensors_are_polynomials_of_the_root():
    """Half of the grains stand hundreds of µm beside the map; products and factors are those of the dense matrix."""
    grains = GRAINS.translate(np.where(np.arange(len(GRAINS))[:, None] % 2, 0.0, [[600.0, -400.0, 0.0]]))
    green = CompressedGreen(grains, GRID)
    assert set(range(0, len(grains), 2)) >= set(green.levels[-1][0].far) >= {0, 4, 8}
    dense = np.asarray(greens_matrix(grains, GRID))
    peak = np.abs(dense).max(axis=0)
    magnetizations = np.random.default_rng(4).normal(size=(2, green.unknowns.size)) / peak
    fields = np.asarray(green.mv(magnetizations))
    np.testing.assert_allclose(fields.reshape(2, -1), magnetizations @ dense.T, atol=1e-7)
    np.testing.assert_allclose(green.rmv(fields), fields.reshape(2, -1) @ dense, rtol=1e-6, atol=1e-6 * peak.max())
    scale = np.linalg.norm(dense, axis=0)
    gram = dense.T @ dense / scale / scale[:, None]
    np.testing.assert_allclose(green.gram() / scale / scale[:, None], gram, atol=1e-7)
    root = np.asarray(green.root()) / scale
    np.testing.assert_allclose(root.T @ root, gram, atol=1e-7)


@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
def test_columns_go_with_the_inversion_that_made_them(method, monkeypatch):
    """Without looking for cycles, which Python does seldom in a long-lived process: a study held samples of before."""
    held = []

    def made(*arguments, **options):
        green = CompressedGreen(*arguments, **options)
        held.extend(weakref.ref(columns) for columns in (*green.leaves, *itertools.chain(*green.polynomials)))
        return green

    monkeypatch.setattr(strategy, "CompressedGreen", made)
    # Nor on an accelerator, which makes all columns.
    monkeypatch.setattr(strategy, "form_of", lambda *_, **__: "compressed")
    scan = Scan(np.random.default_rng(0).normal(size=GRID.shape), GRID)
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InversionWarning)
            solution = invert(scan, GRAINS, noise=1.0, method=method)
        assert len(held) > 9
        assert not any(columns() is not None for columns in held)
    finally:
        gc.enable()
    assert solution.method == method
