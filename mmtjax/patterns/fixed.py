"""A pattern whose maps are given as arrays."""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.patterns.base import AbstractPattern
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete
from mmtjax.prior import Prior, as_prior
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Component


class FixedColumns(AbstractPattern):
    """Maps that are given as an array, with unknown factors.

    Parameters
    ----------
    maps
        The maps, (component, ny, nx), nT per unit of the factors.
    prior
        Standard deviations of a normal prior on the factors; None for no prior.
    label
        Name of the set of unknowns.

    Raises
    ------
    ValueError
        If the array does not have three dimensions.

    Examples
    --------
    >>> len(FixedColumns(np.ones((2, 3, 4)), prior=1.0).components)
    2
    """

    maps: Float[AnyArray, "component ny nx"]
    prior: Prior | None
    label: str = eqx.field(static=True)

    def __init__(self, maps: ArrayLike, prior: Prior | ArrayLike | None = None, *, label: str = "columns") -> None:
        self.maps = float64_array(maps, name="maps")
        if self.maps.ndim != 3:
            msg = f"maps must be (component, ny, nx), in nT; got shape {self.maps.shape}"
            raise InputError(msg)
        if is_concrete(self.maps) and not np.all(np.isfinite(self.maps)):
            first = np.argwhere(~np.isfinite(self.maps))[0].tolist()
            value = np.asarray(self.maps)[tuple(first)]
            msg = f"{label} must be finite at all sensors; got {value} at [component, y, x] = {first}"
            raise InputError(msg)
        self.prior = as_prior(prior)
        self.label = label

    @property
    def name(self) -> str:
        """Name of the set of unknowns."""
        return self.label

    @property
    def components(self) -> tuple[Component, ...]:
        """The factors, numbered from 1."""
        return tuple(Component(f"{self.label} {number}", "1") for number in range(1, len(self.maps) + 1))

    def columns(self, grid: SensorGrid) -> Float[AnyArray, "component ny nx"]:
        """Return the maps.

        Raises
        ------
        ValueError
            If the grid has another shape than the maps.
        """
        if self.maps.shape[1:] != grid.shape:
            msg = f"{self.label} are maps of shape {self.maps.shape[1:]}, but the grid has {grid.shape}"
            raise InputError(msg)
        return self.maps
