"""The choice between NumPy and JAX for a computation, and the values of maps at indices by either of them."""

from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.precision import AnyArray, in_main_memory


def array_namespace(*values: AnyArray | float) -> ModuleType:
    """Return the module `numpy` if no value is traced and all are in main memory, `jax.numpy` otherwise.

    NumPy needs no compilation for each of the many sizes that occur, and its BLAS is faster than that of XLA on a CPU.
    Only JAX supports traced values and accelerators.

    Parameters
    ----------
    *values
        The operands of a computation.

    Examples
    --------
    >>> array_namespace(np.zeros(3), 1.0).__name__
    'numpy'
    """
    known = all(isinstance(value, int | float) or in_main_memory(value) for value in values)
    return np if known else jnp


def take_or_zero(
    values: Float[AnyArray, "*map ny nx"], index: Int[AnyArray, " row"], *, beside: AnyArray | None = None
) -> Float[AnyArray, "*map row"]:
    """Return values of maps at flat indices, zero at indices beyond their end.

    Parameters
    ----------
    values
        One map or several, (..., ny, nx).
    index
        Flat indices into a map, (row,).
    beside
        Another operand of the computation that uses the result: if it is not in main memory, the result is an array of
        JAX.

    Examples
    --------
    >>> take_or_zero(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([3, 0, 4]))
    array([4., 1., 0.])
    """
    others = () if beside is None else (beside,)
    if array_namespace(values, index, *others) is jnp:
        return _taken(values, index)
    known = np.asarray(values)
    flat = known.reshape(*known.shape[:-2], -1)
    return np.where(index < flat.shape[-1], flat.take(index, axis=-1, mode="clip"), 0.0)


@jax.jit
def _taken(values: Array, index: Array) -> Array:
    """Return values at flat indices, by JAX."""
    flat = jnp.reshape(values, (*values.shape[:-2], -1))
    return flat.at[..., index].get(mode="fill", fill_value=0.0)
