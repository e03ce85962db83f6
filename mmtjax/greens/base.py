"""The Green's operator Q of sources on a sensor grid: the methods that every form of it has."""

from abc import abstractmethod
from collections.abc import Iterator

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.greens.frames import AbstractFrame
from mmtjax.linalg.gram import gram_of_pieces
from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.root import root_of_pieces
from mmtjax.precision import AnyArray
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Unknowns


class AbstractGreen(eqx.Module):
    """The linear map from the unknowns of sources to the field (ny, nx), nT: φ = Q m (equation 4 of Out et al. 2022).

    A form of the operator says how products are worked out and hands out its rows in pieces; normal equations and
    triangular factors are made of pieces, in the same way for all forms.

    Attributes
    ----------
    grid
        The sensors.
    unknowns
        Which column belongs to which component of which source.
    frame
        The rows of each piece.
    sweep_order
        Numbers of the unknowns from one side of the map to the other: the order in which pieces are reduced.
    """

    grid: eqx.AbstractVar[SensorGrid]
    unknowns: eqx.AbstractVar[Unknowns]
    frame: eqx.AbstractVar[AbstractFrame]
    sweep_order: eqx.AbstractVar[Int[np.ndarray, " unknown"]]

    @abstractmethod
    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT."""

    @abstractmethod
    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several."""

    @abstractmethod
    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several."""

    @abstractmethod
    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield all rows of W Q, or an orthonormal rotation of them, in pieces.

        Parameters
        ----------
        weight
            One weight for each sensor.
        progress
            Called with the sensors that are done and all of them.
        """

    def gram(
        self, weight: Float[AnyArray, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """Return the matrix QᵀW²Q, with one weight for each sensor, ones by default."""
        return gram_of_pieces(self.pieces(self._weights(weight), progress=progress), self.unknowns.size)

    def root(
        self, weight: Float[AnyArray, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """Return a triangular factor R of the weighted rows, RᵀR = QᵀW²Q; the condition number is never squared."""
        return root_of_pieces(self.pieces(self._weights(weight), progress=progress), self.sweep_order)

    def _weights(self, weight: Float[AnyArray, "ny nx"] | None) -> Float[AnyArray, "ny nx"]:
        return np.ones(self.grid.shape) if weight is None else weight
