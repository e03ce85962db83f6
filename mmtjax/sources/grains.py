"""Grains: bodies of uniform magnetization, each a set of signed corners."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError, require_type
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete, refuse_masked
from mmtjax.progress import Progress
from mmtjax.sources.base import AbstractSource, Parts, selected_indices
from mmtjax.sources.body_parts import body_parts
from mmtjax.sources.corners import check_rounding, corners_of_boxes, corners_of_labels, volume_and_centroid
from mmtjax.sources.ids import exact_ids
from mmtjax.sources.overlap import overlaps
from mmtjax.units import AXES
from mmtjax.unknowns import Component

#: Two grains of which one lies in the other by this share of its volume are taken for a mistake. The grains of a
#: published scan overlap by up to 0.42.
_MOSTLY_INSIDE = 0.5 - 1e-6

#: The components of a uniform magnetization.
MAGNETIZATION = tuple(Component(f"m{axis}", "A/m") for axis in AXES)


class Grains(AbstractSource):
    """Grains of a slice of rock, each with a uniform magnetization of its own.

    A body made of boxes is held by the points where the mixed difference ∂x∂y∂z of its indicator is nonzero, with
    integer weights: ``indicator(r) = Σ weight · H(x - cx) H(y - cy) H(z - cz)``. Corners shared by touching boxes
    cancel, so cuboids and voxels of one shape give the same set. Build grains with `from_cuboids`, `from_voxels` or
    `from_volumes`; arrays are ordered by the first appearance of a grain in the input. Lengths are µm, z is up, and the
    surface of the sample lies at z = 0.

    Attributes
    ----------
    position
        Centroids, (grain, 3).
    corner_offset
        Corners, relative to the centroid of their grain, (corner, 3).
    corner_weight
        Integer weights of the corners, (corner,).
    corner_grain
        Index of the grain of every corner, ascending, (corner,).
    volume, bounding_radius
        Volume in µm³ and largest distance of a corner from the centroid, (grain,).
    ids
        The identifiers of the input, (grain,).
    """

    position: Float[AnyArray, "grain 3"]
    corner_offset: Float[AnyArray, "corner 3"]
    corner_weight: Float[AnyArray, " corner"]
    corner_grain: Int[AnyArray, " corner"]
    volume: Float[AnyArray, " grain"]
    bounding_radius: Float[AnyArray, " grain"]
    ids: Int[AnyArray, " grain"]

    @classmethod
    def from_cuboids(cls, cuboids: object, *, allow_overlap: bool = False) -> "Grains":
        """Grains from axis-parallel cuboids.

        Parameters
        ----------
        cuboids
            (N, 7): centre x, y, z, half-lengths x, y, z (µm), and the integer id of the grain a cuboid belongs to.
        allow_overlap
            Do not look for cuboids that share volume (their magnetizations add there).

        Raises
        ------
        ValueError
            For a wrong shape, values that are not finite, half-lengths that are not positive, edges that vanish in
            the rounding of the coordinates, ids that are not integers or beyond 2⁵³, no cuboids at all, and, unless
            allowed, cuboids of one grain that overlap or a grain of which half or more lies in another. Lesser
            overlaps, which segmented rock does have, warn.

        Examples
        --------
        >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 7], [2, 0, -5, 1, 1, 1, 7]])
        >>> grains.volume, grains.ids
        (array([16.]), array([7]))
        """
        require_type(allow_overlap, bool | np.bool_, name="allow_overlap")
        table = float64_array(cuboids, name="cuboids")
        if not is_concrete(table):
            msg = "cuboids are being traced; build Grains outside of jit and grad and move them with Grains.translate"
            raise InputError(msg)
        table = np.asarray(table, np.float64)
        _check_cuboids(table)
        # From the input, for its type may tell fewer ids apart than float64 does.
        ids, grain = _first_appearance(exact_ids(np.asarray(cuboids)[:, 6], owner="cuboid"))
        with np.errstate(over="ignore"):
            low, high = table[:, :3] - table[:, 3:6], table[:, :3] + table[:, 3:6]
        check_rounding(low, high, half=table[:, 3:6])
        if not allow_overlap:
            _check_overlaps(low, high, grain, ids=ids)
        return cls.from_corners(*corners_of_boxes(low, high, grain), ids=ids)

    @classmethod
    def from_voxels(cls, labels: object, *, spacing: object, origin: object = (0.0, 0.0, 0.0)) -> "Grains":
        """Grains from a labelled stack of voxels, as segmentation of microCT gives it.

        Parameters
        ----------
        labels
            Integers [z, y, x]; 0 is background, every other value is the id of a grain. Slices go up: a larger first
            index is a larger z.
        spacing
            Edge of a voxel, µm: one number, or three in the order x, y, z.
        origin
            Centre (x, y, z) of the voxel [0, 0, 0], µm.

        Raises
        ------
        ValueError
            For an array that is not three-dimensional or not of integers, for a stack without a grain, for ids beyond
            2⁵³, and for a spacing that is not positive or vanishes in the rounding of the coordinates.

        Examples
        --------
        >>> labels = np.zeros((3, 3, 3), int)
        >>> labels[1, 1, :2] = 4
        >>> Grains.from_voxels(labels, spacing=0.5, origin=(0, 0, -9)).position
        array([[ 0.25,  0.5 , -8.5 ]])
        """
        refuse_masked(labels, name="labels")
        stack = np.asarray(labels)
        if stack.ndim != 3 or stack.dtype.kind not in "iu":
            msg = (
                f"labels must be a three-dimensional array [z, y, x] of integers; got shape {stack.shape}, "
                f"dtype {stack.dtype}"
            )
            raise InputError(msg)
        edge = _three_numbers(spacing, name="spacing")
        start = _three_numbers(origin, name="origin")
        if not (np.all(np.isfinite(edge)) and np.all(edge > 0)):
            msg = f"spacing must be positive and finite, in µm; got {spacing!r}"
            raise InputError(msg)
        if not np.all(np.isfinite(start)):
            msg = f"origin must be finite, in µm; got {origin!r}"
            raise InputError(msg)
        if not stack.any():
            msg = f"labels of shape {stack.shape} hold no grain: every voxel is 0, the background"
            raise InputError(msg)
        ids, corners, weight, grain = corners_of_labels(stack)
        places = start + (corners - 0.5) * edge
        check_rounding(places.min(axis=0)[None], places.max(axis=0)[None], half=edge[None] / 2)
        return cls.from_corners(places, weight, grain, ids=exact_ids(ids, owner="grain"))

    @classmethod
    def from_volumes(cls, position: object, volume: object, *, ids: ArrayLike | None = None) -> "Grains":
        """Grains of which only the place and the volume are known, as cubes.

        Parameters
        ----------
        position
            Centroids, (grain, 3), µm.
        volume
            Volumes, (grain,), µm³.
        ids
            Integer ids, (grain,); by default 1, 2, 3, …

        Raises
        ------
        ValueError
            As `from_cuboids`, and for two grains with one id or with one position. Cubes of neighbours may overlap, for
            their true shapes are unknown.

        Examples
        --------
        >>> float(Grains.from_volumes([[0, 0, -4]], [8.0]).bounding_radius[0])
        1.7320508075688772
        """
        centre = np.atleast_2d(float64_array(position, name="position"))
        size = np.atleast_1d(float64_array(volume, name="volume"))
        names = np.arange(1, len(size) + 1) if ids is None else exact_ids(ids, owner="grain")
        if centre.shape != (len(size), 3) or names.shape != size.shape:
            msg = (
                f"position, volume and ids must be (grain, 3), (grain,) and (grain,); got {centre.shape}, "
                f"{size.shape} and {names.shape}"
            )
            raise InputError(msg)
        if not np.all(size > 0):
            msg = f"volumes must be positive, in µm³; got {size[~(size > 0)][0]!r}"
            raise InputError(msg)
        _refuse_repeats(names, centre)
        half = np.broadcast_to(np.cbrt(size)[:, None] / 2, centre.shape)
        return cls.from_cuboids(np.column_stack([centre, half, names]), allow_overlap=True)

    @classmethod
    def from_corners(cls, corners: np.ndarray, weight: np.ndarray, grain: np.ndarray, *, ids: np.ndarray) -> "Grains":
        """Grains from signed corners (corner, 3), their weights, and the index of the grain of each, ascending."""
        count = len(ids)
        local = np.full((count, 3), -np.inf)
        np.maximum.at(local, grain, corners)
        volume, centroid = volume_and_centroid(corners - local[grain], weight, grain)
        offset = corners - (local + centroid)[grain]
        radius = np.zeros(count)
        np.maximum.at(radius, grain, np.linalg.norm(offset, axis=1))
        return cls(
            position=local + centroid,
            corner_offset=offset,
            corner_weight=weight.astype(np.float64),
            corner_grain=grain.astype(np.int32),
            volume=volume,
            bounding_radius=radius,
            ids=ids.astype(np.int64),
        )

    @property
    def name(self) -> str:
        """What the sources are called."""
        return "grains"

    @property
    def components(self) -> tuple[Component, ...]:
        """The components of a magnetization, A/m."""
        return MAGNETIZATION

    @property
    def corners(self) -> Float[AnyArray, "corner 3"]:
        """Corners in the frame of the sample, µm."""
        return self.position[self.corner_grain] + self.corner_offset

    @property
    def top(self) -> Float[AnyArray, " grain"]:
        """Largest z of each grain, µm."""
        height = self.corners[:, 2]
        if is_concrete(height, self.corner_grain):
            # JAX would compile anew for every number of corners.
            tops = np.full(len(self), -np.inf)
            np.maximum.at(tops, np.asarray(self.corner_grain), np.asarray(height))
            return tops
        return jax.ops.segment_max(jnp.asarray(height), self.corner_grain, num_segments=len(self))

    def parts(self, *, progress: Progress | None = None) -> Parts:
        """Return moments, corners and halves of the shapes of all grains.

        Raises
        ------
        ValueError
            If the corners are traced.
        """
        if not is_concrete(self.corner_offset, self.corner_weight, self.corner_grain):
            msg = (
                "the corners of grains are being traced; let jit close over the Grains, and pass it only what changes: "
                "positions by Grains.translate, the standoff, the magnetization"
            )
            raise InputError(msg)
        corners = np.column_stack([self.corner_offset, self.corner_weight])
        first = np.searchsorted(np.asarray(self.corner_grain), np.arange(len(self) + 1))
        return body_parts(corners, first, progress=progress)

    def translate(self, shift: object) -> "Grains":
        """Copy with every grain moved by `shift`: (3,) or (grain, 3), µm; may be traced.

        Examples
        --------
        >>> cube = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
        >>> cube.translate([1, 0, 0]).position
        array([[ 1.,  0., -5.]])
        """
        moved = float64_array(shift, name="shift")
        if moved.shape not in ((), (1,), (len(AXES),), (1, len(AXES)), self.position.shape):
            msg = f"shift must be (3,) or (grain, 3) = {self.position.shape}, in µm; got shape {moved.shape}"
            raise InputError(msg)
        return eqx.tree_at(lambda g: g.position, self, self.position + moved)

    def select(self, keep: ArrayLike) -> "Grains":
        """Copy with the chosen grains only: a boolean array (grain,), or indices in ascending order."""
        index = selected_indices(keep, len(self))
        number = np.full(len(self), -1)
        number[index] = np.arange(len(index))
        corner = number[self.corner_grain] >= 0
        return Grains(
            position=self.position[index],
            corner_offset=self.corner_offset[corner],
            corner_weight=self.corner_weight[corner],
            corner_grain=number[self.corner_grain[corner]].astype(np.int32),
            volume=self.volume[index],
            bounding_radius=self.bounding_radius[index],
            ids=self.ids[index],
        )


def _three_numbers(values: object, *, name: str) -> np.ndarray:
    """Return one number for each of x, y and z, from three or from one for all."""
    numbers = np.asarray(float64_array(values, name=name))
    if numbers.shape not in ((), (1,), (len(AXES),)):
        msg = f"{name} must be one number or three, x, y, z, in µm; got shape {numbers.shape}"
        raise InputError(msg)
    return np.broadcast_to(numbers, (len(AXES),))


def _check_cuboids(table: np.ndarray) -> None:
    if table.ndim != 2 or table.shape[1] != 7:
        raise InputError(
            "cuboids must be (N, 7): x, y, z, half-length x, y, z, grain id; got shape " + repr(table.shape)
        )
    if len(table) == 0:
        msg = "there are no cuboids; at least one is needed"
        raise InputError(msg)
    if not np.all(np.isfinite(table)):
        row = int(np.argwhere(~np.isfinite(table))[0, 0])
        msg = f"cuboid {row} holds a value that is not finite: {table[row].tolist()}"
        raise InputError(msg)
    if np.any(table[:, 3:6] <= 0):
        row = int(np.argwhere(table[:, 3:6] <= 0)[0, 0])
        msg = f"cuboid {row} has half-lengths {table[row, 3:6].tolist()}; all three must be positive, in µm"
        raise InputError(msg)


def _first_appearance(names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct names in the order of their first appearance, and the index of each entry among them."""
    distinct, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse]


