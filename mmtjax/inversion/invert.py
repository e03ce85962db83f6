"""The main job: from a scan and grains to a solution, and the choice of the solver."""

import dataclasses
import warnings
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.operator import AbstractGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.cholesky import Cholesky
from mmtjax.inversion.memory import DENSE_BYTES, require_memory
from mmtjax.inversion.orthogonal import Orthogonal
from mmtjax.inversion.solution import InversionError, InversionWarning, Solution
from mmtjax.inversion.solver import AbstractSolver, Reduced
from mmtjax.precision import float64_array, is_concrete, require_float64
from mmtjax.rock.grains import Grains
from mmtjax.scan.scan import Scan, check_noise
from mmtjax.uncertainty.confidence import confidence_radius
from mmtjax.uncertainty.covariance import covariance_blocks
from mmtjax.units import MAGNETITE_SATURATION

_SOLVERS: dict[str, AbstractSolver] = {"cholesky": Cholesky(), "orthogonal": Orthogonal()}

#: Rounds of estimating the noise from the residual and solving anew, where a prior ties the two.
_NOISE_ROUNDS = 50
_NOISE_CONVERGED = 1e-6

#: Standard deviations of χ² by which it may miss its expectation before a warning.
_CHI_SQUARE_SPREAD = 5.0

_REMEDIES = (
    "grains are indistinguishable from the scan, or nearly so. Pass prior=480e3 (A/m, saturation of magnetite), leave "
    "out grains that are tiny and deep or lie beside the map, merge grains at one place, or use method='orthogonal'"
)

