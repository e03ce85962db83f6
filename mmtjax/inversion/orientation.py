"""Other readings of a map that nothing explains: turned or mirrored, in another unit of length, depths the wrong way.

A map whose axes or lengths were confused leaves a residual that is a large part of the map. Each such mistake is undone
in turn on a coarse part of the map, and the reading that fits far better than the map as given is named. Mirror images
on the same sensors have the same Green's matrix, so that they share one factorization. The sign of Bz and the unit of
the field change nothing but the magnetizations: a fit does not show them.
"""

from collections.abc import Iterator
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmtjax.inversion.groups import same_sensors
from mmtjax.inversion.misfit import MOST_UNEXPLAINED
from mmtjax.inversion.solution import Solution
from mmtjax.inversion.stack import SourceStack
from mmtjax.inversion.strategy import green_operator
from mmtjax.patterns.base import AbstractPattern
from mmtjax.patterns.fixed import FixedColumns
from mmtjax.precision import is_concrete
from mmtjax.scan.grid import SensorGrid
from mmtjax.solvers.orthogonal import Orthogonal
from mmtjax.sources.base import AbstractSource
from mmtjax.sources.grains import Grains

#: Residual as a share of the map beyond which other orientations are tried, if noise does not explain it.
_WORTH_TRYING = 0.03

#: Largest number of sources of a trial, those nearest to the middle of the sample. Sensors up to this share of their
#: distance from the middle are used: farther ones see too much of the sources that are left out.
_SOURCES = 128
_INNER = 0.8

#: Number of sensors of a trial, or per unknown if that is more; and the least number in use per unknown with which a
#: reading is tried: with few sensors a wrong reading fits, too.
_SENSORS = 4096
_SENSORS_PER_UNKNOWN = 6
_FEWEST_PER_UNKNOWN = 2

#: Error of a coefficient of a trial as a share of the peak of its source.
_TOLERANCE = 1e-6

#: Factors by which lengths are tried, from µm in place of nm to µm in place of mm.
_FACTORS = (1e-3, 1e-2, 0.1, 10.0, 100.0, 1e3)

#: Share of the sources that lies below the map in a reading that is tried.
_BELOW_THE_MAP = 0.5

#: A reading is named if the mean square of its residual is less than this share of that of the map as given. It is 1e-5
#: to 0.01 for maps without other faults, and 0.02 to 0.1 for a published scan.
_FAR_BETTER = 0.25


class Reading(NamedTuple):
    """One way to read a map.

    Attributes
    ----------
    name
        What differs from the map as given.
    field, weight
        The map without fixed patterns, nT, and the weights of its sensors.
    grid, sources
        The sensors and the sources.
    """

    name: str
    field: Float[np.ndarray, "ny nx"]
    weight: Float[np.ndarray, "ny nx"]
    grid: SensorGrid
    sources: AbstractSource


def better_reading(solution: Solution) -> str | None:
    """Return a reading of the map that fits far better than the map as given; None if there is none.

    Nothing is computed where the residual is a small share of the map or noise explains it, nor for traced numbers.
    Orientations are tried first. Lengths in other units and depths the wrong way are tried if no orientation fits and
    the residual is so large that no source is trusted.

    Parameters
    ----------
    solution
        The solution of the map as given.
    """
    if not is_concrete(solution.scan, solution.stack, solution.residual):
        return None
    found = solution.misfit
    exceeds = found.exceeds_noise if solution.noise_is_known else found.is_correlated
    if not (exceeds and found.share > _WORTH_TRYING):
        return None
    given = _as_given(solution)
    trial = _ReadingTrial(tuple(one for one in solution.stack.patterns if not isinstance(one, FixedColumns)))
    before = trial.unexplained(given)
    for readings in (orientations(given), *([lengths(given)] if found.share > MOST_UNEXPLAINED else [])):
        unexplained = {reading.name: trial.unexplained(reading) for reading in readings}
        if unexplained and (best := min(unexplained, key=lambda name: unexplained[name])):
            if unexplained[best] < _FAR_BETTER * before:
                return best
    return None


