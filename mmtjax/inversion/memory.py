"""Estimate the memory that an inversion needs, and check it before the inversion starts."""

import os
from pathlib import Path

import numpy as np

from mmtjax.errors import InputError, MemoryLimitError
from mmtjax.greens.tiled import block_bytes_for
from mmtjax.precision import default_device, on_accelerator, real_number, whole_number
from mmtjax.solvers import as_solver
from mmtjax.solvers.base import AbstractSolver
from mmtjax.units import AXES

_DOUBLE = np.dtype(np.float64).itemsize

#: Bytes of the compressed columns of one grain if they are not known; usual values are 0.6 MB to 1 MB.
_STORED_PER_GRAIN = 2**20

#: A Green's matrix up to this size in bytes is stored instead of being computed again in every pass.
DENSE_BYTES = 2**26

#: Bytes that Python, JAX and the compiled kernels take.
_OVERHEAD = 3 * 2**28

_GIB = 2**30

#: Smallest limit in bytes; a smaller one was probably meant in another unit.
_LEAST_LIMIT = 2**16


def estimate_memory(grains: int, sensors: int, *, method: str = "auto", stored: int | None = None) -> int:
    """Estimate the peak number of bytes that an inversion takes, in main memory or in that of an accelerator.

    Parameters
    ----------
    grains, sensors
        Number of grains and of sensors.
    method
        As for `mmtjax.invert`.
    stored
        Bytes of the compressed columns, which depend on the depth of the grains; by default 1 MiB for each grain. With
        the true number, which `mmtjax.invert` knows before it computes the columns, the estimate is an upper bound.

    Raises
    ------
    ValueError
        For numbers that are not whole, or below 1.

    Examples
    --------
    >>> round(estimate_memory(1875, 251_001, method="cholesky") / 2**30, 1)
    3.9
    """
    counts = [whole_number(grains, name="grains"), whole_number(sensors, name="sensors")]
    bytes_stored = None if stored is None else whole_number(stored, name="stored")
    if min(counts) < 1 or (bytes_stored or 0) < 0:
        msg = f"grains and sensors must be 1 or more, stored 0 or more; got {grains}, {sensors} and {stored}"
        raise InputError(msg)
    return bytes_of_problem(len(AXES) * counts[0], counts[1], solver=as_solver(method), stored=bytes_stored)


def bytes_of_problem(unknowns: int, sensors: int, *, solver: AbstractSolver, stored: int | None = None) -> int:
    """Estimate the peak number of bytes of an inversion, as `estimate_memory`, from its number of unknowns.

    Parameters
    ----------
    unknowns, sensors
        Number of unknowns and of sensors.
    solver
        The solver.
    stored
        As for `estimate_memory`.

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
        columns = min(dense, usual_bytes(unknowns // len(AXES))) if stored is None else stored
        columns += 4 * block_bytes_for(unknowns)
    return squares * _DOUBLE * unknowns**2 + columns + 8 * _DOUBLE * sensors + _OVERHEAD


def usual_bytes(grains: int) -> int:
    """Return the usual number of bytes of the compressed columns of some grains.

    Parameters
    ----------
    grains
        Number of grains.
    """
    return _STORED_PER_GRAIN * grains


def is_whole(unknowns: int, sensors: int, *, solver: AbstractSolver) -> bool:
    """Return whether the whole Green's matrix is stored.

    On a CPU it is stored if it is small, or if QR of all its rows is faster than QR of compressed rows; on an
    accelerator if its memory is large enough.

    Parameters
    ----------
    unknowns, sensors
        Number of unknowns and of sensors.
    solver
        The solver.
    """
    columns = _DOUBLE * unknowns * sensors
    if on_accelerator():
        return _accelerator_bytes(unknowns, sensors, solver=solver, columns=columns) <= device_memory()
    return sensors <= solver.few_rows * unknowns or columns <= DENSE_BYTES


def _accelerator_bytes(unknowns: int, sensors: int, *, solver: AbstractSolver, columns: int) -> int:
    """Return the peak number of bytes of an inversion on an accelerator, with `columns` bytes of stored columns."""
    squares = solver.squares.accelerator * _DOUBLE * unknowns**2
    return columns + squares + 4 * block_bytes_for(unknowns) + 8 * _DOUBLE * sensors


def device_memory() -> int:
    """Return the bytes that JAX may use on an accelerator, or the free bytes of main memory on a CPU."""
    known = default_device().memory_stats()
    return int(known["bytes_limit"]) if known and "bytes_limit" in known else available_memory()


def available_memory() -> int:
    """Return the number of free bytes of main memory."""
    information = Path("/proc/meminfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(
    sources: int, unknowns: int, sensors: int, *, solver: AbstractSolver, limit: int | None, stored: int | None = None
) -> None:
    """Raise an error unless an inversion fits into memory.

    Parameters
    ----------
    sources, unknowns, sensors
        Number of sources, of unknowns and of sensors.
    solver
        The solver.
    limit
        Largest number of bytes; by default the memory that is free.
    stored
        As for `estimate_memory`.

    Raises
    ------
    MemoryError
        If the estimate exceeds the limit; the message states both, and what to do.
    """
    require_bytes(
        bytes_of_problem(unknowns, sensors, solver=solver, stored=stored),
        limit=limit,
        work=f"inverting for {sources} grains from {sensors} sensors",
        remedy="crop the scan and the grains, or bin the scan, or invert it window by window (invert_subdomains; "
        "--subdomains DIR)",
    )


def require_bytes(needed: int, *, limit: int | None, work: str, remedy: str) -> None:
    """Raise an error unless a number of bytes is within a limit.

    Parameters
    ----------
    needed
        The number of bytes.
    limit
        The limit in bytes; by default the memory that is free.
    work, remedy
        What needs the memory, and what a user can do, for the message.

    Raises
    ------
    MemoryError
        If the bytes exceed the limit.
    """
    available = device_memory() if limit is None else limit
    if needed > available:
        if limit is not None:
            kind = "allowed by memory_limit"
        elif on_accelerator():
            kind = "available to JAX on this accelerator"
        else:
            kind = "free on this machine"
        msg = f"{work} takes about {needed / _GIB:.3g} GiB, and {available / _GIB:.3g} GiB are {kind}; {remedy}"
        raise MemoryLimitError(msg)


def checked_limit(limit: int | None) -> int | None:
    """Check a limit of memory and return it as an integer number of bytes, or None.

    Parameters
    ----------
    limit
        The limit in bytes, or None for no limit.

    Raises
    ------
    ValueError
        If the limit is not a positive number of bytes, or so small that another unit was probably meant.
    """
    if limit is None:
        return None
    expected = "a positive number of bytes, as 8 * 2**30, or None"
    if not 0 < real_number(limit, name="memory_limit", expected=expected) < np.inf:
        msg = f"memory_limit must be {expected}; got {limit!r}"
        raise InputError(msg)
    if limit < _LEAST_LIMIT:
        msg = (
            f"memory_limit is in bytes, and {limit!r} bytes are too few for any inversion; if you mean {limit!r} GiB, "
            f"pass {limit!r} * 2**30"
        )
        raise InputError(msg)
    return int(limit)
