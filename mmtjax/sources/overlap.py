"""Boxes that share volume, found by descending a tree of bounding boxes."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

#: Boxes may sink into each other by this share of the smallest edge before it counts: files round coordinates.
_TOUCHING = 1e-6

_PAIRS_AT_ONCE = 500_000


def overlaps(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of boxes that share volume: indices (pair, 2), the lower one first, and volumes (pair,).

    The pairs are in the order of their lower ends along x.

    Examples
    --------
    >>> pairs, volume = overlaps(np.array([[0.0, 0, 0], [0.5, 0, 0]]), np.array([[1.0, 1, 1], [1.5, 1, 1]]))
    >>> pairs.tolist(), volume.tolist()
    ([[0, 1]], [0.5])
    """
    slack = _TOUCHING * np.min(high - low)
    along_x = np.argsort(low[:, 0], kind="stable")
    low, high = low[along_x], high[along_x]
    order = _neighbours_together(low + high)
    groups = [np.arange(0, len(low), size) for size in _group_sizes(len(low))]
    tree = [(np.minimum.reduceat(low[order], first), np.maximum.reduceat(high[order], first)) for first in groups]
    leaves = np.concatenate(list(_descend(np.zeros((1, 2), np.int64), tree, slack=slack)))
    pairs = np.sort(order[leaves], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    one, other = pairs.T
    volume = np.prod(np.minimum(high[one], high[other]) - np.maximum(low[one], low[other]), axis=1)
    return np.sort(along_x[pairs], axis=1), volume


def _group_sizes(count: int) -> list[int]:
    """Boxes per node of the tree at each level, from the root, which holds all, to single boxes."""
    return [1 << level for level in reversed(range((count - 1).bit_length() + 1))]


def _neighbours_together(centre: Float[np.ndarray, "box 3"]) -> Int[np.ndarray, " box"]:
    """Order of the boxes in which each half, quarter, eighth, … is compact: halves along x, y, z, x, … in turn."""
    order = np.arange(len(centre))
    for level, size in enumerate(_group_sizes(len(centre))[:-1]):
        order = order[np.lexsort((centre[order, level % 3], np.arange(len(centre)) // size))]
    return order


def _descend(
    pairs: Int[np.ndarray, "pair 2"],
    tree: list[tuple[Float[np.ndarray, "_ 3"], Float[np.ndarray, "_ 3"]]],
    *,
    slack: float,
) -> Iterator[Int[np.ndarray, "found 2"]]:
    """Pairs of boxes that share volume, in parts, below pairs of nodes of the level that `tree` starts with."""
    (low, high), *finer = tree
    one, other = pairs.T
    shared = np.ones(len(pairs), bool)
    for axis in range(3):
        shared &= np.minimum(high[one, axis], high[other, axis]) - np.maximum(low[one, axis], low[other, axis]) > slack
    pairs = pairs[shared]
    if not finer:
        yield pairs[pairs[:, 0] != pairs[:, 1]]
        return
    # In parts, since where much overlaps the pairs of all nodes would not fit into memory.
    for part in np.array_split(pairs, len(pairs) // _PAIRS_AT_ONCE + 1):
        yield from _descend(_children(part, len(finer[0][0])), finer, slack=slack)


def _children(pairs: Int[np.ndarray, "pair 2"], count: int) -> Int[np.ndarray, "child 2"]:
    """Pairs among `count` nodes of the next level, each once, and each child of a node with itself."""
    one, other = 2 * pairs.T
    children = np.concatenate([np.column_stack([one + i, other + j]) for i in (0, 1) for j in (0, 1)])
    # The last node may have a single child.
    return children[(children[:, 0] <= children[:, 1]) & (children[:, 1] < count)]
