"""Overlapping windows that cover a sample, and blocks that divide its sensors."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mmtjax.errors import InputError
from mmtjax.greens.compressed.tree import LEAF, spanning_level
from mmtjax.scan.grid import SensorGrid

#: Number of blocks of sensors that is sufficient for several workers, although some blocks are narrow.
_SHARED = 16


class Window(NamedTuple):
    """Part of a sample that is solved on its own.

    Attributes
    ----------
    grains
        Indices of the grains that are unknown, ascending.
    core
        Whether each of them belongs to the core, whose results come from this window; the others are its buffer.
    rows, columns
        The sensors that it uses, at least.
    """

    grains: Int[np.ndarray, " own"]
    core: Bool[np.ndarray, " own"]
    rows: slice
    columns: slice

    def sees(self, blocks: list[tuple[slice, slice]]) -> list[int]:
        """Return the numbers of the blocks that include some of its sensors.

        Parameters
        ----------
        blocks
            Rows and columns of all blocks.
        """
        own = self.rows, self.columns
        return [
            number
            for number, block in enumerate(blocks)
            if all(a.start < b.stop and b.start < a.stop for a, b in zip(own, block, strict=True))
        ]


def divide_sample(
    position: Float[np.ndarray, "grain 3"], grid: SensorGrid, *, core: float, buffer: float, margin: float
) -> list[Window]:
    """Return windows; every grain is in the core of exactly one of them.

    Parameters
    ----------
    position
        Centroids, µm.
    grid
        The sensors.
    core
        Approximate edge of the cores, µm; the nearest value that divides the sample evenly is used.
    buffer
        Width of the frame around a core in which grains are unknown too, µm.
    margin
        Width of the frame around core and buffer in which sensors are used, µm.

    Raises
    ------
    ValueError
        If some grains have no sensor near them.

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
            msg = (
                f"no sensor lies within {reach:g} µm of {int(own.sum())} grains near x = {(first + last)[0] / 2:g}, "
                f"y = {(first + last)[1] / 2:g} µm; leave out grains that are not below the map"
            )
            raise InputError(msg)
        windows.append(Window(index, own[index], rows, columns))
    return windows


def divide_sensors(grid: SensorGrid, *, edge: float) -> list[tuple[slice, slice]]:
    """Return rows and columns of blocks that include every sensor once, with the edges of squares of the compression.

    No square of the compressed columns then extends beyond its block, and the largest squares are far from most grains.

    Parameters
    ----------
    grid
        The sensors.
    edge
        Desired edge of the blocks, µm. They are up to twice as wide if there are then at least sixteen of them, and
        at least half as wide if not.

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
    """Return rows and columns of the squares of a level that cover a grid, cut off at its edges."""
    size = LEAF << level
    rows, columns = (
        [slice(start, min(start + size, length)) for start in range(0, length, size)] for length in grid.shape
    )
    return list(itertools.product(rows, columns))
