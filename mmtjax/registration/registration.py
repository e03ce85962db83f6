"""Fit the standoff, and the shift and rotation of a map relative to its grains."""

from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import equinox as eqx
import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from mmtjax.errors import InputError, MemoryLimitError, require_type
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.inversion.memory import require_memory
from mmtjax.inversion.options import InversionFields, InversionOptions
from mmtjax.inversion.stack import SourceStack, as_stack
from mmtjax.lazy import pandas
from mmtjax.noise.conversion import NoiseLike, as_noise
from mmtjax.options import value_or_fields
from mmtjax.precision import is_concrete, real_number, require_float64, whole_number
from mmtjax.prior import Prior
from mmtjax.progress import StageProgress, check_progress
from mmtjax.registration.alignment import NAMES, PARAMETERS, UNITS, moved_grains, moved_grid
from mmtjax.registration.determinacy import own_reasons, shared_reasons
from mmtjax.registration.levenberg_marquardt import RegistrationOptimum, RegistrationProblem, find_optimum
from mmtjax.registration.marginal_fit import MarginalFit, Survey, maps_of
from mmtjax.registration.residual_correlation import residual_correlation
from mmtjax.scan.scan import Scan
from mmtjax.solvers.orthogonal import Orthogonal
from mmtjax.sources.grains import Grains
from mmtjax.units import MAGNETITE_SATURATION

#: Half-width of the range that is searched for each parameter: µm, µm, degrees.
DEFAULT_RANGES: Mapping[str, float] = {"standoff": 10.0, "shift": 10.0, "rotation": 3.0}

#: Largest rotation, degrees: for larger ones, shapes would have to be turned too.
_LARGEST_ROTATION = 10.0

_NEEDS_PRIOR = f"prior must be one number in A/m, e.g. {MAGNETITE_SATURATION:g}: without it the fit has no solution"

#: Least distance between grains and sensors, as a share of the side of a sensor.
_CLEARANCE = 0.05


class Registration(eqx.Module):
    """The fitted position of a map relative to its grains, with uncertainties and the parameters that are determined.

    Attributes
    ----------
    scan, grains
        The map and the grains, at the geometry that was given.
    names
        The parameters that were fitted: ``"standoff"``, ``"shift x"``, ``"shift y"``, ``"rotation"``.
    change
        Fitted change of all four, zero where not fitted: sensors higher by µm, grains moved by (x, y) µm, turned
        anticlockwise by degrees about the middle of the map.
    covariance
        Covariance of the parameters of `names`, with the correlation of the residual taken into account.
    inflation
        Factor by which this correlation widens the standard deviation of white noise, at least one.
    noise
        Standard deviation of the noise of a sensor of weight one, known or from the residual, nT.
    reduced_chi_square
        Reduced chi-square of the fit: 1 where the noise explains the residual.
    residual_correlation
        Correlation of the residual between adjacent sensors.
    independent_sensors
        Number of independent values with the same error of the mean as the residual.
    log_evidence
        Logarithm of the density of the map before and after the fit, with magnetizations and background integrated out
        under their priors.
    slice_values, slice_drops
        For each of `names`, values over the whole range with the other parameters as fitted, and how far the objective
        (minus half the sum of misfit and effective unknowns) lies below that of `change`.
    converged
        Whether the search converged and no point of the slices is better; if not, no parameter is determined.
    reasons
        For each of `names`, the reasons why it is not determined; empty if it is.
    level
        Probability of the intervals.
    """

    scan: Scan
    grains: Grains
    names: tuple[str, ...] = eqx.field(static=True)
    change: Float[np.ndarray, "4"]
    covariance: Float[np.ndarray, "param param"]
    inflation: Float[np.ndarray, " param"]
    noise: float
    reduced_chi_square: float
    residual_correlation: float
    independent_sensors: float
    log_evidence: tuple[float, float]
    slice_values: Float[np.ndarray, "param point"]
    slice_drops: Float[np.ndarray, "param point"]
    converged: bool = eqx.field(static=True)
    reasons: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    level: float = eqx.field(static=True)

    @property
    def values(self) -> Float[np.ndarray, " param"]:
        """Fitted values of `names`, µm and degrees."""
        return self.change[[NAMES.index(name) for name in self.names]]

    @property
    def standard_deviation(self) -> Float[np.ndarray, " param"]:
        """Standard deviations of `values`."""
        return np.sqrt(np.diagonal(self.covariance))

    @property
    def half_width(self) -> Float[np.ndarray, " param"]:
        """Half the width of the interval that contains the true value with probability `level`."""
        return float(ndtri(0.5 + self.level / 2)) * self.standard_deviation

    @property
    def determined(self) -> tuple[str, ...]:
        """The determined ones of ``standoff``, ``shift``, ``rotation``; a shift if both of its components are."""
        kept = [name for name, why in zip(self.names, self.reasons, strict=True) if not why]
        return tuple(what for what, names in PARAMETERS.items() if all(name in kept for name in names))

    def aligned(self) -> tuple[Scan, Grains]:
        """Return scan and grains at the fitted geometry, with all fitted parameters, determined or not."""
        scan, grid = self.scan, moved_grid(self.scan.grid, self.change)
        return Scan(scan.field, grid, scan.mask, noise=scan.noise), moved_grains(self.grains, scan.grid, self.change)

    def table(self) -> "pandas.DataFrame":
        """Return a table with one row for each fitted parameter; units are in the column ``unit``."""
        return pandas.DataFrame(
            {
                "parameter": self.names,
                "value": self.values,
                "standard_deviation": self.standard_deviation,
                "half_width": self.half_width,
                "inflation": self.inflation,
                "unit": [UNITS[NAMES.index(name)] for name in self.names],
                "determined": [not why for why in self.reasons],
                "why_not": ["; ".join(why) for why in self.reasons],
            }
        )

    def __str__(self) -> str:
        lines = []
        for row in self.table().to_dict("records"):
            verdict = "determined" if row["determined"] else f"not determined: {row['why_not']}"
            interval = f"{row['value']:+.3g} ± {row['half_width']:.2g} {row['unit']} ({self.level:.0%})"
            lines.append(f"{row['parameter']} {interval}, {verdict}")
        return "\n".join(lines)


