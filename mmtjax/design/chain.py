"""From a setting to the objective and its derivatives: grains and sensors, normal equations, outcome."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.design.instrument import KNOBS, AbstractInstrument, Setting, as_arrays, as_numbers
from mmtjax.design.objectives import Objective, value_of
from mmtjax.design.outcome import Outcome, outcome_of
from mmtjax.design.population import Population
from mmtjax.design.problem import DesignProblem
from mmtjax.greens.gram_vjp import vjp_gram
from mmtjax.greens.tiled import TiledGreen
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains
from mmtjax.sources.magnetization import magnetization_of_volume

#: Places on the way between two settings at which `path_between` takes derivatives.
_PLACES = 8

#: Width of the frame at the far edges of a cell in which sensors fade out, in sampling intervals of the longest kind. A
#: frame of one interval, whose width follows the interval, is no more than a step: derivatives by the interval then
#: swing by ten times what they are on average.
_FRAME = 4.0

#: Lines of sensors are padded to a multiple of this.
_ROOM = 128


class Value(NamedTuple):
    """The objective for each sample at one setting, and its derivatives.

    Attributes
    ----------
    values
        (sample,).
    slopes
        Derivative with respect to each free knob, (sample,), per µm or s; empty where only values were asked for.
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


class _Scene(eqx.Module):
    """Where grains and sensors are; the precision of a sensor is the product of its row's and its column's."""

    position: Float[Array, "grain 3"]
    spacing: Float[Array, ""]
    height: Float[Array, ""]
    side: Float[Array, ""]
    line: Float[Array, " place"]


def evaluate(problem: DesignProblem, chosen: Mapping[str, float]) -> Value:
    """The objective of a problem at a setting, without derivatives.

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
        If a free knob has no value, or there is a value for what is none.

    Examples
    --------
    >>> from mmtjax.design.instrument import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.1}
    >>> squid = ScanningSquid(noise=5.0)
    >>> problem = DesignProblem(squid, density=2e4, area=1e4, knobs=knobs, objective="share", samples=1, grains=6)
    >>> 0 < evaluate(problem, {"interval": 3.0}).mean < 1
    True
    """
    setting = as_numbers(problem.setting(**chosen))
    values = [
        float(_objective_value(fixed_part(problem), *_sample(problem, population, setting)[1]))
        for population in problem.populations
    ]
    return _checked(Value(np.array(values), {}), problem, chosen)


def evaluate_with_gradient(problem: DesignProblem, chosen: Mapping[str, float]) -> Value:
    """The objective of a problem and its derivatives with respect to the free knobs, by reverse mode.

    The normal equations are made tile by tile. The derivative of the objective with respect to them, by JAX, is pulled
    back through the tiles, which are made anew: no columns are held.

    Parameters and errors are those of `evaluate`.
    """
    setting = as_numbers(problem.setting(**chosen))
    found = [_sample_with_gradient(problem, population, setting, chosen) for population in problem.populations]
    values = np.array([value for value, _ in found])
    slopes = {name: np.array([slope[name] for _, slope in found]) for name in problem.free}
    return _checked(Value(values, slopes), problem, chosen)


class GeodesicPath(NamedTuple):
    """The objective on a way between two settings, its mean over samples.

    Attributes
    ----------
    change
        From the first setting to the second.
    slopes
        Derivatives at even distances, (place,), per way.
    rounding
        How far the ends of the way are from the settings.
    """

    change: float
    slopes: Float[np.ndarray, " place"]
    rounding: float


def path_between(problem: DesignProblem, low: Mapping[str, float], high: Mapping[str, float]) -> GeodesicPath:
    """Change of the objective between two settings, and its derivatives on a way from one to the other.

    The way leads straight from the normal equations of one setting to those of the other and leaves out how sensors
    fade in between, so that the derivatives change little along it, and their mean is the change, for an objective
    without steps.

    Parameters
    ----------
    problem
        The scan to be planned.
    low, high
        A value for each free knob.
    """
    fixed, ways = fixed_part(problem), []
    for population in problem.populations:
        ends = [_sample(problem, population, as_numbers(problem.setting(**chosen)))[1] for chosen in (low, high)]
        first, last, slopes = _along_path(fixed, *(end[:2] for end in ends), ends[0][2])
        rounding = sum(
            abs(_objective_value(fixed, *end) - value) for end, value in zip(ends, (first, last), strict=True)
        )
        ways.append((float(last - first), np.asarray(slopes), float(rounding)))
    return GeodesicPath(*(np.mean(part, axis=0) for part in zip(*ways, strict=True)))


