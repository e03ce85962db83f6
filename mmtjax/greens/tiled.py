"""The Green's operator whose rows are computed block by block whenever they are used, and not stored."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import DEFAULT_TOLERANCE, TILE, FieldPlan, plan_field, tile_count
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import TileFrame, parts_of_rows
from mmtjax.linalg.arrays import take_or_zero
from mmtjax.linalg.pieces import Piece
from mmtjax.precision import AnyArray, on_accelerator
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns

#: Size of the columns of one block, in bytes. Blocks below 32 MiB reuse memory of the process; for larger ones, the
#: system allocates new memory each time, which costs up to a third of their computation. For many unknowns, blocks have
#: `_BLOCK_ROWS` rows even so, because the matrix of the normal equations is read and written once for each block.
_BLOCK_BYTES = 24 * 2**20
_BLOCK_ROWS = 2048

#: Size of the columns of one block on an accelerator, which smaller blocks would not keep busy, in bytes.
_ACCELERATOR_BYTES = 2**30

_DOUBLE = np.dtype(np.float64).itemsize


def block_tiles_for(unknowns: int, *, block_bytes: int | None, most: int) -> int:
    """Return the number of tiles of a block of columns.

    Parameters
    ----------
    unknowns
        Number of unknowns.
    block_bytes
        Size of the columns of a block, in bytes; None for the fastest.
    most
        Largest number of tiles; the smallest is one.
    """
    wanted = block_bytes_for(unknowns) if block_bytes is None else block_bytes
    return int(np.clip(wanted // (_DOUBLE * unknowns * TILE * TILE), 1, most))


def block_bytes_for(unknowns: int) -> int:
    """Return the fastest size of the columns of a block for a number of unknowns, in bytes."""
    return max(_ACCELERATOR_BYTES if on_accelerator() else _BLOCK_BYTES, _DOUBLE * _BLOCK_ROWS * unknowns)


class RowBlock(eqx.Module):
    """A block of rows of Q.

    Attributes
    ----------
    columns
        The transposed rows, (unknown, row).
    sensor
        Flat index of the sensor of each row; the size of the grid for sensors of a tile beyond the grid.
    """

    columns: Float[Array, "unknown row"]
    sensor: Int[np.ndarray, " row"]


class TiledGreen(AbstractGreen):
    """The Green's operator whose rows are computed block by block whenever they are used, and not stored.

    Parameters
    ----------
    sources, grid
        Sources and sensors; positions, standoff and spacing may be traced.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.
    block_bytes
        Size of the columns that are in memory at a time; by default the fastest.
    reuse_plan
        A plan of the same sources at nearby positions, see `plan_field`.
    frame
        Blocks of another operator, with which this one is to be stacked; by default they follow from `block_bytes`.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For sources above the sensors and a tolerance outside (0, 0.01].

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> green = TiledGreen(grains, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    >>> green.gram().shape
    (3, 3)
    """

    sources: AbstractSource
    grid: SensorGrid
    plan: FieldPlan
    frame: TileFrame

    def __init__(
        self,
        sources: AbstractSource,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        block_bytes: int | None = None,
        reuse_plan: FieldPlan | None = None,
        frame: TileFrame | None = None,
    ) -> None:
        self.sources = sources
        self.grid = grid
        self.plan = plan_field(sources, grid, tolerance=tolerance, reuse_plan=reuse_plan)
        tiles = block_tiles_for(sources.unknowns.size, block_bytes=block_bytes, most=tile_count(grid))
        self.frame = TileFrame(grid, tiles) if frame is None else frame

    @property
    def unknowns(self) -> Unknowns:
        """The components of all sources."""
        return Unknowns((self.sources.unknowns,))

    @property
    def sweep_order(self) -> Int[np.ndarray, " unknown"]:
        """Numbers of the unknowns, ascending."""
        return np.arange(self.unknowns.size)

    def row_blocks(self, progress: Progress | None = None) -> Iterator[RowBlock]:
        """Yield all rows of Q block by block.

        Parameters
        ----------
        progress
            Called with the number of sensors that are complete, and the number of all sensors.
        """
        for tiles, sensor in self.frame.blocks():
            columns = columns_on_tiles(self.plan, self.grid, tiles=tiles)
            yield RowBlock(columns, sensor)
            if progress is not None:
                # JAX computes asynchronously: without waiting, progress would be reported too early.
                jax.block_until_ready(columns)
                progress(min(self.grid.size, (int(tiles[-1]) + 1) * TILE * TILE), self.grid.size)

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT."""
        parts, sensors = [], []
        for block in self.row_blocks(progress):
            parts.append(_field(block.columns, jnp.asarray(values)))
            sensors.append(block.sensor)
        order = np.argsort(np.concatenate(sensors), kind="stable")[: self.grid.size]
        return jnp.concatenate(parts, axis=-1)[..., order].reshape(*values.shape[:-1], *self.grid.shape)

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several."""
        total = jnp.zeros((*field.shape[:-2], self.unknowns.size))
        for block in self.row_blocks(progress):
            here = take_or_zero(field, block.sensor, beside=block.columns)
            total = _add_moments(total, block.columns, jnp.asarray(here))
        return total

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several, computing each row once."""
        total = jnp.zeros(values.shape)
        for block in self.row_blocks():
            weights = jnp.asarray(take_or_zero(weight, block.sensor, beside=block.columns))
            total = _add_moments(total, block.columns, weights**2 * _field(block.columns, jnp.asarray(values)))
        return total

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rows of W Q block by block."""
        for block in self.row_blocks(progress):
            yield from parts_of_rows(block.columns, weight, block.sensor)


@jax.jit
def _field(columns: Float[Array, "unknown row"], values: Float[Array, "*map unknown"]) -> Float[Array, "*map row"]:
    """Return the field of vectors of unknowns at some sensors."""
    return values @ columns


@jax.jit
def _add_moments(
    total: Float[Array, "*map unknown"], columns: Float[Array, "unknown row"], field: Float[Array, "*map row"]
) -> Float[Array, "*map unknown"]:
    """Return a sum with the products of columns and fields at some sensors added."""
    return total + (columns @ field if field.ndim == 1 else field @ columns.T)