def fit_registration(
    scan: Scan,
    grains: Grains,
    noise: NoiseLike = None,
    *,
    fit: str | Sequence[str] = ("standoff", "shift"),
    ranges: Mapping[str, float] | None = None,
    points: int = 11,
    options: InversionOptions | None = None,
    progress: StageProgress | None = None,
    **fields: Unpack[InversionFields],
) -> Registration:
    """Fit the standoff, a shift and a rotation of a map against its grains.

    The magnetizations and a background, on which the map depends linearly, are solved for at every geometry (variable
    projection), with a prior that keeps the magnetizations physical. Check `Registration.determined` before you use the
    result: a misfit has a minimum even if the map does not determine the geometry.

    Parameters
    ----------
    scan, grains
        The map and its grains, at a first estimate of the geometry.
    noise
        As for `mmtjax.invert`: a number or a map in nT, ``"residual"``, or an `AbstractNoise` without shared patterns.
    fit
        One or several of ``"standoff"``, ``"shift"`` and ``"rotation"``.
    ranges
        Half-widths of the ranges to search around the given geometry: ``{"standoff": 10, "shift": 10, "rotation": 3}``
        in µm and degrees by default. The sensors stay above the grains.
    points
        Number of values in the range of each parameter at which the search looks for a better optimum.
    options
        Options as for `mmtjax.invert`: ``prior``, ``background``, ``level``, ``tolerance`` and ``memory_limit``; or
        pass these by keyword. The prior is one standard deviation for every component of the magnetization, by default
        480e3 A/m, the saturation of magnetite: without one, the magnetizations of deep grains become unphysical and the
        fitted sensors are too high. The level is the probability of the intervals.
    progress
        Called as ``progress(stage, done, total)``, counted in passes over the map; the total is an estimate.
    **fields
        Fields of `InversionOptions`.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For a parameter of another name, ranges that are not positive, a traced map or geometry, options of an inversion
        that a fit does not have, and as `mmtjax.invert`.
    MemoryError
        If the problem would not fit, before any work is done.

    Examples
    --------
    >>> import mmtjax
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 4, -7, 2, 1, 1, 2]])
    >>> grid = mmtjax.SensorGrid(origin=(-14, -14), spacing=1, shape=(32, 32), height=2)
    >>> field = mmtjax.forward(grains, [[0, 5e3, 9e3], [4e3, 0, -7e3]], grid)
    >>> field = field + 5.0 * np.random.default_rng(0).normal(size=grid.shape)
    >>> found = fit_registration(Scan(field, grid), grains.translate([0.5, 0, 0]), noise=5.0, points=5)
    >>> found.determined, bool(abs(found.values[1] + 0.5) < 0.05)
    (('standoff', 'shift'), True)
    """
    require_float64()
    require_type(scan, Scan, name="scan")
    require_type(grains, Grains, name="grains")
    check_progress(progress)
    if not is_concrete(scan, grains):
        msg = "the map or the geometry is being traced, and a fit is a search: call it outside of jit and grad"
        raise InputError(msg)
    if options is None:
        fields.setdefault("prior", MAGNETITE_SATURATION)
    chosen = value_or_fields(options, InversionOptions, fields=fields)
    _refuse_other_options(chosen)
    known = as_noise(noise, scan)
    if known.patterns(scan) is not None:
        msg = (
            "a fit of the geometry needs noise that is independent from sensor to sensor, but this noise has patterns "
            "that sensors share; pass its independent part alone"
        )
        raise InputError(msg)
    free = _free_parameters(fit)
    if whole_number(points, name="points") < 3:
        msg = f"points must be at least 3, the ends of a range and its middle; got {points!r}"
        raise InputError(msg)
    stack = as_stack(grains, chosen.pattern)
    precision = stack.precision(chosen.priors)
    if precision is None:
        raise InputError(_NEEDS_PRIOR)
    _require_memory(stack, scan, limit=chosen.memory_limit)
    weight, variance = known.weights(scan)
    survey = Survey(scan, grains, weight=weight, tolerance=chosen.tolerance, background=chosen.pattern)
    low, high = _bounds(survey, ranges)
    problem = RegistrationProblem(survey, float(variance) if known.is_known else None, precision, free, low, high)
    optimum = find_optimum(problem, points=points, report=_counter(progress, len(free), points))
    return _registration(problem, optimum, level=chosen.level)


