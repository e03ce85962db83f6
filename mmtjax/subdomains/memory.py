"""Memory that windows need, asked for before they are worked on."""

import jax

from mmtjax.inversion.memory import checked_limit, estimate_memory, require_bytes
from mmtjax.subdomains.problem import Problem

#: Vectors of all unknowns that live at once for each map: what rounds have come to, directions and images that are
#: remembered, and those that are being made.
_VECTORS = 16


def require_window_memory(problem: Problem, *, limit: int | None, alone: bool) -> None:
    """Raise unless the largest window, and the rounds, fit in `limit` bytes.

    By default that is what is free, where this process is alone; of others who do the work it is not known.

    Raises
    ------
    ValueError
        For a limit that can be none.
    MemoryError
        With what is needed, what there is, and what would make it fit.
    """
    limit, options = checked_limit(limit), problem.options
    if limit is None and not alone:
        return
    largest = max(problem.windows, key=lambda window: len(window.grains))
    grains, rows, columns = len(largest.grains), largest.rows, largest.columns
    sensors = (rows.stop - rows.start) * (columns.stop - columns.start)
    rounds = _VECTORS * 8 * (1 + options.draws) * problem.unknowns
    # Compressed columns and factors of windows are held there, wherever JAX computes.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        require_bytes(
            estimate_memory(grains, sensors, method=options.method) + rounds,
            limit=limit,
            work=f"a window of {grains} grains",
            remedy=f"pass core= or buffer= smaller than {options.core:.3g} and {options.buffer:.3g} µm",
        )
