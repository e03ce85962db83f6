"""The float64 rule, and the test that tells a number from a traced value."""

import jax
import numpy as np


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
