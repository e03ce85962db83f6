"""Find the surface of grains made of boxes, as rectangles to draw."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mmtjax.sources.cuboids import lattice
from mmtjax.sources.grains import Grains


class Faces(NamedTuple):
    """Rectangles on the surface of grains.

    Attributes
    ----------
    corners
        Corners of each rectangle in order around it, (face, corner, xyz), µm.
    grain
        Number of the grain of each rectangle, (face,).
    """

    corners: Float[np.ndarray, "face 4 3"]
    grain: Int[np.ndarray, " face"]


def surface_faces(grains: Grains) -> Faces:
    """Return rectangles that together are the surface of the grains.

    Faces between two filled cells are left out, and cells in a row share one rectangle.

    Raises
    ------
    ValueError
        As `mmtjax.sources.cuboids.lattice`.

    Examples
    --------
    >>> two_boxes = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [2, 0, -5, 1, 1, 1, 1]])
    >>> len(surface_faces(two_boxes).corners)
    6
    """
    corners, owner = [np.empty((0, 4, 3))], [np.empty(0, np.int64)]
    for index in range(len(grains)):
        planes, indicator = lattice(grains, index)
        place = np.asarray(grains.position)[index]
        absolute = [axis + offset for axis, offset in zip(planes, place, strict=True)]
        for axis in range(3):
            for upper in (False, True):
                faces = _faces_along(absolute, indicator > 0, axis=axis, upper=upper)
                corners.append(faces)
                owner.append(np.full(len(faces), index))
    return Faces(np.concatenate(corners), np.concatenate(owner))


def _faces_along(
    planes: list[Float[np.ndarray, " _"]], filled: np.ndarray, *, axis: int, upper: bool
) -> Float[np.ndarray, "face 4 3"]:
    """Return the faces across one axis on one side of the filled cells, joined along the last of the other axes."""
    across, along = [other for other in range(3) if other != axis]
    cells = np.moveaxis(filled, (axis, across, along), (0, 1, 2))
    beyond = np.zeros_like(cells)
    if upper:
        beyond[:-1] = cells[1:]
    else:
        beyond[1:] = cells[:-1]
    open_ = np.pad(cells & ~beyond, ((0, 0), (0, 0), (1, 1)))
    step = np.diff(open_.astype(np.int8), axis=2)
    level, row, first = np.nonzero(step == 1)
    past = np.nonzero(step == -1)[2]
    corners = np.empty((len(level), 4, 3))
    corners[:, :, axis] = planes[axis][level + upper][:, None]
    low, high = planes[across][row], planes[across][row + 1]
    corners[:, :, across] = np.stack([low, high, high, low], axis=1)
    start, end = planes[along][first], planes[along][past]
    corners[:, :, along] = np.stack([start, start, end, end], axis=1)
    return corners
