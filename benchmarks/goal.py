"""The goal of the field, 10⁵ grains below 20 mm²: some of the pieces of that very problem, and what all would take."""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Int

from benchmarks.measure import interleaved, note, one_core_clock, record, seconds
from benchmarks.memory import peak_gib
from benchmarks.samples import scale_of_large
from mmtjax import SensorGrid
from mmtjax.field.plan import DEFAULT_TOLERANCE, plan_field
from mmtjax.greens.compressed.operator import CompressedGreen, stored_bytes
from mmtjax.parallel.saved_arrays import load_arrays
from mmtjax.sources.placement import place_grains
from mmtjax.sources.shape_library import synthetic_library
from mmtjax.subdomains.invert import BUFFER, CORE, MARGIN
from mmtjax.subdomains.problem import WindowOptions, WindowProblem, save_problem
from mmtjax.subdomains.windows import Window
from mmtjax.subdomains.work import (
    apply_block,
    block_file,
    directions_file,
    factor_window,
    form_block,
    residual_file,
    solve_window,
)

_SIDE, _THICKNESS, _DENSITY, _NOISE = 4472.0, 50.0, 1e5, 20.0
_DRAWS = 32

#: Rounds of products of which the median is taken.
_PRODUCTS = 3

#: Rounds that are reckoned with: 8,000 grains take 37 and 16,000 take 52, as the edge of the sample.
_ROUNDS = 130


def pieces() -> None:
    """CPU time of a window in the middle of the sample and of the blocks that it looks at, and of all if as dear.

    Windows at the edges take less; blocks are taken to be as dear as what they hold. Distant grains, polynomials on all
    of a block, cost it what a block without them takes less: a coarser level for their field could not save more.
    """
    problem = goal()
    number, window = middle(problem)
    seen = window.sees(problem.blocks)
    record("goal_grains", len(problem.grains), "grains")
    record("goal_windows", len(problem.windows), "windows")
    record("goal_blocks", len(problem.blocks), "blocks")
    with tempfile.TemporaryDirectory() as store:
        place = Path(store)
        save_problem(problem, place)
        vectors = np.random.default_rng(1).normal(size=(_DRAWS + 1, problem.unknowns))
        np.save(directions_file(place), vectors)
        np.save(residual_file(place), vectors)
        columns = [one_core_seconds(form_block, place, block) for block in seen]
        products = [one_core_seconds(apply_block, place, block) for block in seen]
        disk = sum(file.stat().st_size for file in place.glob("block-*"))
        factored = one_core_seconds(factor_window, place, number)
        solved = one_core_seconds(solve_window, place, number)
        disk_window = sum(file.stat().st_size for file in place.glob(f"window-{number:05d}*"))
        peak = peak_gib()
        distant = distant_shares(problem, place, seen[len(seen) // 2], vectors)
    note(f"the first block takes {columns[0]:.3g} s, compiling included")
    held = bytes_of_blocks(problem)
    share = held[seen].sum() / held.sum()
    record("goal_blocks_seen", share, "of what all blocks hold")
    all_columns, per_round = float(np.sum(columns)) / share, float(np.sum(products)) / share
    record("goal_columns_s", all_columns, "s")
    record("goal_products_s", per_round, "s for a round")
    record("goal_factor_s", factored, "s for a window")
    record("goal_solve_s", solved, "s for a window and round")
    record("goal_columns_distant", distant[0], "of the time of a block")
    record("goal_products_distant", distant[1], "of the time of a block and round")
    record("goal_disk_blocks_gib", disk / share / 2**30, "GiB, read in every round")
    record("goal_disk_gib", (disk / share + disk_window * len(problem.windows)) / 2**30, "GiB")
    record("goal_peak_gib", peak, "GiB")
    windows = len(problem.windows)
    total = all_columns + windows * factored + _ROUNDS * (per_round + windows * solved)
    record("goal_cpu_h", total / 3600, "h of one core")


def goal() -> WindowProblem:
    """The problem, with a map of zeros; its edge is smaller by the scale that the environment asks for."""
    side = round(_SIDE * scale_of_large())
    key = jax.random.key(5)
    grains = place_grains(key, synthetic_library(), side=side, thickness=_THICKNESS, density=_DENSITY)
    grid = SensorGrid(origin=(0, 0), spacing=1, shape=(side + 1, side + 1), height=0)
    depth = -float(np.min(np.asarray(grains.position)[:, 2]))
    options = WindowOptions(
        core=CORE * depth,
        buffer=BUFFER * depth,
        margin=MARGIN * depth,
        draws=_DRAWS,
        variance=_NOISE**2,
        method="auto",
        tolerance=DEFAULT_TOLERANCE,
    )
    return WindowProblem(
        grains=grains,
        grid=grid,
        field=np.zeros(grid.shape),
        weight=np.ones(grid.shape),
        precision=np.zeros(0),
        key=np.asarray(jax.random.key_data(key)),
        options=options,
    )


def middle(problem: WindowProblem) -> tuple[int, Window]:
    """The window next to the middle of the sample, and its number."""
    position = np.asarray(problem.grains.position)[:, :2]
    away = [
        np.linalg.norm(position[window.grains[window.core]].mean(axis=0) - position.mean(axis=0))
        for window in problem.windows
    ]
    number = int(np.argmin(away))
    return number, problem.windows[number]


def bytes_of_blocks(problem: WindowProblem) -> Int[np.ndarray, " block"]:
    """Bytes of the columns of each block, which share the shapes of all grains."""
    plan = plan_field(problem.grains, problem.used, tolerance=problem.options.tolerance)
    grids = [problem.grid.window(*part) for part in problem.blocks]
    return np.array([stored_bytes(dataclasses.replace(plan, grid=grid)) for grid in grids])


def distant_shares(
    problem: WindowProblem, place: Path, number: int, vectors: Float[np.ndarray, "direction unknown"]
) -> tuple[float, float]:
    """What columns of a block, and products with them, take less without grains that are polynomials on all of it."""
    near = load_arrays(block_file(place, number)).levels[-1][0].near
    record("goal_near_grains", len(near), "grains near a block")
    less, whole = (block_seconds(problem, number, some, vectors) for some in (near, np.arange(len(problem.grains))))
    return 1 - less[0] / whole[0], 1 - less[1] / whole[1]


def block_seconds(
    problem: WindowProblem, number: int, some: Int[np.ndarray, " part"], vectors: Float[np.ndarray, "direction unknown"]
) -> tuple[float, float]:
    """CPU time of the columns of some grains over a block, and of products with them."""
    part, grains = problem.blocks[number], problem.grains.select(some)
    own = vectors[:, problem.grains.unknowns.of(some)]
    start = one_core_clock()
    green = CompressedGreen(grains, problem.grid.window(*part), whole=problem.used)
    columns = one_core_clock() - start
    weight = problem.weight[part]
    products = interleaved(
        lambda: green.rmv(weight**2 * np.asarray(green.mv(own))), rounds=_PRODUCTS, clock=one_core_clock
    )
    return columns, float(np.median(products))


def one_core_seconds(work: Callable[[Path, int], object], place: Path, number: int) -> float:
    """CPU time of a piece of work."""
    return seconds(lambda: work(place, number), one_core_clock)
