"""What the field needs of the shapes of grains: moments and corners of each shape and of the parts it is cut in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from mmtjax.physics.series import MOMENT_ORDER
from mmtjax.sources.body_moments import central_moments
from mmtjax.sources.corners import volume_and_centroid
from mmtjax.sources.cutting import part_tree
from mmtjax.sources.grains import Grains

#: Corners that one row of work sums.
_CORNERS = 8

#: Shapes that are remembered: samples drawn from a library hold the same ones again and again.
_REMEMBERED = 512


@dataclass(frozen=True)
class Shapes:
    """Parts of all shapes that occur among some grains, one after another. Lengths are µm.

    Attributes
    ----------
    centroid
        Of each part, relative to that of its grain.
    volume, bounding_radius
        Of each part.
    moments
        About the centroid of each part, up to `MOMENT_ORDER`.
    halves
        The two parts that a part is cut in, -1 where it is not.
    corner_offset, corner_weight
        Rows of corners of uncut parts, relative to the centroid of the part, filled up with weight zero.
    row_part
        The part of each row, ascending.
    root
        The part that is the whole of each grain.
    """

    centroid: Float[np.ndarray, "part 3"]
    volume: Float[np.ndarray, " part"]
    bounding_radius: Float[np.ndarray, " part"]
    moments: Float[np.ndarray, "part monomial"]
    halves: Int[np.ndarray, "part 2"]
    corner_offset: Float[np.ndarray, "row corner 3"]
    corner_weight: Float[np.ndarray, "row corner"]
    row_part: Int[np.ndarray, " row"]
    root: Int[np.ndarray, " grain"]

    def uncut(self, part: int) -> list[int]:
        """The parts that a part is cut in, in the end."""
        below = self.halves[part]
        return [part] if below[0] < 0 else self.uncut(int(below[0])) + self.uncut(int(below[1]))


def shapes_of(grains: Grains, *, progress: Callable[[int, int], None] | None = None) -> Shapes:
    """The shapes of grains; each is worked out once, however many grains have it.

    `progress` is called with the grains that are done and all of them.
    """
    bounds = np.searchsorted(grains.corner_grain, np.arange(len(grains) + 1))
    corners = np.column_stack([grains.corner_offset, grains.corner_weight])
    first: dict[bytes, int] = {}
    found: list[Shapes] = []
    root, count = [], 0
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        key = corners[start:stop].tobytes()
        if key not in first:
            first[key] = count
            found.append(_shape(key))
            count += len(found[-1].volume)
        root.append(first[key])
        if progress is not None:
            progress(len(root), len(grains))
    begin = np.cumsum([0] + [len(shape.volume) for shape in found[:-1]])
    halves = [np.where(shape.halves < 0, -1, shape.halves + b) for shape, b in zip(found, begin, strict=True)]
    rows = [shape.row_part + b for shape, b in zip(found, begin, strict=True)]
    joined = {
        name: np.concatenate([getattr(shape, name) for shape in found])
        for name in ("centroid", "volume", "bounding_radius", "moments", "corner_offset", "corner_weight")
    }
    return Shapes(**joined, halves=np.concatenate(halves), row_part=np.concatenate(rows), root=np.array(root))


@lru_cache(maxsize=_REMEMBERED)
def _shape(corners: bytes) -> Shapes:
    """One shape, from the bytes of its signed corners."""
    tree = part_tree(np.frombuffer(corners).reshape(-1, 4))
    volume, centroid, radius, moments, offsets, weights, rows = [], [], [], [], [], [], []
    for number, body in enumerate(tree.corners):
        # Near the body, digits of the difference to its centroid are not lost.
        near = body[:, :3].max(axis=0)
        size, middle = volume_and_centroid(body[:, :3] - near, body[:, 3], np.zeros(len(body), int))
        relative = np.column_stack([body[:, :3] - (near + middle[0]), body[:, 3]])
        volume.append(size[0])
        centroid.append(near + middle[0])
        radius.append(np.linalg.norm(relative[:, :3], axis=1).max())
        moments.append(central_moments(relative, MOMENT_ORDER))
        if tree.halves[number, 0] < 0:
            filled = np.pad(relative, ((0, -len(relative) % _CORNERS), (0, 0))).reshape(-1, _CORNERS, 4)
            offsets.append(filled[..., :3])
            weights.append(filled[..., 3])
            rows += [number] * len(filled)
    return Shapes(
        centroid=np.array(centroid),
        volume=np.array(volume),
        bounding_radius=np.array(radius),
        moments=np.array(moments),
        halves=tree.halves,
        corner_offset=np.concatenate(offsets),
        corner_weight=np.concatenate(weights),
        row_part=np.array(rows),
        root=np.zeros(1, int),
    )
