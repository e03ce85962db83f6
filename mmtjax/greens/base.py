"""The Green's operator Q of grains on a sensor grid: what every form of it can do."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float

from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid


class AbstractGreen(eqx.Module):
    """The linear map from magnetizations (3 grains,), A/m, to the field (ny, nx), nT: φ = Q M (equation 4).

    Unknowns are ordered ``M[3 g + i]``.
    """

    grid: eqx.AbstractVar[SensorGrid]
    unknowns: eqx.AbstractVar[int]

    @abstractmethod
    def mv(self, magnetization: Float[Array, " unknown"], *, progress: Progress | None = None) -> Float[Array, "ny nx"]:
        """The field Q M of a magnetization, nT."""

    @abstractmethod
    def rmv(self, field: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Float[Array, " unknown"]:
        """The product Qᵀφ with a field."""

    @abstractmethod
    def gram(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """The matrix QᵀW²Q, with one weight for each sensor."""

    @abstractmethod
    def root(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """A triangular factor R of the weighted rows, RᵀR = QᵀW²Q, without ever squaring the condition number."""
