"""The pieces of work that a large inversion is made of; what takes long is found on the disk where it was done."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InversionError
from mmtjax.files import beside
from mmtjax.greens.blockwise import BlockwiseGreen
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.inversion.strategy import reduce_rows, strategy_for
from mmtjax.linalg.symmetric import unknowns_of
from mmtjax.linalg.triangular import pack, solve_packed
from mmtjax.parallel.cluster import give_back_memory
from mmtjax.parallel.saved_arrays import load_arrays, save_arrays
from mmtjax.solvers.base import remedies
from mmtjax.subdomains.problem import kept
from mmtjax.uncertainty.covariance import covariance_blocks

#: Condition number up to which a factor is kept in single precision: what it gives is improved by rounds anyway.
_SINGLE = 1e6


class WindowSummary(NamedTuple):
    """What a window says of the grains that it answers for: blocks of (QᵀW²Q)⁻¹; its condition number and solver."""

    blocks: Float[np.ndarray, "core 3 3"]
    condition: float
    method: str


def factor_window(place: Path, number: int) -> WindowSummary:
    """Factor a window, from the columns of the blocks near it, and keep the factor.

    Raises
    ------
    InversionError
        If the factorization breaks down.
    """
    done = _of_window(place, number)
    if not done.exists():
        problem = kept(place)
        window, options = problem.windows[number], problem.options
        grains, grid = problem.grains.select(window.grains), problem.grid.window(window.rows, window.columns)
        strategy = strategy_for(options.method, grains, grid, prior=options.prior, tolerance=options.tolerance)
        green = BlockwiseGreen(
            problem.grid,
            window.grains,
            blocks={block: problem.blocks[block] for block in window.sees(problem.blocks)},
            read=lambda block: _green(place, block),
            across=unknowns_of(np.argsort(np.asarray(grains.position)[:, 0])),
        )
        name, _, reduced = reduce_rows(green, jnp.asarray(problem.weight), problem.ridge, method=strategy.method)
        if not np.isfinite(reduced.condition):
            middle = np.asarray(grains.position)[window.core].mean(axis=0)
            raise InversionError(
                f"the {name} factorization failed for the {int(window.core.sum())} grains about x = {middle[0]:.4g}, "
                f"y = {middle[1]:.4g} µm: {remedies(name)}"
            )
        blocks = np.asarray(covariance_blocks(reduced.factor, reduced.scale, variance=1.0))[window.core]
        precision = np.float32 if reduced.condition < _SINGLE else np.float64
        with beside(_factor_of_window(place, number)) as partial, partial.open("wb") as file:
            np.save(file, pack(np.asarray(reduced.factor), precision))
        with beside(done) as partial, partial.open("wb") as file:
            np.savez(file, scale=reduced.scale, blocks=blocks, condition=reduced.condition, method=name)
        give_back_memory()
    with np.load(done) as arrays:
        return WindowSummary(arrays["blocks"], float(arrays["condition"]), str(arrays["method"]))


def solve_window(place: Path, number: int) -> Float[np.ndarray, "map own_unknown"]:
    """What the grains of a window change when all others stay, from the residuals of the normal equations."""
    window = kept(place).windows[number]
    with np.load(_of_window(place, number)) as arrays:
        scale = arrays["scale"]
    factor = np.load(_factor_of_window(place, number), mmap_mode="r")
    residual = np.load(residual_file(place), mmap_mode="r")[:, unknowns_of(window.grains)]
    return solve_packed(factor, (residual / scale).T).T / scale


def form_block(place: Path, number: int) -> Float[np.ndarray, "map unknown"]:
    """Make the columns of a block of sensors and keep them; its part of the right sides QᵀW²φ of all maps."""
    problem, done = kept(place), block_file(place, number)
    rows, columns = problem.blocks[number]
    if not done.exists():
        grid, tolerance = problem.grid.window(rows, columns), problem.options.tolerance
        save_arrays(CompressedGreen(problem.grains, grid, tolerance=tolerance, whole=problem.used), done)
        give_back_memory()
    weight = np.asarray(problem.weight[rows, columns])
    maps = [weight * problem.field[rows, columns]]
    for draw in range(1, 1 + problem.options.draws):
        maps.append(np.where(weight > 0, problem.noise(number, draw), 0.0))
    return np.asarray(_green(place, number).rmv(weight * np.stack(maps)))


def apply_block(place: Path, number: int) -> Float[np.ndarray, "direction unknown"]:
    """The part of a block of sensors in QᵀW²Q times directions."""
    problem, green = kept(place), _green(place, number)
    weight = np.asarray(problem.weight[problem.blocks[number]])
    return np.asarray(green.normal(np.load(directions_file(place), mmap_mode="r"), weight))


class Misfit(NamedTuple):
    """The field of a solution over a block of sensors, and its part of the gradient Qᵀ W² (φ − Q M)."""

    forward: Float[np.ndarray, "rows columns"]
    gradient: Float[np.ndarray, " unknown"]


def compare_block(place: Path, number: int) -> Misfit:
    """The measured map over a block beside that of the first of the directions, which is a solution."""
    problem, green = kept(place), _green(place, number)
    part = problem.blocks[number]
    forward = np.asarray(green.mv(np.load(directions_file(place), mmap_mode="r")[0]))
    weight = np.asarray(problem.weight[part])
    return Misfit(forward, np.asarray(green.rmv(weight**2 * (problem.field[part] - forward))))


def _green(place: Path, number: int) -> CompressedGreen:
    return load_arrays(block_file(place, number))


def residual_file(place: Path) -> Path:
    """Residuals of the normal equations that windows read, (map, unknown)."""
    return place / "residual.npy"


def directions_file(place: Path) -> Path:
    """Directions, or a solution, that blocks read, (direction, unknown)."""
    return place / "directions.npy"


def block_file(place: Path, number: int) -> Path:
    """Columns of a block of sensors, a `CompressedGreen`."""
    return place / f"block-{number:05d}"


def _of_window(place: Path, number: int) -> Path:
    return place / f"window-{number:05d}.npz"


def _factor_of_window(place: Path, number: int) -> Path:
    return place / f"window-{number:05d}.factor.npy"
