"""The memory that windows need, checked before any computation."""

import jax
import numpy as np

from mmtjax.inversion.memory import checked_limit, estimate_memory, require_bytes, usual_bytes
from mmtjax.subdomains.problem import WindowProblem

#: Vectors of all unknowns that are in memory at once for each map: the state of the rounds, stored directions with
#: their images, and those that are being computed.
_VECTORS = 16


def require_window_memory(problem: WindowProblem, *, limit: int | None, alone: bool) -> None:
    """Raise MemoryError unless the largest window with the rounds, and the largest block of sensors, fit into memory.

    Parameters
    ----------
    problem
        The problem with its windows.
    limit
        Largest number of bytes; by default the free memory if this process works alone, which is not known of others.
    alone
        Whether this process does all the work.

    Raises
    ------
    ValueError
        For a limit that is not valid.
    MemoryError
        With the memory that is needed, the memory that may be used, and a remedy.
    """
    limit, options = checked_limit(limit), problem.options
    if limit is None and not alone:
        return
    remedy = f"pass core= or buffer= smaller than {options.core:.3g} and {options.buffer:.3g} µm"
    largest = max(problem.windows, key=lambda window: len(window.grains))
    grains, rows, columns = len(largest.grains), largest.rows, largest.columns
    sensors = (rows.stop - rows.start) * (columns.stop - columns.start)
    rounds = _VECTORS * 8 * (1 + options.draws) * problem.unknowns
    # Compressed columns and factors of windows are in main memory, on any device of JAX.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        require_bytes(
            estimate_memory(grains, sensors, method=options.method) + rounds,
            limit=limit,
            work=f"a window of {grains} grains",
            remedy=remedy,
        )
        beneath = _most_beneath(problem)
        require_bytes(
            usual_bytes(beneath), limit=limit, work=f"a block of sensors above {beneath} grains", remedy=remedy
        )


def _most_beneath(problem: WindowProblem) -> int:
    """Return the most grains beneath a block of sensors, those beside the map counted under the nearest block."""
    position = np.asarray(problem.grains.position)
    counts = []
    for axis, places in ((1, np.asarray(problem.grid.y)), (0, np.asarray(problem.grid.x))):
        starts = np.unique([part[1 - axis].start for part in problem.blocks])
        counts.append(np.searchsorted(places[starts[1:]], position[:, axis], side="right"))
    return int(np.unique(np.stack(counts), axis=1, return_counts=True)[1].max())
