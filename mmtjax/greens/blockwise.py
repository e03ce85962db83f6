"""The Green's operator of a window, from the columns that blocks of sensors hold."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.linalg.pieces import SWEPT, Piece, swept, triangular
from mmtjax.linalg.symmetric import from_upper_triangle, unknowns_of
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid


class BlockwiseGreen(AbstractGreen):
    """Columns of some grains over the blocks of sensors that are near them; the map is taken as zero elsewhere.

    Attributes
    ----------
    grid
        The sensors of the whole map.
    grains
        Which of all grains, ascending.
    blocks
        Numbers, rows and columns of the blocks.
    read
        The operator of all grains over a block, by its number.
    across
        Order of the unknowns in which a triangular factor is worked out.
    """

    grid: SensorGrid
    grains: Int[np.ndarray, " part"]
    blocks: dict[int, tuple[slice, slice]] = eqx.field(static=True)
    read: Callable[[int], CompressedGreen] = eqx.field(static=True)
    across: Int[np.ndarray, " unknown"]

    @property
    def unknowns(self) -> int:
        """Number of unknowns, three for each grain."""
        return 3 * len(self.grains)

    def mv(self, magnetization: Float[Array, " unknown"], *, progress: Progress | None = None) -> Float[Array, "ny nx"]:
        """The field Q M of a magnetization, nT."""
        field = np.zeros(self.grid.shape)
        for number, part in self.blocks.items():
            green = self.read(number)
            everywhere = np.zeros(green.unknowns)
            everywhere[unknowns_of(self.grains)] = magnetization
            field[part] = green.mv(everywhere)
        return jnp.asarray(field)

    def rmv(self, field: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Float[Array, " unknown"]:
        """The product Qᵀφ with a field."""
        own = unknowns_of(self.grains)
        return sum(self.read(number).rmv(field[part])[own] for number, part in self.blocks.items())

    def gram(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """The matrix QᵀW²Q, with one weight for each sensor."""
        total = np.zeros((self.unknowns, self.unknowns))
        for number, part in self.blocks.items():
            own = None if weight is None else weight[part]
            total = self.read(number).add_gram(total, own, among=self.grains)
        return jnp.asarray(from_upper_triangle(total))

    def root(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """A triangular factor of the weighted rows: those of few unknowns are swept across all blocks together."""
        narrow: list[Piece] = []
        wide: list[Piece] = []
        for number, part in self.blocks.items():
            own = None if weight is None else weight[part]
            for piece in self.read(number).pieces(self.across, own, among=self.grains):
                (narrow if len(piece.place) < SWEPT * self.unknowns else wide).append(piece)
        return triangular(swept(narrow) + wide, self.across)
