"""Memory that an inversion needs, asked for before it starts."""

import os
from pathlib import Path

from mmtjax.greens.tiled import block_bytes_for

#: Square matrices of the unknowns that live at once: normal equations, scaled copy, factor, inverse, work space; or
#: the factor with twice as many rows waiting, all of it stacked, and the work space of QR.
_SQUARE_MATRICES = {"cholesky": 5, "orthogonal": 9, "auto": 9}

#: A Green's matrix up to this size is kept instead of being made anew in every pass.
DENSE_BYTES = 2**26

#: Sensors for each unknown up to which QR of the whole matrix is faster than that of compressed rows.
FEW_ROWS = 3.0

#: What Python, JAX and the compiled kernels take.
_OVERHEAD = 3 * 2**28

_GIB = 2**30


def estimate_memory(grains: int, sensors: int, *, method: str = "auto") -> int:
    """Bytes that inverting for so many grains from so many sensors takes at its peak, an upper bound.

    Examples
    --------
    >>> round(estimate_memory(1875, 251_001, method="cholesky") / 2**30, 1)
    2.3
    """
    unknowns = 3 * grains
    square = _SQUARE_MATRICES[method] * 8 * unknowns**2
    dense = 8 * unknowns * sensors
    columns = 6 * dense if dense <= DENSE_BYTES else 4 * block_bytes_for(unknowns)
    return square + columns + 8 * 8 * sensors + _OVERHEAD


def available_memory() -> int:
    """Bytes of main memory that can be had now."""
    information = Path("/proc/meminfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(grains: int, sensors: int, *, method: str, limit: int | None) -> None:
    """Raise unless the inversion fits in `limit` bytes, by default what the machine has free.

    Raises
    ------
    MemoryError
        With what is needed, what there is, and what would make it fit.
    """
    needed = estimate_memory(grains, sensors, method=method)
    there = available_memory() if limit is None else limit
    if needed > there:
        whose = "free on this machine" if limit is None else "allowed by memory_limit"
        raise MemoryError(
            f"inverting for {grains} grains from {sensors} sensors takes about {needed / _GIB:.3g} GiB, and "
            f"{there / _GIB:.3g} GiB are {whose}; crop the scan and the grains, or bin the "
            "scan, or invert it window by window (invert_subdomains; --subdomains DIR)"
        )
