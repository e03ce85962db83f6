"""Memory that windows need, asked for before they are worked on."""

from mmtjax.inversion.memory import available_memory, checked_limit, estimate_memory
from mmtjax.subdomains.problem import Problem

#: Vectors of all unknowns that live at once for each map: what rounds have come to, directions and images that are
#: remembered, and those that are being made.
_VECTORS = 16

_GIB = 2**30


def window_memory(problem: Problem) -> int:
    """Bytes that the largest window of a problem, and the rounds, take at their peak."""
    largest = max(problem.windows, key=lambda window: len(window.grains))
    rows, columns = largest.rows, largest.columns
    sensors = (rows.stop - rows.start) * (columns.stop - columns.start)
    rounds = _VECTORS * 8 * (1 + problem.options.draws) * problem.unknowns
    return estimate_memory(len(largest.grains), sensors, method=problem.options.method) + rounds


def require_window_memory(problem: Problem, *, limit: int | None, alone: bool) -> None:
    """Raise unless the largest window fits in `limit` bytes; by default in what is free, where this process is alone.

    Raises
    ------
    ValueError
        For a limit that can be none.
    MemoryError
        With what is needed, what there is, and what would make it fit.
    """
    limit = checked_limit(limit)
    if limit is None and not alone:
        # The memory of those who do the work is not known here.
        return
    there, needed = available_memory() if limit is None else limit, window_memory(problem)
    if needed <= there:
        return
    grains, options = max(len(window.grains) for window in problem.windows), problem.options
    whose = "free on this machine" if limit is None else "allowed by memory_limit"
    raise MemoryError(
        f"a window of {grains} grains takes about {needed / _GIB:.3g} GiB, and {there / _GIB:.3g} GiB are "
        f"{whose}; pass core= or buffer= smaller than {options.core:.3g} and {options.buffer:.3g} µm"
    )
