"""The Green's operator with its rows divided over several devices, of one process or of many."""

from collections.abc import Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from mmtjax.errors import InputError
from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import DEFAULT_TOLERANCE, TILE, FieldPlan, plan_field, tile_count
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.frames import AbstractFrame, columns_at, sensors_of_tiles
from mmtjax.greens.tiled import block_tiles_for
from mmtjax.linalg.pieces import Piece
from mmtjax.linalg.sharded import AXIS, BY_ROW, EVERYWHERE, ShardedSums
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import AbstractSource
from mmtjax.unknowns import Unknowns

#: Division of a block (unknown, row) over the devices: each device has all unknowns of its own rows.
_COLUMNS = PartitionSpec(None, AXIS)


class ShardedFrame(AbstractFrame):
    """A frame of blocks of rows, each with the same number of tiles of sensors on every device.

    Attributes
    ----------
    grid
        The sensors.
    mesh
        The devices.
    block_tiles
        Number of tiles of a block on each device.
    """

    grid: SensorGrid
    mesh: Mesh = eqx.field(static=True)
    block_tiles: int = eqx.field(static=True)

    def blocks(self) -> Iterator[tuple[Int[np.ndarray, "device tile"], Int[np.ndarray, " row"]]]:
        """Yield the tiles of each device in a block, and the flat indices of the sensors of all rows of the block."""
        total, each = tile_count(self.grid), self.block_tiles
        for start in range(0, total, each * self.mesh.size):
            tiles = np.arange(start, start + each * self.mesh.size)
            # All devices need the same number of rows: the last block is filled up with rows that belong to no sensor.
            beyond, tiles = tiles >= total, np.minimum(tiles, total - 1)
            sensor = sensors_of_tiles(self.grid, tiles).reshape(len(tiles), -1)
            sensor[beyond] = self.grid.size
            yield tiles.reshape(-1, each), sensor.ravel()

    def by_row(self, values: np.ndarray) -> Array:
        """Return the values of the rows of a block as an array that is divided over the devices like the rows."""
        return jax.make_array_from_callback(values.shape, NamedSharding(self.mesh, BY_ROW), lambda index: values[index])

    def pieces_of(
        self, columns: Float[AnyArray, "unknown sensor"], weight: Float[AnyArray, "ny nx"]
    ) -> Iterator[Piece]:
        """Yield the rows of a complete matrix block by block, divided over the devices."""
        require_known(columns, weight)
        sharding, padded = NamedSharding(self.mesh, _COLUMNS), np.append(np.asarray(weight, np.float64).ravel(), 0.0)
        for _, sensor in self.blocks():
            own = np.asarray(columns_at(np.asarray(columns), sensor))
            shared = jax.make_array_from_callback(own.shape, sharding, lambda index, own=own: own[index])
            yield Piece(shared, weight=self.by_row(padded[sensor]))


