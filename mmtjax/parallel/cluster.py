"""Worker processes, local or of a Dask cluster: their settings, their memory, and errors when they die."""

import contextlib
import ctypes
import gc
import importlib.metadata
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

import jax
import numpy as np
from jax.extend.backend import get_backend

from mmtjax.errors import InputError, MmtjaxError, SetupError
from mmtjax.lazy import dask_config, distributed

#: Number of workers that may die during one task before it counts as failed.
DEATHS = 3

#: Number of compiled programs, of about 2 MiB each, that a process may keep in memory between tasks.
_PROGRAMS = 256

#: The address at which local processes listen; other computers cannot reach it.
_LOOPBACK = "127.0.0.1"

#: Signals that interrupt a computation.
_INTERRUPTS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

_CACHE = "JAX_COMPILATION_CACHE_DIR"

#: Settings with which JAX stores all compiled programs on disk, even small ones that are compiled quickly.
_ON_DISK = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}

#: Environment variables from which numerical libraries read their number of threads.
_THREADS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_jax_with_one_thread() -> None:
    """Start JAX with one thread on the CPU; has no effect if JAX has computed in this process before.

    XLA divides sums among its threads, so that rounding errors depend on their number.
    """
    with _environment_restored():
        os.environ["NPROC"] = "1"
        jax.devices()


@contextlib.contextmanager
def connected(workers: int, scheduler: str | None, *, threads: int | None = None) -> Iterator["distributed.Client"]:
    """Return a context with a Dask client of a scheduler or of local worker processes.

    Parameters
    ----------
    workers
        Number of local processes; not used with a scheduler.
    scheduler
        Address of a scheduler; None for local processes.
    threads
        Number of threads of each local process; by default, the processes share all cores.
    """
    if scheduler is not None:
        with distributed.Client(scheduler) as client:
            yield client
        return
    count = str(max(1, cores() // workers) if threads is None else threads)
    with (
        tempfile.TemporaryDirectory(prefix="mmtjax-", ignore_cleanup_errors=True) as programs,
        _environment_restored(),
        dask_config.set(_settings_of_workers(count, programs)),
    ):
        with _interrupted_afterwards():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                host=_LOOPBACK,
                # The dashboard is off, but Dask takes a port for it all the same: any free one, in case another study
                # runs.
                dashboard_address=f"{_LOOPBACK}:0",
                scheduler_kwargs={"dashboard": False},
                # The inversion checks the memory itself; with a limit here, Dask would end workers that have enough.
                memory_limit=None,
                silence_logs=logging.ERROR,
            )
        with cluster, distributed.Client(cluster) as client:
            yield client


@contextlib.contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Context after which signals act that come within it, because Dask cannot close processes that it is starting."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {one: signal.getsignal(one) for one in _INTERRUPTS}
    # None are handlers that were not set by Python.
    before = {one: handler for one, handler in before.items() if callable(handler)}
    for one in before:
        signal.signal(one, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        if received:
            signal.raise_signal(received[0])


def _settings_of_workers(threads: str, programs: str) -> dict[str, object]:
    """Return the settings of Dask for local processes.

    Parameters
    ----------
    threads
        Number of threads of each process.
    programs
        Directory for compiled programs, unless the environment names one.
    """
    # The settings of Dask itself include that freed memory is returned to the system.
    usual = dask_config.get("distributed.nanny.pre-spawn-environ")
    # By default, glibc keeps freed memory in as many arenas as there are threads.
    environment = usual | {"JAX_ENABLE_X64": "1", "MALLOC_ARENA_MAX": "2"} | dict.fromkeys(_THREADS, threads)
    return {
        "distributed.nanny.pre-spawn-environ": environment | _ON_DISK | {_CACHE: os.environ.get(_CACHE, programs)},
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        # Scheduler and workers serve no pages, not even to other users of this computer.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.multiprocessing-method": "spawn",
    }


def drop_programs(most: int = _PROGRAMS) -> bool:
    """Remove the compiled programs of JAX from memory if they are more than `most`; return whether they were.

    JAX keeps a program for every shape of its arrays; for hundreds of samples or windows of different sizes they take
    several GiB. Local workers read them from the disk again, in a quarter of the time of a compilation.

    Parameters
    ----------
    most
        Number of programs up to which all are kept.
    """
    if len(get_backend().live_executables()) <= most:
        return False
    jax.clear_caches()
    gc.collect()
    _trim()
    return True


def give_back_memory() -> None:
    """Return memory that is no longer used to the system, and that of compiled programs if they are many.

    Without it, the allocator of glibc keeps gigabytes of memory of removed programs and of small arrays.
    """
    if not drop_programs():
        _trim()


def _trim() -> None:
    """Ask glibc to return free memory to the system; does nothing with other libraries."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def _environment_restored() -> Iterator[None]:
    """Return a context that restores the environment at its end; Dask changes it in this process for its workers."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class WorkerError(MmtjaxError, RuntimeError):
    """Worker processes died during a task; with a store, the results that were complete are kept."""


def describe_worker_failure(error: BaseException) -> str | None:
    """Return a message if an error means that workers died during a task, otherwise None.

    Examples
    --------
    >>> describe_worker_failure(BrokenExecutor())
    'a worker died during it, most likely for lack of memory; try fewer workers'
    """
    # By its name: a computation that runs without Dask, which may not be installed, must not load it.
    if type(error).__name__ == "KilledWorker":
        return f"{DEATHS} workers died during it, most likely for lack of memory; try fewer workers"
    if isinstance(error, BrokenExecutor):
        return "a worker died during it, most likely for lack of memory; try fewer workers"
    return None


def check_helpers(workers: int | None, scheduler: str | None) -> None:
    """Raise an error for invalid options of workers.

    Parameters
    ----------
    workers
        Number of local processes, 0 for this process; None if the option is not given.
    scheduler
        Address of a scheduler; None if the option is not given.

    Raises
    ------
    ValueError
        For a negative number of workers, and for workers together with a scheduler.
    """
    if workers is not None and workers < 0:
        msg = f"workers must be 0 (this process) or more; got {workers}"
        raise InputError(msg)
    if workers is not None and scheduler is not None:
        msg = "pass workers for local processes or scheduler for a cluster, not both"
        raise InputError(msg)


def check_worker(version: str) -> None:
    """Raise in a worker whose results would differ from those of the process that submitted its task.

    Parameters
    ----------
    version
        Version of mmtjax of that process.

    Raises
    ------
    RuntimeError
        If this process has another version of mmtjax, or JAX is set to single precision.
    """
    if (here := importlib.metadata.version("mmtjax")) != version:
        msg = (
            f"a worker has mmtjax {here}, but the process that submitted its task has {version}; install the same "
            "version for both"
        )
        raise SetupError(msg)
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        msg = "a worker computes in single precision; start workers with JAX_ENABLE_X64=1"
        raise SetupError(msg)
