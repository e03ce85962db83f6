"""Operators side by side: the unknowns of several sets of columns in one problem."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import AbstractFrame
from mmtjax.linalg.arrays import array_namespace
from mmtjax.linalg.pieces import Piece, side_by_side
from mmtjax.precision import AnyArray
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Unknowns, joined


class StackedGreen(AbstractGreen):
    """Several operators on the same sensors, whose fields add.

    Their unknowns follow one another. Rows are joined piece by piece, so that normal equations and triangular factors
    are those of all columns together.

    Parameters
    ----------
    parts
        Operators of one frame: made for the same grid, and cut in the same way.

    Raises
    ------
    ValueError
        For no part, and for parts whose rows are not the same.

    Examples
    --------
    >>> from mmtjax.greens.dense import DenseGreen
    >>> from mmtjax.greens.frames import WholeFrame
    >>> from mmtjax.unknowns import Component, UnknownSet
    >>> frame = WholeFrame(SensorGrid(origin=(0, 0), spacing=1, shape=(1, 3)))
    >>> one = Unknowns((UnknownSet("level", 1, (Component("c", "nT"),)),))
    >>> parts = DenseGreen(np.ones((1, 3)), frame, one), DenseGreen(np.arange(3.0)[None], frame, one)
    >>> StackedGreen(parts).gram().tolist()
    [[3.0, 3.0], [3.0, 5.0]]
    """

    parts: tuple[AbstractGreen, ...]

    def __check_init__(self) -> None:
        if not self.parts:
            raise ValueError("there are no operators to stack; pass one at least")
        first = self.parts[0].frame
        for number, part in enumerate(self.parts[1:], 1):
            if not first.matches(part.frame):
                raise ValueError(
                    f"operator {number} hands out its rows by a {type(part.frame).__name__}, the first by a "
                    f"{type(first).__name__} or of another grid; make them for one grid and in one form"
                )

    @property
    def grid(self) -> SensorGrid:
        """The sensors."""
        return self.parts[0].grid

    @property
    def frame(self) -> AbstractFrame:
        """The frame of all parts."""
        return self.parts[0].frame

    @property
    def unknowns(self) -> Unknowns:
        """The unknowns of all parts, one after another."""
        return joined(tuple(part.unknowns for part in self.parts))

    @property
    def sweep_order(self) -> Int[np.ndarray, " unknown"]:
        """The order of the first part, then that of the next: what follows reaches across the whole map."""
        orders = [offset + part.sweep_order for offset, part in zip(self._offsets, self.parts, strict=True)]
        return np.concatenate(orders)

    @property
    def _offsets(self) -> tuple[int, ...]:
        """Number of the first unknown of each part."""
        sizes = [part.unknowns.size for part in self.parts]
        return tuple(int(end) - size for end, size in zip(np.cumsum(sizes), sizes, strict=True))

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the sum of the fields of all parts, nT."""
        fields = []
        for offset, part in zip(self._offsets, self.parts, strict=True):
            fields.append(part.mv(values[..., offset : offset + part.unknowns.size], progress=progress))
        return sum(fields[1:], fields[0])

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the products of the columns of all parts with one field or several."""
        return jnp.concatenate([part.rmv(field, progress=progress) for part in self.parts], axis=-1)

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several."""
        field = self.mv(values)
        return self.rmv(array_namespace(weight, field).asarray(weight) ** 2 * field)

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rows of all parts side by side."""
        reported = (progress, *(None for _ in self.parts[1:]))
        own = [part.pieces(weight, progress=tell) for part, tell in zip(self.parts, reported, strict=True)]
        for together in zip(*own, strict=True):
            yield side_by_side(together, self._offsets)
