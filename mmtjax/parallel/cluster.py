"""Workers: local processes or those of a Dask cluster."""

import contextlib
import ctypes
import gc
import importlib.metadata
import logging
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

import dask
import jax
import numpy as np
from distributed import Client, KilledWorker, LocalCluster
from jax.extend.backend import get_backend

#: Workers that may die over one piece of work before it is given up.
DEATHS = 3

#: Compiled programs that a process may hold when it ends a piece of work, at 2 MiB each.
_PROGRAMS = 256

_CACHE = "JAX_COMPILATION_CACHE_DIR"

#: All that workers compile is left on disk for each other and for later, however quickly it was done.
_ON_DISK = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}

#: Environment variables by which the libraries below are told their number of threads.
_THREADS = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_jax_with_one_thread() -> None:
    """Start JAX with one thread on the CPU; without effect where it has computed in this process before.

    XLA cuts sums by the number of its threads, and rounds otherwise with each.
    """
    with _environment_kept():
        os.environ["NPROC"] = "1"
        jax.devices()


@contextlib.contextmanager
def connected(workers: int, scheduler: str | None, *, threads: int | None = None) -> Iterator[Client]:
    """Context with a client of a scheduler at that address, or of so many local processes.

    Each local process has so many threads; by default they share the cores.
    """
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    count = str(max(1, cores() // workers) if threads is None else threads)
    with (
        tempfile.TemporaryDirectory(prefix="mmtjax-", ignore_cleanup_errors=True) as programs,
        _environment_kept(),
        dask.config.set(_settings_of_workers(count, programs)),
        # The inversion asks for memory itself; a limit here would end a worker that has enough.
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            # No pages are served, but a port is taken: any that is free, for another study may be running.
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _settings_of_workers(threads: str, programs: str) -> dict[str, object]:
    """What Dask is told of local processes with so many threads, and a directory for what they compile.

    One that the environment names outlives them.
    """
    # Among what Dask sets by itself is that freed memory goes back to the system.
    usual = dask.config.get("distributed.nanny.pre-spawn-environ")
    # Memory that is freed stays in as many pools as there are threads, unless glibc is told to have few.
    environment = usual | {"JAX_ENABLE_X64": "1", "MALLOC_ARENA_MAX": "2"} | dict.fromkeys(_THREADS, threads)
    return {
        "distributed.nanny.pre-spawn-environ": environment | _ON_DISK | {_CACHE: os.environ.get(_CACHE, programs)},
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        "distributed.worker.multiprocessing-method": "spawn",
    }


def drop_programs(most: int = _PROGRAMS) -> bool:
    """Give back the memory of what JAX has compiled in this process, if that is more programs; whether it did.

    JAX keeps a program for every shape of arrays that it has met: for hundreds of samples or windows of all sizes they
    take several GiB. Local workers find them again on disk, in a quarter of the time.
    """
    if len(get_backend().live_executables()) <= most:
        return False
    jax.clear_caches()
    gc.collect()
    _trim()
    return True


def give_back_memory() -> None:
    """Give back what a large piece of work no longer uses, and programs if they are many.

    The allocator of glibc keeps gigabytes of it: holes that programs leave, and small arrays.
    """
    if not drop_programs():
        _trim()


def _trim() -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Context after which the environment is what it was: Dask sets that of its workers in this process, too."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class WorkerError(RuntimeError):
    """Workers that died over a piece of work; what was complete is kept where there is a store."""


def describe_worker_failure(error: BaseException) -> str | None:
    """What to say of workers that died over a piece of work; None where that is not what an error means.

    Examples
    --------
    >>> describe_worker_failure(BrokenExecutor())
    'a worker died over it, most likely for want of memory; try fewer workers'
    """
    if isinstance(error, KilledWorker):
        return f"{DEATHS} workers died over it, most likely for want of memory; try fewer workers"
    if isinstance(error, BrokenExecutor):
        return "a worker died over it, most likely for want of memory; try fewer workers"
    return None


def check_helpers(workers: int | None, scheduler: str | None) -> None:
    """Raise `ValueError` for numbers of workers that cannot be, and for workers together with a scheduler."""
    if workers is not None and workers < 0:
        raise ValueError(f"workers must be 0 (this process) or more; got {workers}")
    if workers is not None and scheduler is not None:
        raise ValueError("pass workers for local processes or scheduler for a cluster, not both")


def check_worker(version: str) -> None:
    """Raise in a worker that would compute other numbers than the process that asks it, of that version of mmtjax."""
    if (here := importlib.metadata.version("mmtjax")) != version:
        raise RuntimeError(f"a worker has mmtjax {here}, the work is given out by {version}")
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        raise RuntimeError("a worker computes in single precision; start workers with JAX_ENABLE_X64=1")
