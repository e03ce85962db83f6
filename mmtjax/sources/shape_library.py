"""Shapes of grains to draw from: those of a microCT scan, or synthetic ones (Out et al. 2022, section 2.1.1)."""

import dataclasses
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from mmtjax.sources.cuboids import merge_cuboids
from mmtjax.sources.grains import Grains

#: Edge of a voxel of the microCT scan of the paper, µm.
_VOXEL = 0.75

_SEED, _COUNT = 2022, 300

#: Diameters (µm) and how frequent they are per unit of ln d, linear in ln d in between. Placed as in section 2.1.1,
#: grains of these have the SSR distribution of Fig. 3b and the selected shares of section 4.4 of the paper.
_DIAMETERS = (1.17, 4.0, 8.0, 14.0, 20.0)
_FREQUENCY = (0.015, 0.23, 0.36, 0.035, 1.0)

#: Standard deviations of the logarithm of the axes of the ellipsoid that a shape begins as, and of the logarithm of
#: the radius of the bumps on it, with their number.
_ANISOTROPY, _BUMP, _BUMPS = 0.25, 0.25, 8


@dataclasses.dataclass(frozen=True, eq=False)
class ShapeLibrary:
    """Shapes of grains, each a body made of boxes about its centroid. Lengths are µm, and orientations are kept.

    Attributes
    ----------
    volume, bounding_radius
        Volume in µm³ and largest distance of a corner from the centroid, (shape,).
    low, high
        Ends of the bounding box relative to the centroid, (shape, 3).
    corner_offset, corner_weight
        Signed corners as in `Grains`, (corner, 3) and (corner,).
    cuboid_low, cuboid_high
        Ends of the cuboids that make up the shapes, relative to the centroid, (cuboid, 3).
    first_corner, first_cuboid
        Where the corners and cuboids of each shape begin, and at last where those of the last end, (shape + 1,).
    """

    volume: Float[np.ndarray, " shape"]
    bounding_radius: Float[np.ndarray, " shape"]
    low: Float[np.ndarray, "shape 3"]
    high: Float[np.ndarray, "shape 3"]
    corner_offset: Float[np.ndarray, "corner 3"]
    corner_weight: Float[np.ndarray, " corner"]
    cuboid_low: Float[np.ndarray, "cuboid 3"]
    cuboid_high: Float[np.ndarray, "cuboid 3"]
    first_corner: Int[np.ndarray, " end"]
    first_cuboid: Int[np.ndarray, " end"]

    @classmethod
    def from_grains(cls, grains: Grains) -> "ShapeLibrary":
        """The shapes of grains, such as those of a microCT scan of the user's own rock.

        Parameters
        ----------
        grains
            Bodies made of boxes; where they lie does not matter.

        Raises
        ------
        ValueError
            For grains with negative or fractional indicator, which no boxes make.

        Examples
        --------
        >>> library = ShapeLibrary.from_grains(Grains.from_cuboids([[3, 4, -5, 1, 2, 1, 7]]))
        >>> len(library), library.high.tolist()
        (1, [[1.0, 2.0, 1.0]])
        """
        count = len(grains)
        numbered = dataclasses.replace(grains, ids=np.arange(count))
        cuboids = merge_cuboids(numbered, search=False)
        owner = cuboids[:, 6].astype(np.int64)
        centre = cuboids[:, :3] - np.asarray(grains.position)[owner]
        first_corner = np.searchsorted(grains.corner_grain, np.arange(count + 1))
        offset = np.asarray(grains.corner_offset)
        return cls(
            volume=np.asarray(grains.volume),
            bounding_radius=np.asarray(grains.bounding_radius),
            low=np.minimum.reduceat(offset, first_corner[:-1]),
            high=np.maximum.reduceat(offset, first_corner[:-1]),
            corner_offset=offset,
            corner_weight=np.asarray(grains.corner_weight),
            cuboid_low=centre - cuboids[:, 3:6],
            cuboid_high=centre + cuboids[:, 3:6],
            first_corner=first_corner,
            first_cuboid=np.searchsorted(owner, np.arange(count + 1)),
        )

    def __len__(self) -> int:
        return len(self.volume)

    @property
    def equivalent_diameter(self) -> Float[np.ndarray, " shape"]:
        """Diameter of the sphere with the volume of the shape, µm."""
        return np.cbrt(6 / np.pi * self.volume)

    def grains(self, shape: Int[np.ndarray, " grain"], position: Float[np.ndarray, "grain 3"]) -> Grains:
        """Grains of chosen shapes (indices) with their centroids at `position`, µm; ids are 1, 2, 3, …

        Examples
        --------
        >>> library = synthetic_library()
        >>> grains = library.grains(np.array([5, 5]), np.array([[0.0, 0, -9], [20, 0, -9]]))
        >>> len(grains), bool(grains.volume[0] == library.volume[5])
        (2, True)
        """
        corners = np.diff(self.first_corner)[shape]
        ends = np.cumsum(corners)
        corner = np.arange(ends[-1]) + np.repeat(self.first_corner[shape] - (ends - corners), corners)
        return Grains(
            position=position,
            corner_offset=self.corner_offset[corner],
            corner_weight=self.corner_weight[corner],
            corner_grain=np.repeat(np.arange(len(shape), dtype=np.int32), corners),
            volume=self.volume[shape],
            bounding_radius=self.bounding_radius[shape],
            ids=np.arange(1, len(shape) + 1),
        )


