"""A process that computes with rows shared out over its devices, alone or as one of many; results go to a file."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from mmtjax import Grains, LeastSquares, SensorGrid
from mmtjax.estimators.base import factored
from mmtjax.greens import AbstractGreen
from mmtjax.greens.sharded import ShardedGreen
from mmtjax.solvers.cholesky import Cholesky
from tests.samples import small_sample

#: Fifteen tiles, which neither two nor four devices share evenly, and sensors that fill none of the last ones.
GRID = SensorGrid(origin=(-4, -6), spacing=1.0, shape=(37, 75), height=1.0)

#: So loose that few kernels are needed, which are compiled for every device.
TOLERANCE = 1e-2


def sample() -> Grains:
    """The grains."""
    return small_sample(grains=9)


def inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A magnetization, a field and weights of sensors, four in ten of them zero."""
    rng = np.random.default_rng(0)
    weight = rng.uniform(size=GRID.shape) * (rng.uniform(size=GRID.shape) > 0.4)
    return rng.normal(size=27), rng.normal(size=GRID.shape), weight


def solved(green: AbstractGreen) -> tuple[Array, Array]:
    """Magnetizations and confidence radii of the grains from a map, which a sharded operator gives as any other."""
    magnetization, field, _ = map(jnp.asarray, inputs())
    weight = jnp.ones(GRID.shape)
    solver = Cholesky()
    state = solver.init(green, weight, least_ridge=None)
    factor = solver.compute(state, None)
    problem = factored(green, weight, solver=solver, state=state, factor=factor, ridge=None)
    estimator = LeastSquares()
    found = estimator.estimate(problem, green.mv(magnetization) + field, used=GRID.size)
    return found.values, estimator.uncertainty(problem, found, variance=found.mean_square, level=0.95).radius


def main(file: str, coordinator: str = "", processes: str = "1", number: str = "0") -> None:
    """Compute everything and save it."""
    if coordinator:
        jax.distributed.initialize(coordinator, num_processes=int(processes), process_id=int(number))
    green = ShardedGreen(sample(), GRID, tolerance=TOLERANCE, block_bytes=2 * 24 * 9 * 256)
    magnetization, field, weight = map(jnp.asarray, inputs())
    solution, radius = solved(green)
    results = {
        "mv": green.mv(magnetization),
        "rmv": green.rmv(field),
        "gram": green.gram(weight),
        "root": green.root(weight),
        "solution": solution,
        "radius": radius,
    }
    np.savez(file, devices=len(jax.devices()), local=len(jax.local_devices()), **results)
    if coordinator:
        jax.distributed.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