def _as_given(solution: Solution) -> Reading:
    """Return the map as given, less the fitted field of its fixed patterns."""
    scan, stack = solution.scan, solution.stack
    weight = np.where(scan.mask, 1 / np.broadcast_to(np.asarray(solution.noise), scan.grid.shape), 0.0)
    field = np.where(scan.mask, np.asarray(scan.field), 0.0)
    for pattern, estimate in zip(stack.patterns, solution.estimates[len(stack.sources) :], strict=True):
        if isinstance(pattern, FixedColumns):
            field = field - np.tensordot(np.asarray(estimate.values)[0], np.asarray(pattern.columns(scan.grid)), axes=1)
    return Reading("as given", field, weight, scan.grid, stack.primary)


def orientations(given: Reading) -> Iterator[Reading]:
    """Yield the map in the seven other orientations.

    A map whose rows and columns are exchanged has sensors of its own: the spacing along x and y is as given, or, where
    this makes a difference, exchanged as well.

    Parameters
    ----------
    given
        The map as given.
    """
    grid = given.grid
    kept = SensorGrid(grid.origin, grid.spacing, grid.shape[::-1], grid.height, grid.side)
    swapped = SensorGrid(grid.origin[::-1], grid.spacing[::-1], grid.shape[::-1], grid.height, grid.side[::-1])
    exchanged = [("", kept)]
    if not same_sensors(kept, swapped):
        exchanged.append((", with its spacing and origin exchanged between x and y", swapped))
    for up, right, mirrored in (
        (-1, 1, "with its rows in reverse order, field[::-1] (mirrored along y)"),
        (1, -1, "with its columns in reverse order, field[:, ::-1] (mirrored along x)"),
        (-1, -1, "with its rows and columns in reverse order, field[::-1, ::-1] (turned by 180°)"),
    ):
        yield given._replace(name=mirrored, field=given.field[::up, ::right], weight=given.weight[::up, ::right])
    for up, right, turned in (
        (1, 1, "transposed, field.T"),
        (-1, 1, "turned by 90°, field[::-1].T"),
        (1, -1, "turned by 90°, field[:, ::-1].T"),
        (-1, -1, "transposed about its other diagonal, field[::-1, ::-1].T"),
    ):
        field, weight = given.field[::up, ::right].T, given.weight[::up, ::right].T
        for addition, sensors in exchanged:
            yield Reading(turned + addition, field, weight, sensors, given.sources)


def lengths(given: Reading) -> Iterator[Reading]:
    """Yield the map with lengths in another unit, and with the depths of grains the wrong way.

    Parameters
    ----------
    given
        The map as given.
    """
    grid = given.grid
    if isinstance(given.sources, Grains):
        name = "with the z of all grains reversed, so that the deepest become the shallowest (slices in reverse order)"
        yield given._replace(name=name, sources=_upside_down(given.sources))
    for factor in _FACTORS:
        across = SensorGrid(grid.origin * factor, grid.spacing * factor, grid.shape, grid.height, grid.side * factor)
        yield given._replace(name=f"with a spacing (and origin) {factor:g} times as large", grid=across)
        if grid.height > 0:
            raised = SensorGrid(grid.origin, grid.spacing, grid.shape, grid.height * factor, grid.side)
            yield given._replace(name=f"with a height {factor:g} times as large", grid=raised)
        # The field depends on ratios of lengths alone: larger grains are a smaller grid.
        whole = SensorGrid(
            grid.origin / factor, grid.spacing / factor, grid.shape, grid.height / factor, grid.side / factor
        )
        yield given._replace(name=f"with all lengths of the grains {factor:g} times as large", grid=whole)


def _upside_down(grains: Grains) -> Grains:
    """Return grains mirrored in z about the middle of all of them."""
    depth = np.asarray(grains.position)[:, 2][np.asarray(grains.corner_grain)]
    corners = depth + np.asarray(grains.corner_offset)[:, 2]
    ends = corners.min() + corners.max()
    return eqx.tree_at(
        lambda own: (own.position, own.corner_offset, own.corner_weight),
        grains,
        (
            np.asarray(grains.position) * [1, 1, -1] + [0, 0, ends],
            np.asarray(grains.corner_offset) * [1, 1, -1],
            -np.asarray(grains.corner_weight),
        ),
    )


