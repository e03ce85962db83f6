"""A lower bound of the condition number of a large sample, from the grains in its middle."""

import jax.numpy as jnp
import numpy as np

from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.scan.grid import SensorGrid
from mmtjax.solvers.orthogonal import Orthogonal
from mmtjax.sources.base import AbstractSource

#: Number of grains in the middle that are used, the smallest sampling interval (µm), and the width of the margin of
#: sensors around the grains (µm).
_GRAINS = 128
_INTERVAL = 5.0
_MARGIN = 40.0

#: For samples of up to this number of grains the bound is not computed.
_FEW = 384

#: Smallest ratio of the condition number of the whole sample to that of the grains in its middle; it is 19 to 3,000 in
#: samples of the paper.
_GROWTH = 10.0

#: A ratio of the condition number to its lower bound that is rarely exceeded: columns with smaller errors than needed
#: cost less than columns that are computed twice. In eight samples it was 110 to 400 for 1,875 grains at 75 µm and at
#: most 90 for fewer grains; a ratio of 450 does no harm.
USUAL_GROWTH = 300.0


def subsample_condition(sources: AbstractSource, grid: SensorGrid) -> float:
    """Return the condition number of the equilibrated Q of the sources in the middle and the sensors above them.

    The whole sample has a larger condition number, for more sources can only raise it. Fewer sensors change it little.

    Parameters
    ----------
    sources, grid
        All sources and sensors.

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
    """Return a lower bound of the condition number of the equilibrated Q; for a small sample the bound is 1.

    Parameters
    ----------
    sources, grid
        All sources and sensors.

    Examples
    --------
    >>> import mmtjax
    >>> two = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    >>> least_condition(two, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    1.0
    """
    return _GROWTH * subsample_condition(sources, grid) if len(sources) > _FEW else 1.0
