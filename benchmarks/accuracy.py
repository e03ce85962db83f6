"""Radii and magnetizations by every form of the operator and every solver, against the dense matrix in NumPy."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks.measure import note, record
from mmtjax import confidence_radius, greens_matrix, invert_subdomains
from mmtjax.estimators.base import factored
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.sharded import ShardedGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.simulation import Simulation, simulate
from mmtjax.solvers import SOLVERS

_SIDE, _THICKNESS, _DENSITY, _NOISE = 200.0, 50.0, 1e5, 5.0

#: Far finer than what is compared with it.
_REFERENCE_TOLERANCE = 1e-12

#: Windows of this sample: four, of which none holds all.
_WINDOWS = {"core": 100.0, "buffer": 80.0, "draws": 64}

_FORMS = {
    "dense": lambda *args, **options: DenseGreen.from_operator(TiledGreen(*args, **options)),
    "tiled": TiledGreen,
    "compressed": CompressedGreen,
    "sharded": ShardedGreen,
}

Answer = tuple[Float[Array, "grain 3"], Float[Array, " grain"]]


def every_form() -> None:
    """200 grains below 40,401 sensors: the worst of the grains with a ratio below 100 %."""
    sample = simulate(jax.random.key(11), side=_SIDE, thickness=_THICKNESS, density=_DENSITY, noise=_NOISE)
    magnetization, radius = by_numpy(sample)
    seen = radius < np.linalg.norm(magnetization, axis=1)
    note(f"{seen.sum()} of {len(seen)} grains have a ratio below 100 %")
    for name, (other, wider) in answers(sample).items():
        away = np.linalg.norm(other - magnetization, axis=1) / radius
        record(f"accuracy_{name}_radius", np.abs(wider / radius - 1)[seen].max(), "of the radius")
        record(f"accuracy_{name}_magnetization", away[seen].max(), "of the radius")


def by_numpy(sample: Simulation) -> Answer:
    """Singular values of the dense matrix, its columns scaled, in NumPy."""
    dense = np.asarray(greens_matrix(sample.grains, sample.grid, tolerance=_REFERENCE_TOLERANCE))
    scale = np.linalg.norm(dense, axis=0)
    left, singular, right = np.linalg.svd(dense / scale, full_matrices=False)
    note(f"condition number {singular[0] / singular[-1]:.2e}")
    solved = right.T @ (left.T @ np.ravel(sample.scan.field) / singular) / scale
    inverse = (right.T / singular / scale[:, None]).reshape(-1, 3, len(scale))
    covariance = _NOISE**2 * np.einsum("gik,gjk->gij", inverse, inverse)
    return solved.reshape(-1, 3), np.asarray(confidence_radius(jnp.asarray(covariance)))


def answers(sample: Simulation) -> dict[str, Answer]:
    """Magnetizations and radii by every form and solver, and by windows."""
    found = {}
    for form, made in _FORMS.items():
        green = made(sample.grains, sample.grid, tolerance=DEFAULT_TOLERANCE)
        for method in ("cholesky", "orthogonal"):
            found[f"{form}_{method}"] = solved_by(green, sample, method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        windows = invert_subdomains(jax.random.key(1), sample.scan, sample.grains, _NOISE, **_WINDOWS)
    return found | {"windows": (windows.magnetization, windows.confidence_radius)}


def solved_by(green: AbstractGreen, sample: Simulation, method: str) -> Answer:
    """As `invert` has it, with columns to the default tolerance."""
    weight = jnp.ones(sample.grid.shape)
    solver = SOLVERS[method]
    state = solver.init(green, weight)
    problem = factored(green, weight, solver=solver, state=state, factor=solver.compute(state, None), ridge=None)
    fit = LeastSquares().estimate(problem, jnp.asarray(sample.scan.field), used=sample.scan.used)
    return fit.values.reshape(-1, 3), confidence_radius(_NOISE**2 * problem.covariances[0])
