"""Large bodies cut into halves again and again, whose far fields begin nearer than that of the whole."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

#: Bodies with more corners are cut: summing so many corners costs what a series costs.
CORNERS_OF_A_PART = 32


@dataclass(frozen=True)
class PartTree:
    """A body and its parts, each cut in two; the body itself is the first.

    Attributes
    ----------
    corners
        Signed corners of each part: x, y, z and weight.
    halves
        Numbers of the two halves of each part, -1 where it is not cut.
    """

    corners: list[Float[np.ndarray, "_ 4"]]
    halves: Int[np.ndarray, "part 2"]


def part_tree(body: Float[np.ndarray, "corner 4"], *, corners: int = CORNERS_OF_A_PART) -> PartTree:
    """Cut a body of signed corners in two at the middle of its longest edge, and its halves again.

    A part is cut as long as it has more than `corners` corners and cutting leaves each half with fewer. The corners are
    cut exactly: the half below a plane keeps those below it, and gets their sum along the normal, negated, on the
    plane; the half above gets the same sum with its sign.

    Examples
    --------
    >>> from mmtjax.sources.grains import Grains
    >>> row = Grains.from_cuboids([[x, 0.3 * (x % 2), -9, 0.5, 1, 1, 5] for x in range(20)])
    >>> tree = part_tree(np.column_stack([row.corner_offset, row.corner_weight]))
    >>> tree.halves[0].tolist(), len(tree.corners[0]) > 32 >= max(len(c) for c in tree.corners[-2:])
    ([1, 2], True)
    """
    found, halves = [body], [(-1, -1)]
    for number, part in enumerate(found):
        two = _cut(part) if len(part) > corners else None
        if two is not None:
            halves[number] = len(found), len(found) + 1
            found.extend(two)
            halves += [(-1, -1)] * 2
    return PartTree(found, np.array(halves))


def _cut(body: Float[np.ndarray, "corner 4"]) -> tuple[np.ndarray, np.ndarray] | None:
    axis = int(np.argmax(np.ptp(body[:, :3], axis=0)))
    levels = np.unique(body[:, axis])
    if len(levels) < 3:
        return None
    plane = levels[np.argmin(np.abs(levels - np.median(body[:, axis])))]
    if not levels[0] < plane < levels[-1]:
        plane = levels[len(levels) // 2]
    below = body[body[:, axis] < plane]
    across = [other for other in range(3) if other != axis]
    places, inverse = np.unique(below[:, across], axis=0, return_inverse=True)
    section = np.zeros((len(places), 4))
    section[:, across], section[:, axis] = places, plane
    section[:, 3] = np.bincount(inverse.ravel(), below[:, 3])
    section = section[section[:, 3] != 0]
    lower = np.concatenate([below, section * [1, 1, 1, -1]])
    upper = _merged(np.concatenate([body[body[:, axis] >= plane], section]))
    return None if max(len(lower), len(upper)) >= len(body) else (lower, upper)


def _merged(body: Float[np.ndarray, "corner 4"]) -> Float[np.ndarray, "merged 4"]:
    """Add the weights of corners at one place, and drop those that cancel."""
    places, inverse = np.unique(body[:, :3], axis=0, return_inverse=True)
    weight = np.bincount(inverse.ravel(), body[:, 3])
    return np.column_stack([places, weight])[weight != 0]
