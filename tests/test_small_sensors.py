"""Sensors far smaller than their distance: values and derivatives against 50 digits, and the crossover of the forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from mmtjax import Grains, Multipoles, SensorGrid, greens_matrix
from mmtjax.field import columns
from mmtjax.field.forms import NEAR, SMALL_SENSOR
from mmtjax.field.plan import DEFAULT_TOLERANCE, plan_field
from mmtjax.field.vjp import slopes_by_side, vjp_columns
from tests.oracle import exact_coefficients

#: The top lies at z = 0; edges are powers of two, so that sensors can lie exactly on them.
CUBOIDS = np.array([[0, 0, -0.5, 0.75, 0.5, 0.5, 1], [1.0, 0.25, -0.75, 0.25, 0.25, 0.25, 1]])
GRAIN = Grains.from_cuboids(CUBOIDS)

SIDES = [1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 0.05, 0.3, 1.0, 10.0]

#: Places on a grid of 0.25 µm: above the body, on an edge and a corner, on the line of an edge, and away.
PLACES = [(0.25, 0.0), (0.75, -0.25), (-0.75, 0.5), (0.0, -0.5), (0.75, 3.0), (-3.75, 0.5), (2.0, 1.25), (3.5, -3.75)]


def grid_of(side, height):
    return SensorGrid(origin=(-4, -4), spacing=0.25, shape=(32, 32), height=height, side=side)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("height", [0.0, 0.03125, 20.0])
def test_every_side_holds_fifty_digits_from_contact_to_far(side, height):
    matrix = np.asarray(greens_matrix(GRAIN, grid_of(side, height))).reshape(32, 32, 3)
    peak = np.linalg.norm(matrix, axis=2).max()
    # Coordinates are rounded to 1e-16 µm: on an edge of a body the field changes by its peak within a side.
    allowed = max(DEFAULT_TOLERANCE, 1e-16 / side) if height == 0 else DEFAULT_TOLERANCE
    for x, y in PLACES:
        exact = exact_coefficients(CUBOIDS, (x, y, height), side)
        ours = matrix[round((y + 4) / 0.25), round((x + 4) / 0.25)]
        assert np.linalg.norm(ours - exact) < allowed * peak


def test_usual_sensors_are_evaluated_by_the_closed_form_alone():
    """The closed form of usual sensors is as fast as before, because nothing replaces it."""

    def forms(side, spacing):
        plan = plan_field(GRAIN, SensorGrid(origin=(-8, -8), spacing=spacing, shape=(17, 17), height=0.0, side=side))
        pairs = np.array([[0, 0, 0, 0, 0]])
        return {form.number for form, some in columns.pairs_by_form(plan, pairs).items() if len(some)}

    for side in (0.1, 0.3, 1.0, 3.0):
        assert SMALL_SENSOR not in forms(side, max(side, 1.0))
        assert NEAR in forms(side, max(side, 1.0))
    assert SMALL_SENSOR in forms(1e-4, 1.0)


def test_the_closed_form_alone_would_fail(monkeypatch):
    """What the crossover is for: without it, sensors of 1e-6 µm are off by a large share of the peak."""
    grid = grid_of(1e-6, 1.0)
    right = np.asarray(greens_matrix(GRAIN, grid))
    monkeypatch.setattr(type(plan_field(GRAIN, grid)), "is_rounded", lambda self, source, *_, **__: source < 0)
    wrong = np.asarray(greens_matrix(GRAIN, grid))
    assert np.abs(wrong - right).max() > 1e-2 * np.abs(right).max()


@pytest.mark.parametrize("side", [1e-9, 1e-5, 1e-2, 1.0])
@pytest.mark.parametrize("degree", [1, 3])
def test_multipoles_hold_the_mean_of_their_field(side, degree):
    """The dipole moments of points against their closed form in 50 digits."""
    depth = 0.5
    grid = SensorGrid(origin=(-0.5, -0.5), spacing=0.25, shape=(9, 9), height=0.0, side=side)
    points = Multipoles([[0.0, 0.0, -depth]], degree=degree)
    matrix = np.asarray(greens_matrix(points, grid)).reshape(9, 9, -1)
    peak = np.abs(matrix).max(axis=(0, 1))
    for row, column in ((2, 2), (2, 4), (8, 0), (5, 7)):
        exact = _dipole_mean((grid.x[column], grid.y[row], depth), side)
        assert np.abs(matrix[row, column, :3] - exact).max() < DEFAULT_TOLERANCE * peak[:3].max()


def _dipole_mean(displacement, side):
    """Mean field of the three dipoles over a sensor in 50 digits, from the closed integral of ∂i∂z 1/r over x and y."""
    with mpmath.workdps(50):
        x, y, z = (mpmath.mpf(float(value)) for value in displacement)
        half = mpmath.mpf(float(side)) / 2

        def integral(u, v):
            r = mpmath.sqrt(u * u + v * v + z * z)
            slope_x = -z * v / (r * (u * u + z * z))
            slope_y = -z * u / (r * (v * v + z * z))
            return slope_x, slope_y, u * v * (r * r + z * z) / (r * (u * u + z * z) * (v * v + z * z))

        total = [mpmath.mpf(0)] * 3
        for a in (1, -1):
            for b in (1, -1):
                u, v = x + a * half, y + b * half
                total = [t + a * b * g for t, g in zip(total, integral(u, v), strict=True)]
        return np.array([float(100 * t / (2 * half) ** 2) for t in total])


#: A sensor above an edge of the grain.
PLACE = (0.5, 0.5)


def _coefficients(knobs):
    moved = eqx.tree_at(lambda g: g.position, GRAIN, knobs["position"])
    grid = SensorGrid(origin=PLACE, spacing=1.0, shape=(1, 1), height=knobs["height"], side=knobs["side"])
    return greens_matrix(moved, grid)[0]


#: Compiled once for all sides, of which both forms are part.
FORWARD, REVERSE = jax.jit(jax.jacfwd(_coefficients)), jax.jit(jax.jacrev(_coefficients))


@pytest.mark.parametrize("side", [1e-8, 1e-5, 1e-2, 0.5])
@pytest.mark.parametrize("height", [0.125, 2.0])
def test_derivatives_hold_fifty_digits(side, height):
    """Traced positions and heights, also on the lines of edges, by jvp; the vjp is its transpose."""
    x, y = PLACE
    knobs = {"position": jnp.asarray(GRAIN.position), "height": jnp.array(height), "side": jnp.full(2, side)}
    jacobian, transposed = FORWARD(knobs), REVERSE(knobs)
    step = 1e-4
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        up, down = (exact_coefficients(CUBOIDS + np.pad(k * shift, (0, 4)), (x, y, height), side) for k in (1.0, -1.0))
        up2, down2 = (
            exact_coefficients(CUBOIDS + np.pad(k * shift, (0, 4)), (x, y, height), side) for k in (2.0, -2.0)
        )
        slope = (8 * (up - down) - (up2 - down2)) / (12 * step)
        scale = np.linalg.norm(slope)
        assert np.abs(jacobian["position"][:, 0, axis] - slope).max() < 1e-6 * scale
        assert np.abs(transposed["position"][:, 0, axis] - slope).max() < 1e-6 * scale
    np.testing.assert_allclose(jacobian["height"], -jacobian["position"][:, 0, 2], rtol=1e-9)
    size = np.linalg.norm(exact_coefficients(CUBOIDS, (x, y, height), side))
    sides = (exact_coefficients(CUBOIDS, (x, y, height), side * share) for share in (1.01, 0.99, 1.02, 0.98))
    wider, narrower, widest, narrowest = sides
    by_side = (8 * (wider - narrower) - (widest - narrowest)) / (0.12 * side)
    ours = np.asarray(jacobian["side"]).sum(axis=1)
    # The mean changes with the square of the side, so that its slope is small: as a share of the field over a side.
    assert np.abs(ours - by_side).max() < 1e-6 * size
    assert np.abs(np.asarray(transposed["side"]).sum(axis=1) - by_side).max() < 1e-6 * size


@pytest.mark.parametrize("side", [1e-6, 1e-3])
def test_derivatives_of_columns_of_known_geometry(side):
    """The derivatives that a design and a fit use, against those of traced geometry."""
    grid = grid_of(side, 0.5).window(slice(6, 22), slice(9, 25))
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(1, 3))
    plan = plan_field(GRAIN, grid)
    moved = columns.columns_on_tiles(plan, grid, tiles=np.array([0]), motion=motion)

    def shifted(amount):
        return greens_matrix(eqx.tree_at(lambda g: g.position, GRAIN, GRAIN.position + amount * motion), grid)

    _, slope = jax.jvp(shifted, (jnp.zeros(()),), (jnp.ones(()),))
    by_tile = np.asarray(moved).reshape(3, 256).T
    np.testing.assert_allclose(by_tile, slope, atol=1e-7 * np.abs(slope).max())
    cotangent = rng.normal(size=(3, 256))
    found = vjp_columns(plan, grid, tiles=np.array([0]), cotangent=cotangent, by_side=slopes_by_side(plan, grid))
    np.testing.assert_allclose(found.position[0] @ motion[0], np.sum(cotangent.T * slope), rtol=1e-6)


def test_a_side_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"side \[1e-12, 1e-12\] µm are smaller than 1e-10 µm.*another unit"):
        greens_matrix(GRAIN, grid_of(1e-12, 1.0))
