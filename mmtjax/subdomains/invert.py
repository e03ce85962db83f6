"""Inversion of samples too large for one factorization, by overlapping windows."""

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.errors import InputError, InversionError, require_type
from mmtjax.estimators.base import effective_unknowns
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.files import lock_directory, real_path, remove_partial_files
from mmtjax.inversion.diagnostics import condition_failure, diagnose
from mmtjax.inversion.groups import group_by_sensors
from mmtjax.inversion.options import InversionFields, InversionOptions
from mmtjax.inversion.solution import SetEstimate, Solution
from mmtjax.inversion.stack import as_stack
from mmtjax.inversion.tolerance import largest_condition
from mmtjax.noise.base import AbstractNoise
from mmtjax.noise.conversion import NoiseLike, as_noise
from mmtjax.options import value_or_fields
from mmtjax.parallel.task_runner import TaskRunner
from mmtjax.patterns.background import Background
from mmtjax.precision import is_concrete, real_number, require_float64, require_key, whole_number
from mmtjax.progress import StageProgress, check_progress
from mmtjax.scan.scan import Scan
from mmtjax.solvers import SOLVERS
from mmtjax.sources.grains import Grains
from mmtjax.subdomains.memory import require_window_memory
from mmtjax.subdomains.problem import WindowOptions, WindowProblem, check_store, save_problem
from mmtjax.subdomains.rounds import RoundState, agree, right_sides
from mmtjax.subdomains.work import factor_window
from mmtjax.uncertainty.confidence import confidence_radius
from mmtjax.unknowns import Unknowns

#: Default sizes in units of the depth of the deepest grain. With these buffers and cores at most four windows share a
#: grain; more windows would need more rounds. The margin of sensors beyond the buffer includes all sensors that see
#: grains of the window noticeably; otherwise the matrix of the window would differ from its part of the whole matrix.
BUFFER = 3.5
CORE = 7.0
MARGIN = 6.0


def invert_subdomains(
    key: Array,
    scan: Scan,
    grains: Grains,
    noise: NoiseLike = None,
    *,
    core: float | None = None,
    buffer: float | None = None,
    draws: int = 16,
    store: str | Path | None = None,
    executor: Executor | None = None,
    options: InversionOptions | None = None,
    progress: StageProgress | None = None,
    throw: bool = True,
    **fields: Unpack[InversionFields],
) -> Solution:
    """Invert a sample too large for one factorization; the result is that of `mmtjax.invert`.

    Each window solves for the grains of its core and of a buffer around it, while all other grains are kept fixed.
    Rounds of corrections, computed from the misfit of the whole map, repeat this until the windows agree. A window
    alone does not know how the uncertainty of the grains outside affects its core. This part is the scatter of its
    correction over maps of pure noise, which are solved together with the measured map (Rao–Blackwellized Monte Carlo).

    Parameters
    ----------
    key
        Random key of JAX for the maps of noise.
    scan, grains, noise, throw
        As for `mmtjax.invert`; with a prior, the noise must be a number or a map.
    core, buffer
        Approximate edge of the cores, and width of the buffer, µm. By default 7 and 3.5 times the depth of the deepest
        grain. A smaller buffer gives a coarser correction, cores narrower than two buffers need more rounds, and larger
        windows need more memory.
    draws
        Number of maps of noise. The error of a radius decreases with the square root of this number, see
        ``Solution.radius_error``.
    store
        Directory in which the work is stored; a run that was interrupted continues from it. By default a temporary
        directory.
    executor
        Executor of the work, such as `concurrent.futures.ProcessPoolExecutor` or ``client.get_executor()`` of a Dask
        cluster with access to the same `store`; by default this process.
    options
        As for `mmtjax.invert`; the memory limit applies to each working process. By default it is the free memory if
        this process does the work.
    progress
        Called as ``progress(stage, done, total)``, counted in windows and in blocks of sensors.
    **fields
        Fields of `InversionOptions`.

    Returns
    -------
    Solution
        Without ``factor``, and with ``radius_error``.

    Raises
    ------
    ValueError
        As `mmtjax.invert`; also for sizes that are not positive, fewer than 2 draws, or a store of another problem.
    MemoryError
        If a window would not fit.
    RuntimeError, InversionError
        As `mmtjax.invert`; `InversionError` also if the windows do not converge.
    WorkerError
        If workers of the executor die.
    BlockingIOError
        If another process works in `store`.

    References
    ----------
    Papandreou & Yuille (2010), Gaussian sampling by local perturbations; Sidén et al. (2018), Efficient covariance
    approximations for large sparse precision matrices, section 3.

    Examples
    --------
    >>> import mmtjax
    >>> places = [[8.0 * i, 8.0 * j, -4, 1, 1, 1, 10 * i + j] for i in range(6) for j in range(6)]
    >>> grains = Grains.from_cuboids(places)
    >>> grid = mmtjax.SensorGrid(origin=(-10, -10), spacing=1, shape=(61, 61), height=0)
    >>> field = mmtjax.forward(grains, np.full((36, 3), 1e4), grid)
    >>> solution = invert_subdomains(jax.random.key(1), Scan(field, grid), grains, 5.0, core=20, buffer=20)
    >>> bool(np.all(abs(solution.magnetization - 1e4) < 0.01 * solution.confidence_radius[:, None]))
    True
    """
    require_float64()
    require_key(key)
    require_type(scan, Scan, name="scan")
    require_type(grains, Grains, name="grains")
    require_type(executor, Executor | None, name="executor")
    check_progress(progress)
    require_type(throw, bool | np.bool_, name="throw")
    if not is_concrete(scan, grains, noise):
        msg = "windows cannot be traced; use `mmtjax.invert` for derivatives"
        raise InputError(msg)
    chosen = value_or_fields(options, InversionOptions, fields=fields)
    known = as_noise(noise, scan)
    problem = _problem(key, scan, grains, known, chosen, sizes=(core, buffer, draws))
    require_window_memory(problem, limit=chosen.memory_limit, alone=executor is None)
    with _directory(store) as place:
        save_problem(problem, place)
        runner = TaskRunner(place, executor, progress)
        rights = right_sides(problem, place, runner)
        windows = _answers(problem, runner)
        solver = SOLVERS[windows.method]
        limit = min(solver.limit, largest_condition(chosen.tolerance))
        failure = condition_failure(windows.condition, solver, limit=limit)
        if failure is not None and throw:
            # Rounds would not converge, or their result would be meaningless.
            raise InversionError(failure)
        freedom = scan.used - problem.unknowns
        state = agree(
            problem,
            place,
            runner,
            rights,
            noise=lambda square: np.sqrt(problem.options.variance if known.is_known else square / freedom),
        )
    solution = _solution(scan, known, problem, (windows, state), chosen)
    return diagnose(solution, solver, tolerance=chosen.tolerance, throw=throw, limit=limit)


