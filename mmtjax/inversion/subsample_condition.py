"""An estimate of the condition number of a sample from the grains in its middle, before all of it is worked on."""

import jax.numpy as jnp
import numpy as np

from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.scan.grid import SensorGrid
from mmtjax.solvers.orthogonal import Orthogonal
from mmtjax.sources.base import AbstractSource

#: Grains looked at, the sampling interval at least and how far the sensors reach beyond the grains (µm).
_GRAINS = 128

#: Samples of no more grains are solved without a look at their middle.
_FEW = 384
_INTERVAL = 5.0
_MARGIN = 40.0

#: The condition number of the whole over that of the grains looked at, at least: 19 to 3,000 in samples of the paper.
_GROWTH = 10.0

#: And over this least one, nearly always at most: columns that are too fine cost less than making them twice. Of 1,875
#: grains at 75 µm it was 110 to 400, of fewer at most 90 (eight samples); up to half as much again does no harm.
USUAL_GROWTH = 300.0


def subsample_condition(sources: AbstractSource, grid: SensorGrid) -> float:
    """Return the condition number of the equilibrated Q of the sources in the middle, seen by sensors above them.

    Removing sources only lowers a condition number, so that the whole sample has a larger one; fewer sensors change it
    little.

    Examples
    --------
    >>> import mmtjax
    >>> one = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> 1 < subsample_condition(one, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1)) < 3
    True
    """
    place = np.asarray(sources.position)[:, :2]
    middle = np.median(place, axis=0)
    away = np.abs(place - middle).max(axis=1)
    some = np.sort(np.argsort(away)[:_GRAINS])
    origin, spacing = np.asarray(grid.origin), np.asarray(grid.spacing)
    step = np.maximum(1, np.round(_INTERVAL / spacing))
    reach = away[some].max() + _MARGIN
    count = np.array(grid.shape[::-1])
    first = np.clip(np.ceil((middle - reach - origin) / spacing), 0, count - 1).astype(int)
    last = np.clip((middle + reach - origin) / spacing, first, count - 1).astype(int)
    columns, rows = (slice(*ends) for ends in zip(first, last + 1, step.astype(int), strict=True))
    above = grid.window(rows, columns)
    green = DenseGreen.from_operator(TiledGreen(sources.select(some), above))
    solver = Orthogonal()
    return float(solver.compute(solver.init(green, jnp.ones(above.shape)), None).condition)


def least_condition(sources: AbstractSource, grid: SensorGrid) -> float:
    """Return a lower bound of the condition number of the equilibrated Q of a large sample; one for a small one.

    Examples
    --------
    >>> import mmtjax
    >>> two = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    >>> least_condition(two, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    1.0
    """
    return _GROWTH * subsample_condition(sources, grid) if len(sources) > _FEW else 1.0
