"""Overlapping windows that cover a sample, and blocks that part its sensors."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mmtjax.greens.compressed.tree import LEAF, spanning_level
from mmtjax.scan.grid import SensorGrid

#: Blocks of sensors that are enough to keep several workers busy, though some are narrow.
_SHARED = 16


class Window(NamedTuple):
    """Part of a sample that is solved on its own.

    Attributes
    ----------
    grains
        Indices of the grains that are unknown, ascending.
    core
        Which of them this window answers for; the others are its buffer.
    rows, columns
        The sensors that it looks at, at least.
    """

    grains: Int[np.ndarray, " own"]
    core: Bool[np.ndarray, " own"]
    rows: slice
    columns: slice

    def sees(self, blocks: list[tuple[slice, slice]]) -> list[int]:
        """Numbers of the blocks of sensors that hold some of those that it looks at."""
        own = self.rows, self.columns
        return [
            number
            for number, block in enumerate(blocks)
            if all(a.start < b.stop and b.start < a.stop for a, b in zip(own, block, strict=True))
        ]


def divide_sample(
    position: Float[np.ndarray, "grain 3"], grid: SensorGrid, *, core: float, buffer: float, margin: float
) -> list[Window]:
    """Windows whose cores hold every grain once.

    Parameters
    ----------
    position
        Centroids, µm.
    grid
        The sensors.
    core
        Edge of the cores, about, µm: what divides the sample evenly and is next to it.
    buffer
        Width of the frame about a core in which grains are unknown too, µm.
    margin
        Width of the frame about that in which sensors are looked at, µm.

    Raises
    ------
    ValueError
        If there is no sensor near some grains.

    Examples
    --------
    >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(10, 100), height=1)
    >>> places = np.array([[5.0, 5, -5], [40, 5, -5], [95, 5, -5]])
    >>> [window.grains.tolist() for window in divide_sample(places, grid, core=45, buffer=10, margin=10)]
    [[0, 1], [1, 2]]
    """
    low, high = position[:, :2].min(axis=0), position[:, :2].max(axis=0)
    count = np.maximum(1, np.rint((high - low) / core)).astype(int)
    edge = np.where(high > low, (high - low) / count, 1.0)
    cell = np.minimum((position[:, :2] - low) // edge, count - 1).astype(int)
    windows = []
    for row, column in np.ndindex(count[1], count[0]):
        own = np.all(cell == [column, row], axis=1)
        if not own.any():
            continue
        first = low + edge * [column, row]
        last = first + edge
        near = np.all((position[:, :2] >= first - buffer) & (position[:, :2] <= last + buffer), axis=1) | own
        index = np.flatnonzero(near)
        reach = buffer + margin
        columns, rows = (
            slice(int(np.searchsorted(axis, begin - reach)), int(np.searchsorted(axis, end + reach, side="right")))
            for axis, begin, end in zip((np.asarray(grid.x), np.asarray(grid.y)), first, last, strict=True)
        )
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError(
                f"no sensor lies within {reach:g} µm of {int(own.sum())} grains about x = {(first + last)[0] / 2:g}, "
                f"y = {(first + last)[1] / 2:g} µm; leave out grains that lie beside the map"
            )
        windows.append(Window(index, own[index], rows, columns))
    return windows


def divide_sensors(grid: SensorGrid, *, edge: float) -> list[tuple[slice, slice]]:
    """Rows and columns of blocks that hold every sensor once, as wide as the squares that the columns' tree is made of.

    Where squares begin and end with a block, none hangs over its edge, and the largest are far from most grains.

    Parameters
    ----------
    grid
        The sensors.
    edge
        What blocks should be as wide as, µm. They are up to twice as wide where that leaves sixteen of them or more,
        and down to half as wide where it does not.

    Examples
    --------
    >>> divide_sensors(SensorGrid(origin=(0, 0), spacing=1, shape=(50, 130), height=1), edge=40)
    [(slice(0, 32, None), slice(0, 32, None)), (slice(0, 32, None), slice(32, 64, None)), ...]
    """
    level = spanning_level(edge / float(np.min(np.asarray(grid.spacing))))
    parts = _squares(grid, level)
    if len(parts) < _SHARED and level > 0:
        return _squares(grid, level - 1)
    return parts


def _squares(grid: SensorGrid, level: int) -> list[tuple[slice, slice]]:
    """Rows and columns of the squares of a level that cover a grid, as far as it goes."""
    size = LEAF << level
    rows, columns = (
        [slice(start, min(start + size, length)) for start in range(0, length, size)] for length in grid.shape
    )
    return list(itertools.product(rows, columns))
