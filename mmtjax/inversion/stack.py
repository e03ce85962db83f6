"""The sources and patterns that an inversion solves for together."""

from collections.abc import Mapping, Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.noise.base import AbstractNoise
from mmtjax.patterns.base import AbstractPattern
from mmtjax.patterns.fixed import FixedColumns
from mmtjax.prior import Prior
from mmtjax.scan.scan import Scan
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns, joined

#: What a user may pass as the sources of an inversion.
SourcesLike = AbstractSource | Sequence[AbstractSource | AbstractPattern]

#: The prior of the first set of sources, or priors of sets by name, or None.
PriorLike = Prior | Mapping[str, Prior] | None


class SourceStack(eqx.Module):
    """Sets of sources and patterns whose components are solved for together.

    Attributes
    ----------
    sources
        Sets of sources; results refer to the first.
    patterns
        Patterns that are solved for together with them, such as a background.
    """

    sources: tuple[AbstractSource, ...]
    patterns: tuple[AbstractPattern, ...] = ()

    @property
    def primary(self) -> AbstractSource:
        """The first set of sources."""
        return self.sources[0]

    @property
    def unknowns(self) -> Unknowns:
        """All unknowns: those of the sources, then those of the patterns."""
        return joined(tuple(Unknowns((part.unknowns,)) for part in (*self.sources, *self.patterns)))

    def precision(self, prior: PriorLike) -> Float[np.ndarray, " unknown"] | None:
        """Return the precision that priors give to each unknown; None if there is no prior at all.

        Parameters
        ----------
        prior
            The prior of the first set of sources, or priors of sets by name. Patterns may have priors of their own.

        Raises
        ------
        ValueError
            If no set has one of the names, and as `Prior.precision`.
        """
        sets = self.unknowns.sets
        chosen = dict(prior) if isinstance(prior, Mapping) else ({} if prior is None else {sets[0].name: prior})
        if strangers := [name for name in chosen if name not in {one.name for one in sets}]:
            msg = (
                f"a prior is given for {strangers[0]!r}, but no set of unknowns has that name; the sets are "
                f"{', '.join(one.name for one in sets)}"
            )
            raise InputError(msg)
        for one, pattern in zip(sets[len(self.sources) :], self.patterns, strict=True):
            if pattern.prior is not None:
                chosen.setdefault(one.name, pattern.prior)
        if not chosen:
            return None
        return np.concatenate(
            [chosen[one.name].precision(one) if one.name in chosen else np.zeros(one.size) for one in sets]
        )


def as_stack(sources: SourcesLike, background: AbstractPattern | None = None) -> SourceStack:
    """Return the stack of the sources and patterns that a user passes.

    Parameters
    ----------
    sources
        One set of sources, or a list of sets of sources and patterns that begins with a set of sources.
    background
        A pattern to add; None for none.

    Raises
    ------
    ValueError
        If the list is empty, does not begin with sources, or holds an object that is neither sources nor a pattern; if
        it holds a background and another one is to be added.

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> as_stack([grains, mmtjax.Background(1)]).unknowns.size
    6
    """
    parts = list(sources) if isinstance(sources, Sequence) else [sources]
    if not parts or not isinstance(parts[0], AbstractSource):
        msg = (
            "sources must be Grains, Multipoles or another AbstractSource, or a list that begins with one; got "
            f"{_described(parts)}"
        )
        raise InputError(msg)
    for part in parts:
        if not isinstance(part, AbstractSource | AbstractPattern):
            msg = (
                f"sources holds {part!r:.60}, which is neither a set of sources (AbstractSource) nor a pattern "
                "(AbstractPattern, such as Background)"
            )
            raise InputError(msg)
    patterns = tuple(part for part in parts if isinstance(part, AbstractPattern))
    if background is not None and background.name in (pattern.name for pattern in patterns):
        msg = f"sources already hold a {background.name}, and another one is given by background=; keep one of them"
        raise InputError(msg)
    return SourceStack(
        tuple(part for part in parts if isinstance(part, AbstractSource)),
        patterns if background is None else (*patterns, background),
    )


def _described(parts: Sequence[AbstractSource | AbstractPattern]) -> str:
    """Return the types of what a user passed as sources."""
    return "[" + ", ".join(type(part).__name__ for part in parts) + "]" if parts else "an empty list"


def with_noise_patterns(stack: SourceStack, noise: AbstractNoise, scan: Scan) -> SourceStack:
    """Return a stack to which the patterns of a noise are added, with standard normal factors as their prior.

    Parameters
    ----------
    stack
        Sources and patterns.
    noise, scan
        The noise, and the map that it belongs to.
    """
    maps = noise.patterns(scan)
    if maps is None:
        return stack
    return SourceStack(stack.sources, (*stack.patterns, FixedColumns(maps, prior=1.0, label="noise")))
