"""What is done where JAX computes on an accelerator, with the CPU taken for one."""

import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import InversionWarning, Scan, SensorGrid, Solution, forward, invert, simulate
from mmtjax.field import forms, kernels
from mmtjax.greens import dense, frames, tiled
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.greens.dense import DenseGreen, greens_matrix
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion import memory, strategy
from mmtjax.inversion.stack import as_stack
from mmtjax.inversion.strategy import form_of
from mmtjax.linalg import arrays, triangular
from mmtjax.solvers import SOLVERS

SAMPLE = simulate(jax.random.key(3), side=60, thickness=20, density=5e5, noise=5.0)
GRAINS, GRID = SAMPLE.grains, SAMPLE.scan.grid
COLUMNS = np.asarray(greens_matrix(GRAINS, GRID))
SOLUTIONS = {method: invert(SAMPLE.scan, GRAINS, method=method) for method in ("cholesky", "orthogonal")}


@pytest.fixture(autouse=True)
def accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays count as those of a device, which NumPy may not read in place, and work is cut as for one, a small one."""
    monkeypatch.setattr(kernels, "_ON_ACCELERATOR", 2)
    forwards = sys.modules["mmtjax.greens.forward"]
    for module in (forms, kernels, tiled, frames, forwards, memory, strategy, triangular):
        monkeypatch.setattr(module, "on_accelerator", lambda: True)
    for module in (kernels, dense, arrays, triangular):
        monkeypatch.setattr(module, "in_main_memory", lambda values: isinstance(values, np.ndarray))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns come in blocks of one tile, rows in blocks of one for each unknown."""
    monkeypatch.setattr(tiled, "_ACCELERATOR_BYTES", 0)
    monkeypatch.setattr(tiled, "_BLOCK_ROWS", 1)
    monkeypatch.setattr(frames, "ROWS_ON_ACCELERATOR", 1)


def same(found: Solution, expected: Solution) -> None:
    size = np.asarray(expected.confidence_radius)
    np.testing.assert_allclose(found.confidence_radius, size, rtol=1e-6)
    assert np.all(np.abs(np.asarray(found.magnetization - expected.magnetization)) < 1e-5 * size[:, None])


def test_columns_are_those_of_the_cpu():
    found = np.asarray(greens_matrix(GRAINS, GRID))
    np.testing.assert_allclose(found, COLUMNS, rtol=0, atol=1e-14 * np.abs(COLUMNS).max())


@pytest.mark.usefixtures("small_blocks")
def test_products_are_those_of_the_columns():
    rng = np.random.default_rng(0)
    magnetization, weight = rng.normal(size=COLUMNS.shape[1]), rng.uniform(0.5, 2, size=GRID.shape)
    weighted = COLUMNS * weight.reshape(-1, 1)
    expected = weighted.T @ weighted
    scale = np.sqrt(np.diag(expected))
    green = TiledGreen(GRAINS, GRID)
    for operator in (green, DenseGreen.from_operator(green)):
        np.testing.assert_allclose(np.ravel(operator.mv(jnp.asarray(magnetization))), COLUMNS @ magnetization)
        np.testing.assert_allclose(operator.rmv(jnp.asarray(weight)), COLUMNS.T @ weight.ravel())
        np.testing.assert_allclose(operator.gram(jnp.asarray(weight)) / scale, expected / scale, atol=1e-12 * scale[0])
        root = np.asarray(operator.root(jnp.asarray(weight))) / scale
        np.testing.assert_allclose(root.T @ root, expected / scale / scale[:, None], atol=1e-12)


@pytest.mark.parametrize("method", SOLUTIONS)
def test_an_inversion_is_that_of_the_cpu(method: str):
    same(invert(SAMPLE.scan, GRAINS, method=method), SOLUTIONS[method])


def test_the_standoff_may_be_traced():
    few = GRAINS.select(np.arange(4))

    @jax.jit
    def radius(height: jax.Array) -> jax.Array:
        grid = SensorGrid(origin=GRID.origin, spacing=GRID.spacing, shape=GRID.shape, height=height)
        return invert(Scan(SAMPLE.scan.field, grid), few, noise=5.0).confidence_radius

    with warnings.catch_warnings():
        # The map holds the field of all grains.
        warnings.simplefilter("ignore", InversionWarning)
        expected = invert(SAMPLE.scan, few, noise=5.0).confidence_radius
    np.testing.assert_allclose(radius(GRID.height), expected, rtol=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("method", SOLUTIONS)
def test_columns_are_streamed_where_they_do_not_fit(method: str, monkeypatch: pytest.MonkeyPatch):
    room = memory.estimate_memory(len(GRAINS), GRID.size, method=method) - COLUMNS.nbytes
    monkeypatch.setattr(memory, "device_memory", lambda: room)
    assert form_of("auto", as_stack(GRAINS), GRID, solver=SOLVERS[method]) == "tiled"
    same(invert(SAMPLE.scan, GRAINS, method=method, memory_limit=room), SOLUTIONS[method])


def test_columns_are_held_where_they_fit():
    assert form_of("auto", as_stack(GRAINS), GRID, solver=SOLVERS["orthogonal"]) == "dense"


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "device_memory", lambda: 2**28)
    with pytest.raises(MemoryError, match="and 0.25 GiB are available to JAX on this accelerator; crop the scan"):
        invert(SAMPLE.scan, GRAINS)


def test_compressed_columns_are_kept_in_main_memory():
    green = CompressedGreen(GRAINS, GRID)
    assert all(isinstance(part, np.ndarray) for part in green.leaves)
    found = green.mv(np.asarray(SAMPLE.magnetization).ravel())
    np.testing.assert_allclose(found, forward(GRAINS, SAMPLE.magnetization, GRID), rtol=1e-6, atol=1e-3)