def _check_overlaps(low: np.ndarray, high: np.ndarray, grain: np.ndarray, *, ids: np.ndarray) -> None:
    """Refuse volume counted twice in one grain and grains mostly inside another; warn of lesser overlaps."""
    pairs, shared = overlaps(low, high)
    owners = np.sort(grain[pairs], axis=1)
    within = np.flatnonzero(owners[:, 0] == owners[:, 1])
    if len(within):
        one, other = pairs[within[0]]
        msg = (
            f"cuboids {one} and {other} of grain {ids[grain[one]]}, centred at {(low + high)[one].tolist()} / 2 and "
            f"{(low + high)[other].tolist()} / 2 µm, overlap; remove the volume that is there twice"
        )
        raise InputError(msg)
    between, which = np.unique(owners, axis=0, return_inverse=True)
    if len(between) == 0:
        return
    volume = np.bincount(grain, np.prod(high - low, axis=1))
    share = np.bincount(which.ravel(), shared) / np.min(volume[between], axis=1)
    worst = int(np.argmax(share))
    names = f"grains {ids[between[worst, 0]]} and {ids[between[worst, 1]]}"
    if share[worst] >= _MOSTLY_INSIDE:
        msg = (
            f"{names} overlap: {share[worst]:.0%} of the smaller one lies in the other, so that the field cannot tell "
            "them apart; is the same grain there twice? Remove or merge one, or pass allow_overlap=True"
        )
        raise InputError(msg)
    warnings.warn(
        f"{len(between)} pairs of grains overlap, at worst {names}, which share {share[worst]:.0%} of the smaller one; "
        "their magnetizations add in the shared volume. Mend the segmentation, or pass allow_overlap=True",
        stacklevel=3,
    )


def _refuse_repeats(names: np.ndarray, position: np.ndarray) -> None:
    for what, values in (("id", names), ("position", position)):
        distinct, first, count = np.unique(values, axis=0, return_index=True, return_counts=True)
        if np.any(count > 1):
            repeated = distinct[count > 1][0]
            msg = (
                f"the same grain twice: {count.max()} grains have the {what} {np.asarray(repeated).tolist()} "
                f"(first in row {first[count > 1][0]}); keep one of them"
            )
            raise InputError(msg)
