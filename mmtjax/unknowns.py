"""The unknowns of a least-squares problem, and their order: set by set, source by source, component by component."""

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import UnknownNameError
from mmtjax.precision import AnyArray


class Component(NamedTuple):
    """Name and unit of one component of a source, such as mx in A/m."""

    name: str
    unit: str


class UnknownSet(eqx.Module):
    """The unknowns of one set of sources: all components of the first source, then those of the second, and so on.

    Attributes
    ----------
    name
        Name of the set, such as ``"grains"``.
    sources
        Number of sources.
    components
        Components of each source.
    """

    name: str = eqx.field(static=True)
    sources: int = eqx.field(static=True)
    components: tuple[Component, ...] = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.sources * len(self.components)

    def of(self, sources: Int[np.ndarray, " chosen"]) -> Int[np.ndarray, " unknown"]:
        """Return the indices of the unknowns of some sources within this set.

        Parameters
        ----------
        sources
            Indices of the sources.

        Examples
        --------
        >>> UnknownSet("points", 5, (Component("x", "A m²"), Component("z", "A m²"))).of(np.array([0, 3]))
        array([0, 1, 6, 7])
        """
        return unknowns_of(sources, len(self.components))


class Unknowns(eqx.Module):
    """All unknowns of a least-squares problem, one set after another.

    Attributes
    ----------
    sets
        The sets, in the order of their unknowns.

    Examples
    --------
    >>> sets = UnknownSet("grains", 2, (Component("mx", "A/m"),) * 3), UnknownSet("level", 1, (Component("c", "nT"),))
    >>> unknowns = Unknowns(sets)
    >>> unknowns.size, unknowns.slice_of("level")
    (7, slice(6, 7, None))
    """

    sets: tuple[UnknownSet, ...]

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return sum(one.size for one in self.sets)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Index of the first unknown of each set."""
        return tuple(
            int(end) - one.size for end, one in zip(np.cumsum([s.size for s in self.sets]), self.sets, strict=True)
        )

    @property
    def blocks(self) -> tuple[tuple[int, int, int], ...]:
        """Index of the first unknown, number of sources and number of components of each set."""
        return tuple(
            (first, one.sources, len(one.components)) for first, one in zip(self.offsets, self.sets, strict=True)
        )

    def slice_of(self, name: str) -> slice:
        """Return the slice of the unknowns of one set.

        Parameters
        ----------
        name
            Name of the set.

        Raises
        ------
        KeyError
            If there is no set of that name.
        """
        for first, one in zip(self.offsets, self.sets, strict=True):
            if one.name == name:
                return slice(first, first + one.size)
        msg = f"no set of unknowns is named {name!r}; the sets are {', '.join(one.name for one in self.sets)}"
        raise UnknownNameError(msg)

    def split(self, values: Float[AnyArray, "*map unknown"]) -> list[Float[AnyArray, "*map _source _component"]]:
        """Return the values of each set as an array (..., source, component).

        Parameters
        ----------
        values
            Values of all unknowns, (..., unknown).
        """
        return [
            values[..., first : first + sources * components].reshape(*values.shape[:-1], sources, components)
            for first, sources, components in self.blocks
        ]


def joined(parts: tuple[Unknowns, ...]) -> Unknowns:
    """Return the unknowns of several problems one after another; a repeated name of a set gets a number.

    Parameters
    ----------
    parts
        The unknowns of each problem.

    Examples
    --------
    >>> one = Unknowns((UnknownSet("points", 1, (Component("x", ""),)),))
    >>> [own.name for own in joined((one, one)).sets]
    ['points', 'points 2']
    """
    sets: list[UnknownSet] = []
    seen: dict[str, int] = {}
    for own in (one for part in parts for one in part.sets):
        seen[own.name] = count = seen.get(own.name, 0) + 1
        name = own.name if count == 1 else f"{own.name} {count}"
        sets.append(UnknownSet(name, own.sources, own.components))
    return Unknowns(tuple(sets))


def unknowns_of(sources: Int[np.ndarray, " chosen"], components: int) -> Int[np.ndarray, " unknown"]:
    """Return the indices of the unknowns of some sources.

    Parameters
    ----------
    sources
        Indices of the sources.
    components
        Number of components of each source.

    Examples
    --------
    >>> unknowns_of(np.array([0, 2]), 3).tolist()
    [0, 1, 2, 6, 7, 8]
    """
    return (components * sources[:, None] + np.arange(components)).ravel()