class ShardedGreen(AbstractGreen):
    """The Green's operator whose rows are computed block by block on several devices and not stored.

    Each device adds up the products of its own rows; these sums are added over the devices once, at the end. If there
    are several processes, each of them must call the same functions with the same values, and gets the whole result on
    its first device. ``mmtjax.invert(..., green="sharded")`` uses this operator.

    Parameters
    ----------
    sources, grid
        Sources and sensors.
    tolerance
        Allowed error of a coefficient as a share of the peak of its source.
    devices
        The devices; by default all devices of JAX, including those of the other processes of `jax.distributed`.
    block_bytes
        Size of the columns that are in the memory of each device at a time.
    reuse_plan
        A plan of the same sources at nearby positions, see `plan_field`.
    frame
        Blocks and devices of another operator, with which this one is to be stacked; by default they follow from
        `devices` and `block_bytes`.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For traced geometry, weights or fields, for sources above the sensors, and for a tolerance outside (0, 0.01].

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> green = ShardedGreen(grains, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    >>> green.gram().shape
    (3, 3)
    """

    sources: AbstractSource
    grid: SensorGrid
    plan: FieldPlan
    frame: ShardedFrame

    def __init__(
        self,
        sources: AbstractSource,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]  JAX has no stub for it
        block_bytes: int | None = None,
        reuse_plan: FieldPlan | None = None,
        frame: ShardedFrame | None = None,
    ) -> None:
        require_known(sources, grid)
        self.sources, self.grid = sources, grid
        self.plan = plan_field(sources, grid, tolerance=tolerance, reuse_plan=reuse_plan)
        if frame is None:
            mesh = Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))
            each = -(-tile_count(grid) // mesh.size)
            size = sources.unknowns.size
            frame = ShardedFrame(grid, mesh, block_tiles_for(size, block_bytes=block_bytes, most=each))
        self.frame = frame

    @property
    def unknowns(self) -> Unknowns:
        """The components of all sources."""
        return Unknowns((self.sources.unknowns,))

    @property
    def sweep_order(self) -> Int[np.ndarray, " unknown"]:
        """Numbers of the unknowns, ascending."""
        return np.arange(self.unknowns.size)

    def mv(
        self, values: Float[AnyArray, "*map unknown"], *, progress: Progress | None = None
    ) -> Float[Array, "*map ny nx"]:
        """Return the field Q m of one vector of unknowns or several, nT."""
        require_known(values)
        vectors = np.asarray(values).reshape(-1, self.unknowns.size)
        sums = ShardedSums(self.frame.mesh, (len(vectors), self.grid.size))
        shared = jax.device_put(vectors, NamedSharding(self.frame.mesh, EVERYWHERE))
        for columns, sensor in self._row_blocks(progress):
            sums.add(_add_field, columns, self.frame.by_row(sensor), shared)
        return sums.total().reshape(*values.shape[:-1], *self.grid.shape)

    def rmv(
        self, field: Float[AnyArray, "*map ny nx"], *, progress: Progress | None = None
    ) -> Float[Array, "*map unknown"]:
        """Return the product Qᵀφ with one field or several."""
        require_known(field)
        flat = np.asarray(field, np.float64).reshape(-1, self.grid.size)
        padded = np.concatenate([flat, np.zeros((len(flat), 1))], axis=1)
        sums = ShardedSums(self.frame.mesh, (len(flat), self.unknowns.size))
        for columns, sensor in self._row_blocks(progress):
            sums.add(_add_moments, columns, self.frame.by_row(padded[:, sensor].T))
        return sums.total().reshape(*field.shape[:-2], self.unknowns.size)

    def normal(
        self, values: Float[AnyArray, "*map unknown"], weight: Float[AnyArray, "ny nx"]
    ) -> Float[Array, "*map unknown"]:
        """Return the product QᵀW²Q m with one vector of unknowns or several."""
        return self.rmv(np.asarray(weight) ** 2 * np.asarray(self.mv(values)))

    def pieces(self, weight: Float[AnyArray, "ny nx"], *, progress: Progress | None = None) -> Iterator[Piece]:
        """Yield the rows of W Q block by block."""
        require_known(weight)
        padded = np.append(np.asarray(weight, np.float64).ravel(), 0.0)
        for columns, sensor in self._row_blocks(progress):
            yield Piece(columns, weight=self.frame.by_row(padded[sensor]))

    def _row_blocks(self, progress: Progress | None) -> Iterator[tuple[Array, Int[np.ndarray, " row"]]]:
        """Yield the rows (unknown, device · row) of each block and the flat indices of their sensors."""
        size, mesh = self.unknowns.size, self.frame.mesh
        for tiles, sensor in self.frame.blocks():
            parts = []
            for own, device in zip(tiles, mesh.devices, strict=True):
                if device.process_index == jax.process_index():
                    with jax.default_device(device):
                        parts.append(columns_on_tiles(self.plan, self.grid, tiles=own))
            sharding = NamedSharding(mesh, _COLUMNS)
            columns = jax.make_array_from_single_device_arrays((size, sensor.size), sharding, parts)
            yield columns, sensor
            if progress is not None:
                jax.block_until_ready(columns)
                progress(min(self.grid.size, (int(tiles[-1, -1]) + 1) * TILE * TILE), self.grid.size)


def require_known(*values: object) -> None:
    """Raise a `ValueError` for traced values, which an operator on several devices does not support."""
    if not is_concrete(values):
        msg = (
            "values are traced by JAX, but an operator on several devices needs their numbers; use TiledGreen for "
            "derivatives"
        )
        raise InputError(msg)


def _add_field(sums: Array, columns: Array, sensor: Array, values: Array | None) -> Array:
    """Return the fields on one device with the field at the sensors of its rows written."""
    return sums.at[0, :, sensor].add((jnp.asarray(values) @ columns).T, mode="drop")


def _add_moments(sums: Array, columns: Array, field: Array, _: Array | None) -> Array:
    """Return the products on one device with those of its rows added."""
    return sums + (columns @ field).T[None]
