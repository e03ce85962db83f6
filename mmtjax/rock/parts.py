"""Large grains cut into parts, whose far field begins nearer than that of the whole."""

import numpy as np
from jaxtyping import Float

from mmtjax.rock.grains import Grains

#: Grains with more corners are cut, and their parts again: summing so many corners costs what the series costs.
CORNERS_OF_A_PART = 32


def parts_of(grains: Grains, *, corners: int = CORNERS_OF_A_PART) -> tuple[Grains, np.ndarray]:
    """Parts that together are the grains, and the index of the grain of each part, ascending.

    A body is cut in two at the middle one of the corner coordinates along its longest edge, as long as it has more
    than `corners` corners and cutting leaves each half with fewer. The corners of the whole are cut exactly: the half
    below a plane keeps those below it, and gets their sum along the normal, negated, on the plane; the half above gets
    the same sum with its sign.

    Examples
    --------
    >>> row = Grains.from_cuboids([[x, 0.3 * (x % 2), -9, 0.5, 1, 1, 5] for x in range(20)])
    >>> parts, owner = parts_of(row)
    >>> round(float(np.sum(parts.volume)), 9), set(owner.tolist())
    (80.0, {0})
    """
    bodies, owners = [], []
    bounds = np.searchsorted(grains.corner_grain, np.arange(len(grains) + 1))
    for index, (start, stop) in enumerate(zip(bounds[:-1], bounds[1:], strict=True)):
        whole = np.column_stack([grains.corner_offset[start:stop], grains.corner_weight[start:stop]])
        pieces = _cut(whole, corners) if len(whole) > corners else [whole]
        bodies += pieces
        owners += [index] * len(pieces)
    owner = np.asarray(owners)
    part = np.repeat(np.arange(len(bodies)), [len(body) for body in bodies])
    table = np.concatenate(bodies)
    # Positions are added afterwards: offsets keep digits that coordinates of the sample would lose.
    parts = Grains.from_corners(table[:, :3], table[:, 3], part, ids=np.arange(len(bodies)))
    return parts, owner


def _cut(body: Float[np.ndarray, "corner 4"], corners: int) -> list[Float[np.ndarray, "_ 4"]]:
    if len(body) <= corners:
        return [body]
    axis = int(np.argmax(np.ptp(body[:, :3], axis=0)))
    levels = np.unique(body[:, axis])
    plane = levels[np.argmin(np.abs(levels - np.median(body[:, axis])))]
    if not levels[0] < plane < levels[-1]:
        plane = levels[len(levels) // 2]
    if len(levels) < 3:
        return [body]
    below = body[body[:, axis] < plane]
    across = [other for other in range(3) if other != axis]
    places, inverse = np.unique(below[:, across], axis=0, return_inverse=True)
    section = np.zeros((len(places), 4))
    section[:, across], section[:, axis] = places, plane
    section[:, 3] = np.bincount(inverse.ravel(), below[:, 3])
    section = section[section[:, 3] != 0]
    lower = np.concatenate([below, section * [1, 1, 1, -1]])
    upper = _merged(np.concatenate([body[body[:, axis] >= plane], section]))
    if max(len(lower), len(upper)) >= len(body):
        return [body]
    return _cut(lower, corners) + _cut(upper, corners)


def _merged(body: Float[np.ndarray, "corner 4"]) -> Float[np.ndarray, "merged 4"]:
    """Add the weights of corners at one place, and drop those that cancel."""
    places, inverse = np.unique(body[:, :3], axis=0, return_inverse=True)
    weight = np.bincount(inverse.ravel(), body[:, 3])
    return np.column_stack([places, weight])[weight != 0]
