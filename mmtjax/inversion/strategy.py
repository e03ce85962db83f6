"""From grains and sensors to the solver and what it needs of the rows of Q: which form, which factorization."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, PyTree

from mmtjax.field.plan import FieldPlan, plan_field
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed.operator import CompressedGreen, stored_bytes
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.memory import is_whole, require_memory
from mmtjax.inversion.subsample_condition import USUAL_GROWTH, least_condition
from mmtjax.inversion.tolerance import tightened
from mmtjax.precision import is_concrete, on_accelerator
from mmtjax.progress import StageProgress, stage
from mmtjax.scan.grid import SensorGrid
from mmtjax.solvers.base import AbstractSolver, Reduced
from mmtjax.solvers.cholesky import Cholesky
from mmtjax.solvers.orthogonal import Orthogonal
from mmtjax.sources.grains import Grains

SOLVERS: Mapping[str, AbstractSolver] = {"cholesky": Cholesky(), "orthogonal": Orthogonal()}


class SolveStrategy(NamedTuple):
    """How a problem is begun: method, tolerance of the columns, and a plan of the same grains if there is one."""

    method: str
    tolerance: float
    plan: FieldPlan | None = None


def strategy_for(
    method: str, grains: Grains, grid: SensorGrid, *, prior: float | None, tolerance: float
) -> SolveStrategy:
    """Begin with QR, and columns as fine as it will need, where normal equations are not worth the attempt."""
    if method != "auto" or prior is not None:
        return SolveStrategy(method, tolerance)
    condition = least_condition(grains, grid)
    if condition <= SOLVERS["cholesky"].limit:
        return SolveStrategy(method, tolerance)
    return SolveStrategy("orthogonal", tightened(tolerance, condition=USUAL_GROWTH * condition))


class Reduction(NamedTuple):
    """A problem reduced to a triangular factor.

    Attributes
    ----------
    green
        The operator.
    solver
        Name of the solver.
    state
        What it has of the rows, for other ridges.
    reduced
        The factor for the ridge that was asked for.
    strategy
        What would have led here at once, for sensors that have moved.
    """

    green: AbstractGreen
    solver: str
    state: PyTree[Array]
    reduced: Reduced
    strategy: SolveStrategy


def reduce_problem(
    grains: Grains,
    grid: SensorGrid,
    weight: Float[Array, "ny nx"],
    ridge: Float[Array, ""] | None,
    strategy: SolveStrategy,
    *,
    memory_limit: int | None = None,
    progress: StageProgress | None = None,
) -> Reduction:
    """Make the columns of a problem and reduce its rows; where its condition asks for finer columns, once more.

    Raises
    ------
    MemoryError
        Before columns are made, if they and what follows would not fit in the limit, by default what is free.
    """
    method, tolerance, plan = strategy
    known = is_concrete(grains, grid)
    if plan is not None:
        plan = plan.moved(grains, grid) if np.array_equal(plan.grid.side, grid.side) else None
    while True:
        if known:
            shapes = stage(progress, "shapes of grains")
            plan = plan_field(grains, grid, tolerance=tolerance, reuse_plan=plan, progress=shapes)
            held = None if _by_rows(grains, grid, method=method) else stored_bytes(plan)
            require_memory(len(grains), grid.size, method=method, limit=memory_limit, held=held)
        green = green_operator(grains, grid, method=method, tolerance=tolerance, reuse_plan=plan, progress=progress)
        solver, state, reduced = reduce_rows(green, weight, ridge, method=method, progress=progress)
        finer = tightened(tolerance, condition=float(reduced.condition)) if is_concrete(reduced) else tolerance
        if finer == tolerance:
            again = SolveStrategy(method if solver == "cholesky" else solver, tolerance, plan)
            return Reduction(green, solver, state, reduced, again)
        method, tolerance = solver, finer
        # Columns and factor are as large as those to come.
        del green, state, reduced


def green_operator(
    grains: Grains,
    grid: SensorGrid,
    *,
    method: str,
    tolerance: float,
    reuse_plan: FieldPlan | None,
    progress: StageProgress | None = None,
) -> AbstractGreen:
    """Whole where the other forms save nothing; else compressed, or tile by tile if there is no plan.

    An accelerator makes columns faster than a compressed form, with its many small sizes, could be worked on there.
    """
    columns = stage(progress, "Green's matrix")
    if reuse_plan is not None and not _by_rows(grains, grid, method=method):
        return CompressedGreen(grains, grid, tolerance=tolerance, reuse_plan=reuse_plan, progress=columns)
    tiled = TiledGreen(grains, grid, tolerance=tolerance, reuse_plan=reuse_plan)
    whole = is_whole(len(grains), grid.size, method="auto" if reuse_plan is None else method)
    return DenseGreen.from_operator(tiled, progress=columns) if whole else tiled


def _by_rows(grains: Grains, grid: SensorGrid, *, method: str) -> bool:
    """Whether columns are made sensor by sensor and not compressed."""
    return on_accelerator() or is_whole(len(grains), grid.size, method=method)


def reduce_rows(
    green: AbstractGreen,
    weight: Float[Array, "ny nx"],
    ridge: Float[Array, ""] | None,
    *,
    method: str,
    progress: StageProgress | None = None,
) -> tuple[str, PyTree[Array], Reduced]:
    """Name of the solver, what it has of the rows, and the factor: Cholesky where its condition allows it."""
    if method != "orthogonal":
        solver = SOLVERS["cholesky"]
        state = solver.init(green, weight, progress=stage(progress, "normal equations"))
        reduced = solver.compute(state, ridge)
        if method == "cholesky" or reduced.condition <= solver.limit:
            return "cholesky", state, reduced
        # Each of them is as large as the factor to come.
        del state, reduced
    solver = SOLVERS["orthogonal"]
    state = solver.init(green, weight, progress=stage(progress, "orthogonal factor"))
    return "orthogonal", state, solver.compute(state, ridge)
