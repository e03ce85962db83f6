"""Columns that are given as maps."""

import equinox as eqx
from jaxtyping import Float

from mmtjax.patterns.base import AbstractPattern
from mmtjax.precision import AnyArray, ArrayLike, float64_array
from mmtjax.prior import Prior, as_prior
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Component


class FixedColumns(AbstractPattern):
    """Maps whose factors are unknown.

    Parameters
    ----------
    maps
        The maps, (component, ny, nx), nT per unit of the factors.
    prior
        Standard deviation of the factors; None for nothing known.
    label
        What the factors are called.

    Raises
    ------
    ValueError
        For maps of another number of dimensions, and where they do not fit the sensors.

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
            raise ValueError(f"maps must be (component, ny, nx), in nT; got shape {self.maps.shape}")
        self.prior = as_prior(prior)
        self.label = label

    @property
    def name(self) -> str:
        """What the pattern is called."""
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
            If the sensors are as many in another shape.
        """
        if self.maps.shape[1:] != grid.shape:
            raise ValueError(f"{self.label} are maps of shape {self.maps.shape[1:]}, the sensors are {grid.shape}")
        return self.maps
