"""Boxes that share volume, found by a sweep along x."""

import numpy as np

#: Boxes may sink into each other by this share of the smallest edge before it counts: files round coordinates.
_TOUCHING = 1e-6

_PAIRS_AT_ONCE = 4_000_000


def overlaps(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of boxes that share volume: indices (pair, 2), the lower one first, and volumes (pair,).

    Examples
    --------
    >>> pairs, volume = overlaps(np.array([[0.0, 0, 0], [0.5, 0, 0]]), np.array([[1.0, 1, 1], [1.5, 1, 1]]))
    >>> pairs.tolist(), volume.tolist()
    ([[0, 1]], [0.5])
    """
    slack = _TOUCHING * np.min(high - low)
    order = np.argsort(low[:, 0], kind="stable")
    low, high = low[order], high[order]
    partners = np.maximum(np.searchsorted(low[:, 0], high[:, 0] - slack) - np.arange(len(low)) - 1, 0)
    total = np.cumsum(partners)
    found, volumes = [np.empty((0, 2), np.int64)], [np.empty(0)]
    start = 0
    while start < len(low):
        done = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, done + _PAIRS_AT_ONCE, side="right")))
        count = partners[start:stop]
        one = np.repeat(np.arange(start, stop), count)
        other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
        depth = np.minimum(high[one], high[other]) - np.maximum(low[one], low[other])
        shared = np.all(depth > slack, axis=1)
        found.append(np.sort(order[np.column_stack([one, other])[shared]], axis=1))
        volumes.append(np.prod(depth[shared], axis=1))
        start = stop
    return np.concatenate(found), np.concatenate(volumes)
