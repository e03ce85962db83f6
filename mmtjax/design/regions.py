"""Divide the time of a scan among regions of the map of a known sample: where to dwell longer."""

import dataclasses
import warnings
from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.design.chain import ProblemConstants, constants_of, median_magnetization, objective_value
from mmtjax.design.optimize import DesignWarning
from mmtjax.design.problem import DesignProblem, require_whole
from mmtjax.design.setting import Setting, as_arrays, as_numbers
from mmtjax.errors import InputError
from mmtjax.greens.tiled import TiledGreen
from mmtjax.progress import StageProgress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

#: A division has converged where a second is worth at most this share more in any region than it is on average.
_CONVERGED = 0.01


@dataclasses.dataclass(frozen=True)
class DwellDivision:
    """A division of the dwell among regions.

    Attributes
    ----------
    dwell
        Dwell of each sensor, (ny, nx), s.
    values
        Objective after every step; the first is that of equal dwell everywhere.
    gap
        Share by which a second is worth more in the most valuable region than on average; zero at the optimum.
    """

    dwell: Float[np.ndarray, "ny nx"]
    values: list[float]
    gap: float

    @property
    def converged(self) -> bool:
        """Whether moving time from region to region would gain nothing more."""
        return self.gap < _CONVERGED


def divide_dwell(
    problem: DesignProblem,
    chosen: Mapping[str, float],
    grains: Grains,
    grid: SensorGrid,
    *,
    regions: tuple[int, int] = (4, 4),
    steps: int = 60,
    progress: StageProgress | None = None,
) -> DwellDivision:
    """Divide the dwell of a scan over known grains among regions of its map, in the same time.

    The multiplicative algorithm of optimal design multiplies the dwell of each region by the square root of the
    derivative of the objective with respect to it, and then all of them by the factor that restores the time. Compare
    `values[0]` with `values[-1]` for what an equal dwell everywhere loses.

    Parameters
    ----------
    problem
        The scan that is planned; its own samples are not used.
    chosen
        Values of the free knobs.
    grains
        The grains of the sample, as from microCT.
    grid
        Sensors of the map.
    regions
        Number of regions along y and x.
    steps
        Number of steps of the algorithm.
    progress
        Called with the name of a stage, the work that is done and the whole of it.

    Raises
    ------
    ValueError
        For an instrument that sees all regions at once, for regions narrower than a sensor, for steps below one, and
        for an objective that gains nothing from a longer dwell.

    Warns
    -----
    DesignWarning
        If the division has not converged.

    References
    ----------
    Silvey, Titterington & Torsney (1978), An algorithm for optimal designs on a finite design space, Communications in
    Statistics A7, 1379-1389.

    Examples
    --------
    >>> from mmtjax.design import ScanningSquid
    >>> knobs = {"interval": (2, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.1}
    >>> problem = DesignProblem(ScanningSquid(noise=5.0), density=2e4, area=1e4, knobs=knobs, objective="d")
    >>> grains = Grains.from_cuboids([[-12, 0, -5, 1, 1, 1, 1]])
    >>> grid = SensorGrid(origin=(-20, -9), spacing=2, shape=(10, 20), height=1)
    >>> dwell = divide_dwell(problem, {"interval": 2}, grains, grid, regions=(1, 2), steps=30).dwell
    >>> bool(dwell[0, 0] > dwell[0, -1]), round(float(dwell.mean()), 3)
    (True, 0.1)
    """
    if not problem.instrument.divides_dwell:
        msg = (
            f"a {problem.instrument.kind} sees all regions at once, so that its dwell cannot be divided; plan a scan "
            "with a sensor that moves from point to point"
        )
        raise InputError(msg)
    require_whole(steps, name="steps")
    for name, count, sensors in zip("yx", regions, grid.shape, strict=True):
        if not 1 <= count <= sensors:
            msg = f"regions along {name} must be between 1 and the {sensors} sensors there; got {count!r}"
            raise InputError(msg)
    ends = [np.arange(count + 1) * sensors // count for count, sensors in zip(regions, grid.shape, strict=True)]
    size = np.outer(*(np.diff(end) for end in ends)).ravel()
    share, grams = size / grid.size, []
    for row, column in np.ndindex(*regions):
        rows, columns = slice(*ends[0][row : row + 2]), slice(*ends[1][column : column + 2])
        part = grid.window(rows, columns)
        grams.append(TiledGreen(grains, part, tolerance=problem.tolerance).gram())
        if progress is not None:
            progress("regions", len(grams), len(share))
    setting = as_arrays(as_numbers(problem.setting(**chosen)))
    constants, magnetization, by_region = constants_of(problem), median_magnetization(grains), jnp.stack(grams)
    sign = 1.0 if problem.criterion.maximize else -1.0
    relative, values, gap = np.ones(len(share)), [], np.inf
    for step in range(steps + 1):
        value, slope = _value_and_gradient(constants, setting, jnp.asarray(relative), by_region, magnetization)
        values.append(float(value))
        # The worth of a second is the same at all sensors of a region.
        worth = np.maximum(sign * np.asarray(slope), 0.0) / share
        used = float(share @ (relative * worth))
        if not used > 0:
            msg = (
                f"the objective {problem.criterion.name!r} gains nothing from a longer dwell in any region, so that no "
                "division is better: is it smooth, and maximize= the right way round?"
            )
            raise InputError(msg)
        gap = float(worth.max() / used - 1)
        if progress is not None:
            progress("dividing the dwell", step + 1, steps + 1)
        if gap < _CONVERGED or step == steps:
            break
        scaled = relative * np.sqrt(worth)
        relative = scaled / (share @ scaled)
    spread = np.repeat(np.repeat(relative.reshape(regions), np.diff(ends[0]), axis=0), np.diff(ends[1]), axis=1)
    division = DwellDivision(float(setting.dwell) * spread, values, gap)
    if not division.converged:
        warnings.warn(
            f"after {steps} steps a second is still worth {gap:.0%} more in one region than on average; ask for more "
            "steps",
            DesignWarning,
            stacklevel=2,
        )
    return division


@eqx.filter_jit
def _value_and_gradient(
    constants: ProblemConstants,
    setting: Setting,
    relative: Float[Array, " region"],
    grams: Float[Array, "region unknown unknown"],
    magnetization: Float[Array, " grain"],
) -> tuple[Array, Array]:
    """Return the objective and its derivatives with respect to the dwell of the regions, relative to an equal one."""

    def value(relative: Array) -> Array:
        def precision(factor: Array) -> Array:
            changed = eqx.tree_at(lambda setting: setting.dwell, setting, setting.dwell * factor)
            # Without dwell there is no information.
            none = factor <= 0
            changed = jax.tree.map(lambda number: jnp.where(none, 1.0, number), changed)
            variance = constants.instrument.noise_variance
            return jnp.where(none, 0.0, variance(setting) / variance(changed))

        weight = jax.vmap(precision)(relative)
        return objective_value(constants, setting, jnp.tensordot(weight, grams, axes=1), magnetization)

    return jax.value_and_grad(value)(relative)
