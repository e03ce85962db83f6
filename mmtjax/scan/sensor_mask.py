"""Check masks of sensors, whatever they were read from."""

import numpy as np
from jaxtyping import Bool

from mmtjax.errors import InputError
from mmtjax.precision import ArrayLike, is_concrete, refuse_masked


def checked_mask(
    values: ArrayLike, *, shape: tuple[int, ...] | None = None, numbers: bool = False
) -> Bool[np.ndarray, "ny nx"]:
    """Return a mask as an array of booleans, after a check that every value is one.

    Parameters
    ----------
    values
        The mask, [y, x].
    shape
        Shape (ny, nx) that it must have; any by default.
    numbers
        Whether the numbers 0 and 1 stand for False and True, as in files of formats without booleans.

    Raises
    ------
    ValueError
        If a value is anything else, such as NaN or 2; for another shape, masked arrays, and traced values.

    Examples
    --------
    >>> checked_mask([[0, 1]], numbers=True)
    array([[False,  True]])
    >>> checked_mask([[1.0, np.nan]], numbers=True)
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: a mask is two-dimensional, of booleans or the numbers 0 and 1; got nan at [y, x] = [0, 1]
    """
    if not is_concrete(values):
        msg = "the mask must be known before a computation; it is traced by jit, grad or vmap"
        raise InputError(msg)
    refuse_masked(values, name="the mask")
    try:
        array = np.asarray(values)
    except ValueError as error:
        msg = f"the mask is not an array [y, x] of booleans ({error}); got {values!r:.200}"
        raise InputError(msg) from error
    if numbers:
        _check_numbers(array)
        array = array.astype(bool)
    if array.dtype != bool or array.ndim != 2 or shape not in (None, array.shape):
        wanted = "" if shape is None else f", of shape {shape}"
        msg = f"the mask must be boolean, True = use this sensor{wanted}; got {array.dtype} of shape {array.shape}"
        raise InputError(msg)
    return array


def _check_numbers(array: np.ndarray) -> None:
    """Raise a ValueError unless an array is two-dimensional and holds booleans or the numbers 0 and 1."""
    rule = "a mask is two-dimensional, of booleans or the numbers 0 and 1; got"
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        msg = f"{rule} shape {array.shape}, dtype {array.dtype}"
        raise InputError(msg)
    other = ~((array == 0) | (array == 1))
    if other.any():
        row, column = np.argwhere(other)[0]
        msg = f"{rule} {array[row, column]:g} at [y, x] = [{row}, {column}]"
        raise InputError(msg)
