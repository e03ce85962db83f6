"""Check ids of sources: whole numbers that float64 holds exactly."""

import numpy as np
from jaxtyping import Int

from mmtjax.errors import InputError
from mmtjax.precision import ArrayLike, refuse_masked

#: From here on float64 does not tell a whole number from its neighbours, and tables with other columns are float64.
LARGEST_EXACT = 2**53


def exact_ids(ids: ArrayLike, *, owner: str) -> Int[np.ndarray, " source"]:
    """Return ids as integers, (source,).

    Parameters
    ----------
    ids
        Whole numbers, of any type of number.
    owner
        What has the ids, for the error.

    Raises
    ------
    ValueError
        For ids that are masked, not numbers, not whole, not finite, or so large that their type or float64 does not
        tell them from their neighbours; the message quotes the first of them and its row.

    Examples
    --------
    >>> exact_ids([7.0, 3.0], owner="grain")
    array([7, 3])
    """
    refuse_masked(ids, name="ids")
    values = np.atleast_1d(np.asarray(ids))
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        msg = f"ids must be integers, (source,); got dtype {values.dtype} of shape {values.shape}"
        raise InputError(msg)
    # Float32 tells whole numbers apart up to 2²⁴ only.
    largest = min(LARGEST_EXACT, 2 ** (np.finfo(values.dtype).nmant + 1)) if values.dtype.kind == "f" else LARGEST_EXACT
    # Not the absolute value, which the lowest int64 does not have; NaN is not between the bounds.
    valid = (values == np.round(values)) & (values > -largest) & (values < largest)
    if not np.all(valid):
        row = int(np.argmin(valid))
        msg = (
            f"{owner} {row} has the grain id {values[row].item()!r}; ids must be integers below {largest} in size, "
            "which can be told from their neighbours"
        )
        raise InputError(msg)
    return values.astype(np.int64)
