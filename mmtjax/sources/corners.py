"""Signed corners of bodies made of boxes: the mixed difference ∂x∂y∂z of their indicator."""

import itertools

import numpy as np

from mmtjax.errors import InputError
from mmtjax.lazy import ndimage

#: Coordinates closer than this share of the smallest box edge are one coordinate (text files round them).
_SAME_COORDINATE = 2e-6

#: Coordinates may be rounded by this share of the smallest box edge: less than what matters for a field.
_LARGEST_ROUNDING = 1e-4


def check_rounding(low: np.ndarray, high: np.ndarray, *, half: np.ndarray) -> None:
    """Raise ValueError if coordinates are too large for the edges of boxes.

    Parameters
    ----------
    low, high
        Ends of the boxes, (box, 3), µm.
    half
        Half of their edges, (box, 3), µm.

    Raises
    ------
    ValueError
        If coordinates or volumes overflow or underflow, or if coordinates are rounded by more than 1e-4 of the smallest
        edge.
    """
    with np.errstate(over="ignore", under="ignore"):
        volume = np.prod(2 * half, axis=1)
    smallest, farthest = np.argmin(half.min(axis=1)), np.argmax(np.abs([low, high]).max(axis=(0, 2)))
    if not (np.all(np.isfinite([low, high])) and np.all(volume >= np.finfo(np.float64).tiny) and volume.max() < np.inf):
        wrong = np.argmax(np.abs(np.log(half)).max(axis=1)) if np.all(np.isfinite([low, high])) else farthest
        msg = (
            f"cuboid {wrong} has half-lengths {half[wrong].tolist()} and reaches from {low[wrong].tolist()} to "
            f"{high[wrong].tolist()} µm, beyond what can be computed with; are the lengths in another unit?"
        )
        raise InputError(msg)
    rounding = _rounding(np.array([low, high]))
    if rounding > _LARGEST_ROUNDING * 2 * half[smallest].min():
        reach = np.abs([low[farthest], high[farthest]]).max()
        msg = (
            f"a half-length is {half[smallest].min():g} µm (cuboid {smallest}), and coordinates reach {reach:g} µm "
            f"(cuboid {farthest}), where they are rounded to {rounding:.2g} µm; are all lengths in one "
            "unit, and is the origin in the sample?"
        )
        raise InputError(msg)


def _rounding(coordinates: np.ndarray) -> float:
    """Return the error that coordinates may have from rounding."""
    return float(8 * np.spacing(np.max(np.abs(coordinates))))


def corners_of_boxes(low: np.ndarray, high: np.ndarray, grain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners of grains made of boxes: places (corner, 3), weights and grain indices, both (corner,).

    A box has eight corners with weight +1 where an even number of its coordinates is the upper one, -1 elsewhere;
    corners of one grain at one place add, and those that cancel are dropped.
    """
    choices = np.array(list(itertools.product((0, 1), repeat=3)))
    places = np.where(choices[None], high[:, None], low[:, None]).reshape(-1, 3)
    weight = np.tile(np.prod(1 - 2 * choices, axis=1), len(low))
    owner = np.repeat(grain, 8)
    tolerance = _SAME_COORDINATE * np.min(high - low) + _rounding(places)
    snapped = [_snap(places[:, axis], owner, tolerance) for axis in range(3)]
    key = np.column_stack([owner] + [number for number, _ in snapped])
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    total = np.bincount(inverse.ravel(), weight)
    kept, weights = first[total != 0], total[total != 0]
    corners = np.column_stack([value[kept] for _, value in snapped])
    return _restore_moments(corners, weights, owner[kept], low=low, high=high, grain=grain), weights, owner[kept]


def _restore_moments(
    corners: np.ndarray,
    weights: np.ndarray,
    owner: np.ndarray,
    *,
    low: np.ndarray,
    high: np.ndarray,
    grain: np.ndarray,
) -> np.ndarray:
    """Scale and shift the corners of each grain to the volume and centroid of its boxes.

    Snapping moves faces by the rounding of the file, and with them the volume by up to 2e-7 on a published scan: more
    than the tolerance of the field.
    """
    size = np.prod(high - low, axis=1)
    volume = np.bincount(grain, size)
    centroid = np.column_stack([np.bincount(grain, size * (low + high)[:, axis] / 2) for axis in range(3)])
    centroid /= volume[:, None]
    offset = corners - centroid[owner]
    snapped_volume, snapped_centroid = volume_and_centroid(offset, weights, owner)
    scale = np.cbrt(volume / snapped_volume)
    return centroid[owner] + scale[owner, None] * (offset - snapped_centroid[owner])


def volume_and_centroid(corners: np.ndarray, weights: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Volumes (grain,) and centroids (grain, 3) of bodies given by signed corners about a point near each."""
    volume = np.bincount(owner, -weights * np.prod(corners, axis=1))
    first = [np.bincount(owner, -weights * np.prod(corners, axis=1) * corners[:, axis] / 2) for axis in range(3)]
    return volume, np.column_stack(first) / volume[:, None]


def _snap(coordinate: np.ndarray, owner: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a number and a common value for coordinates that are equal within `tolerance` in one grain."""
    order = np.lexsort((coordinate, owner))
    sorted_coordinate = coordinate[order]
    starts = np.r_[True, (np.diff(owner[order]) != 0) | (np.diff(sorted_coordinate) > tolerance)]
    group = np.cumsum(starts) - 1
    number = np.empty(len(coordinate), np.int64)
    number[order] = group
    return number, (np.bincount(number, coordinate) / np.bincount(number))[number]


def corners_of_labels(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Corners of the grains of a labelled stack [z, y, x]: ids, places, weights, grain indices.

    Places are counted in voxels, in the order x, y, z; the low corner of voxel [0, 0, 0] is at (0, 0, 0). Grains are
    in the order of their first appearance in the flattened stack.
    """
    flat = labels.ravel()
    occupied = np.flatnonzero(flat)
    ids, first, inverse = np.unique(flat[occupied], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    numbered = np.zeros(flat.shape, np.int32)
    numbered[occupied] = rank[inverse]
    numbered = numbered.reshape(labels.shape)
    places, weights, grains = [], [], []
    for index, window in enumerate(ndimage.find_objects(numbered)):
        inside = np.pad((numbered[window] == index + 1).astype(np.int8), 1)
        mixed = inside
        for axis in range(3):
            mixed = np.diff(mixed, axis=axis)
        corner = np.argwhere(mixed)
        weights.append(mixed[tuple(corner.T)])
        places.append((corner + [side.start for side in window])[:, ::-1])
        grains.append(np.full(len(corner), index))
    return (
        ids[order],
        np.concatenate(places).astype(np.float64),
        np.concatenate(weights).astype(np.float64),
        np.concatenate(grains),
    )
