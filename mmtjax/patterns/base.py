"""The abstract pattern: columns of the least-squares problem that no source makes."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Float

from mmtjax.precision import AnyArray
from mmtjax.prior import Prior
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Component, UnknownSet


class AbstractPattern(eqx.Module):
    """Maps whose factors are unknown, beside the field of the sources."""

    #: What is known of the factors, or None.
    prior: eqx.AbstractVar[Prior | None]

    @property
    @abstractmethod
    def name(self) -> str:
        """What the pattern is called, as ``"background"``."""

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """The factors, with their units."""

    @abstractmethod
    def columns(self, grid: SensorGrid) -> Float[AnyArray, "component ny nx"]:
        """Return the map of each factor, nT per its unit."""

    @property
    def unknowns(self) -> UnknownSet:
        """The factors as unknowns of one source."""
        return UnknownSet(self.name, 1, self.components)
