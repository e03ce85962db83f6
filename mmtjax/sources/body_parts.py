"""Parts of bodies of signed corners: each shape is worked out once, large ones cut into halves again and again."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.physics.corner import corner_function
from mmtjax.physics.series import MOMENT_ORDER, body_series
from mmtjax.physics.small_sensor import sensor_mean
from mmtjax.progress import Progress
from mmtjax.sources.base import DegreeGroup, Parts
from mmtjax.sources.body_moments import central_moments
from mmtjax.sources.corners import volume_and_centroid
from mmtjax.sources.cutting import part_tree
from mmtjax.units import AXES

#: Corners that one row of work sums.
_CORNERS = 8

#: Shapes that are remembered: samples drawn from a library hold the same ones again and again.
_REMEMBERED = 512

#: The components of a uniform magnetization are those of a dipole.
_DIPOLE = (DegreeGroup(1, 0, len(AXES)),)


class _Shape(NamedTuple):
    """The parts of one shape, as in `Parts`."""

    centroid: Float[np.ndarray, "part 3"]
    volume: Float[np.ndarray, " part"]
    bounding_radius: Float[np.ndarray, " part"]
    moments: Float[np.ndarray, "part monomial"]
    corner_offset: Float[np.ndarray, "row corner 3"]
    corner_weight: Float[np.ndarray, "row corner"]
    halves: Int[np.ndarray, "part 2"]
    row_part: Int[np.ndarray, " row"]


def body_parts(
    corners: Float[np.ndarray, "corner 4"], first: Int[np.ndarray, " end"], *, progress: Progress | None = None
) -> Parts:
    """Return the parts of uniformly magnetized bodies.

    Parameters
    ----------
    corners
        Signed corners relative to the centroid of their body: x, y, z (µm) and weight.
    first
        Where the corners of each body begin, and at last where those of the last end.
    progress
        Called with the bodies that are done and all of them.
    """
    numbers: dict[bytes, int] = {}
    found: list[_Shape] = []
    root, count = [], 0
    for start, stop in zip(first[:-1], first[1:], strict=True):
        key = corners[start:stop].tobytes()
        if key not in numbers:
            numbers[key] = count
            found.append(_shape(key))
            count += len(found[-1].volume)
        root.append(numbers[key])
        if progress is not None:
            progress(len(root), len(first) - 1)
    begin = np.cumsum([0] + [len(shape.volume) for shape in found[:-1]])
    halves = [np.where(shape.halves < 0, -1, shape.halves + b) for shape, b in zip(found, begin, strict=True)]
    rows = [shape.row_part + b for shape, b in zip(found, begin, strict=True)]

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(shape, name) for shape in found])

    return Parts(
        centroid=joined("centroid"),
        bounding_radius=joined("bounding_radius"),
        strength=joined("volume")[:, None],
        moments=joined("moments"),
        halves=np.concatenate(halves),
        corner_offset=joined("corner_offset"),
        corner_weight=joined("corner_weight"),
        row_part=np.concatenate(rows),
        root=np.array(root),
        expansion=body_series,
        near_form=corner_function,
        groups=_DIPOLE,
        sensor_mean=sensor_mean,
    )


@lru_cache(maxsize=_REMEMBERED)
def _shape(corners: bytes) -> _Shape:
    """Return the parts of one shape, from the bytes of its signed corners."""
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
    return _Shape(
        centroid=np.array(centroid),
        volume=np.array(volume),
        bounding_radius=np.array(radius),
        moments=np.array(moments),
        corner_offset=np.concatenate(offsets),
        corner_weight=np.concatenate(weights),
        halves=tree.halves,
        row_part=np.array(rows),
    )
