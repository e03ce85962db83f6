"""A source, a noise model, a solver and a format that a user adds, as the how-to pages define them, in few lines.

Each test runs the example of a page as it stands, with the package unchanged, and checks its classes against a
computation of its own.
"""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import Background, Grains, InversionError, Scan, SensorGrid, forward, greens_matrix, invert, invert_series
from mmtjax.io import read_scan
from tests.inversions import noisy_scan

HOWTO = Path(__file__).resolve().parents[1] / "docs" / "howto"
PAGES = ("source", "noise-model", "solver", "format")

#: Lines of code that an extension may take at most.
LINES = 40

GRAINS = Grains.from_cuboids(
    [[5, 5, -5, 1, 1, 1, 1], [14, 7, -7, 2, 1, 1, 2], [9, 15, -9, 2, 2, 1, 3], [20, 20, -6, 1, 2, 1, 4]]
)
GRID = SensorGrid(origin=(-4, -4), spacing=1.0, shape=(33, 33), height=1.0)


def code_of(page: str) -> str:
    """Return the one block of Python of a page."""
    (code,) = re.findall(r"^```python\n(.*?)^```", (HOWTO / f"add-a-{page}.md").read_text(), re.M | re.S)
    return code


@pytest.fixture(params=PAGES)
def page(request):
    return request.param


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Return a function that runs the example of a page in an empty directory and returns its names."""
    monkeypatch.chdir(tmp_path)

    def run(page: str) -> SimpleNamespace:
        names: dict[str, object] = {"__name__": "example"}
        exec(compile(code_of(page), f"add-a-{page}.md", "exec"), names)
        return SimpleNamespace(**names)

    return run


def test_an_extension_takes_few_lines_and_uses_public_names(page):
    tree, own = ast.parse(code_of(page)), 0
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node, clean=False) or ""
            length = node.end_lineno - node.lineno + 1
            assert length < LINES, f"{node.name} takes {length} lines"
            own += length - text.count("\n")
    # A solver is two classes: one makes factors of the other.
    assert own < (2 if page == "solver" else 1) * LINES
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module.startswith("mmtjax")]
    private = [name for node in imported for name in (*node.module.split("."), *(one.name for one in node.names))]
    assert not any(name.startswith("_") for name in private)


def averaged_dipoles(place, moments, grid):
    """Return the field of dipoles, averaged over the sensors by quadrature, (dipole, component, ny, nx), nT."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    u, v = np.meshgrid(nodes, nodes)
    weight = np.outer(weights, weights).ravel() / 4
    x, y = np.meshgrid(np.asarray(grid.x), np.asarray(grid.y))
    sx, sy = np.asarray(grid.side) / 2
    spots = np.stack(
        [x[..., None] + sx * u.ravel(), y[..., None] + sy * v.ravel(), np.full((*x.shape, u.size), grid.height)],
        axis=-1,
    )
    columns = []
    for one, moment in zip(place, moments, strict=True):
        d = spots - one
        r = np.linalg.norm(d, axis=-1)[..., None]
        field = (3 * d * d[..., 2:] / r**5 - np.array([0, 0, 1.0]) / r**3) * weight[:, None]
        columns.append(100 * moment * np.moveaxis(field.sum(axis=-2), -1, 0))
    return np.array(columns)


def spheres_of(names):
    place = np.array([[4.0, 5.0, -3.5], [13.0, 9.0, -6.0], [21.0, 20.0, -12.0]])
    return names.Spheres(place, radius=np.array([1.5, 2.0, 3.0]), ids=np.array([7, 3, 11]))


def test_columns_of_spheres_are_those_of_dipoles(example):
    spheres = spheres_of(example("source"))
    exact = averaged_dipoles(spheres.position, spheres.volume, GRID).reshape(9, -1).T
    columns = np.asarray(greens_matrix(spheres, GRID))
    peak = np.abs(exact).max(axis=0)
    assert np.all(np.abs(columns - exact) < 1e-7 * peak)


