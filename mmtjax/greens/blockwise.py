"""The Green's operator of a window, composed of the operators of blocks of sensors."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.compressed.frame import TreeFrame
from mmtjax.greens.frames import AbstractFrame
from mmtjax.linalg.pieces import Piece
from mmtjax.precision import AnyArray
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Unknowns


class BlockFrame(AbstractFrame):
    """Rows in the order of blocks of sensors, those of each block rotated on its tree of squares.

    Attributes
    ----------
    grid
        The sensors of the whole map.
    blocks
        Ranges of rows and columns of the map for each block, by its number.
    """

    grid: SensorGrid
    blocks: dict[int, tuple[slice, slice]] = eqx.field(static=True)

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows of a complete matrix, block by block, rotated on the tree of each block."""
        maps = columns.reshape(len(columns), *self.grid.shape)
        for number, part in self.blocks.items():
            own = maps[:, *part].reshape(len(columns), -1)
            for piece in TreeFrame(self.grid.window(*part)).pieces_of(own, weight[part]):
                yield piece._replace(block=number)


class BlockwiseGreen(AbstractGreen):
    """The columns of some unknowns over the blocks of sensors near them; at other sensors, they are taken as zero.

    Parameters
    ----------
    frame
        The sensors of the whole map, and the blocks.
    read
        Function that returns the operator of these unknowns over a block, by the number of the block. It may read the
        operator from a file; only one block is in memory at a time.
    unknowns
        The unknowns, the same for all blocks.
    sweep_order
        Numbers of the unknowns in the order in which pieces are reduced to a triangular factor.
    """

    frame: BlockFrame
    read: Callable[[int], AbstractGreen] = eqx.field(static=True)
    unknowns: Unknowns
    sweep_order: Int[np.ndarray, " unknown"]

    def __init__(
        self,
        frame: BlockFrame,
        read: Callable[[int], AbstractGreen],
        unknowns: Unknowns,
        sweep_order: Int[np.ndarray, " unknown"],
    ) -> None:
        self.frame = frame
        self.read = read
        self.unknowns = unknowns
        self.sweep_order = sweep_order

    @property
    def grid(self) -> SensorGrid:
        """The sensors of the whole map."""
        return self.frame.grid

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT."""
        field = np.zeros((*values.shape[:-1], *self.grid.shape))
        for number, part in self.frame.blocks.items():
            field[..., *part] = self.read(number).mv(values)
        return jnp.asarray(field)

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several."""
        total = jnp.zeros((*field.shape[:-2], self.unknowns.size))
        for number, part in self.frame.blocks.items():
            total += self.read(number).rmv(field[..., *part])
        return total

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several, reading each block once."""
        total = jnp.zeros(values.shape)
        for number, part in self.frame.blocks.items():
            total += self.read(number).normal(values, weight[part])
        return total

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rows of W Q, block by block."""
        for number, part in self.frame.blocks.items():
            for piece in self.read(number).pieces(weight[part]):
                yield piece._replace(block=number)
