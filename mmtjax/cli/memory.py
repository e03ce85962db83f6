"""Conversion of the option ``--memory-limit`` from GiB to bytes."""

import math

from mmtjax.errors import InputError

_GIB = 2**30


def bytes_of(memory_limit: float | None) -> int | None:
    """Return a memory limit in bytes; None for no limit.

    Parameters
    ----------
    memory_limit
        GiB.

    Raises
    ------
    ValueError
        For a limit that is not positive and finite.
    """
    if memory_limit is None:
        return None
    if not 0 < memory_limit * _GIB < math.inf:
        msg = f"--memory-limit must be a positive number of GiB; got {memory_limit!r}"
        raise InputError(msg)
    return int(memory_limit * _GIB)