def _refuse_other_options(options: InversionOptions) -> None:
    """Raise ValueError for options of an inversion that a fit of the geometry does not have, or without a prior."""
    default = InversionOptions()
    if options.method != default.method or options.green != default.green:
        msg = (
            "a fit of the geometry has its own solver and its own form of the matrix; leave out method= and green=, "
            "and pass them to the inversion after the fit"
        )
        raise InputError(msg)
    if not isinstance(options.estimator, LeastSquares):
        msg = (
            "a fit of the geometry is a least-squares fit; leave out estimator=, and pass it to the inversion after "
            "the fit"
        )
        raise InputError(msg)
    if not isinstance(options.priors, Prior) or not options.priors.is_uniform:
        raise InputError(_NEEDS_PRIOR)


def _require_memory(stack: SourceStack, scan: Scan, *, limit: int | None) -> None:
    """Raise MemoryError unless triangular factors of all unknowns fit into memory, as those of an orthogonal solve."""
    try:
        require_memory(len(stack.primary), stack.unknowns.size, scan.grid.size, solver=Orthogonal(), limit=limit)
    except MemoryError as error:
        msg = f"a fit of the geometry takes as much memory as an inversion of the whole map, windows or not: {error}"
        raise MemoryLimitError(msg) from error


def _registration(problem: RegistrationProblem, optimum: RegistrationOptimum, *, level: float) -> Registration:
    """Return the result of a fit from its optimum, with the reasons why parameters are not determined."""
    survey, part, free = problem.survey, optimum.part, problem.free
    used = int(np.count_nonzero(survey.weight))
    maps = maps_of(survey, optimum.change, part, optimum.slopes, free=free)
    noise = residual_correlation(maps, variance=part.variance, used=used, effective_unknowns=part.effective_unknowns)
    covariance, inflation = _covariance(optimum.curvature, noise.score_covariance)
    shared = tuple(shared_reasons(problem, optimum, noise))
    grid = survey.scan.grid
    depth = float(np.median(grid.height + optimum.change[0] - np.asarray(survey.grains.position)[:, 2]))
    half = ndtri(0.5 + level / 2) * np.sqrt(np.diagonal(covariance))
    reasons = tuple(
        shared
        + tuple(
            own_reasons(
                problem, optimum, noise, row=row, half=float(half[row]), inflation=float(inflation[row]), depth=depth
            )
        )
        for row in range(len(free))
    )
    reasons = _shift_as_one(tuple(NAMES[number] for number in free), reasons)
    before = MarginalFit.from_root(survey.root(np.zeros(4)), variance=part.variance, precision=part.precision)
    return Registration(
        scan=survey.scan,
        grains=survey.grains,
        names=tuple(NAMES[number] for number in free),
        change=optimum.change,
        covariance=covariance,
        inflation=inflation,
        noise=float(np.sqrt(part.variance)),
        reduced_chi_square=part.residual_square / part.variance / max(used - part.effective_unknowns, 1.0),
        residual_correlation=noise.neighbours,
        independent_sensors=noise.independent,
        log_evidence=(before.log_evidence(survey.weight), part.log_evidence(survey.weight)),
        slice_values=optimum.slice_values,
        slice_drops=optimum.slice_drops,
        converged=optimum.converged,
        reasons=reasons,
        level=level,
    )


