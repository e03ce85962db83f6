"""The Green's operator of several sets of sources, composed of the operators of each set."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.errors import InputError
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import AbstractFrame
from mmtjax.linalg.arrays import array_namespace
from mmtjax.linalg.pieces import Piece, side_by_side
from mmtjax.precision import AnyArray
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.unknowns import Unknowns, joined


class StackedGreen(AbstractGreen):
    """The sum of the fields of several operators, with the unknowns of all of them one after another.

    The pieces of all operators are joined, so that normal equations and triangular factors include all columns.

    Parameters
    ----------
    parts
        Operators with equal frames: of one form and for one grid.

    Raises
    ------
    ValueError
        If there is no operator, or if the frames differ.

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

    def __init__(self, parts: tuple[AbstractGreen, ...]) -> None:
        if not parts:
            msg = "there are no operators to stack; pass at least one"
            raise InputError(msg)
        first = parts[0].frame
        for number, part in enumerate(parts[1:], 1):
            if not first.matches(part.frame):
                msg = (
                    f"operator {number} orders its rows by a {type(part.frame).__name__}, the first one by another "
                    f"{type(first).__name__}; make all operators in one form and for one grid"
                )
                raise InputError(msg)
        self.parts = parts

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
        """Numbers of the unknowns of the first part in its own order, followed by those of the other parts.

        Patterns such as a background, which extend over the whole map, should be the last parts.
        """
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
        """Yield the rows of W Q in pieces with the unknowns of all parts; progress is that of the first part."""
        reported = (progress, *(None for _ in self.parts[1:]))
        own = [part.pieces(weight, progress=report) for part, report in zip(self.parts, reported, strict=True)]
        for together in zip(*own, strict=True):
            yield side_by_side(together, self._offsets)
