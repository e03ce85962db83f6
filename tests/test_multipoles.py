"""Multipoles against 40-digit arithmetic, against derivatives of the dipole, and as sources of an inversion."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from mmtjax import Grains, Multipoles, Scan, SensorGrid, forward, greens_matrix, invert
from mmtjax.greens import CompressedGreen, TiledGreen
from tests.multipole_oracle import HARMONICS, derivatives_of_harmonics, exact_columns

GRID = SensorGrid(origin=(-20, -18), spacing=1.0, shape=(41, 43), height=1.0)

PLACES = [[-7, -5, -5], [6, -4, -6], [0, 8, -5]]


def one_sensor(x: float, y: float, height: float, side: float) -> SensorGrid:
    return SensorGrid(origin=(x, y), spacing=side, shape=(1, 1), height=height, side=side)


@pytest.mark.parametrize(("depth", "side"), [(1.5, 1.0), (4.0, 1.0), (12.0, 2.5), (40.0, 1.0)])
def test_columns_hold_forty_digits(depth, side):
    """Above the source, beside it and far away: in the closed form and in the series, to 1e-7 of the peak."""
    points = Multipoles([[0.3, -0.2, -depth]], degree=3)
    assert [one.name for one in points.components] == list(HARMONICS)
    places = [(0.0, 0.0), (0.7 * depth, 0.2 * depth), (-3 * depth, depth), (12 * depth, -9 * depth)]
    reach = 40 * depth
    exact = np.array([list(exact_columns((x - 0.3, y + 0.2, depth + 1.0), side).values()) for x, y in places])
    # Above the source, where those of even order have theirs, and beside it for the others.
    beside = [(x, y) for x in (0.0, depth / 2) for y in (0.0, depth / 2)]
    around = [list(exact_columns((x, y, depth + 1.0), side).values()) for x, y in beside]
    peak = np.abs(np.array(around)).max(axis=0)
    for (x, y), row in zip(places, exact, strict=True):
        # A wide grid whose first sensor is the one in question: its peak is that of the source.
        step = side if x <= 0 else -side
        count = 1 + int(reach / side)
        origin = (x, y) if step > 0 else (x + step * (count - 1), y)
        grid = SensorGrid(origin=origin, spacing=side, shape=(1, count), height=1.0, side=side)
        ours = np.asarray(greens_matrix(points, grid))[0 if step > 0 else -1]
        assert np.all(np.abs(ours - row) < 1e-7 * peak)


@pytest.mark.parametrize("degree", [2, 3])
def test_columns_are_derivatives_of_the_dipole(degree):
    """Fields of a dipole that is moved about, by quadrature over the sensor, differentiated by its place."""
    sensor, side = np.array([1.3, -0.8, 4.0]), 1.5
    nodes, weights = np.polynomial.legendre.leggauss(30)
    x, y = np.meshgrid(nodes, nodes)
    spots = jnp.asarray(sensor + side / 2 * np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3))
    weight = jnp.asarray(np.outer(weights, weights).ravel() / 4)

    def dipole(place):
        d = spots - place
        r = jnp.linalg.norm(d, axis=1)
        field = 3 * d * d[:, 2:] / r[:, None] ** 5 - jnp.array([0, 0, 1.0]) / r[:, None] ** 3
        return 100 * weight @ field

    slopes = dipole
    for _ in range(degree - 1):
        slopes = jax.jacfwd(slopes)
    names, factors = derivatives_of_harmonics(degree)
    points = Multipoles([[0.0, 0.0, 0.0]], degree=3)
    columns = np.asarray(greens_matrix(points, one_sensor(sensor[0], sensor[1], sensor[2], side)))[0]
    first = list(HARMONICS).index(names[0])
    expected = np.einsum("m,m...->...", columns[first : first + len(names)], factors)
    found = np.asarray(slopes(jnp.zeros(3)))
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
@pytest.mark.parametrize("green", ["dense", "tiled", "compressed", "sharded"])
def test_noise_free_octupoles_are_found_again(green, method):
    """Three sources with moments of all degrees, whose units differ by powers of ten."""
    points = Multipoles(PLACES, degree=3)
    rng = np.random.default_rng(0)
    scale = np.repeat([1e4, 2e4, 4e4], [3, 5, 7])
    truth = scale * rng.normal(size=(3, 15))
    fine = {"tolerance": 1e-12}
    field = forward(points, truth, GRID, **fine)
    found = invert(Scan(field, GRID), points, noise=1.0, method=method, green=green, **fine)
    values = np.asarray(found.estimates[0].values)
    assert np.linalg.norm(values - truth) < 1e-9 * np.linalg.norm(truth)
    np.testing.assert_allclose(values / scale, truth / scale, atol=1e-8)
    assert [one.unit for one in found.estimates[0].unknowns.components][::7] == ["A/m µm³", "A/m µm⁴", "A/m µm⁵"]


def test_a_cube_is_its_dipole_up_to_degree_five():
    """Of a uniform cube the moments of degrees 2 and 3 are zero; what is left is the field of degree 5, in closed form.

    On the axis, ``1/|r - r'|`` has the mean ``1/r (1 - 7/30 (a/r)⁴)`` over a cube of half edge a, the field of a dipole
    along z is its second derivative, and its share of degree 5 is ``7/2 (a/r)⁴``: 3.0e-4 at six radii of the sphere
    around the cube, and below 1e-4 only from 7.9 radii on.
    """
    grains, points = cube_and_multipole()
    moments = np.array([moments_of_cube(HALF, axis) for axis in np.eye(3)])
    np.testing.assert_allclose(moments, np.pad(8 * HALF**3 * np.eye(3), ((0, 0), (0, 12))), atol=1e-12)
    for radii, largest in ((6, 3.2e-4), (8, 1e-4), (12, 2e-5)):
        distance = radii * RADIUS
        plane = SensorGrid(origin=(0, 0), spacing=distance / 8, shape=(9, 9), height=distance, side=0.01)
        exact = np.asarray(greens_matrix(grains, plane, tolerance=1e-12))
        ours = np.asarray(greens_matrix(points, plane, tolerance=1e-12)) @ moments.T
        share = np.abs(ours - exact).max(axis=0) / np.abs(exact).max(axis=0)
        assert np.all(share < largest * 1.12)
        assert np.isclose((ours[0, 2] - exact[0, 2]) / ours[0, 2], 7 / 2 * (HALF / distance) ** 4, rtol=0.02)


def test_a_cube_beyond_six_radii_is_a_degree_one_and_three_to_a_ten_thousandth():
    """Moments fitted on a plane, where those of degree 3 take most of what degree 5 leaves (linear programming)."""
    grains, points = cube_and_multipole()
    plane = SensorGrid(origin=(-30, -30), spacing=2.0, shape=(31, 31), height=6 * RADIUS, side=0.5)
    columns = np.asarray(greens_matrix(points, plane))[:, [0, 1, 2, *range(8, 15)]]
    columns /= np.linalg.norm(columns, axis=0)
    ones = np.ones((len(columns), 1))
    for field in np.asarray(greens_matrix(grains, plane)).T:
        field = field / np.abs(field).max()
        found = linprog(
            [0] * columns.shape[1] + [1],
            A_ub=np.block([[columns, -ones], [-columns, -ones]]),
            b_ub=np.concatenate([field, -field]),
            bounds=[(None, None)] * columns.shape[1] + [(0, None)],
        )
        assert found.success
        assert found.fun < 1e-4


#: Half edge of the uniform cube, and the radius of the sphere around it, µm.
HALF, RADIUS = 1.0, np.sqrt(3.0)


def cube_and_multipole() -> tuple[Grains, Multipoles]:
    cube = [[0, 0, 0, HALF, HALF, HALF, 1]]
    return Grains.from_cuboids(cube), Multipoles([[0.0, 0.0, 0.0]], degree=3)


def moments_of_cube(half: float, magnetization: np.ndarray) -> np.ndarray:
    """``∫ M·∇S dV`` of a uniform cube about its middle, by quadrature of the polynomials."""
    nodes, weights = np.polynomial.legendre.leggauss(4)
    x, y, z = (half * part.ravel() for part in np.meshgrid(nodes, nodes, nodes, indexing="ij"))
    weight = half**3 * np.einsum("i,j,k->ijk", weights, weights, weights).ravel()
    found = []
    for terms in HARMONICS.values():
        total = 0.0
        for (i, j, k), (rational, root) in terms.items():
            powers = [(i, j, k)]
            for axis in range(3):
                exponents = list(powers[0])
                if exponents[axis] == 0:
                    continue
                factor = exponents[axis]
                exponents[axis] -= 1
                value = x ** exponents[0] * y ** exponents[1] * z ** exponents[2]
                total += rational * np.sqrt(root) * factor * magnetization[axis] * (weight @ value)
        found.append(total)
    rounded = np.array(found)
    rounded[np.abs(rounded) < 1e-9 * np.abs(rounded).max()] = 0.0
    return rounded


@pytest.mark.parametrize("form", [TiledGreen, CompressedGreen])
def test_operators_are_those_of_the_matrix(form):
    points = Multipoles(PLACES, degree=3)
    matrix = np.asarray(greens_matrix(points, GRID, tolerance=1e-12))
    green = form(points, GRID, tolerance=1e-12)
    rng = np.random.default_rng(1)
    values, field = rng.normal(size=45), rng.normal(size=GRID.shape)
    peak = np.abs(matrix).max(axis=0)
    np.testing.assert_allclose(np.ravel(green.mv(jnp.asarray(values / peak))), matrix @ (values / peak), atol=1e-6)
    np.testing.assert_allclose(green.rmv(jnp.asarray(field)) / peak, field.ravel() @ matrix / peak, atol=1e-5)
    root = np.asarray(green.root()) / peak
    np.testing.assert_allclose(root.T @ root, (matrix / peak).T @ (matrix / peak), atol=1e-5)


def test_grains_and_multipoles_of_some_of_them_together():
    """A quadrupole beside a uniform body: what is not uniform goes into it, and both are found to their radii."""
    grains = Grains.from_cuboids([[-8, -6, -5, 2, 1, 1, 1], [7, 5, -6, 1, 2, 1, 2]])
    extra = Multipoles(np.asarray(grains.position)[:1], degree=2)
    rng = np.random.default_rng(3)
    uniform, others = rng.normal(scale=5e3, size=(2, 3)), np.zeros((1, 8))
    others[0, 3:] = 3e4 * rng.normal(size=5)
    field = forward(grains, uniform, GRID) + forward(extra, others, GRID)
    noisy = np.asarray(field) + rng.normal(size=GRID.shape)
    found = invert(Scan(noisy, GRID), [grains, extra], noise=1.0, prior={"multipoles": np.repeat([1e2, 1e5], [3, 5])})
    assert np.all(np.linalg.norm(found.magnetization - uniform, axis=1) < 1.5 * found.confidence_radius)
    own = found.estimate_of("multipoles")
    assert np.all(np.abs(own.values - others)[0, 3:] < 4 * own.standard_deviation[0, 3:])
    assert "dipole" not in found.table().columns


@pytest.mark.parametrize("degree", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_the_place_of_a_multipole_can_be_differentiated(degree):
    """Along x, against central differences of order four."""

    def total(shift):
        points = Multipoles(jnp.array([[0.2, 0.1, -3.0]]) + shift * jnp.array([1.0, 0, 0]), degree=degree)
        grid = SensorGrid(origin=(-8, -8), spacing=1.0, shape=(17, 17), height=1.0)
        return jnp.sum(greens_matrix(points, grid) ** 2)

    step = 1e-3
    around = [float(total(k * step)) for k in (-2, -1, 1, 2)]
    expected = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * step)
    np.testing.assert_allclose(jax.grad(total)(0.0), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(Multipoles, [[0, 0]], degree=1), r"position must be \(source, 3\), in µm; got shape \(1, 2\)"),
        (
            partial(Multipoles, [[0, 0, np.nan]], degree=1),
            r"position\[0\] is \[0.0, 0.0, nan\]; positions must be finite",
        ),
        (partial(Multipoles, [[0, 0, -1]], degree=4), "degree must be 1 .* or 3 .octupoles.|degree must be 1.*; got 4"),
        (partial(Multipoles, [[0, 0, -1]], degree=True), "got True"),
        (partial(Multipoles, [[0, 0, -1]] * 2, degree=1), r"2 sources are at \[0.0, 0.0, -1.0\] µm .*keep one of them"),
        (partial(Multipoles, [[0, 0, -1]], degree=1, ids=[1.5]), "ids must be integers"),
        (partial(Multipoles, [[0, 0, -1], [5, 0, -1]], degree=1, ids=[3, 3]), "the id 3 is given to 2 sources"),
    ],
)
def test_multipoles_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_prior_of_components_of_different_units_is_asked_for_each():
    points = Multipoles([[0, 0, -5]], degree=2)
    scan = Scan(np.zeros(GRID.shape), GRID)
    with pytest.raises(
        ValueError, match=r"needs one standard deviation per component, .* A/m µm³, A/m µm⁴; .* pass \(8,\)"
    ):
        invert(scan, points, noise=1.0, prior=1e4)
    with pytest.raises(ValueError, match="multipole 1 reaches up to z = 5 µm, above the sensors at z = 1 µm"):
        greens_matrix(Multipoles([[0, 0, 5]], degree=2), GRID)
    with pytest.raises(ValueError, match=r"values of multipoles must be \(source, component\) = \(1, 8\)"):
        forward(points, np.zeros((1, 3)), GRID)
