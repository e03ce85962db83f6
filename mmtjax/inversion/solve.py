"""Solve for all maps of one group of scans with one factor, and estimate the noise from the residual if requested."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.estimators.base import Estimate, FactoredProblem, Uncertainty, factored
from mmtjax.inversion.diagnostics import diagnose
from mmtjax.inversion.groups import Group, masked_field
from mmtjax.inversion.memory import require_memory
from mmtjax.inversion.options import InversionOptions
from mmtjax.inversion.solution import SetEstimate, Solution
from mmtjax.inversion.stack import SourceStack
from mmtjax.inversion.strategy import Reduction, SolveStrategy, reduce_problem, strategy_for
from mmtjax.noise.base import AbstractNoise
from mmtjax.precision import is_concrete
from mmtjax.progress import StageProgress, stage
from mmtjax.scan.scan import Scan
from mmtjax.solvers.base import AbstractFactor, AbstractSolver

#: Largest number of rounds in which the noise is estimated from the residual and, because it changes the ridge of a
#: prior, the problem is solved again; and the relative change of the variance at which they end.
_NOISE_ROUNDS = 50
_NOISE_CONVERGED = 1e-6


def first_strategy(groups: list[Group], options: InversionOptions) -> SolveStrategy:
    """Check that all groups can be solved, and return the strategy for the first of them.

    Parameters
    ----------
    groups
        The groups of scans.
    options
        Options of the inversion.

    Raises
    ------
    ValueError
        If the noise is to be estimated from the residual, there is a prior, and numbers are traced.
    MemoryError
        If a problem does not fit into memory, estimated without the shapes of the grains.
    """
    solver, first = options.solver, groups[0]
    has_prior = any(group.stack.precision(options.priors) is not None for group in groups)
    unknown_ridge = has_prior and not all(noise.is_known for group in groups for noise in group.noises)
    if all(group.is_concrete for group in groups):
        for group in groups:
            sources, unknowns = len(group.stack.primary), group.stack.unknowns.size
            require_memory(sources, unknowns, group.grid.size, solver=solver, limit=options.memory_limit, stored=0)
        if not unknown_ridge:
            strategy = strategy_for(solver, first.stack, first.grid, has_prior=has_prior, tolerance=options.tolerance)
            return SolveStrategy(strategy.solver, strategy.tolerance, options.green)
    elif unknown_ridge:
        msg = 'noise="residual" with a prior needs numbers, not traced values; pass the noise in nT'
        raise InputError(msg)
    # The condition number is not known of traced numbers, nor before the noise, and with it the ridge, is known.
    return SolveStrategy(solver.beginning_with(None), options.tolerance, options.green)


def solve_group(
    group: Group,
    options: InversionOptions,
    strategy: SolveStrategy,
    *,
    progress: StageProgress | None,
    throw: bool,
) -> tuple[list[Solution], SolveStrategy]:
    """Solve for all maps of a group; return the solutions, and the strategy for maps of sensors at other places.

    Parameters
    ----------
    group
        The maps.
    options
        Options of the inversion.
    strategy
        The choices to begin with.
    progress, throw
        As for `mmtjax.invert`.
    """
    variances = [weights.variance for weights in group.weights]
    least = min(variances) if group.is_concrete else variances[0]
    precision = group.stack.precision(options.priors)

    def ridge_of(variance: Float[Array, ""]) -> Float[Array, " unknown"] | None:
        return None if precision is None else variance * jnp.asarray(precision)

    least_ridge = ridge_of(least)
    reduction = reduce_problem(
        group.stack,
        group.grid,
        group.weight,
        least_ridge,
        strategy,
        memory_limit=options.memory_limit,
        progress=progress,
    )
    latest: tuple[Float[Array, ""], FactoredProblem] | None = None

    def problem_of(variance: Float[Array, ""]) -> FactoredProblem:
        """Return the factored problem for a variance: the latest one if that has the same ridge."""
        nonlocal latest
        if latest is None or not (precision is None or _equal(variance, latest[0])):
            has_factor = precision is None or _equal(variance, least)
            ridge = least_ridge if has_factor else ridge_of(variance)
            factor = reduction.factor if has_factor else reduction.solver.compute(reduction.state, ridge)
            latest = variance, _problem(group, reduction, ridge, factor)
        return latest[1]

    solutions = []
    for scan, noise, variance in zip(group.scans, group.noises, variances, strict=True):

        def fit(variance: Float[Array, ""], scan: Scan = scan) -> tuple[FactoredProblem, Estimate]:
            problem, report = problem_of(variance), stage(progress, "solution")
            return problem, options.estimator.estimate(problem, masked_field(scan), used=scan.used, progress=report)

        problem, estimate = fit(variance)
        if not noise.is_known:
            for _ in range(_NOISE_ROUNDS if precision is not None else 0):
                previous, variance = variance, estimate.mean_square
                if abs(float(variance / previous) - 1) < _NOISE_CONVERGED:
                    break
                problem, estimate = fit(variance)
            variance = estimate.mean_square
        uncertainty = options.estimator.uncertainty(problem, estimate, variance=variance, level=options.level)
        fitted = Fitted(problem, estimate, uncertainty, variance, reduction.used)
        solution = solution_of(group.stack, scan, noise, fitted, options=options)
        if group.is_concrete:
            solution = diagnose(solution, reduction.used, tolerance=reduction.strategy.tolerance, throw=throw)
        solutions.append(solution)
    return solutions, reduction.strategy


def _equal(one: Float[Array, ""], other: Float[Array, ""]) -> bool:
    """Return whether two variances are known to be equal."""
    return one is other or (is_concrete(one, other) and float(one) == float(other))


def _problem(
    group: Group, reduction: Reduction, ridge: Float[Array, " unknown"] | None, factor: AbstractFactor
) -> FactoredProblem:
    return factored(
        reduction.green, group.weight, solver=reduction.solver, state=reduction.state, factor=factor, ridge=ridge
    )


class Fitted(NamedTuple):
    """All that a solution for one map is made from.

    Attributes
    ----------
    problem, estimate, uncertainty
        The least-squares problem, the estimate, and its uncertainty.
    variance
        Variance of the noise of a sensor of weight one, nT².
    solver
        The solver that made the factor.
    """

    problem: FactoredProblem
    estimate: Estimate
    uncertainty: Uncertainty
    variance: Float[Array, ""]
    solver: AbstractSolver


def solution_of(
    stack: SourceStack, scan: Scan, noise: AbstractNoise, fitted: Fitted, *, options: InversionOptions
) -> Solution:
    """Return the solution for one map, without diagnostics.

    Parameters
    ----------
    stack, scan, noise
        Sources and patterns, the map, and its noise.
    fitted
        The estimate and its uncertainty.
    options
        Options of the inversion.

    Raises
    ------
    ValueError
        If the first components of the first set of sources are not a vector.
    """
    problem, estimate, uncertainty, variance, solver = fitted
    unknowns = stack.unknowns
    values = unknowns.split(estimate.values)
    radius = uncertainty.radius
    if radius is None:
        msg = (
            f"{stack.primary.name} have {len(stack.primary.components)} components, but the first three components of "
            "the first set of sources must be a vector"
        )
        raise InputError(msg)
    return Solution(
        stack=stack,
        scan=scan,
        estimates=tuple(map(SetEstimate, unknowns.sets, values, uncertainty.covariances)),
        confidence_radius=radius,
        forward=estimate.forward,
        residual=jnp.asarray(scan.field) - estimate.forward,
        noise=noise.standard_deviation(variance),
        reduced_chi_square=estimate.mean_square / variance,
        effective_unknowns=problem.effective_unknowns,
        condition=problem.factor.condition,
        factor=problem.factor,
        variance=variance,
        method=solver.name,
        level=options.level,
        prior=options.priors,
        is_gaussian=uncertainty.is_gaussian,
        noise_is_known=noise.is_known,
    )
