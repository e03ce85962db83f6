"""Convert signed corners back to boxes: few cuboids for files of other programs, outlines for maps."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError
from mmtjax.sources.grains import Grains

#: Corners of one grain whose coordinates differ by less than this share of its size lie in one plane of its lattice.
_SAME_PLANE = 1e-9

#: Cells along an edge of the part of a lattice that is searched at once; the time of a search goes as the fifth power.
_SEARCHED = 16

#: Indices of a cell of a lattice along x, y, z.
CellIndex = tuple[int, int, int]


def merge_cuboids(grains: Grains, *, search: bool = True) -> Float[np.ndarray, "cuboid 7"]:
    """Return few cuboids that make up the grains, as `Grains.from_cuboids` takes them.

    Each grain is cut into the cells of its own rectilinear lattice, and the largest cuboid of the remaining cells is
    removed until none is left. The number of cuboids is small, but not always the smallest. Lattices of more than 16
    cells along an axis are cut into parts first.

    Parameters
    ----------
    grains
        Bodies of any shape made of boxes, not traced.
    search
        False joins cells along x, then the rows along y, then the plates along z: about twice as many cuboids, in a
        hundredth of the time.

    Returns
    -------
    np.ndarray
        (cuboid, 7): centre x, y, z, half-lengths x, y, z (µm), and the id of the grain, in the order of the grains.
        Cuboids of one grain share no volume, unless the grain itself counts volume twice (``allow_overlap=True``).

    Raises
    ------
    ValueError
        For grains with a negative or fractional indicator, which are not made of boxes.

    Examples
    --------
    >>> slices = [[0, 0, -5, 1, 1, 0.5, 7], [0, 0, -4, 1, 1, 0.5, 7]]
    >>> merge_cuboids(Grains.from_cuboids(slices)).tolist()
    [[0.0, 0.0, -4.5, 1.0, 1.0, 1.0, 7.0]]
    """
    rows = []
    for index in range(len(grains)):
        planes, indicator = lattice(grains, index)
        # A level is a set of cells; volume that is counted twice belongs to two levels.
        for level in range(1, int(indicator.max()) + 1):
            filled = indicator >= level
            boxes = np.array(list(_boxes(filled, list(map(np.diff, planes))))) if search else join_cells(filled)
            ends = np.stack([planes[axis][boxes[:, :, axis]] for axis in range(3)], axis=2)
            centre = np.asarray(grains.position)[index] + ends.mean(axis=1)
            rows.append(np.column_stack([centre, np.ptp(ends, axis=1) / 2, np.full(len(ends), grains.ids[index])]))
    return np.concatenate(rows)


def footprints(grains: Grains) -> list[Float[np.ndarray, "segment 2 2"]]:
    """Return the outlines of the grains as seen from above.

    Returns
    -------
    list of np.ndarray
        For each grain the segments of its outline, holes included, (segment, end, xy), µm, in no order.

    Raises
    ------
    ValueError
        As `merge_cuboids`.

    Examples
    --------
    >>> len(footprints(Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]]))[0])
    4
    """
    outlines = []
    for index in range(len(grains)):
        (x, y, _), indicator = lattice(grains, index)
        place = np.asarray(grains.position)[index]
        covered = np.pad((indicator > 0).any(axis=2), 1)
        x, y = x + place[0], y + place[1]
        i, j = np.nonzero(np.diff(covered.astype(np.int8), axis=0)[:, 1:-1])
        upright = np.stack([np.column_stack([x[i], y[j]]), np.column_stack([x[i], y[j + 1]])], axis=1)
        i, j = np.nonzero(np.diff(covered.astype(np.int8), axis=1)[1:-1])
        level = np.stack([np.column_stack([x[i], y[j]]), np.column_stack([x[i + 1], y[j]])], axis=1)
        outlines.append(np.concatenate([upright, level]))
    return outlines


def lattice(grains: Grains, index: int) -> tuple[list[Float[np.ndarray, " plane"]], Int[np.ndarray, "nx ny nz"]]:
    """Return the lattice of one grain and how often each of its cells is filled.

    Returns
    -------
    planes
        Planes of the lattice along x, y and z relative to the centroid, µm.
    indicator
        How often each cell is filled, (nx, ny, nz).

    Raises
    ------
    ValueError
        For a grain with a negative or fractional indicator, which is not made of boxes.
    """
    own = slice(*np.searchsorted(grains.corner_grain, [index, index + 1]))
    offset, weight = np.asarray(grains.corner_offset)[own], np.asarray(grains.corner_weight)[own]
    same = _SAME_PLANE * np.max(np.ptp(offset, axis=0))
    planes, numbers = [], []
    for coordinate in offset.T:
        values = np.sort(coordinate)
        distinct = values[np.r_[True, np.diff(values) > same]]
        planes.append(distinct)
        numbers.append(np.searchsorted(distinct, coordinate + same / 2) - 1)
    mixed = np.zeros([len(axis) for axis in planes])
    np.add.at(mixed, tuple(numbers), weight)
    indicator = mixed.cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)
    whole = np.round(indicator).astype(np.int64)
    if np.any(np.abs(indicator - whole) > 1e-6) or whole.min() < 0:
        msg = f"grain {grains.ids[index]} is not made of boxes: its indicator goes from {indicator.min():g}"
        raise InputError(msg)
    return planes, whole[:-1, :-1, :-1]


def join_cells(filled: np.ndarray) -> Int[np.ndarray, "box 2 3"]:
    """Return first and past-the-end cells of the boxes of cells joined along x, then y, then z.

    Examples
    --------
    >>> join_cells(np.ones((2, 3, 1), bool)).tolist()
    [[[0, 0, 0], [2, 3, 1]]]
    """
    cells = np.argwhere(filled)
    boxes = np.stack([cells, cells + 1], axis=1)
    for axis in range(3):
        across = [other for other in range(3) if other != axis]
        key = np.column_stack([boxes[:, :, across].reshape(-1, 4), boxes[:, 0, axis]])
        order = np.lexsort(key.T[::-1])
        boxes, key = boxes[order], key[order]
        continues = np.all(key[1:, :4] == key[:-1, :4], axis=1) & (boxes[1:, 0, axis] == boxes[:-1, 1, axis])
        boxes = np.stack([boxes[np.r_[True, ~continues], 0], boxes[np.r_[~continues, True], 1]], axis=1)
    return boxes


def _boxes(filled: np.ndarray, lengths: list[np.ndarray]) -> Iterator[tuple[CellIndex, CellIndex]]:
    """Yield first and past-the-end cells of the boxes, the largest first within each searched part."""
    starts = [range(0, count, _SEARCHED) for count in filled.shape]
    for start in itertools.product(*starts):
        window = tuple(slice(first, first + _SEARCHED) for first in start)
        remaining = filled[window].copy()
        edges = [length[part] for length, part in zip(lengths, window, strict=True)]
        while remaining.any():
            low, high = _largest_box(remaining, edges)
            remaining[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = False
            yield tuple(np.add(low, start).tolist()), tuple(np.add(high, start).tolist())


def _largest_box(filled: np.ndarray, lengths: list[np.ndarray]) -> tuple[CellIndex, CellIndex]:
    """Return the box of largest volume among those of filled cells only."""
    x_low, x_high = _ranges(filled.shape[0])
    y_low, y_high = _ranges(filled.shape[1])
    # A range is filled where all of its cells are: first [x range, y, z], then [x range, y range, z].
    count = np.pad(filled.cumsum(axis=0, dtype=np.int16), ((1, 0), (0, 0), (0, 0)))
    slab = (count[x_high] - count[x_low]) == (x_high - x_low)[:, None, None]
    count = np.pad(slab.cumsum(axis=1, dtype=np.int16), ((0, 0), (1, 0), (0, 0)))
    beam = (count[:, y_high] - count[:, y_low]) == (y_high - y_low)[:, None]
    area = np.outer(_extent(lengths[0], x_low, x_high), _extent(lengths[1], y_low, y_high))
    run, cells = np.zeros(beam.shape[:2]), np.zeros(beam.shape[:2], np.int64)
    best, low, high = 0.0, (0, 0, 0), (1, 1, 1)
    for end in range(beam.shape[2]):
        run = (run + lengths[2][end]) * beam[:, :, end]
        cells = (cells + 1) * beam[:, :, end]
        i, j = np.unravel_index(np.argmax(run * area), area.shape)
        if (volume := float((run * area)[i, j])) > best:
            best = volume
            low = (int(x_low[i]), int(y_low[j]), end + 1 - int(cells[i, j]))
            high = (int(x_high[i]), int(y_high[j]), end + 1)
    return low, high


def _ranges(count: int) -> tuple[Int[np.ndarray, " range"], Int[np.ndarray, " range"]]:
    """Return first and past-the-end cells of all ranges of `count` cells."""
    low, high = np.triu_indices(count)
    return low, high + 1


def _extent(lengths: np.ndarray, low: np.ndarray, high: np.ndarray) -> Float[np.ndarray, " range"]:
    """Return the lengths of ranges of cells, µm."""
    ends = np.r_[0.0, np.cumsum(lengths)]
    return ends[high] - ends[low]
