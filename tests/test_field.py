"""The coefficients of the field against 50 digits, quadrature, symmetries and limits; derivatives everywhere."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import Grains, SensorGrid, forward, greens_matrix
from mmtjax.field.columns import near_edge
from mmtjax.field.plan import DEFAULT_TOLERANCE, SQUARE, TILE, plan_field
from tests.oracle import exact_coefficients, quadrature_coefficients
from tests.samples import ragged_cuboids, small_sample


def one_sensor_grid(x, y, z, side, spacing=None):
    """Grid of one sensor; `spacing` other than `side` takes the path of sensors that do not adjoin."""
    return SensorGrid(origin=(x, y), spacing=spacing or side, shape=(1, 1), height=z, side=side)


def compare(cuboids, places, *, height, side, spacing=None):
    """Largest errors over `places`: relative to the coefficient vector, and to the peak of the grain."""
    grains = Grains.from_cuboids(cuboids)
    centre = np.asarray(grains.position[0])
    peak = np.linalg.norm(exact_coefficients(cuboids, (centre[0], centre[1], height), side))
    relative, of_peak = [], []
    for x, y in places:
        exact = exact_coefficients(cuboids, (x, y, height), side)
        # A wide grid whose sensor [0, 0] is the one in question keeps the peak of the grain in the tolerance.
        columns = min(400, 1 + int(np.hypot(x - centre[0], y - centre[1]) / (spacing or side)))
        step = (spacing or side) * (1 if x <= centre[0] else -1)
        origin = (x, y) if step > 0 else (x + step * (columns - 1), y)
        grid = SensorGrid(origin=origin, spacing=spacing or side, shape=(1, columns), height=height, side=side)
        ours = np.asarray(greens_matrix(grains, grid))[0 if step > 0 else columns - 1]
        error = np.linalg.norm(ours - exact)
        relative.append(error / np.linalg.norm(exact))
        of_peak.append(error / peak)
    return max(relative), max(of_peak)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("side", "spacing"), [(1.0, None), (1.0, 2.0), (2.5, 1.0)])
def test_near_coefficients_hold_fifty_digits(seed, side, spacing):
    cuboids = ragged_cuboids(seed, top=-1.5)
    rng = np.random.default_rng(seed)
    relative, of_peak = compare(cuboids, rng.uniform(-12, 12, (8, 2)), height=0.5, side=side, spacing=spacing)
    assert relative < 1e-6
    assert of_peak < 1e-7


@pytest.mark.parametrize(("voxels", "edge"), [(1, 0.75), (12, 0.75), (150, 1.5)])
@pytest.mark.parametrize("distance", [12.0, 25.0, 60.0, 150.0, 300.0, 700.0])
def test_far_coefficients_hold_fifty_digits(voxels, edge, distance):
    cuboids = ragged_cuboids(5, top=-1.5, voxels=voxels, edge=edge)
    angle = np.linspace(0, 2 * np.pi, 6)[:-1]
    places = distance * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    relative, of_peak = compare(cuboids, places, height=1.0, side=1.0)
    assert relative < 1e-5
    assert of_peak < 1e-7


@pytest.mark.parametrize("side", [1.0, 0.6])
def test_touching_coefficients_hold_fifty_digits(side):
    cuboids = ragged_cuboids(2, top=0.0)
    places = [(0.0, 0.0), (0.5, 0.5), (0.5, 0.0), (-1.3, 0.2), (1.0, 1.0), (2.0, -0.5)]
    relative, of_peak = compare(cuboids, places, height=0.0, side=side)
    assert relative < 1e-6
    assert of_peak < 1e-7


@pytest.mark.parametrize("place", [(3.0, -2.0), (0.2, 0.4), (-9.0, 4.0)])
def test_coefficients_are_those_of_quadrature(place):
    """The dipole field integrated over body and sensor: another formula altogether."""
    cuboids = ragged_cuboids(3, top=-3.0, voxels=5)
    grid = one_sensor_grid(*place, 0.0, 1.0)
    ours = np.asarray(greens_matrix(Grains.from_cuboids(cuboids), grid))[0]
    np.testing.assert_allclose(ours, quadrature_coefficients(cuboids, (*place, 0.0), 1.0), rtol=1e-9)


def test_dipole_limit():
    """Far away the field is that of a point dipole; the quadrupole of a cube is zero, so the error falls as r⁻⁴."""
    grains = Grains.from_cuboids([[0, 0, -1, 0.5, 0.5, 0.5, 1]])
    for distance in (100.0, 400.0):
        ours = np.asarray(greens_matrix(grains, one_sensor_grid(distance, 0.0, 0.0, 1.0)))[0]
        d = np.array([distance, 0.0, 1.0])
        r = np.linalg.norm(d)
        dipole = 100 * (3 * d * d[2] - np.array([0, 0, r**2])) / r**5
        # The mean over a sensor of 1 µm adds (side/r)² of the same size.
        assert np.linalg.norm(ours - dipole) / np.linalg.norm(dipole) < 2 * distance**-2


def test_voxels_and_cuboids_of_one_shape_have_one_field():
    labels = np.zeros((4, 5, 6), int)
    labels[1:3, 1:4, 2:5] = 3
    voxels = Grains.from_voxels(labels, spacing=0.5, origin=(-1, -2, -6))
    cuboid = Grains.from_cuboids([[0.5, -1.0, -5.25, 0.75, 0.75, 0.5, 3]])
    grid = SensorGrid(origin=(-10, -10), spacing=1, shape=(21, 21), height=1)
    np.testing.assert_allclose(greens_matrix(voxels, grid), greens_matrix(cuboid, grid), atol=1e-9)
    assert len(voxels.corner_weight) == 8


def test_mirror_symmetry():
    cuboids = ragged_cuboids(7)
    mirrored = cuboids * [-1, 1, 1, 1, 1, 1, 1]
    grid = SensorGrid(origin=(-30, -30), spacing=1, shape=(61, 61), height=1)
    q = np.asarray(greens_matrix(Grains.from_cuboids(cuboids), grid)).reshape(61, 61, 3)
    m = np.asarray(greens_matrix(Grains.from_cuboids(mirrored), grid)).reshape(61, 61, 3)
    np.testing.assert_allclose(m[:, ::-1] * [-1, 1, 1], q, atol=2e-8 * np.abs(q).max())


def test_exchange_of_x_and_y():
    cuboids = ragged_cuboids(8)
    exchanged = cuboids[:, [1, 0, 2, 4, 3, 5, 6]]
    grid = SensorGrid(origin=(-30, -30), spacing=1, shape=(61, 61), height=1)
    q = np.asarray(greens_matrix(Grains.from_cuboids(cuboids), grid)).reshape(61, 61, 3)
    e = np.asarray(greens_matrix(Grains.from_cuboids(exchanged), grid)).reshape(61, 61, 3)
    np.testing.assert_allclose(e.transpose(1, 0, 2)[..., [1, 0, 2]], q, atol=2e-8 * np.abs(q).max())


def test_translation():
    grains = small_sample()
    grid = SensorGrid(origin=(-3, -3), spacing=1, shape=(30, 30), height=1)
    moved = SensorGrid(origin=(97, -53), spacing=1, shape=(30, 30), height=1)
    q = np.asarray(greens_matrix(grains, grid))
    np.testing.assert_allclose(greens_matrix(grains.translate([100, -50, 0]), moved), q, atol=1e-8 * np.abs(q).max())


def test_the_field_is_harmonic():
    grains = Grains.from_cuboids(ragged_cuboids(4))

    def map_at(position):
        grid = SensorGrid(origin=position[:2], spacing=1.0, shape=(1, 1), height=position[2], side=1.0)
        return greens_matrix(grains, grid)[0]

    @jax.jit
    @jax.vmap
    def second_derivatives(place):
        def along(axis):
            def slope(position):
                return jax.jvp(map_at, (position,), (axis,))[1]

            return jax.jvp(slope, (place,), (axis,))[1]

        return jax.vmap(along)(jnp.eye(3))

    places = jnp.array([(0.3, -0.2, 0.4), (6.0, 2.0, 1.0), (90.0, 40.0, 3.0)])
    second = np.asarray(second_derivatives(places))
    largest = np.abs(second).max(axis=(1, 2))
    assert np.all(largest > 0)
    assert np.all(np.abs(second.sum(axis=1)).max(axis=1) < 1e-6 * largest)


def test_truncation_bound_holds_for_every_order():
    """Beyond the radius of each order the series is within its tolerance of the closed form in 50 digits."""
    from mmtjax.field.plan import plan_field
    from mmtjax.physics.series import ORDERS, series, truncation_radius

    for seed, tolerance in ((1, 1e-4), (2, 1e-6), (3, 1e-7)):
        cuboids = ragged_cuboids(seed)
        grains = Grains.from_cuboids(cuboids)
        centre = np.asarray(grains.position[0])
        grid = SensorGrid(origin=centre[:2], spacing=1, shape=(1, 1), height=1)
        plan = plan_field(grains, grid, tolerance=tolerance)
        peak = np.linalg.norm(exact_coefficients(cuboids, (centre[0], centre[1], 1.0), 1.0))
        closest = 1 - centre[2:]
        for order in ORDERS:
            bounds = plan.bounds[:1, 0], grains.volume, plan.reach[:1], closest
            radius = float(truncation_radius(*bounds, tolerance, order=order)[0])
            assert plan.forms(*np.zeros((2, 1), int), first=np.array([[0, int(radius) + 16]])) <= ORDERS.index(order)
            for angle in (0.3, 2.0, 4.0):
                x, y = centre[:2] + 1.001 * radius * np.array([np.cos(angle), np.sin(angle)])
                z = 1 - centre[2]
                ours = 100 * np.stack(
                    series(
                        jnp.asarray(plan.coefficients[0]),
                        *jnp.array([x, y, 0]).at[:2].add(-centre[:2]).at[2].set(z),
                        order=order,
                    )
                )
                error = np.linalg.norm(ours - exact_coefficients(cuboids, (x, y, 1.0), 1.0))
                assert error < tolerance * peak


def test_tolerance_is_the_users():
    grains = Grains.from_cuboids(ragged_cuboids(1))
    grid = SensorGrid(origin=(-40, -40), spacing=1, shape=(81, 81), height=1)
    fine = np.asarray(greens_matrix(grains, grid, tolerance=1e-10))
    peak = np.abs(fine).max()
    errors = [np.abs(np.asarray(greens_matrix(grains, grid, tolerance=t)) - fine).max() / peak for t in (1e-3, 1e-7)]
    assert errors[0] < 1e-3
    assert errors[1] < 1e-7
    assert errors[0] > 10 * errors[1]


def test_value_and_gradient_are_finite_at_every_edge_and_corner():
    """Corners of sensors on the corners, edges and faces of a cube of 2 µm whose top is the surface."""
    grains = Grains.from_cuboids([[0, 0, -1, 1, 1, 1, 1]])

    def total(position, origin, height, side):
        moved = eqx.tree_at(lambda g: g.position, grains, position)
        grid = SensorGrid(origin=origin, spacing=0.5, shape=(13, 13), height=height, side=side)
        return greens_matrix(moved, grid).sum()

    over_heights = jax.vmap(jax.value_and_grad(total, argnums=(0, 1, 2, 3)), in_axes=(None, None, 0, None))
    value_and_gradients = jax.jit(over_heights)
    heights = jnp.array([0.0, 0.25, 1.0])
    for side in (1.0, 2.0, 0.5):
        start = jnp.array([-3.0, -3.0]) + side / 2
        value, gradients = value_and_gradients(jnp.asarray(grains.position), start, heights, jnp.full(2, side))
        assert np.all(np.isfinite(value)), side
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients), side


def test_gradient_of_standoff_at_touch_is_the_one_sided_limit():
    """At contact the derivative with respect to height is that from above, away from edges."""
    grains = Grains.from_cuboids([[0, 0, -1, 1, 1, 1, 1]])

    def at(height):
        grid = SensorGrid(origin=(0.1, 0.2), spacing=1.0, shape=(1, 1), height=height, side=0.5)
        return greens_matrix(grains, grid)[0, 2]

    step = 1e-5
    one_sided = (-3 * at(0.0) + 4 * at(step) - at(2 * step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(at)(0.0), one_sided, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("adjoin", [True, False])
def test_gradients_of_the_map(adjoin):
    """Beside the derivatives by place, height and side in `test_small_sensors`, which are held against 50 digits."""
    grains = small_sample(grains=4)
    magnetization = np.random.default_rng(0).normal(scale=1e3, size=(4, 3))

    def map_of(knobs):
        grid = SensorGrid(
            origin=knobs["origin"],
            spacing=knobs["spacing"],
            shape=(17, 18),
            height=knobs["height"],
            side=None if adjoin else knobs["side"],
        )
        return forward(grains.translate(knobs["shift"]), magnetization, grid)

    knobs = {
        "origin": jnp.array([-1.0, 1.0]),
        "spacing": jnp.array([1.5, 1.4]),
        "height": jnp.array(1.2),
        "side": jnp.array([1.1, 0.9]),
        "shift": jnp.zeros((4, 3)),
    }
    rng = np.random.default_rng(1)
    direction = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), knobs)
    cotangent = jnp.asarray(rng.normal(size=(17, 18)))
    step = 1e-4

    def shifted(amount):
        return map_of(jax.tree.map(lambda leaf, slope: leaf + amount * slope, knobs, direction))

    # Fourth-order differences: rounding and truncation both lie below 1e-8 of the slope.
    slope = (8 * (shifted(step) - shifted(-step)) - (shifted(2 * step) - shifted(-2 * step))) / (12 * step)
    _, tangent = jax.jvp(map_of, (knobs,), (direction,))
    assert np.abs(tangent - slope).max() < 1e-6 * np.abs(slope).max()
    _, vjp_columns = jax.vjp(map_of, knobs)
    (gradient,) = vjp_columns(cotangent)
    inner = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True))
    np.testing.assert_allclose(inner, jnp.vdot(cotangent, tangent), rtol=1e-10)


def test_grains_above_the_sensors_are_refused():
    grains = Grains.from_cuboids([[0, 0, 5, 1, 1, 1, 9]])
    with pytest.raises(ValueError, match="grain 9 reaches up to z = 6 µm, above the sensors at z = 2 µm"):
        greens_matrix(grains, SensorGrid(origin=(0, 0), spacing=1, shape=(2, 2), height=2))


def test_compiled_once_for_every_shape_of_grain():
    """Grains of other shapes and grids of other sizes use the kernels that are compiled already."""
    from mmtjax.field.kernels import compiled, near_kernel, series_kernel
    from mmtjax.physics.series import ORDERS

    for seed, voxels, size in ((1, 5, 40), (2, 30, 64), (3, 17, 25)):
        grains = Grains.from_cuboids(ragged_cuboids(seed, voxels=voxels))
        grid = SensorGrid(origin=(-20, -20), spacing=1, shape=(size, size), height=1)
        greens_matrix(grains, grid)
        kernels = near_kernel(plan_field(grains, grid).parts.near_form), *map(series_kernel, ORDERS)
        counts = [compiled(kernel)._cache_size() for kernel in kernels]
        if seed == 1:
            first = counts
    assert counts == first


def test_reference_of_the_real_scan(data):
    """Forty-digit coefficients of 99 real grains at 20 sensors of a real scan."""
    cuboids = np.loadtxt(data / "qdm-tutorial" / "cuboids.txt") * [1, 1, -1, 1, 1, 1, 1]
    with pytest.warns(UserWarning, match="9 pairs of grains overlap"):
        grains = Grains.from_cuboids(cuboids)
    reference = np.load(data / "qdm-tutorial" / "greens_reference.npz")
    grid = SensorGrid(origin=(300, 1250), spacing=1.2, shape=(126, 126), height=6)
    ours = np.asarray(greens_matrix(grains, grid)).reshape(-1, 99, 3)
    exact = reference["greens_nT_per_A_per_m"].reshape(-1, 99, 3)
    error = np.linalg.norm(ours[reference["sensor_flat_index"]] - exact, axis=2)
    assert np.all(error < 1e-7 * np.linalg.norm(ours, axis=2).max(axis=0))
    assert np.all(error < 1e-6 * np.linalg.norm(exact, axis=2))


def test_squares_of_wide_tiles_are_those_of_narrow_ones():
    """Every fourth sensor of a fine grid, whose tiles are narrow, is a sensor of a coarse one, whose tiles are wide."""
    grains = small_sample(grains=5, width=90.0, depth=45.0)
    fine = SensorGrid(origin=(-5, -5), spacing=1, shape=(101, 97), height=1, side=1)
    coarse = SensorGrid(origin=(-5, -5), spacing=4, shape=(26, 25), height=1, side=1)
    assert [near_edge(plan_field(grains, grid)) for grid in (fine, coarse)] == [TILE, SQUARE]
    wide = np.asarray(greens_matrix(grains, coarse))
    narrow = np.asarray(greens_matrix(grains, fine)).reshape(101, 97, -1)[::4, ::4].reshape(wide.shape)
    peak = np.repeat(np.abs(narrow).max(axis=0).reshape(-1, 3).max(axis=1), 3)
    assert np.all(np.abs(wide - narrow) <= 2 * DEFAULT_TOLERANCE * peak)
    other = SensorGrid(origin=(-5, -5), spacing=4, shape=(26, 25), height=1, side=2)
    assert np.abs(np.asarray(greens_matrix(grains, other)) - wide).max() > 1e-3 * np.abs(wide).max()


def test_a_plan_of_other_sensors_gives_its_shapes_but_not_its_series():
    grains = small_sample()
    grid = SensorGrid(origin=(-20, -20), spacing=1, shape=(40, 40), height=2)
    plan = plan_field(grains, grid)
    again = plan_field(grains, grid, reuse_plan=plan)
    assert eqx.tree_equal(again.coefficients, plan.coefficients)
    wider = SensorGrid(origin=(-20, -20), spacing=1, shape=(40, 40), height=2, side=2)
    other = plan_field(grains, wider, reuse_plan=plan)
    assert other.parts is plan.parts
    assert eqx.tree_equal(other.coefficients, plan_field(grains, wider).coefficients)
