"""The float64 rule, and the tests that tell a number from a traced value and main memory from a device's."""

from collections.abc import Sequence

import jax
import numpy as np
import numpy.typing

#: Anything that reads as an array of real numbers: a number, a nested sequence or an array; may be traced. Checked at
#: run time, `numpy.typing.ArrayLike` alone refuses tuples.
ArrayLike = numpy.typing.ArrayLike | Sequence

#: An array of NumPy or of JAX.
AnyArray = np.ndarray | jax.Array


def require_float64() -> None:
    """Raise unless JAX computes in double precision.

    A solve in single precision has no correct digits left at the condition numbers of this problem. Importing the
    package changes no global state, so the caller has to choose.

    Raises
    ------
    RuntimeError
        If ``jax_enable_x64`` is off; the message holds the line to type.
    """
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise RuntimeError(
            "mmtjax computes in double precision and JAX is set to single; type this before any JAX computation:\n"
            '    import jax; jax.config.update("jax_enable_x64", True)'
        )


def is_concrete(*values: object) -> bool:
    """Whether none of the leaves of `values` is traced by jit, grad or vmap.

    Examples
    --------
    >>> is_concrete(np.zeros(3), 1.0)
    True
    """
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves(values))


def in_main_memory(values: np.ndarray | jax.Array) -> bool:
    """Whether NumPy, BLAS and LAPACK may read an array without copying it.

    Examples
    --------
    >>> in_main_memory(np.zeros(3))
    True
    """
    if isinstance(values, np.ndarray):
        return True
    return is_concrete(values) and all(device.platform == "cpu" for device in values.devices())


def on_accelerator() -> bool:
    """Whether JAX computes elsewhere than on the CPU, by default or as ``jax.default_device`` says.

    Examples
    --------
    >>> with jax.default_device(jax.devices("cpu")[0]):
    ...     on_accelerator()
    False
    """
    return default_device().platform != "cpu"


def default_device() -> jax.Device:
    """The device on which JAX computes where nothing else is said: the first, or that of ``jax.default_device``.

    Examples
    --------
    >>> with jax.default_device("cpu"):
    ...     default_device().platform
    'cpu'
    """
    chosen = jax.config.jax_default_device
    if chosen is None or isinstance(chosen, str):
        return jax.local_devices(backend=chosen)[0]
    return chosen


def float64_array(values: object, *, name: str) -> np.ndarray | jax.Array:
    """`values` as a float64 array; traced values pass through.

    Raises
    ------
    ValueError
        If `values` cannot be read as real numbers.
    """
    if isinstance(values, jax.Array):
        return values
    if not is_concrete(values):
        return jax.numpy.asarray(values)
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of real numbers; got {values!r:.200} ({error})") from error
