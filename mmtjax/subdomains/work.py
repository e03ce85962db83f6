"""The tasks of an inversion by windows; results that take long are stored in files, and read from them again."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InversionError
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.blockwise import BlockFrame, BlockwiseGreen
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.stacked import StackedGreen
from mmtjax.inversion.stack import SourceStack
from mmtjax.inversion.strategy import strategy_for
from mmtjax.linalg.triangular import pack, solve_packed
from mmtjax.parallel.cluster import give_back_memory
from mmtjax.parallel.saved_arrays import load_arrays, save_arrays
from mmtjax.solvers import SOLVERS
from mmtjax.subdomains.problem import load_problem, owner_of
from mmtjax.subdomains.stored_blocks import load_block, save_block
from mmtjax.unknowns import Unknowns

#: Condition number up to which a factor is stored in single precision; the rounds correct the solutions that it gives.
_SINGLE = 1e6

#: The arrays of a window: its packed factor, the scale of its unknowns, and its summary.
_WINDOW = ("factor", "scale", "blocks", "condition", "method")


class WindowSummary(NamedTuple):
    """Blocks of (QᵀW²Q)⁻¹ of the core of a window, its condition number, and the name of the solver."""

    blocks: Float[np.ndarray, "core 3 3"]
    condition: float
    method: str


def factor_window(place: Path, number: int) -> WindowSummary:
    """Factor a window, from the columns of the blocks near it, and save the factor; return its summary.

    Raises
    ------
    InversionError
        If the factorization breaks down.
    """
    done = _of_window(place, number)
    if not done.exists():
        problem = load_problem(place)
        window, options = problem.windows[number], problem.options
        grains, grid = problem.grains.select(window.grains), problem.grid.window(window.rows, window.columns)
        ridge = problem.ridge
        solver = strategy_for(
            SOLVERS[options.method],
            SourceStack((grains,)),
            grid,
            has_prior=ridge is not None,
            tolerance=options.tolerance,
        ).solver
        blocks = {block: problem.blocks[block] for block in window.sees(problem.blocks)}
        unknowns = grains.unknowns
        green = BlockwiseGreen(
            BlockFrame(problem.grid, blocks),
            lambda block: _grains_green(place, block).among(window.grains),
            Unknowns((unknowns,)),
            unknowns.of(np.argsort(np.asarray(grains.position)[:, 0])),
        )
        own = None if ridge is None else jnp.asarray(ridge[problem.grains.unknowns.of(window.grains)])
        state = solver.init(green, jnp.asarray(problem.weight), least_ridge=own)
        factor, used = solver.compute(state, own), solver.used(state)
        del state
        if not np.isfinite(factor.condition) or factor.triangle is None:
            middle = np.asarray(grains.position)[window.core].mean(axis=0)
            msg = (
                f"the {used.name} factorization failed for the {int(window.core.sum())} grains near x = "
                f"{middle[0]:.4g}, y = {middle[1]:.4g} µm: {used.remedies()}"
            )
            raise InversionError(msg)
        triangle, scale = factor.triangle
        covariances = np.asarray(factor.covariances(green.unknowns.blocks)[0])[window.core]
        precision = np.float32 if factor.condition < _SINGLE else np.float64
        values = pack(np.asarray(triangle), precision), scale, covariances, factor.condition, used.name
        save_arrays(dict(zip(_WINDOW, map(np.asarray, values), strict=True)), done, owner=owner_of(place))
        give_back_memory()
    found = load_arrays(done, _WINDOW, owner=owner_of(place))
    return WindowSummary(np.array(found["blocks"]), float(found["condition"]), str(found["method"]))


def solve_window(place: Path, number: int) -> Float[np.ndarray, "map own_unknown"]:
    """Return the correction of the grains of a window while all others are fixed, from the residuals of all maps."""
    problem = load_problem(place)
    own = problem.grains.unknowns.of(problem.windows[number].grains)
    found = load_arrays(_of_window(place, number), _WINDOW, owner=owner_of(place))
    residual = np.load(residual_file(place), mmap_mode="r")[:, own]
    return solve_packed(found["factor"], (residual / found["scale"]).T).T / found["scale"]


def form_block(place: Path, number: int) -> Float[np.ndarray, "map unknown"]:
    """Compute and save the columns of a block of sensors; return its part of the right sides QᵀW²φ of all maps."""
    problem, done = load_problem(place), block_file(place, number)
    rows, columns = problem.blocks[number]
    if not done.exists():
        grid, tolerance = problem.grid.window(rows, columns), problem.options.tolerance
        green = CompressedGreen(problem.grains, grid, tolerance=tolerance, whole=problem.used)
        save_block(green, done, owner=owner_of(place))
        del green
        give_back_memory()
    weight = np.asarray(problem.weight[rows, columns])
    maps = [weight * problem.field[rows, columns]]
    for draw in range(1, 1 + problem.options.draws):
        maps.append(np.where(weight > 0, problem.noise(number, draw), 0.0))
    return np.asarray(_green(place, number).rmv(weight * np.stack(maps)))


def apply_block(place: Path, number: int) -> Float[np.ndarray, "direction unknown"]:
    """Return the part of a block of sensors in the products of QᵀW²Q with the directions."""
    problem, green = load_problem(place), _green(place, number)
    weight = np.asarray(problem.weight[problem.blocks[number]])
    return np.asarray(green.normal(np.load(directions_file(place), mmap_mode="r"), weight))


class Misfit(NamedTuple):
    """The field of a solution over a block of sensors, and its part of the gradient Qᵀ W² (φ − Q M)."""

    forward: Float[np.ndarray, "rows columns"]
    gradient: Float[np.ndarray, " unknown"]


def compare_block(place: Path, number: int) -> Misfit:
    """Compare the measured map over a block with that of the first of the directions, which is a solution."""
    problem, green = load_problem(place), _green(place, number)
    part = problem.blocks[number]
    forward = np.asarray(green.mv(np.load(directions_file(place), mmap_mode="r")[0]))
    weight = np.asarray(problem.weight[part])
    return Misfit(forward, np.asarray(green.rmv(weight**2 * (problem.field[part] - forward))))


def _grains_green(place: Path, number: int) -> CompressedGreen:
    """Return the operator of all grains over a block of sensors."""
    problem = load_problem(place)
    grid = problem.grid.window(*problem.blocks[number])
    return load_block(block_file(place, number), problem.grains, grid, owner=owner_of(place))


def _green(place: Path, number: int) -> AbstractGreen:
    """Return the operator of all grains, and of the background, over a block of sensors."""
    problem, grains = load_problem(place), _grains_green(place, number)
    if not problem.patterns:
        return grains
    own = problem.columns[:, *problem.blocks[number]].reshape(len(problem.columns), -1)
    unknowns = Unknowns(tuple(pattern.unknowns for pattern in problem.patterns))
    return StackedGreen((grains, DenseGreen(own, grains.frame, unknowns)))


def residual_file(place: Path) -> Path:
    """Return the file of the residuals of the normal equations that windows read, (map, unknown)."""
    return place / "residual.npy"


def directions_file(place: Path) -> Path:
    """Return the file of the directions, or of a solution, that blocks read, (direction, unknown)."""
    return place / "directions.npy"


def block_file(place: Path, number: int) -> Path:
    """Return the file of the columns of a block of sensors."""
    return place / f"block-{number:05d}.arrays"


def _of_window(place: Path, number: int) -> Path:
    """Return the file of the factor and the summary of a window."""
    return place / f"window-{number:05d}.arrays"
