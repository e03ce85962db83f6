"""The limit of memory as it is typed, in GiB."""

import math

_GIB = 2**30


def bytes_of(memory_limit: float | None) -> int | None:
    """Bytes of so many GiB; None for no limit.

    Raises
    ------
    ValueError
        For what is no positive number.
    """
    if memory_limit is None:
        return None
    if not 0 < memory_limit < math.inf:
        raise ValueError(f"--memory-limit must be a positive number of GiB; got {memory_limit!r}")
    return int(memory_limit * _GIB)
