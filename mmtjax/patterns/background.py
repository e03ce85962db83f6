"""A smooth background of the map: a constant, a plane, or a quadratic surface."""

from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError, require_type
from mmtjax.linalg.arrays import array_namespace
from mmtjax.patterns.base import AbstractPattern
from mmtjax.precision import AnyArray, ArrayLike
from mmtjax.prior import Prior, as_prior
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Component

#: Exponents of x and y of the terms, in the order of their degree.
_TERMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))

#: Number of terms up to each degree.
_COUNTS = (1, 3, 6)


class Background(AbstractPattern):
    """A smooth background of the map: a polynomial of x and y with unknown coefficients.

    Coordinates are relative to the middle of the map, so that the constant is the background there.

    Parameters
    ----------
    degree
        0 or ``"constant"``, 1 or ``"plane"``, 2 or ``"quadratic"``.
    prior
        Standard deviations of a normal prior on the coefficients, in nT, nT/µm and nT/µm²; None for no prior.

    Raises
    ------
    ValueError
        For another degree, and as `Prior`.

    Examples
    --------
    >>> [component.name for component in Background("plane").components]
    ['constant', 'x', 'y']
    """

    degree: int = eqx.field(static=True)
    prior: Prior | None

    #: Degrees by name.
    names: ClassVar[dict[str, int]] = {"constant": 0, "plane": 1, "quadratic": 2}

    def __init__(self, degree: int | str, prior: Prior | ArrayLike | None = None) -> None:
        number = self.names.get(degree) if isinstance(degree, str) else degree
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number not in self.names.values():
            words = ", ".join(f"{value} or {name!r}" for name, value in self.names.items())
            msg = f"the degree of a background must be one of {words}; got {degree!r}"
            raise InputError(msg)
        self.degree = int(number)
        self.prior = as_prior(prior)
        if self.prior is not None:
            # An error here is nearer to the mistake than one in the inversion.
            self.prior.precision(self.unknowns)

    @property
    def name(self) -> str:
        """Name of the set of unknowns."""
        return "background"

    @property
    def components(self) -> tuple[Component, ...]:
        """The terms of the polynomial, with the units of their coefficients."""
        names = ("constant", "x", "y", "x²", "xy", "y²")
        units = ("nT", "nT/µm", "nT/µm²")
        own = zip(names, _TERMS, strict=True)
        return tuple(Component(name, units[a + b]) for name, (a, b) in list(own)[: _COUNTS[self.degree]])

    def columns(self, grid: SensorGrid) -> Float[AnyArray, "component ny nx"]:
        """Return the values of the terms at the sensors, (component, ny, nx), nT per unit of the coefficients."""
        require_type(grid, SensorGrid, name="grid")
        xp = array_namespace(grid.x, grid.y)
        x, y = (line - (line[0] + line[-1]) / 2 for line in (grid.x, grid.y))
        terms = [x[None, :] ** a * y[:, None] ** b for a, b in _TERMS[: _COUNTS[self.degree]]]
        return xp.stack([xp.broadcast_to(term, grid.shape) for term in terms])