@pytest.mark.parametrize("options", [{}, {"method": "orthogonal"}, {"green": "compressed"}, {"green": "tiled"}])
def test_spheres_are_recovered(example, options):
    spheres = spheres_of(example("source"))
    truth = np.array([[3e3, -1e3, 6e3], [-2e3, 4e3, -5e3], [1e3, 2e3, 7e3]])
    exact = averaged_dipoles(spheres.position, spheres.volume, GRID)
    plane = 3.0 + 0.1 * np.asarray(GRID.x)
    scan = Scan(np.tensordot(truth, exact, 2) + plane, GRID)
    solution = invert(scan, spheres, noise=5.0, background=Background(1), **options)
    np.testing.assert_allclose(solution.magnetization, truth, rtol=1e-7, atol=1e-3)
    matrix = np.column_stack(
        [exact.reshape(9, -1).T, *(np.ravel(one) for one in np.asarray(Background(1).columns(GRID)))]
    )
    covariance = 25 * np.linalg.inv(matrix.T @ matrix)
    np.testing.assert_allclose(solution.covariance[1], covariance[3:6, 3:6], rtol=1e-5, atol=1e-5 * covariance[3, 3])
    table = solution.table()
    assert table["id"].tolist() == [7, 3, 11]
    np.testing.assert_allclose(table["diameter"], 2 * spheres.radius)


def test_spheres_are_solved_beside_grains(example):
    spheres = spheres_of(example("source")).select(np.array([False, True, True]))
    field = forward(GRAINS, np.full((4, 3), 2e3), GRID) + forward(spheres, np.full((2, 3), 5e3), GRID)
    solution = invert(Scan(field, GRID), [GRAINS, spheres], noise=5.0)
    assert [one.unknowns.name for one in solution.estimates] == ["grains", "spheres"]
    np.testing.assert_allclose(solution.magnetization, 2e3, rtol=1e-7)
    np.testing.assert_allclose(solution.estimate_of("spheres").values, 5e3, rtol=1e-7)


@pytest.mark.parametrize("method", ["cholesky", "orthogonal"])
def test_low_rank_noise_is_generalized_least_squares(example, method):
    names = example("noise-model")
    random = np.random.default_rng(3)
    shared = 20.0 * random.normal(size=(5, *GRID.shape)).cumsum(axis=1) / 5
    mask = random.random(GRID.shape) > 0.2
    truth, scan = noisy_scan(GRAINS)
    field = np.asarray(scan.field) + np.tensordot(random.normal(size=5), shared, 1)
    scan = Scan(field, GRID, mask)
    solution = invert(scan, GRAINS, names.WhiteAndShared(sigma=5.0, shared=shared), method=method)

    used = mask.ravel()
    q, u = np.asarray(greens_matrix(GRAINS, GRID))[used], shared.reshape(5, -1).T[used]
    inverse = np.linalg.inv(25.0 * np.eye(used.sum()) + u @ u.T)
    covariance = np.linalg.inv(q.T @ inverse @ q)
    values = covariance @ q.T @ inverse @ field.ravel()[used]
    np.testing.assert_allclose(solution.magnetization.ravel(), values, rtol=1e-8)
    for grain, own in enumerate(solution.covariance):
        block = slice(3 * grain, 3 * grain + 3)
        np.testing.assert_allclose(own, covariance[block, block], rtol=1e-7, atol=1e-9 * covariance.max())
    unknowns = GRAINS.unknowns.size
    np.testing.assert_allclose(
        solution.covariance_matrix()[:unknowns, :unknowns], covariance, atol=1e-9 * covariance.max()
    )
    residual = field.ravel()[used] - q @ values
    # The factors of the patterns are no unknowns of the generalized problem: its χ² has 12 of them.
    expected = residual @ inverse @ residual / (used.sum() - unknowns)
    np.testing.assert_allclose(solution.reduced_chi_square, expected, rtol=0.02)
    assert np.all(np.linalg.norm(solution.magnetization - truth, axis=1) < 2 * np.asarray(solution.confidence_radius))


