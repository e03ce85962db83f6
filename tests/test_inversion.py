"""The inversion against NumPy and 50 digits, its choice of a solver, its gradients, and what it refuses."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from mmtjax import (
    Grains,
    InversionWarning,
    Scan,
    SensorGrid,
    confidence_radius,
    forward,
    greens_matrix,
    invert,
    invert_series,
)
from mmtjax.inversion import memory, strategy
from mmtjax.simulation import simulate
from tests.inversions import GRID, deep_sample, noisy_scan
from tests.samples import small_sample


def exact_solution(matrix, field, noise):
    """Solution and covariance blocks of the normal equations in 50-digit arithmetic."""
    with mpmath.workdps(50):
        q = mpmath.matrix(matrix.tolist())
        gram = q.T * q
        inverse = gram**-1
        solved = inverse * (q.T * mpmath.matrix(np.ravel(field).tolist()))
        size = matrix.shape[1]
        covariance = np.array([[float(noise**2 * inverse[i, j]) for j in range(size)] for i in range(size)])
        return np.array([float(value) for value in solved]), covariance


def blocks_of(covariance):
    count = len(covariance) // 3
    return np.stack([covariance[3 * g : 3 * g + 3, 3 * g : 3 * g + 3] for g in range(count)])


@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
@pytest.mark.parametrize("masked", [False, True])
def test_solution_is_that_of_numpy(method, masked):
    grains = small_sample(grains=9)
    truth, scan = noisy_scan(grains)
    if masked:
        mask = np.random.default_rng(5).uniform(size=GRID.shape) > 0.4
        scan = Scan(np.where(mask, scan.field, np.nan), GRID, mask)
    solution = invert(scan, grains, noise=5.0, method=method)
    used = scan.mask.ravel()
    q, field = np.asarray(greens_matrix(grains, GRID))[used], np.ravel(scan.field)[used]
    expected, *_ = np.linalg.lstsq(q, field, rcond=None)
    np.testing.assert_allclose(np.ravel(solution.magnetization), expected, rtol=1e-8)
    covariance = 25.0 * np.linalg.inv(q.T @ q)
    np.testing.assert_allclose(solution.covariance, blocks_of(covariance), rtol=1e-7, atol=1e-7 * covariance.max())
    np.testing.assert_allclose(
        solution.covariance_matrix(), covariance, rtol=1e-7, atol=1e-8 * np.abs(covariance).max()
    )
    deviation = np.sqrt(np.diag(covariance))
    expected_correlation = np.abs(covariance / np.outer(deviation, deviation)).reshape(9, 3, 9, 3).max(axis=(1, 3))
    np.testing.assert_allclose(solution.grain_correlation(), expected_correlation, atol=1e-6)
    residual = field - q @ expected
    np.testing.assert_allclose(np.ravel(solution.residual)[used], residual, atol=1e-6)
    np.testing.assert_allclose(solution.reduced_chi_square, residual @ residual / 25 / (used.sum() - 27), rtol=1e-9)
    singular = np.linalg.svd(q / np.linalg.norm(q, axis=0), compute_uv=False)
    np.testing.assert_allclose(solution.condition, singular[0] / singular[-1], rtol=0.02)
    assert solution.method == method
    assert solution.warnings == ()


def test_compressed_and_dense_inversions_agree(monkeypatch):
    """On 12,769 sensors, where most columns are polynomials on some squares."""
    grains = small_sample(grains=12, width=110.0, depth=25.0).translate([-55, -55, 0])
    grid = SensorGrid(origin=(-56, -56), spacing=1.0, shape=(113, 113), height=1.0)
    scan = Scan(
        np.random.default_rng(0).normal(size=grid.shape) * 5 + forward(grains, np.full((12, 3), 9e3), grid), grid
    )
    for method in ("cholesky", "orthogonal"):
        dense = invert(scan, grains, noise=5.0, method=method)
        with monkeypatch.context() as context:
            context.setattr(memory, "DENSE_BYTES", 0)
            compressed = invert(scan, grains, noise=5.0, method=method)
        away = np.linalg.norm(compressed.magnetization - dense.magnetization, axis=1)
        assert np.all(away < 1e-4 * np.asarray(dense.confidence_radius))
        np.testing.assert_allclose(compressed.confidence_radius, dense.confidence_radius, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::mmtjax.InversionWarning")
def test_columns_are_made_finer_where_the_condition_asks_for_it(monkeypatch):
    """At a condition number of 7e7, columns that are right to 1e-6 would give radii wrong by more than they may be."""
    sample = simulate(jax.random.key(3), side=100, thickness=75, density=1e5, noise=5.0)
    exact = invert(sample.scan, sample.grains, tolerance=1e-12, method="orthogonal", throw=False)
    resolved = np.asarray(exact.uncertainty_ratio) < 1

    def errors(solution):
        radius = np.asarray(solution.confidence_radius / exact.confidence_radius) - 1
        away = np.linalg.norm(solution.magnetization - exact.magnetization, axis=1) / exact.confidence_radius
        return np.abs(radius[resolved]).max(), away[resolved].max()

    radius, magnetization = errors(invert(sample.scan, sample.grains, tolerance=1e-6, throw=False))
    assert radius < 1e-3
    assert magnetization < 1e-2
    monkeypatch.setattr(strategy, "tightened", lambda tolerance, condition: tolerance)
    coarse = invert(sample.scan, sample.grains, tolerance=1e-6, throw=False)
    assert errors(coarse)[0] > 1e-3
    assert any("pass tolerance=1e-07" in message for message in coarse.warnings)


def test_noise_map_weighs_the_sensors():
    grains = small_sample(grains=4)
    sigma = np.random.default_rng(2).uniform(1, 20, GRID.shape)
    _, scan = noisy_scan(grains)
    solution = invert(scan, grains, noise=sigma)
    q = np.asarray(greens_matrix(grains, GRID)) / sigma.reshape(-1, 1)
    expected, *_ = np.linalg.lstsq(q, np.ravel(scan.field / sigma), rcond=None)
    np.testing.assert_allclose(np.ravel(solution.magnetization), expected, rtol=1e-8)
    np.testing.assert_allclose(solution.covariance, blocks_of(np.linalg.inv(q.T @ q)), rtol=1e-6, atol=1e-3)


def test_ratios_scale_with_the_noise():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains, noise=50.0)
    small, large = (invert(scan, grains, noise=n) for n in (50.0, 51.0))
    np.testing.assert_allclose(large.uncertainty_ratio / small.uncertainty_ratio, 51 / 50, rtol=1e-9)


def test_spheres_hold_the_truth_as_often_as_they_say():
    """400 noises on 9 grains: 3,600 spheres; the share that holds the truth is 95 ± 1 %."""
    grains = small_sample(grains=9)
    truth, scan = noisy_scan(grains, noise=0.0)
    rng = np.random.default_rng(11)
    solution = invert(Scan(scan.field + 20 * rng.normal(size=GRID.shape), GRID), grains, noise=20.0)
    q = np.asarray(greens_matrix(grains, GRID))
    # The radius does not depend on the data, and the solution is linear in them: one pseudo-inverse serves all draws.
    pseudo = np.linalg.pinv(q)
    fields = np.ravel(scan.field) + 20 * rng.normal(size=(400, GRID.size))
    solved = (fields @ pseudo.T).reshape(400, 9, 3)
    held = np.linalg.norm(solved - truth, axis=2) <= np.asarray(solution.confidence_radius)
    assert abs(held.mean() - 0.95) < 0.01
    one = invert(Scan(fields[0].reshape(GRID.shape), GRID), grains, noise=20.0)
    np.testing.assert_allclose(one.magnetization, solved[0], rtol=1e-7, atol=1e-3)


def test_what_cholesky_cannot_factor_is_solved_orthogonally_and_right():
    """Where the condition of QᵀQ exceeds 1e16 the answer is that of 50-digit arithmetic, radius and all."""
    grains, grid = deep_sample()
    truth, scan = noisy_scan(grains, grid, noise=1e-6, scale=4e5)
    # As fine as can be: the solver is looked at here.
    q = np.asarray(greens_matrix(grains, grid, tolerance=1e-12))
    scaled = q / np.linalg.norm(q, axis=0)
    assert np.linalg.cond(scaled) ** 2 > 1e16
    with pytest.warns(InversionWarning, match="saturation"):
        solution = invert(scan, grains, noise=1e-6, tolerance=1e-12)
    assert solution.method == "orthogonal"
    solved, covariance = exact_solution(q, np.asarray(scan.field), 1e-6)
    exact = np.asarray(confidence_radius(jnp.asarray(blocks_of(covariance))))
    ratio = exact / np.linalg.norm(solved.reshape(-1, 3), axis=1)
    assert np.any(ratio < 1)
    np.testing.assert_allclose(solution.confidence_radius, exact, rtol=1e-5)
    assert np.all(np.linalg.norm(solution.magnetization - solved.reshape(-1, 3), axis=1) < 0.01 * exact)


def test_prior_is_that_of_bayes():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    for method in ("cholesky", "orthogonal"):
        solution = invert(scan, grains, noise=5.0, prior=2e3, method=method)
        q = np.asarray(greens_matrix(grains, GRID))
        precision = q.T @ q / 25 + np.eye(12) / 2e3**2
        np.testing.assert_allclose(
            np.ravel(solution.magnetization), np.linalg.solve(precision, q.T @ np.ravel(scan.field) / 25), rtol=1e-8
        )
        np.testing.assert_allclose(solution.covariance, blocks_of(np.linalg.inv(precision)), rtol=1e-7, atol=1e-6)
        shrinkage = np.trace(np.linalg.solve(precision, q.T @ q / 25))
        np.testing.assert_allclose(solution.effective_unknowns, shrinkage, rtol=1e-9)


def test_noise_from_the_residual():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains, noise=33.0)
    solution = invert(scan, grains, noise="residual")
    q = np.asarray(greens_matrix(grains, GRID))
    _, square, *_ = np.linalg.lstsq(q, np.ravel(scan.field), rcond=None)
    np.testing.assert_allclose(solution.noise, np.sqrt(square[0] / (GRID.size - 12)), rtol=1e-9)
    np.testing.assert_allclose(solution.reduced_chi_square, 1.0, rtol=1e-9)
    weak = invert(scan, grains, noise="residual", prior=1e9)
    np.testing.assert_allclose(weak.noise, solution.noise, rtol=1e-6)


def test_bootstrap_of_the_solution():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    solution = invert(scan, grains, noise=5.0)
    drawn = solution.bootstrap_radius(jax.random.key(0))
    np.testing.assert_allclose(drawn, solution.confidence_radius, rtol=0.03)


def test_a_series_is_its_maps_one_by_one():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    steps = [scan, Scan(0.5 * np.asarray(scan.field), GRID)]
    for prior in (None, 2e3):
        series = invert_series(steps, grains, [5.0, 7.0], prior=prior)
        for step, noise, found in zip(steps, (5.0, 7.0), series, strict=True):
            alone = invert(step, grains, noise=noise, prior=prior)
            np.testing.assert_allclose(found.magnetization, alone.magnetization, rtol=1e-7, atol=1e-3)
            np.testing.assert_allclose(found.confidence_radius, alone.confidence_radius, rtol=1e-9)


def test_maps_of_moved_sensors_share_the_shapes_of_grains():
    """Maps that are registered anew, another mask, a map of noise: each as it is alone, and in the order given."""
    grains = small_sample(grains=4)
    truth, scan = noisy_scan(grains)
    moved = SensorGrid(origin=(-4.3, -3.5), spacing=1.0, shape=(30, 31), height=1.2)
    masked = np.ones(GRID.shape, bool)
    masked[:3] = False
    uneven = np.linspace(4, 6, GRID.size).reshape(GRID.shape)
    scans = [scan, Scan(forward(grains, truth, moved), moved), scan, Scan(scan.field, GRID, mask=masked), scan]
    noises, stages = [5.0, 5.0, uneven, 5.0, 6.0], []
    series = invert_series(scans, grains, noises, progress=lambda stage, done, total: stages.append((stage, done)))
    for step, noise, found in zip(scans, noises, series, strict=True):
        alone = invert(step, grains, noise=noise)
        np.testing.assert_allclose(found.magnetization, alone.magnetization, rtol=1e-9)
        np.testing.assert_allclose(found.confidence_radius, alone.confidence_radius, rtol=1e-9)
    assert stages.count(("shapes of grains", 4)) == 1
    assert stages.count(("Green's matrix", GRID.size)) == 3


def answer_to(knobs, grains, scan):
    """Magnetizations and uncertainty ratios where the geometry, the noise and the field are changed by `knobs`."""
    grid = SensorGrid(origin=GRID.origin, spacing=GRID.spacing, shape=GRID.shape, height=knobs["height"])
    measured = Scan(scan.field + knobs["field"], grid)
    solution = invert(measured, grains.translate(knobs["shift"]), noise=knobs["noise"], tolerance=1e-11)
    return solution.magnetization, solution.uncertainty_ratio


KNOBS = {
    "height": jnp.array(1.0),
    "shift": jnp.zeros((4, 3)),
    "noise": jnp.array(5.0),
    "field": jnp.zeros(GRID.shape),
}


def directions():
    """One direction for each knob along which that one changes, the field by 10 nT."""
    rng = np.random.default_rng(3)
    for name, value in KNOBS.items():
        scale = 10.0 if name == "field" else 1.0
        step = scale * jnp.asarray(rng.normal(size=value.shape))
        yield name, {key: step if key == name else jnp.zeros_like(other) for key, other in KNOBS.items()}


def fourth_order_slopes(function, direction, step=2e-3):
    """Derivatives of what a function returns along a direction, from differences of fourth order."""
    steps = [jax.tree.map(lambda v, d, a=a: v + a * step * d, KNOBS, direction) for a in (1, -1, 2, -2)]
    for up, down, far_up, far_down in zip(*map(function, steps), strict=True):
        yield (8 * (up - down) - (far_up - far_down)) / (12 * step)


def test_reverse_mode_is_the_slope_of_the_answer():
    """With respect to positions, standoff, noise and field, against fourth-order differences, to 1e-6."""
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    weights = np.random.default_rng(7).normal(size=(4, 3))

    def loss(knobs):
        magnetization, ratio = answer_to(knobs, grains, scan)
        return jnp.sum(weights * magnetization) / 1e4 + jnp.sum(jnp.log(ratio))

    value_and_gradient = jax.jit(jax.value_and_grad(loss))
    _, gradient = value_and_gradient(KNOBS)
    for name, direction in directions():
        (slope,) = fourth_order_slopes(lambda knobs: value_and_gradient(knobs)[:1], direction)
        np.testing.assert_allclose(jnp.vdot(gradient[name], direction[name]), slope, rtol=1e-6, err_msg=name)


@pytest.mark.slow
def test_forward_mode_is_the_slope_of_the_answer():
    """Of every magnetization and uncertainty ratio, with respect to the same, to 1e-6 of the largest."""
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    answer = jax.jit(lambda knobs: answer_to(knobs, grains, scan))
    slopes_along = jax.jit(lambda direction: jax.jvp(answer, (KNOBS,), (direction,))[1])
    for name, direction in directions():
        for tangent, slope in zip(slopes_along(direction), fourth_order_slopes(answer, direction), strict=True):
            assert np.abs(tangent - slope).max() <= 1e-6 * max(np.abs(slope).max(), 1e-12), name


@pytest.mark.slow
def test_reverse_mode_is_the_transpose():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)

    def loss(height, shift):
        return jnp.sum(jnp.log(answer_to(KNOBS | {"height": height, "shift": shift}, grains, scan)[1]))

    arguments = jnp.array(1.0), jnp.zeros((4, 3))
    tangents = jnp.array(0.7), jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
    _, forward_slope = jax.jit(lambda a, t: jax.jvp(loss, a, t))(arguments, tangents)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))(*arguments)
    np.testing.assert_allclose(
        sum(jnp.vdot(g, t) for g, t in zip(gradient, tangents, strict=True)), forward_slope, rtol=1e-8
    )


def test_every_stage_is_told_to_its_end():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    told: dict[str, list[tuple[int, int]]] = {}
    invert(scan, grains, noise=5.0, progress=lambda name, *done: told.setdefault(name, []).append(done))
    assert list(told) == ["shapes of grains", "Green's matrix", "normal equations", "solution"]
    assert told["shapes of grains"] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(steps[-1][0] == steps[-1][1] for steps in told.values())


def test_table_and_maps_carry_units():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    solution = invert(scan, grains, noise=5.0)
    table = solution.table()
    assert list(table.id) == [1, 2, 3, 4]
    assert set(table.attrs["units"]) == set(table.columns)
    np.testing.assert_allclose(table.moment, table.magnetization * table.volume * 1e-18)
    down = np.degrees(np.arcsin(-table.mz / table.magnetization))
    np.testing.assert_allclose(table.inclination, down)
    east = (np.sin(np.radians(table.declination)) - table.mx / np.hypot(table.mx, table.my)).abs().max()
    assert east < 1e-12
    assert solution.maps()["residual"].attrs["units"] == "nT"
    assert "4 grains from 1089 sensors" in str(solution)


@pytest.fixture(scope="module")
def tutorial(data):
    folder = data / "qdm-tutorial"
    with pytest.warns(UserWarning, match="overlap"):
        grains = Grains.from_cuboids(np.loadtxt(folder / "cuboids.txt") * [1, 1, -1, 1, 1, 1, 1])
    grid = SensorGrid(origin=(300, 1250), spacing=1.2, shape=(126, 126), height=6)
    return grains, Scan(np.loadtxt(folder / "scan_tesla.txt") * 1e9, grid)


def test_the_real_scan_agrees_with_a_singular_value_decomposition(tutorial):
    grains, scan = tutorial
    with pytest.warns(InversionWarning) as caught:
        solution = invert(scan, grains, noise=20.0)
    text = "\n".join(str(entry.message) for entry in caught)
    assert "noise of 20 nT cannot explain the residual of 3393 nT rms" in text
    assert "62 of 99 grains are magnetized beyond 480 kA/m" in text
    q, field = np.asarray(greens_matrix(grains, scan.grid)), np.ravel(scan.field)
    norm = np.linalg.norm(q, axis=0)
    u, s, vt = np.linalg.svd(q / norm, full_matrices=False)
    np.testing.assert_allclose(solution.condition, s[0] / s[-1], rtol=0.02)
    solved = vt.T @ (u.T @ field / s) / norm
    residual = field - q @ solved
    np.testing.assert_allclose(np.linalg.norm(solution.residual), np.linalg.norm(residual), rtol=1e-9)
    np.testing.assert_allclose(np.ravel(solution.residual), residual, atol=1e-9 * np.linalg.norm(residual))
    covariance = 400 * (vt.T / s**2 @ vt) / norm[:, None] / norm
    radius = np.asarray(confidence_radius(jnp.asarray(blocks_of(covariance))))
    np.testing.assert_allclose(solution.confidence_radius, radius, rtol=1e-6)
    away = np.linalg.norm(np.asarray(solution.magnetization) - solved.reshape(-1, 3), axis=1)
    assert np.all(away < 0.01 * radius)
    assert solution.trusted().sum() <= 3


def test_the_published_magnetizations_of_the_real_scan(tutorial, data):
    """The peer's are a few per cent away, as the rounding of its closed form far from a grain makes them."""
    grains, scan = tutorial
    with pytest.warns(InversionWarning):
        solution = invert(scan, grains, noise=20.0)
    published = np.loadtxt(data / "qdm-tutorial" / "peer_magnetization.txt")
    np.testing.assert_array_equal(published[:, 0], grains.ids)
    theirs = published[:, 1:] * [1, 1, -1]
    away = np.linalg.norm(theirs - np.asarray(solution.magnetization), axis=1) / np.linalg.norm(theirs, axis=1)
    assert np.median(away) < 0.03
    assert away.max() < 0.16
