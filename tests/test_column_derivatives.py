"""Derivatives of the columns with respect to geometry, against differences of the columns themselves."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import SensorGrid
from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import plan_field, tile_count
from mmtjax.field.vjp import slopes_by_side, vjp_columns
from mmtjax.physics.harmonics import derivative_matrices, field_terms
from mmtjax.physics.series import series
from tests.samples import small_sample

GRAINS = small_sample(grains=6, width=60.0, depth=30.0)
SHAPE = (35, 50)
TILES = np.arange(12)
COTANGENT = np.random.default_rng(0).normal(size=(18, len(TILES) * 256))

#: Origin, spacing, height and side of the sensors.
GEOMETRY = np.array([-4.0, -3.0, 1.3, 1.2, 1.0, 0.9])


def grid_of(geometry):
    return SensorGrid(
        origin=geometry[:2], spacing=geometry[2:4], shape=SHAPE, height=geometry[4], side=np.full(2, geometry[5])
    )


def total(geometry, grains=GRAINS):
    grid = grid_of(geometry)
    return np.vdot(COTANGENT, columns_on_tiles(plan_field(grains, grid, tolerance=1e-10), grid, tiles=TILES))


def slope(function, step=2e-3):
    """Fourth-order central difference at zero."""
    return (function(-2 * step) - 8 * function(-step) + 8 * function(step) - function(2 * step)) / (12 * step)


@pytest.fixture(scope="module")
def pulled():
    grid = grid_of(GEOMETRY)
    assert tile_count(grid) == len(TILES)
    plan = plan_field(GRAINS, grid, tolerance=1e-10)
    return vjp_columns(plan, grid, tiles=TILES, cotangent=COTANGENT, by_side=slopes_by_side(plan, grid))


def test_geometry_of_the_sensors(pulled):
    expected = [slope(lambda step, axis=axis: total(GEOMETRY + step * np.eye(6)[axis])) for axis in range(6)]
    found = [*pulled.origin, *pulled.spacing, pulled.height, pulled.side]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_places_of_the_grains(pulled):
    def moved(step, axis):
        return total(GEOMETRY, GRAINS.translate(step * np.eye(3)[axis]))

    expected = [slope(lambda step, axis=axis: moved(step, axis)) for axis in range(3)]
    np.testing.assert_allclose(pulled.position.sum(axis=0), expected, rtol=1e-6)
    # Moving all grains is moving all sensors the other way.
    np.testing.assert_allclose(pulled.position.sum(axis=0), -np.append(pulled.origin, pulled.height), rtol=1e-12)


@pytest.mark.parametrize("order", [0, 2, 5])
def test_derivative_of_a_series_is_a_series(order):
    """Against differences of the series, at random places."""
    rng = np.random.default_rng(order)
    factors = rng.normal(size=(3, 2, len(field_terms(order))))
    place = rng.normal(size=3) + [1, 2, 3]

    def value(at):
        return np.array(series(jnp.asarray(factors), *jnp.asarray(at), order=order))

    for axis, matrix in enumerate(derivative_matrices(order)):
        higher = (factors.reshape(3, -1) @ matrix).reshape(3, 2, -1)
        expected = slope(lambda step, axis=axis: value(place + step * np.eye(3)[axis]), step=1e-3)
        np.testing.assert_allclose(
            np.array(series(jnp.asarray(higher), *jnp.asarray(place), order=order + 1)), expected, rtol=1e-8
        )
