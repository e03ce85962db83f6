"""Tables of rows in the memory of an accelerator, padded so that functions are compiled for few numbers of rows."""

import jax
import numpy as np
from jaxtyping import Array, Float, Shaped

from mmtjax.precision import AnyArray


def on_device(values: Float[AnyArray, "..."]) -> Float[Array, "..."]:
    """Copy a table to the default device, its rows padded with zeros to a power of two; a number stays a number.

    Examples
    --------
    >>> on_device(np.ones((5, 3))).shape
    (8, 3)
    """
    values = np.asarray(values)
    return jax.device_put(filled_up(values) if values.ndim else values)


def filled_up(rows: Shaped[np.ndarray, "row ..."]) -> Shaped[np.ndarray, "filled ..."]:
    """Return rows padded with rows of zeros to a power of two.

    Examples
    --------
    >>> filled_up(np.array([7, 8, 9]))
    array([7, 8, 9, 0])
    """
    missing = (1 << (len(rows) - 1).bit_length()) - len(rows) if len(rows) else 0
    return np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1))
