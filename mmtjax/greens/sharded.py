"""The Green's operator with its rows shared out over all devices that JAX sees, of one process or of many."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import DEFAULT_TOLERANCE, TILE, FieldPlan, plan_field, tile_count
from mmtjax.greens.base import AbstractGreen
from mmtjax.greens.tiled import block_tiles_for, sensors_of_tiles
from mmtjax.precision import is_concrete
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

_AXIS = "device"
_EVERYWHERE, _ROWS = PartitionSpec(), PartitionSpec(_AXIS)


class ShardedGreen(AbstractGreen):
    """Rows of Q made tile by tile, each device its own ones, and forgotten when the next are made.

    Every device sums up the products of its rows; the sums are added over the devices once, at the end. Where there
    are many processes, each must call the same functions with the same values; every process gets the whole result, on
    its first device.

    Parameters
    ----------
    grains, grid
        Sources and sensors.
    tolerance
        Error of a coefficient as a share of the peak of its grain.
    devices
        The devices; by default all that JAX sees, those of the other processes of `jax.distributed` included.
    block_bytes
        Size of the columns that each device holds at a time.

    Raises
    ------
    ValueError
        For traced geometry, weights or fields, and as `greens_matrix`.

    Examples
    --------
    >>> grains = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1]])
    >>> green = ShardedGreen(grains, SensorGrid(origin=(-9, -9), spacing=1, shape=(19, 19), height=1))
    >>> green.gram().shape
    (3, 3)
    """

    grains: Grains
    grid: SensorGrid
    plan: FieldPlan
    mesh: Mesh = eqx.field(static=True)
    block_tiles: int = eqx.field(static=True)

    def __init__(
        self,
        grains: Grains,
        grid: SensorGrid,
        *,
        tolerance: float = DEFAULT_TOLERANCE,
        devices: Sequence[jax.Device] | None = None,
        block_bytes: int | None = None,
    ) -> None:
        _require_known(grains, grid)
        self.grains, self.grid = grains, grid
        self.plan = plan_field(grains, grid, tolerance=tolerance)
        self.mesh = Mesh(np.array(jax.devices() if devices is None else devices), (_AXIS,))
        each = -(-tile_count(grid) // self.mesh.size)
        self.block_tiles = block_tiles_for(len(grains), block_bytes=block_bytes, most=each)

    @property
    def unknowns(self) -> int:
        """Number of unknowns, three for each grain."""
        return 3 * len(self.grains)

    def mv(self, magnetization: Float[Array, " unknown"], *, progress: Progress | None = None) -> Float[Array, "ny nx"]:
        """The field Q M of a magnetization, nT."""
        _require_known(magnetization)
        sums = self._zeros(self.grid.size)
        vector = jax.device_put(np.asarray(magnetization), NamedSharding(self.mesh, _EVERYWHERE))
        for columns, sensor in self._row_blocks(progress):
            sums = _over_devices(_add_field, self.mesh)(sums, columns, self._shared_out(sensor), vector)
        return _total(sums, self.mesh).reshape(self.grid.shape)

    def rmv(self, field: Float[Array, "ny nx"], *, progress: Progress | None = None) -> Float[Array, " unknown"]:
        """The product Qᵀφ with a field."""
        return self._sum_over_rows(_add_moments, field, self.unknowns, progress=progress)

    def gram(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """The matrix QᵀW²Q, with one weight for each sensor."""
        weight = jnp.ones(self.grid.shape) if weight is None else weight
        return self._sum_over_rows(_add_gram, weight, self.unknowns, self.unknowns, progress=progress)

    def root(
        self, weight: Float[Array, "ny nx"] | None = None, *, progress: Progress | None = None
    ) -> Float[Array, "unknown unknown"]:
        """A triangular factor of the weighted rows: QR on every device, and of the factors of all (TSQR)."""
        weight = jnp.ones(self.grid.shape) if weight is None else weight
        factors = self._accumulate(_add_rows, weight, self.unknowns, self.unknowns, progress=progress)
        return _joined_root(self.mesh)(factors).addressable_data(0)

    def _sum_over_rows(
        self, step: Callable, values: Float[Array, "ny nx"], *shape: int, progress: Progress | None
    ) -> Array:
        return _total(self._accumulate(step, values, *shape, progress=progress), self.mesh)

    def _accumulate(
        self, step: Callable, values: Float[Array, "ny nx"], *shape: int, progress: Progress | None
    ) -> Array:
        """What each device makes of its rows and of one value for each of them, (device, *shape)."""
        _require_known(values)
        padded = np.append(np.asarray(values, np.float64).ravel(), 0.0)
        sums = self._zeros(*shape)
        for columns, sensor in self._row_blocks(progress):
            sums = _over_devices(step, self.mesh)(sums, columns, self._shared_out(padded[sensor]), None)
        return sums

    def _row_blocks(self, progress: Progress | None) -> Iterator[tuple[Array, Int[np.ndarray, " row"]]]:
        """Rows (unknown, device · row), `block_tiles` tiles on each device, and the sensors they belong to."""
        total, each = tile_count(self.grid), self.block_tiles
        for start in range(0, total, each * self.mesh.size):
            tiles = np.arange(start, start + each * self.mesh.size)
            # Every device needs as many rows: the last tile fills up what is missing, as rows of no sensor.
            beyond, tiles = tiles >= total, np.minimum(tiles, total - 1)
            sensor = sensors_of_tiles(self.grid, tiles).reshape(len(tiles), -1)
            sensor[beyond] = self.grid.size
            parts = []
            for own, device in zip(tiles.reshape(-1, each), self.mesh.devices, strict=True):
                if device.process_index == jax.process_index():
                    with jax.default_device(device):
                        parts.append(columns_on_tiles(self.plan, self.grid, tiles=own))
            sharding = NamedSharding(self.mesh, PartitionSpec(None, _AXIS))
            columns = jax.make_array_from_single_device_arrays((self.unknowns, sensor.size), sharding, parts)
            yield columns, sensor.ravel()
            if progress is not None:
                jax.block_until_ready(columns)
                progress(min(self.grid.size, (int(tiles[-1]) + 1) * TILE * TILE), self.grid.size)

    def _shared_out(self, values: np.ndarray) -> Array:
        """Values of the rows of a block, on the devices that have the rows."""
        return jax.make_array_from_callback(values.shape, NamedSharding(self.mesh, _ROWS), lambda index: values[index])

    def _zeros(self, *shape: int) -> Array:
        """Zeros of a shape on each device."""
        sharding = NamedSharding(self.mesh, _ROWS)
        return jax.jit(lambda: jnp.zeros((self.mesh.size, *shape)), out_shardings=sharding)()


def _require_known(*values: object) -> None:
    if not is_concrete(values):
        raise ValueError(
            "values are being traced, but the rows of every device are made from the host; use TiledGreen for "
            "derivatives"
        )


def _add_field(sums: Array, columns: Array, sensor: Array, magnetization: Array) -> Array:
    return sums.at[0, sensor].add(magnetization @ columns, mode="drop")


def _add_moments(sums: Array, columns: Array, field: Array, _: None) -> Array:
    return sums + columns @ field


def _add_gram(sums: Array, columns: Array, weight: Array, _: None) -> Array:
    weighted = columns * weight
    return sums + weighted @ weighted.T


def _add_rows(factors: Array, columns: Array, weight: Array, _: None) -> Array:
    return jnp.linalg.qr(jnp.concatenate([factors[0], (columns * weight).T]), mode="r")[None]


@cache
def _over_devices(step: Callable, mesh: Mesh) -> Callable:
    """A step that every device takes with its own sums, rows and values, without a word to the others."""
    specs = (_ROWS, PartitionSpec(None, _AXIS), _ROWS, _EVERYWHERE)
    return jax.jit(jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=_ROWS), donate_argnums=0)


def _total(sums: Array, mesh: Mesh) -> Array:
    return _added(mesh)(sums).addressable_data(0)


@cache
def _added(mesh: Mesh) -> Callable:
    """The sum over all devices, for all of them."""
    together = jax.shard_map(
        lambda sums: jax.lax.psum(sums[0], _AXIS), mesh=mesh, in_specs=_ROWS, out_specs=_EVERYWHERE
    )
    return jax.jit(together)


@cache
def _joined_root(mesh: Mesh) -> Callable:
    """The triangular factor of those of all devices, for all of them."""
    everywhere = NamedSharding(mesh, _EVERYWHERE)
    return jax.jit(lambda f: jnp.linalg.qr(f.reshape(-1, f.shape[-1]), mode="r"), out_shardings=everywhere)