@cache
def synthetic_library() -> ShapeLibrary:
    """300 ragged, anisotropic shapes of voxels of 0.75 µm with equivalent diameters from 1 to 20 µm.

    The shapes of the paper, microCT of a Hawaiian lava, are not public. These are ellipsoids of random axes and
    orientation with random bumps; the distribution of their diameters is such that grains placed as in section 2.1.1
    have the signal strength ratios of Fig. 3b, at 50 and at 75 µm. They are the same at every call.

    Examples
    --------
    >>> library = synthetic_library()
    >>> len(library), bool(library.equivalent_diameter.min() > 1), bool(library.equivalent_diameter.max() < 20)
    (300, True, True)
    """
    bodies = [
        _body(np.random.default_rng([_SEED, index]), round(np.pi / 6 * (diameter / _VOXEL) ** 3))
        for index, diameter in enumerate(_diameters())
    ]
    # One row of slabs with a gap between them makes one labelled stack.
    length = np.array([body.shape for body in bodies])
    start = np.cumsum(length[:, 0] + 1) - length[:, 0]
    labels = np.zeros((start[-1] + length[-1, 0], *length[:, 1:].max(axis=0)), np.int32)
    for index, body in enumerate(bodies):
        depth, rows, columns = body.shape
        labels[start[index] : start[index] + depth, :rows, :columns] = body * (index + 1)
    return ShapeLibrary.from_grains(Grains.from_voxels(labels, spacing=_VOXEL))


def _diameters() -> Float[np.ndarray, " shape"]:
    """Diameters at equal steps of the probability, ascending, µm."""
    fine = np.linspace(np.log(_DIAMETERS[0]), np.log(_DIAMETERS[-1]), 2001)
    share = np.cumsum(np.interp(fine, np.log(_DIAMETERS), _FREQUENCY))
    return np.exp(np.interp((np.arange(_COUNT) + 0.5) / _COUNT, share / share[-1], fine))


def _body(rng: np.random.Generator, voxels: int) -> Bool[np.ndarray, "z y x"]:
    """A connected body of so many voxels, in the smallest window that holds it."""
    while True:
        axes = np.exp(rng.normal(0, _ANISOTROPY, 3))
        frame = np.linalg.qr(rng.normal(size=(3, 3)))[0] / axes[:, None]
        bumps = rng.normal(size=(_BUMPS, 3))
        # The mean of the sixth power of a component of a random direction is 1/7.
        strength = rng.normal(0, _BUMP * np.sqrt(7 / _BUMPS), _BUMPS)
        bumps *= (np.cbrt(strength) / np.linalg.norm(bumps, axis=1))[:, None]
        body = _level_set(frame, bumps, centre=rng.uniform(-0.5, 0.5, 3), voxels=voxels)
        if ndimage.label(body)[1] == 1:
            return body[ndimage.find_objects(body.astype(np.int8))[0]]


def _level_set(
    frame: Float[np.ndarray, "3 3"], bumps: Float[np.ndarray, "bump 3"], *, centre: Float[np.ndarray, "3"], voxels: int
) -> Bool[np.ndarray, "edge edge edge"]:
    """The `voxels` voxels that lie deepest in an ellipsoid with bumps."""
    reach = int(np.ceil(0.8 * np.cbrt(voxels))) + 1
    while True:
        steps = np.arange(-reach, reach + 1)
        x, y, z = (
            np.expand_dims(steps - middle, [other for other in range(3) if other != axis])
            for axis, middle in enumerate(centre)
        )
        stretched = sum((x * a + y * b + z * c) ** 2 for a, b, c in frame)
        cubes = np.zeros_like(stretched)
        for a, b, c in bumps:
            along = x * a + y * b + z * c
            cubes += along * along * along
        distance = np.sqrt(x * x + y * y + z * z)
        level = stretched * np.exp(-2 * cubes / (distance * distance * distance))
        inside = level <= np.partition(level, voxels - 1, axis=None)[voxels - 1]
        # What reaches the border of the window may go on beyond it.
        if not any(inside[end].any() or inside[:, end].any() or inside[:, :, end].any() for end in (0, -1)):
            return inside
        reach += reach // 2