class _ReadingTrial:
    """Fits of readings on a coarse part of the map.

    The latest factor is kept, because readings in succession often have the same sensors, weights and sources.
    """

    def __init__(self, patterns: tuple[AbstractPattern, ...]) -> None:
        self.patterns = patterns
        self.latest: tuple[Reading, _Factored] | None = None

    def unexplained(self, reading: Reading) -> float:
        """Return the share of the mean square of the map that is not explained; infinite if it cannot be computed."""
        coarse = _coarse_part(reading)
        if coarse is None:
            return np.inf
        if self.latest is None or not _same_problem(self.latest[0], coarse):
            self.latest = coarse, _Factored(coarse, self.patterns)
        return self.latest[1].unexplained(coarse)


class _Factored:
    """The Green's matrix of one reading on a coarse part of the map, and its factor."""

    def __init__(self, reading: Reading, patterns: tuple[AbstractPattern, ...]) -> None:
        stack = SourceStack((reading.sources,), patterns)
        solver = Orthogonal()
        self.green = green_operator(stack, reading.grid, form="dense", tolerance=_TOLERANCE, plans=None)
        self.factor = solver.compute(solver.init(self.green, jnp.asarray(reading.weight)), None)

    def unexplained(self, reading: Reading) -> float:
        """Return the share of the mean square of the map that is not explained."""
        weight, field = jnp.asarray(reading.weight), jnp.asarray(reading.field)
        solved = self.factor.solve(self.green.rmv(weight**2 * field))[0]
        # From the residual of the map itself, which the rounding of a factor can only increase.
        residual = jnp.sum((weight * (field - self.green.mv(solved))) ** 2)
        share = float(residual / jnp.maximum(jnp.sum((weight * field) ** 2), jnp.finfo(field.dtype).tiny))
        return share if np.isfinite(share) else np.inf


def _same_problem(one: Reading, other: Reading) -> bool:
    """Return whether two coarse parts have the same matrix."""
    same = one.sources is other.sources or np.array_equal(one.sources.position, other.sources.position)
    return same and same_sensors(one.grid, other.grid) and np.array_equal(one.weight, other.weight)


def _coarse_part(reading: Reading) -> Reading | None:
    """Return the sources in the middle of the sample and some of the sensors above them; None if there are too few."""
    sources, grid = reading.sources, reading.grid
    place, spacing, origin = np.asarray(sources.position)[:, :2], np.asarray(grid.spacing), np.asarray(grid.origin)
    count = np.array(grid.shape[::-1])
    low, high = origin - spacing / 2, origin + (count - 0.5) * spacing
    below = np.all((place >= low) & (place <= high), axis=1).mean() >= _BELOW_THE_MAP
    if not below or float(np.max(np.asarray(sources.top))) > float(grid.height):
        return None
    first, last = np.zeros(2, int), count - 1
    if len(sources) > _SOURCES:
        middle = np.median(place, axis=0)
        away = np.abs(place - middle).max(axis=1)
        some = np.sort(np.argsort(away)[:_SOURCES])
        reach = _INNER * away[some].max()
        first = np.clip(np.ceil((middle - reach - origin) / spacing), 0, count - 1).astype(int)
        last = np.clip((middle + reach - origin) / spacing, first, count - 1).astype(int)
        sources = sources.select(some)
    unknowns = len(sources.components) * len(sources)
    enough = max(_SENSORS, _SENSORS_PER_UNKNOWN * unknowns)
    step = max(1, int(np.sqrt(np.prod(last + 1 - first) / enough)))
    columns, rows = (slice(*ends, step) for ends in zip(first, last + 1, strict=True))
    weight = reading.weight[rows, columns]
    if np.count_nonzero(weight) < _FEWEST_PER_UNKNOWN * unknowns:
        return None
    return Reading(reading.name, reading.field[rows, columns], weight, grid.window(rows, columns), sources)