def _shift_as_one(names: tuple[str, ...], reasons: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Return reasons in which neither component of the shift is determined unless both are."""
    by_name = dict(zip(names, reasons, strict=True))
    for one, other in (PARAMETERS["shift"], PARAMETERS["shift"][::-1]):
        if by_name.get(other) and not by_name[one]:
            by_name[one] = (f"the {other} is not determined",)
    return tuple(by_name[name] for name in names)


def _covariance(
    curvature: Float[np.ndarray, "param param"], score_covariance: Float[np.ndarray, "param param"]
) -> tuple[Float[np.ndarray, "param param"], Float[np.ndarray, " param"]]:
    """Return the inverse of the curvature, widened if the residual is correlated, and the factors that widen it.

    The covariance is infinite if the curvature is not positive.
    """
    values = np.linalg.eigvalsh(curvature)
    if not values[0] > np.finfo(float).eps * values[-1]:
        return np.diag(np.full(len(curvature), np.inf)), np.ones(len(curvature))
    inverse = np.linalg.inv(curvature)
    shown = np.diagonal(inverse @ score_covariance @ inverse) / np.diagonal(inverse)
    inflation = np.sqrt(np.maximum(1.0, shown))
    return inverse * np.outer(inflation, inflation), inflation


def _free_parameters(fit: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the parameters that are fitted.

    Raises
    ------
    ValueError
        For another name, or none.
    """
    wanted = list(fit) if isinstance(fit, Sequence) and not isinstance(fit, str) else [fit]
    if not wanted or any(not isinstance(name, str) or name not in PARAMETERS for name in wanted):
        msg = f"fit must name some of {', '.join(PARAMETERS)}; got {fit!r}"
        raise InputError(msg)
    return tuple(NAMES.index(name) for what, names in PARAMETERS.items() if what in wanted for name in names)


def _bounds(survey: Survey, ranges: Mapping[str, float] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest change of all parameters; sensors stay above the grains.

    Raises
    ------
    ValueError
        For another name, or a range that is not positive or too large.
    """
    require_type(ranges, Mapping | None, name="ranges")
    given = dict(ranges or {})
    for name, width in given.items():
        if name not in DEFAULT_RANGES:
            msg = f"ranges must name some of {', '.join(DEFAULT_RANGES)}; got {name!r}"
            raise InputError(msg)
        if not 0 < real_number(width, name=f"the range of the {name}") < np.inf:
            msg = f"the range of the {name} must be positive, in {'°' if name == 'rotation' else 'µm'}; got {width!r}"
            raise InputError(msg)
    chosen = {**DEFAULT_RANGES, **given}
    if chosen["rotation"] > _LARGEST_ROTATION:
        msg = (
            f"the range of the rotation must be at most {_LARGEST_ROTATION:g}°, because shapes are not turned with "
            f"their centroids; got {chosen['rotation']!r}. Turn the microCT stack first"
        )
        raise InputError(msg)
    high = np.array([chosen["standoff"], chosen["shift"], chosen["shift"], chosen["rotation"]], float)
    low, grid = -high, survey.scan.grid
    top = float(np.max(np.asarray(survey.grains.top))) + _CLEARANCE * float(np.min(np.asarray(grid.side)))
    low[0] = min(max(low[0], top - float(grid.height)), 0.0)
    return low, high


def _counter(progress: StageProgress | None, count: int, points: int) -> Callable[[int], None]:
    """Return a function that counts passes over the map and reports them, with an estimate of their total."""
    done, total = 0, 10 * (2 + count) + count * points + 2 * count * (2 + count)

    def report(passes: int) -> None:
        """Report some more passes."""
        nonlocal done
        done += passes
        if progress is not None:
            progress("geometry", min(done, total), total)

    return report