def _problem(
    key: Array,
    scan: Scan,
    grains: Grains,
    noise: AbstractNoise,
    options: InversionOptions,
    *,
    sizes: tuple[float | None, float | None, int],
) -> WindowProblem:
    """Return the problem; raise ValueError for options that windows do not have."""
    stack = as_stack(grains, options.pattern)
    precision, (weight, variance) = stack.precision(options.priors), noise.weights(scan)
    if precision is not None and not noise.is_known:
        msg = 'noise="residual" with a prior is not solved by windows; pass the noise in nT'
        raise InputError(msg)
    if noise.patterns(scan) is not None:
        msg = "noise with patterns that sensors share is not solved by windows; use `mmtjax.invert`"
        raise InputError(msg)
    if not isinstance(options.estimator, LeastSquares):
        msg = f"windows have no {type(options.estimator).__name__}; leave out estimator=, or use `mmtjax.invert`"
        raise InputError(msg)
    if options.solver.name not in SOLVERS or options.green != "auto":
        msg = "windows take a method by its name, and no green=; leave them out"
        raise InputError(msg)
    background = options.pattern
    if not (background is None or isinstance(background, Background)):
        msg = f"windows take a Background beside the grains, but got {type(background).__name__}; use `mmtjax.invert`"
        raise InputError(msg)
    group_by_sensors([scan], [noise], stack)[0].check_counts(options.priors)
    depth = float(scan.grid.height) - float(np.min(np.asarray(grains.position)[:, 2]))
    core, buffer, draws = sizes
    return WindowProblem(
        grains=grains,
        grid=scan.grid,
        field=np.where(scan.mask, scan.field, 0.0),
        weight=np.asarray(weight),
        precision=np.zeros(0) if precision is None else precision,
        key=np.asarray(jax.random.key_data(key)),
        options=WindowOptions(
            core=_checked_size("core", CORE * depth if core is None else core),
            buffer=_checked_size("buffer", BUFFER * depth if buffer is None else buffer),
            margin=MARGIN * depth,
            draws=_checked_draws(draws),
            variance=float(variance),
            method=options.solver.name,
            tolerance=options.tolerance,
            background=None if background is None else background.degree,
        ),
    )


