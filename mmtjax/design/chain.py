"""Compute the objective at a setting and its derivatives: grains and sensors, normal equations, outcome."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.design.instruments import AbstractInstrument
from mmtjax.design.objectives import Objective, value_of
from mmtjax.design.outcome import OutcomeConstants, outcome_of
from mmtjax.design.population import Population
from mmtjax.design.problem import DesignProblem
from mmtjax.design.setting import KNOBS, Setting, as_arrays, as_numbers
from mmtjax.errors import NotFiniteError
from mmtjax.greens.gram_vjp import vjp_gram
from mmtjax.greens.tiled import TiledGreen
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains
from mmtjax.sources.magnetization import magnetization_of_volume

#: Number of points on the path between two settings at which `path_between` takes derivatives.
_PLACES = 8

#: Width of the frame at the far edges of a cell in which sensors fade out, in longest sampling intervals. A frame of
#: one interval, whose width follows the interval, is no better than a step: derivatives by the interval then swing by
#: ten times their average.
_FRAME = 4.0

#: Lines of sensors are padded to a multiple of this number.
_MULTIPLE = 128


class Value(NamedTuple):
    """The objective for each sample at one setting, and its derivatives.

    Attributes
    ----------
    values
        (sample,).
    slopes
        Derivative with respect to each free knob, (sample,), per µm or s; empty where only values were requested.
    """

    values: Float[np.ndarray, " sample"]
    slopes: dict[str, Float[np.ndarray, " sample"]]

    @property
    def mean(self) -> float:
        """Mean over samples."""
        return float(self.values.mean())

    @property
    def gradient(self) -> dict[str, float]:
        """Mean derivative over samples."""
        return {name: float(slope.mean()) for name, slope in self.slopes.items()}


class _Layout(eqx.Module):
    """Positions of grains and sensors; the precision of a sensor is the product of `line` at its row and its column."""

    position: Float[Array, "grain 3"]
    spacing: Float[Array, ""]
    height: Float[Array, ""]
    side: Float[Array, ""]
    line: Float[Array, " place"]


def evaluate(problem: DesignProblem, chosen: Mapping[str, float]) -> Value:
    """Return the objective of a problem at a setting, without derivatives.

    Parameters
    ----------
    problem
        The scan to be planned.
    chosen
        A value for each free knob.

    Raises
    ------
    FloatingPointError
        If the objective is not finite; the message names the setting.
    ValueError
        If a free knob has no value, or there is a value for a knob that is not free.

    Examples
    --------
    >>> from mmtjax.design import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.1}
    >>> squid = ScanningSquid(noise=5.0)
    >>> problem = DesignProblem(squid, density=2e4, area=1e4, knobs=knobs, objective="share", samples=1, grains=6)
    >>> 0 < evaluate(problem, {"interval": 3.0}).mean < 1
    True
    """
    setting = as_numbers(problem.setting(**chosen))
    values = [
        float(_objective_value(constants_of(problem), *_sample(problem, population, setting)[1]))
        for population in problem.populations
    ]
    return _checked(Value(np.array(values), {}), problem, chosen)


def evaluate_with_gradient(problem: DesignProblem, chosen: Mapping[str, float]) -> Value:
    """Return the objective of a problem and its derivatives with respect to the free knobs, by reverse mode.

    The normal equations are made tile by tile. JAX gives the derivative of the objective with respect to them, whose
    vector-Jacobian product with the tiles is taken while these are made again: no columns are stored.

    Parameters
    ----------
    problem
        The scan to be planned.
    chosen
        A value for each free knob.

    Raises
    ------
    FloatingPointError
        If the objective or a derivative is not finite; the message names the setting.
    ValueError
        As `evaluate`.
    """
    setting = as_numbers(problem.setting(**chosen))
    found = [_sample_with_gradient(problem, population, setting, chosen) for population in problem.populations]
    values = np.array([value for value, _ in found])
    slopes = {name: np.array([slope[name] for _, slope in found]) for name in problem.free}
    return _checked(Value(values, slopes), problem, chosen)


class GeodesicPath(NamedTuple):
    """The objective on a path between two settings, averaged over samples.

    Attributes
    ----------
    change
        Change from the first setting to the second.
    slopes
        Derivatives at equal distances, (point,), per length of the path.
    rounding
        Difference of the objective at the ends of the path from that at the settings.
    """

    change: float
    slopes: Float[np.ndarray, " point"]
    rounding: float


def path_between(problem: DesignProblem, low: Mapping[str, float], high: Mapping[str, float]) -> GeodesicPath:
    """Return the change of the objective between two settings, and its derivatives on a path between them.

    The path is the geodesic between the normal equations of the two settings. It leaves out how sensors fade in
    between, so that the derivatives change little along it; for an objective without steps their mean is the change.

    Parameters
    ----------
    problem
        The scan to be planned.
    low, high
        A value for each free knob.
    """
    constants, paths = constants_of(problem), []
    for population in problem.populations:
        ends = [_sample(problem, population, as_numbers(problem.setting(**chosen)))[1] for chosen in (low, high)]
        (setting, gram, magnetization), (other_setting, other_gram, _) = ends
        first, last, slopes = _along_path(constants, (setting, gram), (other_setting, other_gram), magnetization)
        rounding = sum(
            abs(_objective_value(constants, *end) - value) for end, value in zip(ends, (first, last), strict=True)
        )
        paths.append(GeodesicPath(float(last - first), np.asarray(slopes), float(rounding)))
    return GeodesicPath(
        change=np.mean([path.change for path in paths], axis=0),
        slopes=np.mean([path.slopes for path in paths], axis=0),
        rounding=np.mean([path.rounding for path in paths], axis=0),
    )


def objective_on(problem: DesignProblem, setting: Setting, grains: Grains, grid: SensorGrid) -> Float[Array, ""]:
    """Return the objective of a problem at a setting, for given grains and sensors."""
    gram = jnp.asarray(TiledGreen(grains, grid, tolerance=problem.tolerance).gram())
    return _objective_value(constants_of(problem), as_arrays(setting), gram, median_magnetization(grains))


def median_magnetization(grains: Grains) -> Float[Array, " grain"]:
    """Return the median magnetization of grains of these volumes, A/m."""
    return jnp.asarray(magnetization_of_volume(np.asarray(grains.volume)))


def _sample(
    problem: DesignProblem, population: Population, setting: Setting
) -> tuple[TiledGreen, tuple[Setting, Array, Array]]:
    """Return the operator of one sample, and what the objective depends on beyond the constants of the problem."""
    layout = _layout(problem, population, setting)
    green = TiledGreen(
        population.at(np.asarray(layout.position)),
        SensorGrid(
            origin=(0.0, 0.0),
            spacing=float(layout.spacing),
            shape=(_count(problem, population, setting),) * 2,
            height=float(layout.height),
            side=float(layout.side),
        ),
        tolerance=problem.tolerance,
    )
    gram = jnp.asarray(green.gram(jnp.sqrt(_precision(layout, green))))
    return green, (as_arrays(setting), gram, median_magnetization(population.grains))


def _sample_with_gradient(
    problem: DesignProblem, population: Population, setting: Setting, chosen: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    green, arguments = _sample(problem, population, setting)
    free = {name: jnp.asarray(float(chosen[name])) for name in problem.free}

    def layout_of(free: dict[str, Array]) -> tuple[_Layout, Setting]:
        traced = as_arrays(problem.setting(**free))
        return _layout(problem, population, traced, length=_padded(problem, population, setting)), traced

    (layout, _), vjp = jax.vjp(layout_of, free)
    value, (by_setting, by_gram) = _objective_slopes(constants_of(problem), *arguments)
    geometry, by_precision = vjp_gram(green, _precision(layout, green), by_gram)
    line, count = np.asarray(layout.line), len(by_precision)
    by_line = np.zeros(len(line))
    by_line[:count] = (by_precision + by_precision.T) @ line[:count]
    cotangent = _Layout(
        position=jnp.asarray(geometry.position),
        spacing=jnp.asarray(geometry.spacing.sum()),
        height=jnp.asarray(geometry.height),
        side=jnp.asarray(geometry.side),
        line=jnp.asarray(by_line),
    )
    (slopes,) = vjp((cotangent, by_setting))
    return float(value), {name: float(slope) for name, slope in slopes.items()}


def _layout(problem: DesignProblem, population: Population, setting: Setting, *, length: int | None = None) -> _Layout:
    """Return grains and sensors of one sample; sensors fade out in a frame about the far edges of the cell.

    The frame has the same place at every interval and is several intervals wide. Sensors pass through it as the
    interval changes, and their precisions add up to the same for each µm. The line of sensors is padded to `length`.
    """
    edge, frame = population.edge(setting.thickness), _frame(problem)
    place = setting.interval * jnp.arange(_padded(problem, population, setting) if length is None else length)
    inside = jnp.clip((edge - place) / frame + 0.5, 0, 1)
    return _Layout(
        position=population.positions(setting.thickness),
        spacing=jnp.asarray(setting.interval, jnp.float64),
        height=jnp.asarray(setting.standoff, jnp.float64),
        side=jnp.asarray(problem.instrument.sensor_side(setting), jnp.float64),
        line=inside**3 * (10 - 15 * inside + 6 * inside**2),
    )


def _frame(problem: DesignProblem) -> float:
    """Return the width of the frame in which sensors fade out, µm."""
    return _FRAME * float(np.max(problem.knobs["interval"]))


def _count(problem: DesignProblem, population: Population, setting: Setting) -> int:
    """Return the number of sensors along a line up to the end of the frame."""
    reach = float(population.edge(setting.thickness)) + _frame(problem) / 2
    return int(np.floor(reach / float(setting.interval))) + 1


def _padded(problem: DesignProblem, population: Population, setting: Setting) -> int:
    """Return the number of sensors along a line rounded up, so that JAX compiles for few lengths."""
    return _MULTIPLE * -(-_count(problem, population, setting) // _MULTIPLE)


def _precision(layout: _Layout, green: TiledGreen) -> Float[np.ndarray, "ny nx"]:
    """Return the precision of each sensor relative to one inside the cell."""
    line = np.asarray(layout.line)[: green.grid.shape[0]]
    return line[:, None] * line


class ProblemConstants(NamedTuple):
    """What the objective depends on that is the same at every setting: compiled code is reused where it is equal."""

    instrument: AbstractInstrument
    objective: Objective
    outcome: OutcomeConstants


def constants_of(problem: DesignProblem) -> ProblemConstants:
    """Return the constants of a problem."""
    outcome = OutcomeConstants(problem.prior, problem.level, problem.limit, problem.area, problem.density)
    return ProblemConstants(problem.instrument, problem.criterion, outcome)


def objective_value(
    constants: ProblemConstants, setting: Setting, gram: Array, magnetization: Array
) -> Float[Array, ""]:
    """Return the objective from the normal equations of one sample."""
    outcome = outcome_of(
        gram,
        constants.instrument.noise_variance(setting),
        magnetization=magnetization,
        seconds=constants.instrument.seconds(setting, area=constants.outcome.area),
        thickness=setting.thickness,
        constants=constants.outcome,
    )
    return value_of(constants.objective, outcome)


_objective_value = eqx.filter_jit(objective_value)


@eqx.filter_jit
def _objective_slopes(
    constants: ProblemConstants, setting: Setting, gram: Array, magnetization: Array
) -> tuple[Array, tuple[Setting, Array]]:
    def value(varied: tuple[Setting, Array]) -> Array:
        return objective_value(constants, *varied, magnetization)

    return jax.value_and_grad(value)((setting, gram))


@eqx.filter_jit
def _along_path(
    constants: ProblemConstants, low: tuple[Setting, Array], high: tuple[Setting, Array], magnetization: Array
) -> tuple[Array, Array, Array]:
    """Return the objective at both ends of the path, and its derivatives between."""
    (setting, gram), (_, other) = low, high
    prior = jnp.eye(len(gram)) * constants.instrument.noise_variance(setting) / constants.outcome.prior**2
    # The path is the geodesic of positive matrices. On a straight line, a matrix between two ill-conditioned ones is
    # better determined than both, and the objective dips so steeply near the ends that derivatives miss it.
    scale = jnp.sqrt(jnp.diagonal(gram + prior))
    factor = scale[:, None] * jnp.linalg.cholesky((gram + prior) / scale[:, None] / scale)
    half = solve_triangular(factor, other + prior, lower=True)
    growth, axes = jnp.linalg.eigh(solve_triangular(factor, half.T, lower=True))
    basis, growth = factor @ axes, jnp.maximum(growth, jnp.finfo(growth.dtype).eps)

    def value(share: Array) -> Array:
        there = jax.tree.map(lambda one, other: one + share * (other - one), low[0], high[0])
        return objective_value(constants, there, (basis * growth**share) @ basis.T - prior, magnetization)

    middles = (jnp.arange(_PLACES) + 0.5) / _PLACES
    return value(jnp.asarray(0.0)), value(jnp.asarray(1.0)), jax.lax.map(jax.grad(value), middles)


def _checked(value: Value, problem: DesignProblem, chosen: Mapping[str, float]) -> Value:
    """Return a value after a check that it and its derivatives are finite."""
    where = ", ".join(f"{name} = {chosen[name]:.6g}" for name in KNOBS if name in chosen)
    if not np.all(np.isfinite(value.values)):
        bad = value.values[~np.isfinite(value.values)][0]
        msg = (
            f"the objective {problem.criterion.name!r} is {bad} at {where}: is it defined there? A smaller prior= "
            "keeps what the scan does not determine from spoiling the rest"
        )
        raise NotFiniteError(msg)
    for name, slopes in value.slopes.items():
        if not np.all(np.isfinite(slopes)):
            msg = (
                f"the derivative of the objective {problem.criterion.name!r} with respect to {name} is not finite at "
                f"{where}: an objective has to be differentiable, without steps and roots of zero"
            )
            raise NotFiniteError(msg)
    return value
