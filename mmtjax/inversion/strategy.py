"""Choose the form of the Green's operator, the solver and the tolerance, and reduce a problem to a factor."""

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


@dataclasses.dataclass(frozen=True)
class SolveStrategy:
    """The choices with which the computation of a factor begins.

    Attributes
    ----------
    solver
        The solver.
    tolerance
        Error of the columns as a share of the peak of each source.
    green
        Requested form of the operator.
    plans
        Plans of the fields of the same sources, one for each set, if they are already made.
    """

    solver: AbstractSolver
    tolerance: float
    green: GreenForm = "auto"
    plans: tuple[FieldPlan, ...] | None = None


def strategy_for(
    solver: AbstractSolver, stack: SourceStack, grid: SensorGrid, *, has_prior: bool, tolerance: float
) -> SolveStrategy:
    """Choose a solver and a tolerance from a cheap lower bound of the condition number.

    Where that bound shows that normal equations would fail, the strategy is QR with the tolerance that it will need.

    Parameters
    ----------
    solver
        The requested solver.
    stack, grid
        Sources, patterns and sensors.
    has_prior
        Whether any unknown has a prior, which makes the bound invalid.
    tolerance
        The requested tolerance.
    """
    if has_prior or solver.beginning_with(None) is solver:
        return SolveStrategy(solver, tolerance)
    condition = least_condition(stack.primary, grid)
    chosen = solver.beginning_with(condition)
    if chosen is solver:
        return SolveStrategy(solver, tolerance)
    return SolveStrategy(chosen, tightened(tolerance, condition=USUAL_GROWTH * condition))


class Reduction(NamedTuple):
    """A least-squares problem reduced to a factor.

    Attributes
    ----------
    green
        The operator.
    solver, state
        The solver and its state, from which it makes factors for other ridges.
    factor
        The factor for the requested ridge.
    strategy
        The choices that led to this factor, with which to begin for sensors at other places.
    """

    green: AbstractGreen
    solver: AbstractSolver
    state: PyTree[Array]
    factor: AbstractFactor
    strategy: SolveStrategy

    @property
    def used(self) -> AbstractSolver:
        """The solver that made the factor; for `AutoSolver` the solver that it chose."""
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
    """Compute the columns and the factor of a problem, and again if its condition number needs a smaller tolerance.

    Parameters
    ----------
    stack, grid
        Sources, patterns and sensors.
    weight, ridge
        Weights of the sensors, and the precision of the prior in units of the noise.
    strategy
        The choices to begin with.
    memory_limit
        Largest number of bytes to use; by default the memory that is free.
    progress
        Called as ``progress(stage, done, total)``.

    Raises
    ------
    MemoryError
        If the problem does not fit into the limit; the check precedes the computation of columns.
    """
    solver, tolerance = strategy.solver, strategy.tolerance
    plans, known = strategy.plans, is_concrete(stack, grid)
    if plans is not None:
        plans = _moved_plans(plans, stack, grid)
    while True:
        form = form_of(strategy.green, stack, grid, solver=solver if known else AutoSolver())
        if known:
            plans = _plans(stack, grid, tolerance=tolerance, reuse=plans, progress=progress)
            stored = sum(map(stored_bytes, plans)) if form == "compressed" else None
            _require_memory(stack, grid, solver=solver, limit=memory_limit, stored=stored)
        elif plans is None and strategy.green == "auto" and form == "compressed":
            # Compressed columns depend on which sources are near, which is not known of traced positions.
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
        # Columns and factor take as much memory as the next ones will.
        del green, state, factor


def _moved_plans(plans: tuple[FieldPlan, ...], stack: SourceStack, grid: SensorGrid) -> tuple[FieldPlan, ...] | None:
    """Return the plans for sensors at other places; None if these have another size, which changes the series."""
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
    """Return a plan of the field of each set of sources."""
    shapes = stage(progress, "shapes of grains")
    before = (None,) * len(stack.sources) if reuse is None else reuse
    return tuple(
        plan_field(sources, grid, tolerance=tolerance, reuse_plan=old, progress=shapes)
        for sources, old in zip(stack.sources, before, strict=True)
    )


def _require_memory(
    stack: SourceStack, grid: SensorGrid, *, solver: AbstractSolver, limit: int | None, stored: int | None
) -> None:
    unknowns = stack.unknowns.size
    require_memory(len(stack.primary), unknowns, grid.size, solver=solver, limit=limit, stored=stored)


def form_of(wanted: GreenForm, stack: SourceStack, grid: SensorGrid, *, solver: AbstractSolver) -> GreenForm:
    """Return the form of the operator to use: the requested form, or for ``"auto"`` the fastest.

    The dense form is the fastest where the other forms save nothing, otherwise the compressed form on a CPU and the
    tiled form on an accelerator, which computes columns faster than it would work with many small compressed arrays.

    Parameters
    ----------
    wanted
        The requested form.
    stack, grid
        Sources, patterns and sensors.
    solver
        The solver that will use the operator.
    """
    if wanted != "auto":
        return wanted
    if is_whole(stack.unknowns.size, grid.size, solver=solver):
        return "dense"
    return "tiled" if on_accelerator() else "compressed"


class _Request(NamedTuple):
    """One set of sources whose operator is to be made, with the arguments for that."""

    sources: AbstractSource
    grid: SensorGrid
    tolerance: float
    plan: FieldPlan | None
    progress: Progress | None


#: A function that makes an operator from a request and the frame of the previous operator, which it shares.
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
    """Return the Green's operator of all sources and patterns of a stack.

    Parameters
    ----------
    stack, grid
        Sources, patterns and sensors.
    form
        One of `GreenForm` except ``"auto"``.
    tolerance
        Error of the columns as a share of the peak of each source.
    plans
        A plan for each set of sources, or None.
    progress
        Called as ``progress(done, total)``, counted in sensors.
    """
    parts: list[AbstractGreen] = []
    for sources, plan in zip(stack.sources, plans or (None,) * len(stack.sources), strict=True):
        request = _Request(sources, grid, tolerance, plan, progress)
        parts.append(_BUILDERS[form](request, parts[0].frame if parts else None))
    parts += [DenseGreen.from_pattern(pattern, parts[0].frame) for pattern in stack.patterns]
    return parts[0] if len(parts) == 1 else StackedGreen(tuple(parts))
