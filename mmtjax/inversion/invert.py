"""The main job: from scans and grains to solutions, and the choice of the solver."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.estimators.least_squares import Factored, Fit, factored, fit_map
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.inversion.diagnostics import diagnose
from mmtjax.inversion.memory import checked_limit, require_memory
from mmtjax.inversion.options import check_counts, check_series, checked_options, group_by_sensors, ridge_of, weights_of
from mmtjax.inversion.solution import Solution, solution_of
from mmtjax.inversion.strategy import SOLVERS, SolveStrategy, reduce_problem, strategy_for
from mmtjax.precision import is_concrete, require_float64
from mmtjax.progress import StageProgress, stage
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains

#: Rounds of estimating the noise from the residual and solving anew, where a prior ties the two.
_NOISE_ROUNDS = 50
_NOISE_CONVERGED = 1e-6


def invert(
    scan: Scan,
    grains: Grains,
    noise: object = None,
    *,
    prior: float | None = None,
    method: str = "auto",
    level: float = 0.95,
    tolerance: float = DEFAULT_TOLERANCE,
    memory_limit: int | None = None,
    progress: StageProgress | None = None,
    throw: bool = True,
) -> Solution:
    """Magnetization of every grain by least squares (equation 5), with covariance (equation 11) and confidence spheres.

    Parameters
    ----------
    scan, grains
        The map of Bz and the sources.
    noise
        Standard deviation of the noise of the map in nT: a number, a map (ny, nx), or ``"residual"`` to take it from
        the misfit of the solution. By default ``scan.noise``.
    prior
        Standard deviation (A/m) of a normal prior about zero of every component of M; 480e3, the saturation of
        magnetite, keeps deep grains physical. None: least squares as in the paper.
    method
        ``"cholesky"`` (equilibrated normal equations), ``"orthogonal"`` (QR), or ``"auto"``: Cholesky where its
        condition estimate allows it, QR otherwise. Traced problems take QR.
    level
        Probability that a confidence sphere holds the truth.
    tolerance
        Error of a coefficient of Q as a share of the peak of its grain, at most: columns are made finer where the
        condition number would multiply their errors to a share of a radius.
    memory_limit
        Bytes that may be used; by default what is free.
    progress
        Called as ``progress(stage, done, total)``, counted in sensors.
    throw
        Raise where the uncertainties cannot be vouched for; otherwise return the solution with its `failure` set.

    Returns
    -------
    Solution
        With magnetizations, covariances, radii, ratios, residual, reduced χ² and condition.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For noise, prior, level or method that cannot be, for grains above the sensors, and for fewer sensors than
        unknowns without a prior.
    MemoryError
        If the problem would not fit.
    InversionError
        If the problem is too ill-conditioned for any method; the message names the remedy.

    Examples
    --------
    >>> import mmtjax
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    >>> grid = mmtjax.SensorGrid(origin=(-20, -20), spacing=1, shape=(41, 41), height=2)
    >>> field = mmtjax.forward(grains, [[0, 0, 9e3], [4e3, 0, 0]], grid)
    >>> solution = invert(Scan(field, grid), grains, noise=5.0, method="cholesky")
    >>> [[round(float(x)) for x in grain] for grain in solution.magnetization]
    [[0, 0, 9000], [4000, 0, 0]]
    """
    return invert_series(
        [scan],
        grains,
        [noise],
        prior=prior,
        method=method,
        level=level,
        tolerance=tolerance,
        memory_limit=memory_limit,
        progress=progress,
        throw=throw,
    )[0]


def invert_series(
    scans: Sequence[Scan],
    grains: Grains,
    noise: object = None,
    *,
    prior: float | None = None,
    method: str = "auto",
    level: float = 0.95,
    tolerance: float = DEFAULT_TOLERANCE,
    memory_limit: int | None = None,
    progress: StageProgress | None = None,
    throw: bool = True,
) -> list[Solution]:
    """Invert many maps of the same grains, as of demagnetization steps; those of the same sensors by one factorization.

    Parameters
    ----------
    scans
        Maps. Those on one grid with one mask share columns and factorization; for sensors that have moved these are
        made anew, from the same shapes and series, by the method and with the tolerance that the maps before needed.
    grains
        Their sources.
    noise
        As for `invert`: one for all scans, or a list with one for each. Where numbers differ the factorization is
        still shared; where maps of noise differ it is not.
    prior, method, level, tolerance, memory_limit, progress, throw
        As for `invert`.

    Returns
    -------
    list of Solution
        One for each scan, the same as `invert` gives for it alone.

    Raises
    ------
    ValueError
        For no scan at all, a list of noises of another length, and as `invert`.
    RuntimeError, MemoryError, InversionError
        As `invert`.

    Examples
    --------
    >>> import mmtjax
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    >>> grid = mmtjax.SensorGrid(origin=(-20, -20), spacing=1, shape=(41, 41), height=2)
    >>> field = mmtjax.forward(grains, [[0, 0, 9e3], [4e3, 0, 0]], grid)
    >>> steps = [Scan(field, grid), Scan(0.5 * field, grid)]
    >>> [round(float(s.magnitude[0])) for s in invert_series(steps, grains, noise=5.0)]
    [9000, 4500]
    """
    require_float64()
    memory_limit = checked_limit(memory_limit)
    scans = list(scans)
    noises = list(noise) if isinstance(noise, list | tuple) else [noise] * len(scans)
    if len(noises) != len(scans):
        raise ValueError(f"noise has {len(noises)} entries for {len(scans)} scans; give one for each, or one for all")
    options = {"prior": prior, "method": method, "level": level}
    sigmas = [checked_options(scan, value, **options) for scan, value in zip(scans, noises, strict=True)]
    check_series(scans, sigmas)
    for scan in scans:
        check_counts(scan, grains, prior=prior)
    strategy = _first_strategy(
        scans, sigmas, grains, prior=prior, method=method, tolerance=tolerance, memory_limit=memory_limit
    )
    solutions: dict[int, Solution] = {}
    for members in group_by_sensors(scans, sigmas):
        found, strategy = _solved(
            [scans[number] for number in members],
            [sigmas[number] for number in members],
            grains,
            strategy,
            prior=prior,
            level=level,
            memory_limit=memory_limit,
            progress=progress,
            throw=throw,
        )
        solutions |= zip(members, found, strict=True)
    return [solutions[number] for number in range(len(scans))]


def _first_strategy(
    scans: list[Scan],
    sigmas: list[np.ndarray | Array | None],
    grains: Grains,
    *,
    prior: float | None,
    method: str,
    tolerance: float,
    memory_limit: int | None,
) -> SolveStrategy:
    """What the first maps begin with, once what cannot be solved or carried is refused."""
    unknown_ridge = prior is not None and any(sigma is None for sigma in sigmas)
    if is_concrete(scans, grains, sigmas):
        # As far as it can be told without the shapes of grains.
        for sensors in {scan.grid.size for scan in scans}:
            require_memory(len(grains), sensors, method=method, limit=memory_limit, held=0)
        if not (method == "auto" and unknown_ridge):
            return strategy_for(method, grains, scans[0].grid, prior=prior, tolerance=tolerance)
    elif unknown_ridge:
        raise ValueError('noise="residual" with a prior needs numbers, not traced values; pass the noise in nT')
    # Traced numbers cannot be looked at, nor can a ridge that is not known yet.
    return SolveStrategy("orthogonal" if method == "auto" else method, tolerance)


def _solved(
    scans: list[Scan],
    sigmas: list[np.ndarray | Array | None],
    grains: Grains,
    strategy: SolveStrategy,
    *,
    prior: float | None,
    level: float,
    memory_limit: int | None,
    progress: StageProgress | None,
    throw: bool,
) -> tuple[list[Solution], SolveStrategy]:
    """Solutions of maps of the same sensors, and what maps of moved ones begin with."""
    grid = scans[0].grid
    concrete = is_concrete(scans, grains, sigmas)
    weighted = [weights_of(scan, sigma) for scan, sigma in zip(scans, sigmas, strict=True)]
    weight, variances = weighted[0][0], [variance for _, variance in weighted]
    least = min(variances) if concrete else variances[0]
    reduction = reduce_problem(
        grains, grid, weight, ridge_of(least, prior), strategy, memory_limit=memory_limit, progress=progress
    )
    green, name, solver = reduction.green, reduction.solver, SOLVERS[reduction.solver]
    shared = factored(reduction.reduced, None, solver=name) if prior is None else None
    solutions = []
    for scan, sigma, variance in zip(scans, sigmas, variances, strict=True):

        def fit(variance: Float[Array, ""], scan: Scan = scan) -> tuple[Factored, Fit]:
            ridge, factors = ridge_of(variance, prior), shared
            if factors is None:
                reduced = reduction.reduced if variance is least else solver.compute(reduction.state, ridge)
                factors = factored(reduced, ridge, solver=name)
            return factors, fit_map(
                green,
                factors,
                field=jnp.where(scan.mask, scan.field, 0.0),
                weight=weight,
                used=scan.used,
                progress=stage(progress, "solution"),
            )

        factors, found = fit(variance)
        if sigma is None:
            for _ in range(_NOISE_ROUNDS if prior is not None else 0):
                previous, variance = variance, found.mean_square
                if abs(float(variance / previous) - 1) < _NOISE_CONVERGED:
                    break
                factors, found = fit(variance)
            variance = found.mean_square
        solution = solution_of(
            grains,
            scan,
            factors,
            found,
            sigma=sigma,
            variance=variance,
            solver=name,
            level=level,
            prior=prior,
        )
        if concrete:
            reached = reduction.strategy.tolerance
            solution = diagnose(solution, limit=solver.limit, solver=name, tolerance=reached, throw=throw)
        solutions.append(solution)
    return solutions, reduction.strategy
