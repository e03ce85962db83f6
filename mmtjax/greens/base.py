"""The abstract Green's operator Q of sources on a sensor grid, with the methods that all of its forms have."""

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

    A form of the operator computes products and yields its rows in pieces. Normal equations and triangular factors are
    computed from the pieces, in the same way for all forms.

    Attributes
    ----------
    grid
        The sensors.
    unknowns
        The source and the component that each column belongs to.
    frame
        The order and rotation of the rows in pieces.
    sweep_order
        Numbers of the unknowns from one side of the map to the other, the order in which pieces are reduced.
    """

    grid: eqx.AbstractVar[SensorGrid]
    unknowns: eqx.AbstractVar[Unknowns]
    frame: eqx.AbstractVar[AbstractFrame]
    sweep_order: eqx.AbstractVar[Int[np.ndarray, " unknown"]]

    @abstractmethod
    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT.

        Parameters
        ----------
        values
            The vectors m.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """

    @abstractmethod
    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several.

        Parameters
        ----------
        field
            The fields φ.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """

    @abstractmethod
    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several.

        Parameters
        ----------
        values
            The vectors m.
        weight
            The weight of each sensor, the diagonal of W.
        """

    @abstractmethod
    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield all rows of W Q, or an orthonormal rotation of them, in pieces.

        Parameters
        ----------
        weight
            The weight of each sensor, the diagonal of W.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """

    def gram(
        self, weight: Float[AnyArray, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """Return the matrix QᵀW²Q of the normal equations.

        Parameters
        ----------
        weight
            The weight of each sensor; one by default.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """
        return gram_of_pieces(self.pieces(self._weights(weight), progress=progress), self.unknowns.size)

    def root(
        self, weight: Float[AnyArray, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """Return a triangular factor R of the weighted rows, RᵀR = QᵀW²Q, without forming this matrix.

        Parameters
        ----------
        weight
            The weight of each sensor; one by default.
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """
        return root_of_pieces(self.pieces(self._weights(weight), progress=progress), self.sweep_order)

    def _weights(self, weight: Float[AnyArray, "ny nx"] | None) -> Float[AnyArray, "ny nx"]:
        """Return weights, ones by default."""
        return np.ones(self.grid.shape) if weight is None else weight