def objective_on(problem: DesignProblem, setting: Setting, grains: Grains, grid: SensorGrid) -> Float[Array, ""]:
    """The objective of a problem at a setting, for given grains and sensors."""
    gram = jnp.asarray(TiledGreen(grains, grid, tolerance=problem.tolerance).gram())
    return _objective_value(fixed_part(problem), as_arrays(setting), gram, median_magnetization(grains))


def median_magnetization(grains: Grains) -> Float[Array, " grain"]:
    """Magnetization that grains of these volumes have in the median, A/m."""
    return jnp.asarray(magnetization_of_volume(np.asarray(grains.volume)))


def _sample(
    problem: DesignProblem, population: Population, setting: Setting
) -> tuple[TiledGreen, tuple[Setting, Array, Array]]:
    """The operator of one sample, and what the objective depends on beyond the constants of the problem."""
    scene = _scene(problem, population, setting)
    green = TiledGreen(
        population.at(np.asarray(scene.position)),
        SensorGrid(
            origin=(0.0, 0.0),
            spacing=float(scene.spacing),
            shape=(_count(problem, population, setting),) * 2,
            height=float(scene.height),
            side=float(scene.side),
        ),
        tolerance=problem.tolerance,
    )
    gram = jnp.asarray(green.gram(jnp.sqrt(_precision(scene, green))))
    return green, (as_arrays(setting), gram, median_magnetization(population.grains))


def _sample_with_gradient(
    problem: DesignProblem, population: Population, setting: Setting, chosen: Mapping[str, float]
) -> tuple[float, dict[str, float]]:
    green, arguments = _sample(problem, population, setting)
    free = {name: jnp.asarray(float(chosen[name])) for name in problem.free}

    def places(free: dict[str, Array]) -> tuple[_Scene, Setting]:
        traced = as_arrays(problem.setting(**free))
        return _scene(problem, population, traced, room=_room(problem, population, setting)), traced

    (scene, _), back = jax.vjp(places, free)
    value, (by_setting, by_gram) = _objective_slopes(fixed_part(problem), *arguments)
    geometry, by_precision = vjp_gram(green, _precision(scene, green), by_gram)
    line, count = np.asarray(scene.line), len(by_precision)
    by_line = np.zeros(len(line))
    by_line[:count] = (by_precision + by_precision.T) @ line[:count]
    pulled = _Scene(
        position=jnp.asarray(geometry.position),
        spacing=jnp.asarray(geometry.spacing.sum()),
        height=jnp.asarray(geometry.height),
        side=jnp.asarray(geometry.side),
        line=jnp.asarray(by_line),
    )
    (slopes,) = back((pulled, by_setting))
    return float(value), {name: float(slope) for name, slope in slopes.items()}


def _scene(problem: DesignProblem, population: Population, setting: Setting, *, room: int | None = None) -> _Scene:
    """Grains and sensors of one sample; sensors fade out in a frame about the far edges of the cell.

    The frame is where it is whatever the interval, and several intervals wide: sensors pass through it as the interval
    changes, and their precisions add up to the same for each µm. The line of sensors has `room` for more than there
    are.
    """
    edge, frame = population.edge(setting.thickness), _frame(problem)
    places = setting.interval * jnp.arange(_room(problem, population, setting) if room is None else room)
    inside = jnp.clip((edge - places) / frame + 0.5, 0, 1)
    return _Scene(
        position=population.positions(setting.thickness),
        spacing=jnp.asarray(setting.interval, jnp.float64),
        height=jnp.asarray(setting.standoff, jnp.float64),
        side=jnp.asarray(problem.instrument.sensor_side(setting), jnp.float64),
        line=inside**3 * (10 - 15 * inside + 6 * inside**2),
    )


def _frame(problem: DesignProblem) -> float:
    """Width of the frame in which sensors fade out, µm."""
    return _FRAME * float(np.max(problem.knobs["interval"]))


def _count(problem: DesignProblem, population: Population, setting: Setting) -> int:
    """Sensors along a line to where none is left."""
    reach = float(population.edge(setting.thickness)) + _frame(problem) / 2
    return int(np.floor(reach / setting.interval)) + 1


