"""The memory that an inversion needs, checked before it starts."""

import os
from pathlib import Path

import numpy as np

from mmtjax.greens.tiled import block_bytes_for
from mmtjax.precision import default_device, on_accelerator
from mmtjax.solvers import as_solver
from mmtjax.solvers.base import AbstractSolver
from mmtjax.units import AXES

_DOUBLE = np.dtype(np.float64).itemsize

#: Bytes of compressed columns that are taken for each grain where they are not known: 0.6 MB to 1 MB are usual.
_HELD_PER_GRAIN = 2**20

#: A Green's matrix up to this size is kept instead of being made anew in every pass.
DENSE_BYTES = 2**26

#: What Python, JAX and the compiled kernels take.
_OVERHEAD = 3 * 2**28

_GIB = 2**30

#: Limits below this were meant in another unit.
_LEAST_LIMIT = 2**16


def estimate_memory(grains: int, sensors: int, *, method: str = "auto", held: int | None = None) -> int:
    """Estimate the bytes of main memory, or of that of an accelerator, that an inversion takes at its peak.

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
    return bytes_of_problem(len(AXES) * grains, sensors, solver=as_solver(method), held=held)


def bytes_of_problem(unknowns: int, sensors: int, *, solver: AbstractSolver, held: int | None = None) -> int:
    """Estimate the bytes that an inversion with so many unknowns takes at its peak, as `estimate_memory`.

    Examples
    --------
    >>> round(bytes_of_problem(5625, 251_001, solver=as_solver("cholesky")) / 2**30, 1)
    3.9
    """
    dense = _DOUBLE * unknowns * sensors
    whole = is_whole(unknowns, sensors, solver=solver)
    if on_accelerator():
        return _accelerator_bytes(unknowns, sensors, solver=solver, columns=dense if whole else 0)
    if whole:
        squares, columns = solver.squares.whole, 6 * dense
    else:
        squares = solver.squares.compressed
        columns = min(dense, usual_bytes(unknowns // len(AXES))) if held is None else held
        columns += 4 * block_bytes_for(unknowns)
    return squares * _DOUBLE * unknowns**2 + columns + 8 * _DOUBLE * sensors + _OVERHEAD


def usual_bytes(grains: int) -> int:
    """Return the bytes that compressed columns of some grains are taken to hold where they are not counted."""
    return _HELD_PER_GRAIN * grains


def is_whole(unknowns: int, sensors: int, *, solver: AbstractSolver) -> bool:
    """Whether the Green's matrix is held whole: where it is small, or QR of all its rows the faster one.

    On an accelerator wherever its memory holds it.
    """
    columns = _DOUBLE * unknowns * sensors
    if on_accelerator():
        return _accelerator_bytes(unknowns, sensors, solver=solver, columns=columns) <= device_memory()
    return sensors <= solver.few_rows * unknowns or columns <= DENSE_BYTES


def _accelerator_bytes(unknowns: int, sensors: int, *, solver: AbstractSolver, columns: int) -> int:
    """Return the bytes of the memory of an accelerator that an inversion takes, with so many for stored columns."""
    squares = solver.squares.accelerator * _DOUBLE * unknowns**2
    return columns + squares + 4 * block_bytes_for(unknowns) + 8 * _DOUBLE * sensors


def device_memory() -> int:
    """Return the bytes of the memory of the device that computes; those that are free where it is main memory."""
    known = default_device().memory_stats()
    return int(known["bytes_limit"]) if known and "bytes_limit" in known else available_memory()


def available_memory() -> int:
    """Return the bytes of main memory that are free now."""
    information = Path("/proc/meminfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(
    sources: int, unknowns: int, sensors: int, *, solver: AbstractSolver, limit: int | None, held: int | None = None
) -> None:
    """Raise unless the inversion fits in `limit` bytes, by default what the machine has free.

    Raises
    ------
    MemoryError
        With what is needed, what there is, and what would make it fit.
    """
    require_bytes(
        bytes_of_problem(unknowns, sensors, solver=solver, held=held),
        limit=limit,
        work=f"inverting for {sources} grains from {sensors} sensors",
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
    """Return a limit of memory in bytes, or None, after a check.

    Raises
    ------
    ValueError
        For a limit that is no positive number of bytes, or so small that another unit was meant.
    """
    if limit is None:
        return None
    if isinstance(limit, bool | str) or not np.isfinite(limit) or limit <= 0:
        raise ValueError(f"memory_limit must be a positive number of bytes, as 8 * 2**30, or None; got {limit!r}")
    if limit < _LEAST_LIMIT:
        raise ValueError(
            f"memory_limit counts bytes, and {limit!r} of them hold nothing; for so many GiB pass {limit!r} * 2**30"
        )
    return int(limit)