#: Called with what is being done, the work that is done and the whole of it.
StageProgress = Callable[[str, int, int], None]


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
        Error of a coefficient of Q as a share of the peak of its grain.
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
    >>> np.round(solution.magnetization).astype(int).tolist()
    [[0, 0, 9000], [4000, 0, 0]]
    """
    require_float64()
    sigma = _checked_options(scan, noise, prior=prior, method=method, level=level)
    concrete = is_concrete(scan, grains, sigma)
    if not concrete and prior is not None and sigma is None:
        raise ValueError('noise="residual" with a prior needs numbers, not traced values; pass the noise in nT')
    _check_counts(scan, grains, prior=prior)
    if concrete:
        require_memory(len(grains), scan.grid.size, method=method, limit=memory_limit)
    weight, variance = _weights(scan, sigma)
    field = jnp.where(scan.mask, scan.field, 0.0)
    green = _operator(grains, scan, tolerance=tolerance, progress=progress)

    if method == "auto" and (not concrete or (sigma is None and prior is not None)):
        # Traced numbers cannot be looked at, and the ridge of an unknown noise is not known yet.
        method = "orthogonal"
    name, state = _reduce(green, field, weight, _ridge(variance, prior), method=method, progress=progress)
    solver = _SOLVERS[name]

    def fit(variance: Float[Array, ""]) -> tuple[Reduced, Array, Array, Array, Array]:
        ridge = _ridge(variance, prior)
        reduced = solver.compute(state, ridge)
        if is_concrete(reduced) and not np.isfinite(reduced.condition):
            raise InversionError(f"the {name} factorization failed: {_REMEDIES}")
        solved = _refine(green, reduced, field, weight, ridge, rounds=solver.refinements, progress=progress)
        modelled = green.mv(solved, progress=_stage(progress, "forward field"))
        blocks = covariance_blocks(reduced.factor, reduced.scale, variance=1.0)
        tied = 0.0 if ridge is None else ridge * jnp.trace(blocks, axis1=1, axis2=2).sum()
        effective = len(solved) - tied
        square = jnp.sum((weight * (field - modelled)) ** 2)
        return reduced, solved, modelled, blocks, jnp.stack([effective, square / (scan.used - effective)])

    reduced, solved, modelled, blocks, (effective, mean_square) = fit(variance)
    if sigma is None:
        for _ in range(_NOISE_ROUNDS if prior is not None else 0):
            previous, variance = variance, mean_square
            if abs(float(variance / previous) - 1) < _NOISE_CONVERGED:
                break
            reduced, solved, modelled, blocks, (effective, mean_square) = fit(variance)
        variance = mean_square
    covariance = variance * blocks
    solution = Solution(
        grains=grains,
        scan=scan,
        magnetization=solved.reshape(-1, 3),
        covariance=covariance,
        confidence_radius=confidence_radius(covariance, level),
        forward=modelled,
        residual=jnp.asarray(scan.field) - modelled,
        noise=jnp.sqrt(variance) if sigma is None else sigma,
        reduced_chi_square=mean_square / variance,
        effective_unknowns=effective,
        condition=reduced.condition,
        factor=reduced.factor,
        scale=reduced.scale,
        variance=variance,
        method=name,
        level=level,
        prior=prior,
    )
    return _judge(solution, limit=solver.limit, throw=throw) if concrete else solution


def _checked_options(
    scan: Scan, noise: object, *, prior: float | None, method: str, level: float
) -> np.ndarray | Array | None:
    """The noise as numbers, or None where it is to come from the residual."""
    if method not in (*_SOLVERS, "auto"):
        raise ValueError(f"method must be 'auto', 'cholesky' or 'orthogonal'; got {method!r}")
    if prior is not None and not (np.isfinite(prior) and prior > 0):
        raise ValueError(f"prior must be a positive standard deviation in A/m, or None; got {prior!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, e.g. 0.95; got {level!r}")
    if isinstance(noise, str):
        if noise != "residual":
            raise ValueError(f"noise must be a number or a map in nT, or 'residual'; got {noise!r}")
        return None
    if noise is None and scan.noise is None:
        raise ValueError("the noise is not known: pass noise= in nT, or noise='residual' to take it from the misfit")
    sigma = scan.noise if noise is None else float64_array(noise, name="noise")
    check_noise(sigma, scan.grid.shape)
    return sigma


def _check_counts(scan: Scan, grains: Grains, *, prior: float | None) -> None:
    unknowns = 3 * len(grains)
    if scan.used <= unknowns and prior is None:
        raise ValueError(
            f"{scan.used} sensors cannot determine {unknowns} unknowns ({len(grains)} grains); use a larger or finer "
            "scan, fewer grains, or a prior"
        )


def _weights(scan: Scan, sigma: np.ndarray | Array | None) -> tuple[Float[Array, "ny nx"], Float[Array, ""]]:
    """Relative weights of the sensors, 0 under the mask, and the variance of a sensor of weight one."""
    mask = jnp.asarray(scan.mask, jnp.float64)
    if sigma is None:
        field = jnp.where(scan.mask, scan.field, 0.0)
        return mask, jnp.maximum(jnp.sum(field**2) / scan.used, jnp.finfo(field.dtype).tiny)
    if sigma.shape == ():
        return mask, jnp.asarray(sigma) ** 2
    return mask / sigma, jnp.ones(())


def _ridge(variance: Float[Array, ""], prior: float | None) -> Float[Array, ""] | None:
    return None if prior is None else variance / prior**2


def _operator(grains: Grains, scan: Scan, *, tolerance: float, progress: StageProgress | None) -> AbstractGreen:
    green = TiledGreen(grains, scan.grid, tolerance=tolerance)
    if 8 * green.unknowns * scan.grid.size > DENSE_BYTES:
        return green
    return DenseGreen.from_operator(green, progress=_stage(progress, "Green's matrix"))


def _stage(progress: StageProgress | None, stage: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(stage, done, total)


def _reduce(
    green: AbstractGreen,
    field: Float[Array, "ny nx"],
    weight: Float[Array, "ny nx"],
    ridge: Float[Array, ""] | None,
    *,
    method: str,
    progress: StageProgress | None,
) -> tuple[str, tuple[Array, ...]]:
    """The solver to use and what it needs of the rows: Cholesky if the condition allows it, unless one is named."""
    if method != "orthogonal":
        solver = _SOLVERS["cholesky"]
        state = solver.init(green, field, weight, progress=_stage(progress, "normal equations"))
        if method == "cholesky" or solver.compute(state, ridge).condition <= solver.limit:
            return "cholesky", state
        # The matrix of the normal equations is as large as the factor to come.
        del state
    return "orthogonal", _SOLVERS["orthogonal"].init(
        green, field, weight, progress=_stage(progress, "orthogonal factor")
    )


def _refine(
    green: AbstractGreen,
    reduced: Reduced,
    field: Float[Array, "ny nx"],
    weight: Float[Array, "ny nx"],
    ridge: Float[Array, ""] | None,
    *,
    rounds: int,
    progress: StageProgress | None,
) -> Float[Array, " unknown"]:
    solved = reduced.solve()
    for _ in range(rounds):
        gradient = green.residual_gradient(solved, field, weight, progress=_stage(progress, "refinement"))
        solved = solved + reduced.correct(gradient if ridge is None else gradient - ridge * solved)
    return solved


def _judge(solution: Solution, *, limit: float, throw: bool) -> Solution:
    """Say what is wrong with a solution: its failure, and warnings."""
    if solution.condition > limit:
        failure = (
            f"the condition number {solution.condition:.1e} is beyond {limit:.0e}, where uncertainties by the "
            f"{solution.method} method can be vouched for: {_REMEDIES}"
        )
        solution = dataclasses.replace(solution, failure=failure)
        if throw:
            solution.check()
    messages = tuple(_concerns(solution))
    for message in messages:
        warnings.warn(message, InversionWarning, stacklevel=3)
    return dataclasses.replace(solution, warnings=messages)


def _concerns(solution: Solution) -> Iterator[str]:
    freedom = max(float(solution.scan.used - solution.effective_unknowns), 1.0)
    excess = float(solution.reduced_chi_square)
    if excess > 1 + _CHI_SQUARE_SPREAD * np.sqrt(2 / freedom):
        residual = np.asarray(solution.residual)[solution.scan.mask]
        yield (
            f"noise of {float(np.median(solution.noise)):.4g} nT cannot explain the residual of "
            f"{np.sqrt(np.mean(residual**2)):.4g} nT rms (reduced chi-square {excess:.3g}): radii are too small by "
            f"{np.sqrt(excess):.3g} times at least. Something is not modelled (standoff, shift, missing grains, "
            "grains that are not uniform); pass noise='residual' for radii that reckon with it"
        )
    beyond = int(np.sum(solution.beyond_saturation))
    if beyond:
        yield (
            f"{beyond} of {len(solution.grains)} grains are magnetized beyond {MAGNETITE_SATURATION / 1e3:g} kA/m, "
            "the saturation of magnetite, which no grain can be; do not believe them"
            + ("; prior=480e3 keeps them nearer to what is physical" if solution.prior is None else "")
        )
    grid, position = solution.scan.grid, np.asarray(solution.grains.position)
    beside = np.zeros(len(position), bool)
    for axis, places in enumerate((np.asarray(grid.x), np.asarray(grid.y))):
        margin = grid.spacing[axis] / 2
        beside |= (position[:, axis] < places[0] - margin) | (position[:, axis] > places[-1] + margin)
    if beside.any():
        yield (
            f"{int(beside.sum())} grains lie beside the map, the first is grain {solution.grains.ids[beside][0]}; "
            "the map holds little of their field"
        )
