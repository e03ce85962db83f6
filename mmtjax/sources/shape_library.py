"""Libraries of shapes of grains: those of a microCT scan, or synthetic ones (Out et al. 2022, section 2.1.1)."""

import dataclasses
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int

from mmtjax.lazy import ndimage
from mmtjax.sources.cuboids import merge_cuboids
from mmtjax.sources.grains import Grains

#: Edge of a voxel of the microCT scan of the paper, µm.
_VOXEL = 0.75

#: Seed and number of the synthetic shapes.
_SEED, _COUNT = 2022, 300

#: Diameters (µm) and their frequencies per unit of ln d, linear in ln d in between. Grains of these diameters, placed
#: as in section 2.1.1, have the SSR distribution of Fig. 3b and the selected shares of section 4.4 of the paper.
_DIAMETERS = (1.17, 4.0, 8.0, 14.0, 20.0)
_FREQUENCY = (0.015, 0.23, 0.36, 0.035, 1.0)

#: Standard deviation of the logarithm of the axes of the ellipsoid that a shape is made from, standard deviation of the
#: logarithm of its radius by bumps, and number of the bumps.
_ANISOTROPY, _BUMP, _BUMPS = 0.25, 0.25, 8


@dataclasses.dataclass(frozen=True, eq=False)
class ShapeLibrary:
    """Shapes of grains, each a body made of boxes about its centroid. Lengths are µm.

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
        Indices of the first corner and cuboid of each shape, and the number of all at the end, (shape + 1,).
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
        """Make a library of the shapes of grains, such as those of a microCT scan of the user's own rock.

        Parameters
        ----------
        grains
            Bodies made of boxes; their orientations are kept, their places do not matter.

        Raises
        ------
        ValueError
            For grains with a negative or fractional indicator, which are not made of boxes.

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
        """Return the number of shapes."""
        return len(self.volume)

    @property
    def equivalent_diameter(self) -> Float[np.ndarray, " shape"]:
        """Diameter of the sphere with the volume of the shape, µm."""
        return np.cbrt(6 / np.pi * self.volume)

    def grains(self, shape: Int[np.ndarray, " grain"], position: Float[np.ndarray, "grain 3"]) -> Grains:
        """Make grains of chosen shapes with their centroids at given places.

        Parameters
        ----------
        shape
            Indices of the shapes.
        position
            Centroids, µm.

        Returns
        -------
        Grains
            With the ids 1, 2, 3, …

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
    """Return 300 ragged, anisotropic shapes of voxels of 0.75 µm with equivalent diameters from 1 to 20 µm.

    The shapes of the paper, from microCT of a Hawaiian lava, are not public. The synthetic ones are ellipsoids of
    random axes and orientation with random bumps. Their diameters are distributed so that grains placed as in section
    2.1.1 have the signal strength ratios of Fig. 3b, in samples 50 and 75 µm thick. They are the same at every call.

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
    # All bodies, one behind the other with gaps between them, make one labelled stack.
    length = np.array([body.shape for body in bodies])
    start = np.cumsum(length[:, 0] + 1) - length[:, 0]
    labels = np.zeros((start[-1] + length[-1, 0], *length[:, 1:].max(axis=0)), np.int32)
    for index, body in enumerate(bodies):
        depth, rows, columns = body.shape
        labels[start[index] : start[index] + depth, :rows, :columns] = body * (index + 1)
    return ShapeLibrary.from_grains(Grains.from_voxels(labels, spacing=_VOXEL))


def _diameters() -> Float[np.ndarray, " shape"]:
    """Return diameters at equal steps of the probability, ascending, µm."""
    fine = np.linspace(np.log(_DIAMETERS[0]), np.log(_DIAMETERS[-1]), 2001)
    share = np.cumsum(np.interp(fine, np.log(_DIAMETERS), _FREQUENCY))
    return np.exp(np.interp((np.arange(_COUNT) + 0.5) / _COUNT, share / share[-1], fine))


def _body(rng: np.random.Generator, voxels: int) -> Bool[np.ndarray, "z y x"]:
    """Draw a connected body of a given number of voxels, in its bounding box."""
    while True:
        axes = np.exp(rng.normal(0, _ANISOTROPY, 3))
        frame = np.linalg.qr(rng.normal(size=(3, 3)))[0] / axes[:, None]
        bumps = rng.normal(size=(_BUMPS, 3))
        # The mean of the sixth power of a component of a random direction is 1/7.
        strength = rng.normal(0, _BUMP * np.sqrt(7 / _BUMPS), _BUMPS)
        bumps *= (np.cbrt(strength) / np.linalg.norm(bumps, axis=1))[:, None]
        body = _level_set(frame, bumps, centre=rng.uniform(-0.5, 0.5, 3), voxels=voxels)
        if ndimage.label(body, output=np.empty(body.shape, np.int32)) == 1:
            return body[ndimage.find_objects(body.astype(np.int8))[0]]


def _level_set(
    frame: Float[np.ndarray, "3 3"], bumps: Float[np.ndarray, "bump 3"], *, centre: Float[np.ndarray, "3"], voxels: int
) -> Bool[np.ndarray, "edge edge edge"]:
    """Return the voxels that lie deepest in an ellipsoid with bumps, `voxels` of them."""
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
        # A body that reaches the border of the window may go on beyond it.
        if not any(inside[end].any() or inside[:, end].any() or inside[:, :, end].any() for end in (0, -1)):
            return inside
        reach += reach // 2