def _solution(
    scan: Scan,
    noise: AbstractNoise,
    problem: WindowProblem,
    answers: "tuple[_Answers, RoundState]",
    options: InversionOptions,
) -> Solution:
    """Return the solution from the answers of the windows and the state of the rounds."""
    windows, state = answers
    stack, draws = problem.stack, problem.options.draws
    failure = None if state.settled else _disagreement(state)
    forward = state.forward if state.settled else np.zeros(scan.grid.shape)
    alone = (windows.blocks, *([problem.background_inverse[None]] if problem.patterns else []))
    corrections = _corrections(state, stack.unknowns)
    blocks = [own + correction for own, correction in zip(alone, corrections, strict=True)]
    ridge = problem.ridge
    effective = float(effective_unknowns(tuple(blocks), None if ridge is None else jnp.asarray(ridge)))
    mean_square = float(np.sum((problem.weight * (problem.field - forward)) ** 2) / (scan.used - effective))
    variance = problem.options.variance if noise.is_known else mean_square
    covariances = [jnp.asarray(variance * own) for own in blocks]
    radius = confidence_radius(covariances[0], options.level)
    wider = confidence_radius(covariances[0] + variance * np.sqrt(2 / draws) * corrections[0], options.level)
    values = stack.unknowns.split(jnp.asarray(state.magnetization[0]))
    return Solution(
        stack=stack,
        scan=scan,
        estimates=tuple(map(SetEstimate, stack.unknowns.sets, values, covariances)),
        confidence_radius=radius,
        radius_error=wider / radius - 1,
        forward=jnp.asarray(forward),
        residual=jnp.asarray(scan.field) - forward,
        noise=noise.standard_deviation(jnp.asarray(variance)),
        reduced_chi_square=jnp.asarray(mean_square / variance),
        effective_unknowns=jnp.asarray(effective),
        condition=jnp.asarray(windows.condition),
        factor=None,
        variance=jnp.asarray(variance),
        method="subdomains",
        level=options.level,
        prior=options.priors,
        noise_is_known=noise.is_known,
        failure=failure,
    )


class _Answers(NamedTuple):
    """Blocks of (QᵀW²Q)⁻¹ by windows alone, and the condition number and solver of the worst window."""

    blocks: Float[np.ndarray, "grain 3 3"]
    condition: float
    method: str


def _answers(problem: WindowProblem, runner: TaskRunner) -> _Answers:
    """Factor all windows; return the blocks of each core, and the condition number and solver of the worst window."""
    components = len(problem.grains.components)
    blocks = np.zeros((len(problem.grains), components, components))
    worst, condition, method = 0.0, 0.0, "cholesky"
    results = runner.results("windows", factor_window, len(problem.windows))
    for window, found in zip(problem.windows, results, strict=True):
        blocks[window.grains[window.core]] = found.blocks
        if found.condition / SOLVERS[found.method].limit > worst:
            worst = found.condition / SOLVERS[found.method].limit
            condition, method = found.condition, found.method
    return _Answers(blocks, condition, method)


def _corrections(state: RoundState, unknowns: Unknowns) -> list[Float[np.ndarray, "_source _component _component"]]:
    """Return the scatter of the change by the rounds over the maps of noise, for each set of unknowns.

    For given grains outside a window, the grains inside have a normal distribution with a mean that depends on those
    outside. Their covariance is that of the window alone plus that of this mean, which a window alone leaves out.
    """
    moved = (state.magnetization - state.alone)[1:]
    return [np.einsum("dgi,dgj->gij", own, own) / len(moved) for own in unknowns.split(moved)]


def _disagreement(state: RoundState) -> str:
    """Return the message for windows that have not converged."""
    return (
        f"the windows did not converge: after {state.rounds} rounds, grains may still be "
        f"{np.max(state.moves[-1]):.2g} standard deviations from their solution; pass a larger buffer"
    )


@contextlib.contextmanager
def _directory(store: str | Path | None) -> Iterator[Path]:
    """Yield the directory to work in, in which no other process works."""
    if store is None:
        with tempfile.TemporaryDirectory(prefix="mmtjax-") as temporary:
            yield Path(temporary)
        return
    place = real_path(store)
    check_store(place)
    place.mkdir(parents=True, exist_ok=True)
    with lock_directory(place):
        remove_partial_files(place)
        yield place


def _checked_size(name: str, value: float) -> float:
    """Return a length; raise ValueError unless it is positive and finite."""
    if not 0 < real_number(value, name=name) < np.inf:
        msg = f"{name} must be a positive length in µm; got {value!r}"
        raise InputError(msg)
    return float(value)


def _checked_draws(draws: int) -> int:
    """Return the number of maps of noise; raise ValueError unless it is 2 or more."""
    if whole_number(draws, name="draws") < 2:
        msg = f"draws must be 2 or more, because their scatter is needed; got {draws!r}"
        raise InputError(msg)
    return int(draws)
