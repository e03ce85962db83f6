"""From sources and sensors to a factor: which form of the operator, which solver, and how fine the columns are."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, PyTree

from mmtjax.field.plan import FieldPlan, plan_field
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed import CompressedGreen, stored_bytes
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.frames import AbstractFrame, TileFrame
from mmtjax.greens.sharded import ShardedFrame, ShardedGreen
from mmtjax.greens.stacked import StackedGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.memory import is_whole, require_memory
from mmtjax.inversion.options import GreenForm
from mmtjax.inversion.stack import SourceStack
from mmtjax.inversion.subsample_condition import USUAL_GROWTH, least_condition
from mmtjax.inversion.tolerance import tightened
from mmtjax.precision import AnyArray, is_concrete, on_accelerator
from mmtjax.progress import Progress, StageProgress, stage
from mmtjax.scan.grid import SensorGrid
from mmtjax.solvers.auto import AutoSolver
from mmtjax.solvers.base import AbstractFactor, AbstractSolver
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns


@dataclasses.dataclass(frozen=True)
class SolveStrategy:
    """How a problem is begun.

    Attributes
    ----------
    solver
        The solver.
    tolerance
        Error of the columns.
    green
        Form of the operator that was asked for.
    plans
        Plans of the same sources, one for each set, if there are any.
    """

    solver: AbstractSolver
    tolerance: float
    green: GreenForm = "auto"
    plans: tuple[FieldPlan, ...] | None = None


def strategy_for(
    solver: AbstractSolver, stack: SourceStack, grid: SensorGrid, *, has_prior: bool, tolerance: float
) -> SolveStrategy:
    """Return a strategy: QR, and columns as fine as it will need, where normal equations are not worth the attempt."""
    if has_prior or solver.beginning_with(None) is solver:
        return SolveStrategy(solver, tolerance)
    condition = least_condition(stack.primary, grid)
    chosen = solver.beginning_with(condition)
    if chosen is solver:
        return SolveStrategy(solver, tolerance)
    return SolveStrategy(chosen, tightened(tolerance, condition=USUAL_GROWTH * condition))


class Reduction(NamedTuple):
    """A problem reduced to a factor.

    Attributes
    ----------
    green
        The operator.
    solver, state
        The solver, and what it has of the rows, for other ridges.
    factor
        The factor for the ridge that was asked for.
    strategy
        What would have led here at once, for sensors that have moved.
    """

    green: AbstractGreen
    solver: AbstractSolver
    state: PyTree[Array]
    factor: AbstractFactor
    strategy: SolveStrategy

    @property
    def used(self) -> AbstractSolver:
        """The solver that has made the factor: the one that was chosen, where the solver chooses."""
        return self.solver.used(self.state)


def reduce_problem(
    stack: SourceStack,
    grid: SensorGrid,
    weight: Float[AnyArray, "ny nx"],
    ridge: Float[Array, " unknown"] | None,
    strategy: SolveStrategy,
    *,
    memory_limit: int | None = None,
    progress: StageProgress | None = None,
) -> Reduction:
    """Make the columns of a problem and reduce its rows; where its condition asks for finer columns, once more.

    Parameters
    ----------
    stack, grid
        Sources, patterns and sensors.
    weight, ridge
        Weights of the sensors, and the precision of the prior in units of the noise.
    strategy
        How to begin.
    memory_limit
        Bytes that may be used; by default what is free.
    progress
        Called with the stage, what is done and the whole of it.

    Raises
    ------
    MemoryError
        Before columns are made, if they and what follows would not fit in the limit.
    """
    solver, tolerance = strategy.solver, strategy.tolerance
    plans, known = strategy.plans, is_concrete(stack, grid)
    if plans is not None:
        plans = _moved_plans(plans, stack, grid)
    while True:
        form = form_of(strategy.green, stack, grid, solver=solver if known else AutoSolver())
        if known:
            plans = _plans(stack, grid, tolerance=tolerance, reuse=plans, progress=progress)
            held = sum(map(stored_bytes, plans)) if form == "compressed" else None
            _require_memory(stack, grid, solver=solver, limit=memory_limit, held=held)
        elif plans is None and strategy.green == "auto" and form == "compressed":
            # Near and far cannot be told apart before the numbers are known.
            form = "tiled"
        columns = stage(progress, "Green's matrix")
        green = green_operator(stack, grid, form=form, tolerance=tolerance, plans=plans, progress=columns)
        state = solver.init(green, weight, least_ridge=ridge, progress=progress)
        factor, used = solver.compute(state, ridge), solver.used(state)
        concrete = is_concrete(factor)
        finer = tightened(tolerance, condition=float(factor.condition)) if concrete else tolerance
        if finer == tolerance:
            again = solver.beginning_with(float(factor.condition) if concrete else None)
            return Reduction(green, solver, state, factor, SolveStrategy(again, tolerance, strategy.green, plans))
        solver, tolerance = used, finer
        # Columns and factor are as large as those to come.
        del green, state, factor


def _moved_plans(plans: tuple[FieldPlan, ...], stack: SourceStack, grid: SensorGrid) -> tuple[FieldPlan, ...] | None:
    """Return plans for sensors elsewhere; None where these have another size, for which series are made anew."""
    if any(plan.grid is None or not np.array_equal(plan.grid.side, grid.side) for plan in plans):
        return None
    return tuple(plan.moved(sources, grid) for plan, sources in zip(plans, stack.sources, strict=True))


def _plans(
    stack: SourceStack,
    grid: SensorGrid,
    *,
    tolerance: float,
    reuse: tuple[FieldPlan, ...] | None,
    progress: StageProgress | None,
) -> tuple[FieldPlan, ...]:
    shapes = stage(progress, "shapes of grains")
    before = (None,) * len(stack.sources) if reuse is None else reuse
    return tuple(
        plan_field(sources, grid, tolerance=tolerance, reuse_plan=old, progress=shapes)
        for sources, old in zip(stack.sources, before, strict=True)
    )


def _require_memory(
    stack: SourceStack, grid: SensorGrid, *, solver: AbstractSolver, limit: int | None, held: int | None
) -> None:
    unknowns = stack.unknowns.size
    require_memory(len(stack.primary), unknowns, grid.size, solver=solver, limit=limit, held=held)


def form_of(wanted: GreenForm, stack: SourceStack, grid: SensorGrid, *, solver: AbstractSolver) -> GreenForm:
    """Return the form of the operator: what was asked for, or what is fastest.

    Whole where the other forms save nothing, else compressed. An accelerator makes columns faster than a compressed
    form, with its many small sizes, could be worked on there.
    """
    if wanted != "auto":
        return wanted
    if is_whole(stack.unknowns.size, grid.size, solver=solver):
        return "dense"
    return "tiled" if on_accelerator() else "compressed"


class _Request(NamedTuple):
    """One set of sources whose columns are wanted."""

    sources: AbstractSource
    grid: SensorGrid
    tolerance: float
    plan: FieldPlan | None
    progress: Progress | None


#: From a request, and the frame of the operator before it, to an operator of that frame.
_Builder = Callable[[_Request, AbstractFrame | None], AbstractGreen]


def _dense(request: _Request, _: AbstractFrame | None) -> AbstractGreen:
    sources, grid, tolerance, plan, progress = request
    return DenseGreen.from_operator(TiledGreen(sources, grid, tolerance=tolerance, reuse_plan=plan), progress=progress)


def _tiled(request: _Request, frame: AbstractFrame | None) -> AbstractGreen:
    sources, grid, tolerance, plan, _ = request
    own = frame if isinstance(frame, TileFrame) else None
    return TiledGreen(sources, grid, tolerance=tolerance, reuse_plan=plan, frame=own)


def _compressed(request: _Request, _: AbstractFrame | None) -> AbstractGreen:
    sources, grid, tolerance, plan, progress = request
    return CompressedGreen(sources, grid, tolerance=tolerance, reuse_plan=plan, progress=progress)


def _sharded(request: _Request, frame: AbstractFrame | None) -> AbstractGreen:
    sources, grid, tolerance, plan, _ = request
    own = frame if isinstance(frame, ShardedFrame) else None
    return ShardedGreen(sources, grid, tolerance=tolerance, reuse_plan=plan, frame=own)


_BUILDERS: dict[GreenForm, _Builder] = {
    "dense": _dense,
    "tiled": _tiled,
    "compressed": _compressed,
    "sharded": _sharded,
}


def green_operator(
    stack: SourceStack,
    grid: SensorGrid,
    *,
    form: GreenForm,
    tolerance: float,
    plans: tuple[FieldPlan, ...] | None,
    progress: Progress | None = None,
) -> AbstractGreen:
    """Return the operator of all sources and patterns of a stack, in one form.

    Parameters
    ----------
    stack, grid
        Sources, patterns and sensors.
    form
        One of `GreenForm` but ``"auto"``.
    tolerance
        Error of the columns.
    plans
        A plan for each set of sources, or None.
    progress
        Called with the sensors that are done and all of them.
    """
    parts: list[AbstractGreen] = []
    for sources, plan in zip(stack.sources, plans or (None,) * len(stack.sources), strict=True):
        request = _Request(sources, grid, tolerance, plan, progress)
        parts.append(_BUILDERS[form](request, parts[0].frame if parts else None))
    for pattern in stack.patterns:
        columns = pattern.columns(grid).reshape(-1, grid.size)
        parts.append(DenseGreen(columns, parts[0].frame, Unknowns((pattern.unknowns,))))
    return parts[0] if len(parts) == 1 else StackedGreen(tuple(parts))
