"""Frames: the order and rotation in which an operator hands out its rows. Operators of one frame can be stacked."""

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

#: Rows for each unknown that an accelerator multiplies or factors at a time, for each of which it holds several copies.
ROWS_ON_ACCELERATOR = 4


class AbstractFrame(eqx.Module):
    """How rows are cut into pieces and rotated; two operators of one frame yield pieces of the same rows."""

    grid: eqx.AbstractVar[SensorGrid]

    @abstractmethod
    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows of a matrix that is known whole, (unknown, sensor), in the pieces of this frame."""

    def matches(self, other: "AbstractFrame") -> bool:
        """Whether pieces of another frame hold the same rows."""
        return self is other or (type(self) is type(other) and bool(eqx.tree_equal(self, other)))


class WholeFrame(AbstractFrame):
    """All rows at once, in the order of the sensors."""

    grid: SensorGrid

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows in the order of the sensors."""
        yield from parts_of_rows(columns, weight, np.arange(self.grid.size))


class TileFrame(AbstractFrame):
    """Rows in blocks of some tiles of sensors.

    Attributes
    ----------
    grid
        The sensors.
    block_tiles
        Tiles of a block.
    """

    grid: SensorGrid
    block_tiles: int = eqx.field(static=True)

    def blocks(self) -> Iterator[tuple[Int[np.ndarray, " tile"], Int[np.ndarray, " row"]]]:
        """Yield the tiles of each block, and the flat indices of its sensors: the size of the grid beyond the grid."""
        total = tile_count(self.grid)
        for start in range(0, total, self.block_tiles):
            tiles = np.arange(start, min(start + self.block_tiles, total))
            yield tiles, sensors_of_tiles(self.grid, tiles)

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows of one block after another."""
        for _, sensor in self.blocks():
            yield from parts_of_rows(columns_at(columns, sensor), weight, sensor)


def parts_of_rows(
    columns: Float[AnyArray, "unknown row"], weight: Float[AnyArray, "ny nx"], sensor: Int[np.ndarray, " row"]
) -> Iterator[Piece]:
    """Yield whole rows of some sensors, in several pieces on an accelerator, which holds copies of each.

    Parameters
    ----------
    columns
        The rows.
    weight
        Weights of all sensors.
    sensor
        Flat index of the sensor of each row; rows beyond the map count nothing.
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
    """Return columns at some sensors, zero at flat indices beyond the map."""
    inside = sensor < columns.shape[1]
    return columns[:, np.where(inside, sensor, 0)] * inside


def sensors_of_tiles(grid: SensorGrid, tiles: np.ndarray) -> Int[np.ndarray, " row"]:
    """Return flat indices of the sensors of tiles, (tile · sensor,); `grid.size` where a tile leaves the grid."""
    first = tile_corners(grid, tiles)
    row = first[:, 0, None, None] + np.arange(TILE)[:, None]
    column = first[:, 1, None, None] + np.arange(TILE)
    inside = (row < grid.shape[0]) & (column < grid.shape[1])
    return np.where(inside, row * grid.shape[1] + column, grid.size).ravel()