def test_a_series_takes_low_rank_noise(example):
    names = example("noise-model")
    noise = names.WhiteAndShared(sigma=5.0, shared=np.full((1, *GRID.shape), 30.0))
    scans = [noisy_scan(GRAINS, seed=seed)[1] for seed in (0, 1)]
    series = invert_series(scans, GRAINS, noise)
    alone = invert(scans[1], GRAINS, noise)
    np.testing.assert_allclose(series[1].magnetization, alone.magnetization, rtol=1e-10)


@pytest.mark.parametrize("options", [{}, {"prior": 8e3}, {"prior": 8e3, "background": 1}, {"noise": "residual"}])
def test_lsmr_gives_the_answer_of_cholesky(example, options):
    names = example("solver")
    _, scan = noisy_scan(GRAINS)
    chosen = {"noise": 5.0, **options}
    ours = invert(scan, GRAINS, method=names.Lsmr(), **chosen)
    other = invert(scan, GRAINS, method="cholesky", **chosen)
    assert ours.method == "lsmr"
    scale = float(jnp.max(jnp.abs(other.magnetization)))
    np.testing.assert_allclose(ours.magnetization, other.magnetization, atol=1e-10 * scale)
    np.testing.assert_allclose(ours.covariance, other.covariance, rtol=1e-9, atol=1e-10 * float(other.covariance.max()))
    np.testing.assert_allclose(ours.confidence_radius, other.confidence_radius, rtol=1e-10)
    np.testing.assert_allclose(
        ours.covariance_matrix(), other.covariance_matrix(), atol=1e-10 * float(other.covariance.max())
    )
    np.testing.assert_allclose(ours.effective_unknowns, other.effective_unknowns, rtol=1e-9)


def test_lsmr_refuses_what_it_cannot_answer(example):
    names = example("solver")
    beside = Grains.from_cuboids([[5, 5, -60, 1, 1, 1, 1], [5, 5, -64, 1, 1, 1, 2], [6, 5, -62, 0.5, 1, 0.5, 3]])
    scan = Scan(np.zeros(GRID.shape), GRID)
    with pytest.raises(InversionError, match="by the lsmr method are reliable: grains are indistinguishable"):
        invert(scan, beside, noise=5.0, method=names.Lsmr())


def test_the_points_of_a_map_are_read_in_any_order(example, write):
    names = example("format")
    x, y = np.meshgrid(1.5 * np.arange(4), 2.0 * np.arange(3))
    values = np.arange(12.0)
    rows = [f"{a / 1e3:.6f}, {b / 1e3:.6f}, {c}" for a, b, c in zip(x.ravel(), y.ravel(), values, strict=True)]
    random = np.random.default_rng(0)
    scan = names.read_points(write("map.csv", "\n".join(random.permutation(rows))), height=3.0)
    np.testing.assert_allclose(scan.field, 1e3 * values.reshape(3, 4))
    np.testing.assert_allclose(scan.grid.spacing, (1.5, 2.0))
    assert float(scan.grid.height) == 3.0
    with pytest.raises(ValueError, match="11 points with 4 values of x and 3 of y do not fill a regular grid"):
        names.read_points(write("short.csv", "\n".join(rows[:-1])), height=3.0)
    with pytest.raises(ValueError, match="line 2: 2 columns where 3 are expected"):
        names.read_points(write("cut.csv", f"{rows[0]}\n1, 2"), height=3.0)


def test_the_map_that_the_page_writes_is_read_by_the_package(example):
    names = example("format")
    scan = read_scan("map.nc")
    np.testing.assert_allclose(scan.field, names.scan.field)
    np.testing.assert_allclose(scan.grid.spacing, names.scan.grid.spacing)
