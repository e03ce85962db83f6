"""From grains and sensors to the solver and what it needs of the rows of Q: which form, which factorization."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, PyTree

from mmtjax.field.plan import FieldPlan, plan_field
from mmtjax.greens.compressed import CompressedGreen, held_bytes
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.operator import AbstractGreen, Progress
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.cholesky import Cholesky
from mmtjax.inversion.crowd import USUAL_GROWTH, least_condition
from mmtjax.inversion.memory import is_whole, require_memory
from mmtjax.inversion.orthogonal import Orthogonal
from mmtjax.inversion.solver import AbstractSolver, Reduced
from mmtjax.inversion.tolerance import tightened
from mmtjax.precision import is_concrete, on_accelerator
from mmtjax.rock.grains import Grains
from mmtjax.scan.grid import SensorGrid

SOLVERS: Mapping[str, AbstractSolver] = {"cholesky": Cholesky(), "orthogonal": Orthogonal()}

#: Called with what is being done, the work that is done and the whole of it.
StageProgress = Callable[[str, int, int], None]


def stage(progress: StageProgress | None, name: str) -> Progress | None:
    """The progress of one stage."""
    return None if progress is None else lambda done, total: progress(name, done, total)


class Approach(NamedTuple):
    """How a problem is begun: method, tolerance of the columns, and a plan of the same grains if there is one."""

    method: str
    tolerance: float
    plan: FieldPlan | None = None


def approach_for(method: str, grains: Grains, grid: SensorGrid, *, prior: float | None, tolerance: float) -> Approach:
    """Begin with QR, and columns as fine as it will need, where normal equations are not worth the attempt."""
    if method != "auto" or prior is not None:
        return Approach(method, tolerance)
    condition = least_condition(grains, grid)
    if condition <= SOLVERS["cholesky"].limit:
        return Approach(method, tolerance)
    return Approach("orthogonal", tightened(tolerance, condition=USUAL_GROWTH * condition))


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
    approach
        What would have led here at once, for sensors that have moved.
    """

    green: AbstractGreen
    solver: str
    state: PyTree[Array]
    reduced: Reduced
    approach: Approach


def reduce_problem(
    grains: Grains,
    grid: SensorGrid,
    weight: Float[Array, "ny nx"],
    ridge: Float[Array, ""] | None,
    approach: Approach,
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
    method, tolerance, plan = approach
    known = is_concrete(grains, grid)
    if plan is not None:
        plan = plan.moved(grains, grid) if np.array_equal(plan.grid.side, grid.side) else None
    while True:
        if known:
            shapes = stage(progress, "shapes of grains")
            plan = plan_field(grains, grid, tolerance=tolerance, decided=plan, progress=shapes)
            held = None if _by_rows(grains, grid, method=method) else held_bytes(plan)
            require_memory(len(grains), grid.size, method=method, limit=memory_limit, held=held)
        green = green_operator(grains, grid, method=method, tolerance=tolerance, decided=plan, progress=progress)
        solver, state, reduced = reduce_rows(green, weight, ridge, method=method, progress=progress)
        finer = tightened(tolerance, condition=float(reduced.condition)) if is_concrete(reduced) else tolerance
        if finer == tolerance:
            again = Approach(method if solver == "cholesky" else solver, tolerance, plan)
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
    decided: FieldPlan | None,
    progress: StageProgress | None = None,
) -> AbstractGreen:
    """Whole where the other forms save nothing; else compressed, or tile by tile if there is no plan.

    An accelerator makes columns faster than a compressed form, with its many small sizes, could be worked on there.
    """
    columns = stage(progress, "Green's matrix")
    if decided is not None and not _by_rows(grains, grid, method=method):
        return CompressedGreen(grains, grid, tolerance=tolerance, decided=decided, progress=columns)
    tiled = TiledGreen(grains, grid, tolerance=tolerance, decided=decided)
    whole = is_whole(len(grains), grid.size, method="auto" if decided is None else method)
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
