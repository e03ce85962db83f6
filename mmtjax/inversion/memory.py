"""Memory that an inversion needs, asked for before it starts."""

import os
from pathlib import Path

import numpy as np

from mmtjax.greens.rows import ROWS_ON_ACCELERATOR
from mmtjax.greens.tiled import block_bytes_for
from mmtjax.precision import default_device, on_accelerator

#: Square matrices of the unknowns that live at once. Beside compressed columns: normal equations, scaled copy, factor
#: and work space, or rows swept to a factor and their stack. Of a whole matrix: these and an inverse, or the factor
#: with twice as many rows waiting, all of it stacked, and the work space of QR.
_COMPRESSED = 4
_WHOLE = {"cholesky": 5, "orthogonal": 9, "auto": 9}

#: Square matrices on an accelerator beside the columns: these, and copies of some rows on their way to the normal
#: equations, picked and weighted, or to a factor: stacked, too, and twice in the work space of QR.
_ON_ACCELERATOR = {
    "cholesky": 5 + 2 * ROWS_ON_ACCELERATOR,
    "orthogonal": 4 + 5 * ROWS_ON_ACCELERATOR,
    "auto": 4 + 5 * ROWS_ON_ACCELERATOR,
}

#: Bytes of compressed columns that are taken for each grain where they are not known: 0.6 MB to 1 MB are usual.
_HELD_PER_GRAIN = 2**20

#: A Green's matrix up to this size is kept instead of being made anew in every pass.
DENSE_BYTES = 2**26

#: Sensors for each unknown up to which QR of the whole matrix is faster than that of compressed rows.
FEW_ROWS = 3.0

#: What Python, JAX and the compiled kernels take.
_OVERHEAD = 3 * 2**28

_GIB = 2**30

#: Limits below this were meant in another unit.
_LEAST_LIMIT = 2**16


def estimate_memory(grains: int, sensors: int, *, method: str = "auto", held: int | None = None) -> int:
    """Bytes of main memory, or of that of an accelerator, that such an inversion takes at its peak.

    Parameters
    ----------
    grains, sensors
        How many there are.
    method
        As for `mmtjax.invert`.
    held
        Bytes of the compressed columns, which depend on the depth of grains; by default 1 MiB for each grain. Where
        they are known, as they are to `mmtjax.invert` before it makes them, the estimate is an upper bound.

    Examples
    --------
    >>> round(estimate_memory(1875, 251_001, method="cholesky") / 2**30, 1)
    3.9
    """
    unknowns = 3 * grains
    dense = 8 * unknowns * sensors
    squares, columns = _WHOLE[method], 6 * dense
    if on_accelerator():
        whole = is_whole(grains, sensors, method=method)
        return _accelerator_bytes(grains, sensors, method=method, columns=dense if whole else 0)
    if not is_whole(grains, sensors, method=method):
        squares = _COMPRESSED
        columns = min(dense, usual_bytes(grains)) if held is None else held
        columns += 4 * block_bytes_for(unknowns)
    return squares * 8 * unknowns**2 + columns + 8 * 8 * sensors + _OVERHEAD


def usual_bytes(grains: int) -> int:
    """Bytes that compressed columns of some grains are taken to hold where they are not counted."""
    return _HELD_PER_GRAIN * grains


def is_whole(grains: int, sensors: int, *, method: str) -> bool:
    """Whether the Green's matrix is held whole: where it is small, or QR of all its rows the faster one.

    On an accelerator wherever its memory holds it.
    """
    if on_accelerator():
        columns = 24 * grains * sensors
        return _accelerator_bytes(grains, sensors, method=method, columns=columns) <= device_memory()
    few = method == "orthogonal" and sensors <= FEW_ROWS * 3 * grains
    return few or 24 * grains * sensors <= DENSE_BYTES


def _accelerator_bytes(grains: int, sensors: int, *, method: str, columns: int) -> int:
    """Bytes of the memory of an accelerator that an inversion takes, with so many for columns that are held."""
    squares = _ON_ACCELERATOR[method] * 72 * grains**2
    return columns + squares + 4 * block_bytes_for(3 * grains) + 8 * 8 * sensors


def device_memory() -> int:
    """Bytes of the memory of the device that computes, those that are free where it is main memory."""
    known = default_device().memory_stats()
    return int(known["bytes_limit"]) if known and "bytes_limit" in known else available_memory()


def available_memory() -> int:
    """Bytes of main memory that can be had now."""
    information = Path("/proc/meminfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(grains: int, sensors: int, *, method: str, limit: int | None, held: int | None = None) -> None:
    """Raise unless the inversion fits in `limit` bytes, by default what the machine has free.

    Raises
    ------
    MemoryError
        With what is needed, what there is, and what would make it fit.
    """
    require_bytes(
        estimate_memory(grains, sensors, method=method, held=held),
        limit=limit,
        work=f"inverting for {grains} grains from {sensors} sensors",
        remedy="crop the scan and the grains, or bin the scan, or invert it window by window (invert_subdomains; "
        "--subdomains DIR)",
    )


def require_bytes(needed: int, *, limit: int | None, work: str, remedy: str) -> None:
    """Raise a `MemoryError` unless so many bytes are within `limit`, by default what the machine has free."""
    there = device_memory() if limit is None else limit
    if needed > there:
        if limit is not None:
            whose = "allowed by memory_limit"
        elif on_accelerator():
            whose = "what JAX may take of this accelerator"
        else:
            whose = "free on this machine"
        raise MemoryError(
            f"{work} takes about {needed / _GIB:.3g} GiB, and {there / _GIB:.3g} GiB are {whose}; {remedy}"
        )


def checked_limit(limit: int | None) -> int | None:
    """The limit, if it can be one."""
    if limit is None:
        return None
    if isinstance(limit, bool | str) or not np.isfinite(limit) or limit <= 0:
        raise ValueError(f"memory_limit must be a positive number of bytes, as 8 * 2**30, or None; got {limit!r}")
    if limit < _LEAST_LIMIT:
        raise ValueError(
            f"memory_limit counts bytes, and {limit!r} of them hold nothing; for so many GiB pass {limit!r} * 2**30"
        )
    return int(limit)
