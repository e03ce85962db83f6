"""The abstract source: a set of sources whose field is linear in a few components of each."""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.errors import InputError
from mmtjax.precision import AnyArray, ArrayLike, float64_array
from mmtjax.progress import Progress
from mmtjax.unknowns import Component, UnknownSet

#: From the displacement x, y, z between one corner of a source and one of a sensor to a number for each component: the
#: field, integrated over x and y of the sensor, and over the source where that has an extent.
NearForm = Callable[[Array, Array, Array], tuple[Array, ...]]

#: From the displacement x, y, z between a corner of a source and the centre of a sensor and the edges of the sensor to
#: the mean of each component over the sensor.
SensorMean = Callable[[Array, Array, Array, Array, Array], tuple[Array, ...]]

#: From the moments of parts and the edges of a sensor to the series of the field, averaged over the sensor.
Expansion = Callable[[Float[np.ndarray, "part moment"], Float[AnyArray, "2"]], Float[AnyArray, "part component 2 term"]]


class DegreeGroup(NamedTuple):
    """Components of one multipole degree l, whose field falls as ``1 / r^(l+2)``: the first, and one past the last."""

    degree: int
    first: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the field needs of sources: each may be cut in parts, and sources of one shape share theirs. Lengths are µm.

    Attributes
    ----------
    centroid
        Of each part, relative to the position of its source.
    bounding_radius
        Radius about the centroid that holds all of a part; 0 for a point.
    strength
        Size of the leading term of each part and group of components: the field of a component at a distance r is about
        ``strength / r^(degree + 2)``. The volume, for a uniform body.
    moments
        What `expansion` makes the series of.
    halves
        The two parts that a part is cut in, -1 where it is not.
    corner_offset, corner_weight
        Rows of corners of uncut parts, relative to the centroid of the part, filled up with weight zero.
    row_part
        The part of each row, ascending.
    root
        The part that is the whole of each source.
    expansion
        The series of parts for a sensor.
    near_form
        The closed form for one corner; None where there is none, and the series has to do.
    groups
        Components by degree.
    sensor_mean
        What replaces the closed form for sensors so small that its rounding is too large; None where its rounding never
        is.
    """

    centroid: Float[np.ndarray, "part 3"]
    bounding_radius: Float[np.ndarray, " part"]
    strength: Float[np.ndarray, "part group"]
    moments: Float[np.ndarray, "part moment"]
    halves: Int[np.ndarray, "part 2"]
    corner_offset: Float[np.ndarray, "row corner 3"]
    corner_weight: Float[np.ndarray, "row corner"]
    row_part: Int[np.ndarray, " row"]
    root: Int[np.ndarray, " source"]
    expansion: Expansion
    near_form: NearForm | None
    groups: tuple[DegreeGroup, ...]
    sensor_mean: SensorMean | None = None

    @property
    def components(self) -> int:
        """Number of components of a source."""
        return self.groups[-1].stop

    def series(self, side: Float[AnyArray, "2"]) -> Float[AnyArray, "part component 2 term"]:
        """Return the series of all parts, averaged over sensors with edges (sx, sy), for `mmtjax.physics.series`."""
        return self.expansion(self.moments, side)

    def uncut(self, part: int) -> list[int]:
        """Return the smallest parts that a part is cut in."""
        below = self.halves[part]
        return [part] if below[0] < 0 else self.uncut(int(below[0])) + self.uncut(int(below[1]))


class AbstractSource(eqx.Module):
    """Sources whose field at a sensor is linear in a few components of each.

    A variant is one file: it says where its sources are, which numbers describe one of them, and how their field
    is worked out far away (a series) and nearby (a closed form for one corner, or none).

    Attributes
    ----------
    position
        Where the sources are, (source, 3), µm.
    ids
        Their identifiers, (source,).
    volume
        Volumes, (source,), µm³; None where sources have none, and their first components are dipole moments.
    """

    position: eqx.AbstractVar[Float[AnyArray, "source 3"]]
    ids: eqx.AbstractVar[Int[AnyArray, " source"]]
    volume: eqx.AbstractVar[Float[AnyArray, " source"] | None]

    @property
    @abstractmethod
    def name(self) -> str:
        """What the sources are called, as ``"grains"``."""

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """The components of each source, with their units."""

    @property
    @abstractmethod
    def top(self) -> Float[AnyArray, " source"]:
        """Largest z of each source, µm; it has to lie below the sensors."""

    @abstractmethod
    def select(self, keep: ArrayLike) -> "AbstractSource":
        """Return some of the sources: a boolean array (source,), or indices in ascending order."""

    @abstractmethod
    def parts(self, *, progress: Progress | None = None) -> Parts:
        """Return what the field needs of the sources.

        Parameters
        ----------
        progress
            Called with the sources that are worked out and all of them.
        """

    def __len__(self) -> int:
        return self.position.shape[0]

    @property
    def known_volume(self) -> Float[AnyArray, " source"]:
        """The volumes, µm³; raises a ValueError for sources that have none."""
        if self.volume is None:
            msg = f"{self.name} have no volume, on which signal strengths and expected ratios depend; pass Grains"
            raise InputError(msg)
        return self.volume

    @property
    def equivalent_diameter(self) -> Float[AnyArray, " source"]:
        """Diameter of the sphere with the volume of each source, µm; raises a ValueError as `known_volume`."""
        return (6 / np.pi * self.known_volume) ** (1 / 3)

    @property
    def unknowns(self) -> UnknownSet:
        """The unknowns of these sources, source after source."""
        return UnknownSet(self.name, len(self), self.components)


def point_parts(
    moments: Float[np.ndarray, "shape moment"],
    strength: Float[np.ndarray, "shape group"],
    *,
    root: Int[np.ndarray, " source"],
    expansion: Expansion,
    near_form: NearForm | None,
    groups: tuple[DegreeGroup, ...],
) -> Parts:
    """Return the parts of sources that are not cut, each with one corner at its position.

    Parameters
    ----------
    moments, strength, expansion, near_form, groups
        As in `Parts`, for each shape that occurs.
    root
        The shape of each source.
    """
    count = len(moments)
    return Parts(
        centroid=np.zeros((count, 3)),
        bounding_radius=np.zeros(count),
        strength=strength,
        moments=moments,
        halves=np.full((count, 2), -1),
        corner_offset=np.zeros((count, 1, 3)),
        corner_weight=np.ones((count, 1)),
        row_part=np.arange(count),
        root=root,
        expansion=expansion,
        near_form=near_form,
        groups=groups,
    )


def selected_indices(keep: ArrayLike, count: int) -> Int[np.ndarray, " kept"]:
    """Return the indices of the sources that a user selects, ascending.

    Parameters
    ----------
    keep
        A boolean for each source, or indices in ascending order; those below zero count from the end.
    count
        Number of sources.

    Raises
    ------
    ValueError
        For anything else, such as numbers with a fraction or NaN and masked arrays, for no source, and for indices that
        repeat or do not exist.

    Examples
    --------
    >>> selected_indices([True, False, True], 3), selected_indices([0, 2], 3)
    (array([0, 2]), array([0, 2]))
    """
    float64_array(keep, name="the selection")
    chosen = np.asarray(keep)
    if chosen.dtype == bool and chosen.shape == (count,):
        index = np.flatnonzero(chosen)
    else:
        whole = chosen.dtype.kind in "iu" or chosen.size == 0
        if chosen.ndim != 1 or not whole or np.any((chosen < -count) | (chosen >= count)):
            msg = (
                f"sources are selected by {count} booleans or by indices from 0 to {count - 1}; got {chosen.dtype} of "
                f"shape {chosen.shape}: {keep!r:.200}"
            )
            raise InputError(msg)
        index = np.arange(count)[chosen.astype(np.int64)]
    if index.size == 0:
        msg = "the selection holds no grain; at least one is needed"
        raise InputError(msg)
    if np.any(np.diff(index) <= 0):
        msg = "grains are selected by a boolean array or by ascending indices without repeats"
        raise InputError(msg)
    return index
