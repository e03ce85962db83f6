"""Sums over rows that are divided over several devices, of one process or of many: each device adds its own rows."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from mmtjax.errors import InputTypeError
from mmtjax.precision import AnyArray

#: Name of the axis of a mesh of devices along which rows are divided.
AXIS = "device"

#: Arrays of which each device has a copy, and arrays that are divided along their first axis.
EVERYWHERE, BY_ROW = PartitionSpec(), PartitionSpec(AXIS)

#: From the sums of one device, its columns, a value for each of its rows, and an array that all devices have, to new
#: sums of this device.
Step = Callable[[Array, Array, Array, Array | None], Array]


class ShardedSums:
    """An array of sums on each device of a mesh; these arrays are added over the devices once, at the end.

    Parameters
    ----------
    mesh
        The devices.
    shape
        Shape of the array on each device.
    """

    def __init__(self, mesh: Mesh, shape: tuple[int, ...]) -> None:
        self.mesh = mesh
        sharding = NamedSharding(mesh, BY_ROW)
        self.sums = jax.jit(lambda: jnp.zeros((mesh.size, *shape)), out_shardings=sharding)()

    @classmethod
    def like(cls, columns: AnyArray, shape: tuple[int, ...]) -> "ShardedSums":
        """Return sums of zero on the devices over which some columns are divided.

        Parameters
        ----------
        columns
            Columns (unknown, row), divided by row.
        shape
            Shape of the sums on each device.

        Raises
        ------
        TypeError
            For columns that are not divided over a mesh of devices.
        """
        sharding = None if isinstance(columns, np.ndarray) else columns.sharding
        if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
            msg = f"columns must be divided over a mesh of devices; got {type(columns)} with {sharding}"
            raise InputTypeError(msg)
        return cls(sharding.mesh, shape)

    def add(self, step: Step, columns: Array, values: Array, shared: Array | None = None) -> None:
        """Update the sums of each device from its own rows.

        Parameters
        ----------
        step
            The update on one device, without communication with the others.
        columns
            Columns (unknown, row), divided by row.
        values
            A value for each row, divided in the same way.
        shared
            An array that all devices have.
        """
        self.sums = _over_devices(step, self.mesh)(self.sums, columns, values, shared)

    def total(self) -> Array:
        """Return the sums added over all devices, on the first device of this process."""
        return _added(self.mesh)(self.sums).addressable_data(0)

    def joined_factor(self) -> Array:
        """Return the triangular factor of the factors of all devices, on the first device of this process."""
        return _joined_factor(self.mesh)(self.sums).addressable_data(0)


@cache
def _over_devices(step: Step, mesh: Mesh) -> Callable[..., Array]:
    """Return a compiled update of the sums of all devices."""
    specs = (BY_ROW, PartitionSpec(None, AXIS), BY_ROW, EVERYWHERE)
    return jax.jit(jax.shard_map(step, mesh=mesh, in_specs=specs, out_specs=BY_ROW), donate_argnums=0)


@cache
def _added(mesh: Mesh) -> Callable[[Array], Array]:
    """Return a compiled sum over devices, whose result every device has."""
    together = jax.shard_map(lambda sums: jax.lax.psum(sums[0], AXIS), mesh=mesh, in_specs=BY_ROW, out_specs=EVERYWHERE)
    return jax.jit(together)


@cache
def _joined_factor(mesh: Mesh) -> Callable[[Array], Array]:
    """Return the compiled triangular factor of the factors of all devices, which every device has."""
    everywhere = NamedSharding(mesh, EVERYWHERE)
    return jax.jit(lambda f: jnp.linalg.qr(f.reshape(-1, f.shape[-1]), mode="r"), out_shardings=everywhere)
