"""Shapes of grains for a page: few cuboids for the view in space, and outlines for the map."""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mmtjax.io.grain_file import stored_cuboids
from mmtjax.lazy import xarray
from mmtjax.sources.cuboids import footprints, join_cells
from mmtjax.sources.grains import Grains

#: Cuboids of all grains together that a page holds; of samples with more, the shapes are coarsened.
_MOST_CUBOIDS = 40_000

#: Cells along an edge of a coarsened grain, at most.
_MOST_CELLS = 12


class GrainShapes(NamedTuple):
    """Shapes of grains, as cuboids and as outlines seen from above.

    Attributes
    ----------
    centre, half_length
        Cuboids, (cuboid, 3), µm.
    owner
        Index of the grain of each cuboid, ascending, (cuboid,).
    segments
        Outlines: x and y of both ends, (segment, 4), µm.
    segment_owner
        Index of the grain of each segment, ascending, (segment,).
    note
        What the shapes are, where they are not those of the grains.
    """

    centre: Float[np.ndarray, "cuboid 3"]
    half_length: Float[np.ndarray, "cuboid 3"]
    owner: Int[np.ndarray, " cuboid"]
    segments: Float[np.ndarray, "segment 4"]
    segment_owner: Int[np.ndarray, " segment"]
    note: str = ""


def stored_shapes(stored: "xarray.Dataset", *, count: int) -> GrainShapes:
    """Return the shapes that results hold, coarsened where there are too many cuboids for a page.

    Parameters
    ----------
    stored
        Contents of ``grains.nc``.
    count
        Number of the grains.

    Raises
    ------
    ValueError
        If the file does not hold the cuboids of that many grains.
    """
    centre, half, owner = stored_cuboids(stored, count=count)
    if len(owner) <= _MOST_CUBOIDS:
        return _with_outlines(centre, half, owner)
    coarse = _coarsened(centre, half, owner)
    return _with_outlines(*coarse, note="Shapes are coarsened.")


def shapes_of_volumes(position: Float[np.ndarray, "grain 3"], volume: Float[np.ndarray, " grain"]) -> GrainShapes:
    """Return cubes of given volumes, for results that do not hold the shapes of the grains.

    Parameters
    ----------
    position, volume
        Centroids, µm, and volumes, µm³.
    """
    half = np.broadcast_to(np.cbrt(volume)[:, None] / 2, position.shape)
    note = "The results do not hold the shapes of the grains: they are drawn as cubes of their volumes."
    return _with_outlines(position, half, np.arange(len(volume)), note=note)


def _with_outlines(centre: np.ndarray, half: np.ndarray, owner: np.ndarray, *, note: str = "") -> GrainShapes:
    """Return the shapes with their outlines."""
    grains = Grains.from_cuboids(np.column_stack([centre, half, owner]), allow_overlap=True)
    outlines = footprints(grains)
    segments = np.concatenate(outlines).reshape(-1, 4)
    segment_owner = np.repeat(np.arange(len(outlines)), [len(outline) for outline in outlines])
    return GrainShapes(centre, half, owner, *_joined(segments, segment_owner), note)


def _joined(segments: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join segments of one grain that continue each other along x or along y."""
    upright = segments[:, 0] == segments[:, 2]
    level, start = np.where(upright, segments[:, 0], segments[:, 1]), np.where(upright, segments[:, 1], segments[:, 0])
    end = np.where(upright, segments[:, 3], segments[:, 2])
    order = np.lexsort((start, level, upright, owner))
    segments, owner, upright, level, start, end = (
        values[order] for values in (segments, owner, upright, level, start, end)
    )
    same = (owner[1:] == owner[:-1]) & (upright[1:] == upright[:-1]) & (level[1:] == level[:-1])
    continues = same & (start[1:] == end[:-1])
    first, last = np.r_[True, ~continues], np.r_[~continues, True]
    return np.column_stack([segments[first, :2], segments[last, 2:]]), owner[first]


def _coarsened(centre: np.ndarray, half: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cuboids of coarse grains: those cells of a few along each axis whose middle is in the grain."""
    count = int(owner[-1]) + 1
    # Cells are joined in rows, and the rows in plates: a grain of n³ cells, some of them empty, has about ⅔ n² cuboids.
    cells = int(np.clip(np.sqrt(1.5 * _MOST_CUBOIDS / count), 1, _MOST_CELLS))
    first = np.searchsorted(owner, np.arange(count + 1))
    centres, halves, owners = [], [], []
    for index, (start, stop) in enumerate(zip(first[:-1], first[1:], strict=True)):
        low, high = centre[start:stop] - half[start:stop], centre[start:stop] + half[start:stop]
        corner = low.min(axis=0)
        edge = (high.max(axis=0) - corner) / cells
        filled = _filled_cells((low - corner) / edge, (high - corner) / edge, cells)
        # A thin grain that lies askew may miss every middle.
        boxes = join_cells(filled if filled.any() else np.ones((1, 1, 1), bool))
        scale = edge if filled.any() else edge * cells
        centres.append(corner + boxes.mean(axis=1) * scale)
        halves.append(np.diff(boxes, axis=1)[:, 0] * scale / 2)
        owners.append(np.full(len(boxes), index))
    return np.concatenate(centres), np.concatenate(halves), np.concatenate(owners)


def _filled_cells(
    low: Float[np.ndarray, "cuboid 3"], high: Float[np.ndarray, "cuboid 3"], cells: int
) -> Bool[np.ndarray, "x y z"]:
    """Return the cells whose middle lies in a cuboid, of a cube of so many cells along each axis.

    Ends of the cuboids are in cells. Corners of the filled blocks are added with alternating signs, and then summed
    along all axes.
    """
    begin = np.clip(np.ceil(low - 0.5), 0, cells).astype(int)
    end = np.clip(np.floor(high - 0.5) + 1, 0, cells).astype(int)
    some = np.all(begin < end, axis=1)
    ends = np.stack([begin[some], end[some]])
    mixed = np.zeros([cells + 1] * 3, int)
    for sides in itertools.product((0, 1), repeat=3):
        place = tuple(ends[side, :, axis] for axis, side in enumerate(sides))
        np.add.at(mixed, place, (-1) ** sum(sides))
    return mixed.cumsum(axis=0).cumsum(axis=1).cumsum(axis=2)[:-1, :-1, :-1] > 0
