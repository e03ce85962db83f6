"""The abstract pattern: a set of maps with unknown factors, beside the field of the sources."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Float

from mmtjax.precision import AnyArray
from mmtjax.prior import Prior
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Component, UnknownSet


class AbstractPattern(eqx.Module):
    """A set of maps whose factors are solved for together with the components of the sources."""

    #: Prior of the factors, or None.
    prior: eqx.AbstractVar[Prior | None]

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the set of unknowns, such as ``"background"``."""

    @property
    @abstractmethod
    def components(self) -> tuple[Component, ...]:
        """The factors, with their units."""

    @abstractmethod
    def columns(self, grid: SensorGrid) -> Float[AnyArray, "component ny nx"]:
        """Return the map of each factor, (component, ny, nx), nT per unit of the factor.

        Parameters
        ----------
        grid
            The sensors.
        """

    @property
    def unknowns(self) -> UnknownSet:
        """The factors as the unknowns of one source."""
        return UnknownSet(self.name, 1, self.components)
