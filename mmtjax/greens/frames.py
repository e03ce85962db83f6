"""Frames, which define the order and rotation of the rows that an operator yields in pieces.

Operators with equal frames can be stacked.
"""

from abc import abstractmethod
from collections.abc import Iterator

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from mmtjax.field.plan import TILE, tile_corners, tile_count
from mmtjax.linalg.arrays import take_or_zero
from mmtjax.linalg.pieces import Piece
from mmtjax.precision import AnyArray, on_accelerator
from mmtjax.scan.grid import SensorGrid

#: Number of rows for each unknown that an accelerator multiplies or factors at a time; it needs several copies of them.
ROWS_ON_ACCELERATOR = 4


class AbstractFrame(eqx.Module):
    """The order and rotation of rows in pieces; operators with equal frames yield pieces of the same rows."""

    grid: eqx.AbstractVar[SensorGrid]

    @abstractmethod
    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows of a complete matrix in the pieces of this frame.

        Parameters
        ----------
        columns
            The transposed matrix, (unknown, sensor).
        weight
            The weight of each sensor.
        """

    def matches(self, other: "AbstractFrame") -> bool:
        """Return whether the pieces of another frame contain the same rows."""
        return self is other or (type(self) is type(other) and bool(eqx.tree_equal(self, other)))


class WholeFrame(AbstractFrame):
    """A frame of one piece: all rows in the order of the sensors."""

    grid: SensorGrid

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows in the order of the sensors."""
        yield from parts_of_rows(columns, weight, np.arange(self.grid.size))


class TileFrame(AbstractFrame):
    """A frame of blocks of rows, each of some tiles of sensors.

    Attributes
    ----------
    grid
        The sensors.
    block_tiles
        Number of tiles of a block.
    """

    grid: SensorGrid
    block_tiles: int = eqx.field(static=True)

    def blocks(self) -> Iterator[tuple[Int[np.ndarray, " tile"], Int[np.ndarray, " row"]]]:
        """Yield the tiles of each block and the flat indices of its sensors; beyond the grid, the index is its size."""
        total = tile_count(self.grid)
        for start in range(0, total, self.block_tiles):
            tiles = np.arange(start, min(start + self.block_tiles, total))
            yield tiles, sensors_of_tiles(self.grid, tiles)

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows block by block."""
        for _, sensor in self.blocks():
            yield from parts_of_rows(columns_at(columns, sensor), weight, sensor)


def parts_of_rows(
    columns: Float[AnyArray, "unknown row"], weight: Float[AnyArray, "ny nx"], sensor: Int[np.ndarray, " row"]
) -> Iterator[Piece]:
    """Yield rows with all unknowns as one piece, or as several on an accelerator, which needs copies of each piece.

    Parameters
    ----------
    columns
        The transposed rows.
    weight
        Weights of all sensors.
    sensor
        Flat index of the sensor of each row; rows beyond the map get a weight of zero.
    """
    weights = take_or_zero(weight, sensor, beside=columns)
    most = ROWS_ON_ACCELERATOR * len(columns)
    if not on_accelerator() or len(sensor) <= most:
        yield Piece(columns, weight=weights)
        return
    for start in range(0, len(sensor), most):
        rows = slice(start, start + most)
        yield Piece(columns[:, rows], weight=weights[rows])


def columns_at(
    columns: Float[AnyArray, "unknown sensor"], sensor: Int[np.ndarray, " row"]
) -> Float[AnyArray, "unknown row"]:
    """Return columns at the sensors with these flat indices, zero at indices beyond the map."""
    inside = sensor < columns.shape[1]
    return columns[:, np.where(inside, sensor, 0)] * inside


def sensors_of_tiles(grid: SensorGrid, tiles: np.ndarray) -> Int[np.ndarray, " row"]:
    """Return the flat indices of the sensors of tiles, (tile · sensor,); beyond the grid, the index is `grid.size`.

    Parameters
    ----------
    grid
        The sensors.
    tiles
        Numbers of the tiles, row by row.
    """
    first = tile_corners(grid, tiles)
    row = first[:, 0, None, None] + np.arange(TILE)[:, None]
    column = first[:, 1, None, None] + np.arange(TILE)
    inside = (row < grid.shape[0]) & (column < grid.shape[1])
    return np.where(inside, row * grid.shape[1] + column, grid.size).ravel()