def _room(problem: DesignProblem, population: Population, setting: Setting) -> int:
    """Their number rounded up, so that few lengths occur for which JAX compiles."""
    return _ROOM * -(-_count(problem, population, setting) // _ROOM)


def _precision(scene: _Scene, green: TiledGreen) -> Float[np.ndarray, "ny nx"]:
    line = np.asarray(scene.line)[: green.grid.shape[0]]
    return line[:, None] * line


class Fixed(NamedTuple):
    """What of a problem the objective depends on beyond the setting: compiled code is kept for it."""

    instrument: AbstractInstrument
    objective: Objective
    area: float
    density: float
    prior: float
    level: float
    limit: float


def fixed_part(problem: DesignProblem) -> Fixed:
    """The constants of the objective."""
    return Fixed(
        problem.instrument,
        problem.objective,
        problem.area,
        problem.density,
        problem.prior,
        problem.level,
        problem.limit,
    )


def _outcome(fixed: Fixed, setting: Setting, gram: Array, magnetization: Array) -> Outcome:
    return outcome_of(
        gram,
        fixed.instrument.noise_variance(setting),
        magnetization=magnetization,
        prior=fixed.prior,
        level=fixed.level,
        limit=fixed.limit,
        seconds=fixed.instrument.seconds(setting, area=fixed.area),
        area=fixed.area,
        density=fixed.density,
        thickness=setting.thickness,
    )


def objective_value(fixed: Fixed, setting: Setting, gram: Array, magnetization: Array) -> Float[Array, ""]:
    """The objective from the normal equations of one sample."""
    return value_of(fixed.objective, _outcome(fixed, setting, gram, magnetization))


_objective_value = eqx.filter_jit(objective_value)


@eqx.filter_jit
def _objective_slopes(
    fixed: Fixed, setting: Setting, gram: Array, magnetization: Array
) -> tuple[Array, tuple[Setting, Array]]:
    return jax.value_and_grad(lambda moved: objective_value(fixed, moved[0], moved[1], magnetization))((setting, gram))


@eqx.filter_jit
def _along_path(
    fixed: Fixed, low: tuple[Setting, Array], high: tuple[Setting, Array], magnetization: Array
) -> tuple[Array, Array, Array]:
    """The objective at both ends of the way, and its derivatives between."""
    (setting, gram), (_, other) = low, high
    prior = jnp.eye(len(gram)) * fixed.instrument.noise_variance(setting) / fixed.prior**2
    # The way is the geodesic of positive matrices. On a straight one what is between two ill-conditioned matrices is
    # better determined than both, and the objective dips so steeply near the ends that derivatives miss it.
    scale = jnp.sqrt(jnp.diagonal(gram + prior))
    factor = scale[:, None] * jnp.linalg.cholesky((gram + prior) / scale[:, None] / scale)
    half = solve_triangular(factor, other + prior, lower=True)
    growth, axes = jnp.linalg.eigh(solve_triangular(factor, half.T, lower=True))
    basis, growth = factor @ axes, jnp.maximum(growth, jnp.finfo(growth.dtype).eps)

    def value(share: Array) -> Array:
        there = jax.tree.map(lambda one, other: one + share * (other - one), low[0], high[0])
        return objective_value(fixed, there, (basis * growth**share) @ basis.T - prior, magnetization)

    middles = (jnp.arange(_PLACES) + 0.5) / _PLACES
    return value(jnp.asarray(0.0)), value(jnp.asarray(1.0)), jax.lax.map(jax.grad(value), middles)


def _checked(value: Value, problem: DesignProblem, chosen: Mapping[str, float]) -> Value:
    where = ", ".join(f"{name} = {chosen[name]:.6g}" for name in KNOBS if name in chosen)
    if not np.all(np.isfinite(value.values)):
        bad = value.values[~np.isfinite(value.values)][0]
        raise FloatingPointError(
            f"the objective {problem.objective.name!r} is {bad} at {where}: is it defined there? A smaller prior= "
            "keeps what the scan does not determine from spoiling the rest"
        )
    for name, slopes in value.slopes.items():
        if not np.all(np.isfinite(slopes)):
            raise FloatingPointError(
                f"the derivative of the objective {problem.objective.name!r} with respect to {name} is not finite at "
                f"{where}: an objective has to be differentiable, without steps and roots of zero"
            )
    return value
