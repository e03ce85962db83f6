"""Sums over rows that lie on several devices, of one process or of many: each device adds up its own rows."""

from collections.abc import Callable
from functools import cache
from typing import cast

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

#: Name of the axis of a mesh along which rows are divided.
AXIS = "device"

EVERYWHERE, BY_ROW = PartitionSpec(), PartitionSpec(AXIS)

#: From the sums of one device, its columns, a value for each of its rows, and what all devices share, to new sums.
Step = Callable[[Array, Array, Array, Array | None], Array]


class ShardedSums:
    """One array of sums on each device of a mesh; they are added over the devices once, at the end."""

    def __init__(self, mesh: Mesh, shape: tuple[int, ...]) -> None:
        self.mesh = mesh
        sharding = NamedSharding(mesh, BY_ROW)
        self.sums = jax.jit(lambda: jnp.zeros((mesh.size, *shape)), out_shardings=sharding)()

    @classmethod
    def like(cls, columns: Array, shape: tuple[int, ...]) -> "ShardedSums":
        """Return sums of zero on the devices that hold some columns."""
        return cls(cast(NamedSharding, columns.sharding).mesh, shape)

    def add(self, step: Step, columns: Array, values: Array, shared: Array | None = None) -> None:
        """Add what each device makes of its own rows.

        Parameters
        ----------
        step
            What a device does, without a word to the others.
        columns
            Columns (unknown, row), divided by row.
        values
            One value for each row, divided in the same way.
        shared
            What all devices need.
        """
        self.sums = _over_devices(step, self.mesh)(self.sums, columns, values, shared)

    def total(self) -> Array:
        """Return the sum over all devices, on the first device of this process."""
        return _added(self.mesh)(self.sums).addressable_data(0)

    def joined_factor(self) -> Array:
        """Return the triangular factor of the factors of all devices, on the first device of this process."""
        return _joined_factor(self.mesh)(self.sums).addressable_data(0)


@cache
def _over_devices(step: Step, mesh: Mesh) -> Callable[..., Array]:
    specs = (BY_ROW, PartitionSpec(None, AXIS), BY_ROW, EVERYWHERE)
    return jax.jit(jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=BY_ROW), donate_argnums=0)


@cache
def _added(mesh: Mesh) -> Callable[[Array], Array]:
    together = jax.shard_map(lambda sums: jax.lax.psum(sums[0], AXIS), mesh=mesh, in_specs=BY_ROW, out_specs=EVERYWHERE)
    return jax.jit(together)


@cache
def _joined_factor(mesh: Mesh) -> Callable[[Array], Array]:
    everywhere = NamedSharding(mesh, EVERYWHERE)
    return jax.jit(lambda f: jnp.linalg.qr(f.reshape(-1, f.shape[-1]), mode="r"), out_shardings=everywhere)
