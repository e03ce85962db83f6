"""Inversion of samples too large to factor whole, by overlapping windows."""

import contextlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.errors import InversionError
from mmtjax.estimators.least_squares import effective_unknowns
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.files import writing_alone
from mmtjax.inversion.diagnostics import condition_failure, diagnose
from mmtjax.inversion.options import check_counts, checked_options, weights_of
from mmtjax.inversion.solution import Solution
from mmtjax.inversion.strategy import SOLVERS, StageProgress
from mmtjax.inversion.tolerance import carried_condition
from mmtjax.parallel.task_runner import TaskRunner
from mmtjax.precision import is_concrete, require_float64
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.subdomains.memory import require_window_memory
from mmtjax.subdomains.problem import Options, Problem, keep
from mmtjax.subdomains.rounds import State, agree, right_sides
from mmtjax.subdomains.work import factor_window
from mmtjax.uncertainty.confidence import confidence_radius

#: Sizes in depths of the deepest grain. Buffer and core where none are given: no more than four windows share a grain,
#: for rounds grow with their number. Sensors beyond the buffer: all that grains of the window are seen by, or the
#: correction would be of another matrix.
BUFFER = 3.5
CORE = 7.0
MARGIN = 6.0


def invert_subdomains(
    key: Array,
    scan: Scan,
    grains: Grains,
    noise: object = None,
    *,
    core: float | None = None,
    buffer: float | None = None,
    draws: int = 16,
    prior: float | None = None,
    method: str = "auto",
    level: float = 0.95,
    tolerance: float = DEFAULT_TOLERANCE,
    memory_limit: int | None = None,
    store: str | Path | None = None,
    executor: Executor | None = None,
    progress: StageProgress | None = None,
    throw: bool = True,
) -> Solution:
    """Invert a sample too large to factor whole: the answer of `mmtjax.invert`, window by window.

    Each window solves for the grains of its core and of a buffer about it, with all others taken as known. Rounds of
    corrections, from the misfit of the whole map, bring the windows to agreement. What a window cannot know, how far
    the uncertainty of the grains beyond it reaches into its core, is the scatter of its correction over maps of noise
    alone that are solved beside the measured one (Rao–Blackwellized Monte Carlo).

    Parameters
    ----------
    key
        Random key of JAX for the maps of noise.
    scan, grains, noise, prior, method, level, tolerance, throw
        As for `mmtjax.invert`; a prior needs the noise as a number or a map.
    core, buffer
        Edge of the cores, about, and width of the buffer, µm. By default 7 and 3.5 times the depth of the deepest
        grain. A smaller buffer gives a coarser correction, cores narrower than two buffers take more rounds; larger
        windows take more memory.
    draws
        Maps of noise. The error of a radius shrinks with the square root of their number, see
        ``Solution.radius_error``.
    memory_limit
        Bytes that each who does the work may use; by default what is free, where that is this process.
    store
        Directory in which work is kept; a run that was ended goes on from there. By default a temporary one.
    executor
        Who does the work, as `concurrent.futures.ProcessPoolExecutor` or ``client.get_executor()`` of a Dask cluster
        that sees the same `store`; by default this process.
    progress
        Called as ``progress(stage, done, total)``, counted in windows and in blocks of sensors.

    Returns
    -------
    Solution
        Without ``factor`` and ``scale``, and with ``radius_error``.

    Raises
    ------
    ValueError
        As `mmtjax.invert`; for sizes that are not positive, fewer than 2 draws, and a store of another problem.
    MemoryError
        If a window would not fit.
    RuntimeError, InversionError
        As `mmtjax.invert`; `InversionError` also where the windows do not come to agree.
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
    if not is_concrete(scan, grains, noise):
        raise ValueError("windows cannot be traced; use `mmtjax.invert` for derivatives")
    sigma = checked_options(scan, noise, prior=prior, method=method, level=level)
    if prior is not None and sigma is None:
        raise ValueError('noise="residual" with a prior is not solved by windows; pass the noise in nT')
    check_counts(scan, grains, prior=prior)
    weight, variance = weights_of(scan, sigma)
    depth = float(scan.grid.height) - float(np.min(np.asarray(grains.position)[:, 2]))
    options = Options(
        core=_checked_size("core", CORE * depth if core is None else core),
        buffer=_checked_size("buffer", BUFFER * depth if buffer is None else buffer),
        margin=MARGIN * depth,
        draws=_checked_draws(draws),
        variance=float(variance),
        prior=prior,
        method=method,
        tolerance=tolerance,
    )
    problem = Problem(
        grains=grains,
        grid=scan.grid,
        field=np.where(scan.mask, scan.field, 0.0),
        weight=np.asarray(weight),
        key=np.asarray(jax.random.key_data(key)),
        options=options,
    )
    require_window_memory(problem, limit=memory_limit, alone=executor is None)
    with _directory(store) as place:
        keep(problem, place)
        runner = TaskRunner(place, executor, progress)
        rights = right_sides(problem, place, runner)
        windows = _answers(problem, runner)
        limit = min(SOLVERS[windows.method].limit, carried_condition(tolerance))
        failure = condition_failure(windows.condition, limit=limit, solver=windows.method)
        if failure is not None and throw:
            # Rounds would not come to an end, or mean nothing.
            raise InversionError(failure)
        freedom = scan.used - problem.unknowns
        state = agree(
            problem,
            place,
            runner,
            rights,
            noise=lambda square: np.sqrt(square / freedom if sigma is None else options.variance),
        )
    disagreement = None if state.settled else _disagreement(state)
    forward = state.forward if state.settled else np.zeros(scan.grid.shape)
    correction = _correction(state)
    effective = float(effective_unknowns(jnp.asarray(windows.blocks + correction), problem.ridge))
    mean_square = float(np.sum((problem.weight * (problem.field - forward)) ** 2) / (scan.used - effective))
    variance = mean_square if sigma is None else options.variance
    covariance = variance * (windows.blocks + correction)
    radius = confidence_radius(covariance, level)
    wider = confidence_radius(covariance + variance * np.sqrt(2 / draws) * correction, level)
    solution = Solution(
        grains=grains,
        scan=scan,
        magnetization=jnp.asarray(state.magnetization[0].reshape(-1, 3)),
        covariance=jnp.asarray(covariance),
        confidence_radius=radius,
        radius_error=wider / radius - 1,
        forward=jnp.asarray(forward),
        residual=jnp.asarray(scan.field) - forward,
        noise=jnp.asarray(np.sqrt(variance)) if sigma is None else sigma,
        reduced_chi_square=jnp.asarray(mean_square / variance),
        effective_unknowns=jnp.asarray(effective),
        condition=jnp.asarray(windows.condition),
        factor=None,
        scale=None,
        variance=jnp.asarray(variance),
        method="subdomains",
        level=level,
        prior=prior,
        failure=disagreement,
    )
    return diagnose(solution, limit=limit, solver=windows.method, tolerance=tolerance, throw=throw)


class _Answers(NamedTuple):
    """Blocks of (QᵀW²Q)⁻¹ by windows alone, and the condition number and solver of the worst window."""

    blocks: Float[np.ndarray, "grain 3 3"]
    condition: float
    method: str


def _answers(problem: Problem, runner: TaskRunner) -> _Answers:
    blocks, worst, condition, method = np.zeros((len(problem.grains), 3, 3)), 0.0, 0.0, "cholesky"
    results = runner.results("windows", factor_window, len(problem.windows))
    for window, found in zip(problem.windows, results, strict=True):
        blocks[window.grains[window.core]] = found.blocks
        if found.condition / SOLVERS[found.method].limit > worst:
            worst = found.condition / SOLVERS[found.method].limit
            condition, method = found.condition, found.method
    return _Answers(blocks, condition, method)


def _correction(state: State) -> Float[np.ndarray, "grain 3 3"]:
    """Scatter of what the rounds have added to the answers of the windows, over the maps of noise.

    Given what lies beyond a window, its grains are normal about a mean that depends on it. The covariance is that of a
    window alone plus that of the mean, which is what the windows by themselves got wrong.
    """
    moved = (state.magnetization - state.alone)[1:].reshape(len(state.alone) - 1, -1, 3)
    return np.einsum("dgi,dgj->gij", moved, moved) / len(moved)


def _disagreement(state: State) -> str:
    return (
        f"the windows do not come to agree: after {state.rounds} rounds grains may still be "
        f"{np.max(state.moves[-1]):.2g} standard deviations from their solution; pass a larger buffer"
    )


@contextlib.contextmanager
def _directory(store: str | Path | None) -> Iterator[Path]:
    """The directory to work in, alone."""
    if store is None:
        with tempfile.TemporaryDirectory(prefix="mmtjax-") as temporary:
            yield Path(temporary)
        return
    place = Path(store).absolute()
    place.mkdir(parents=True, exist_ok=True)
    with writing_alone(place):
        yield place


def _checked_size(name: str, value: float) -> float:
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a positive length in µm; got {value!r}")
    return float(value)


def _checked_draws(draws: int) -> int:
    if draws < 2:
        raise ValueError(f"draws must be 2 or more, for their scatter; got {draws!r}")
    return int(draws)
