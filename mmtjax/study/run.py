"""Run a study: what is missing in its store is computed by this process, by local ones or by a cluster."""

import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import xarray
from distributed import Client, Future, as_completed

from mmtjax.inversion.memory import available_memory, checked_limit, estimate_memory, require_bytes
from mmtjax.parallel.cluster import (
    check_helpers,
    check_worker,
    connected,
    cores,
    describe_worker_failure,
    drop_programs,
    start_jax_with_one_thread,
)
from mmtjax.precision import on_accelerator, require_float64
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.batch import ON_ACCELERATOR, Batch, in_batches, run_batch
from mmtjax.study.cell import Cell, Geometry, grain_count, sensor_count
from mmtjax.study.config import StudyConfig
from mmtjax.study.cost import seconds_left
from mmtjax.study.geometry import run_geometry
from mmtjax.study.read import Study, open_study
from mmtjax.study.store import add_to_log, complete_cells, log_of, record_code, write_cell, writing
from mmtjax.study.stored_shapes import check_shapes

#: What the process takes that hands out samples and writes their results.
_MASTER = 3 * 2**27


class StudyError(RuntimeError):
    """A study that could not go on; what was complete is in the store, and the next run continues from there."""


class StudyProgress(NamedTuple):
    """How far a run is, told after every cell and once at its start.

    Attributes
    ----------
    done, total
        Cells of the study.
    seconds_left
        Until the end, as far as can be told; None before the first cell was measured.
    cell, failure
        The cell that was completed last, and why its inversion failed, if it did.
    """

    done: int
    total: int
    seconds_left: float | None
    cell: Cell | None
    failure: str


class _Result(NamedTuple):
    cell: Cell
    dataset: xarray.Dataset
    seconds: float


def run_study(
    config: StudyConfig,
    store: str | Path,
    *,
    library: ShapeLibrary | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    batch: int | None = None,
    memory_limit: int | None = None,
    provenance: Mapping[str, object] | None = None,
    progress: Callable[[StudyProgress], None] | None = None,
) -> Study:
    """Compute the cells of a study that its store lacks.

    A run that ends early, by whatever cause, leaves the cells that were complete; the next run computes the others. On
    processors of one kind the numbers are the same to the last bit, in any order and whoever computes them: each cell
    is computed by one thread.

    Parameters
    ----------
    config
        The study.
    store
        Directory to make, or to go on with.
    library
        Shapes of the grains, where the configuration names a file of grains; the store keeps them.
    workers
        Local processes of one thread; 0 computes in this process. By default one for each core, with no limit as far as
        the memory goes; with fewer, cores idle. Where this process has used JAX before it computes, and was not started
        with the environment variable ``NPROC=1``, JAX keeps its threads, and last digits may differ from those of
        workers.
    scheduler
        Address of the scheduler of a Dask cluster that computes instead, ``tcp://host:8786``. Its workers need this
        version of mmtjax and the environment variables ``JAX_ENABLE_X64=1`` and ``NPROC=1``; only this process writes
        to the store.
    batch
        Samples of a model that are solved at once, where they are small: by default several where JAX computes on an
        accelerator, in this process then, and one elsewhere. With more than one, last digits may depend on the batch.
    memory_limit
        Bytes that local workers and this process may use together: large samples then have small ones beside them. By
        default there is no limit but what is free when the number of workers is chosen.
    provenance
        Record of this run for the store, of values that JSON can hold.
    progress
        Called with a `StudyProgress`.

    Returns
    -------
    Study
        The store, opened for reading.

    Raises
    ------
    ValueError
        If the store belongs to another study, other shapes or another version, the configuration does not go with
        `library`, or the number of workers cannot be.
    MemoryError
        If the largest sample would not fit into the limit.
    StudyError
        If a sample cannot be computed, or its workers die again and again; the message names the sample.
    OSError
        If a cell cannot be written, as on a full disk, or another process is writing to the store.
    RuntimeError
        If this process is to compute and JAX is not set to double precision.

    Warns
    -----
    UserWarning
        If cells of the store were computed by another state of the source of this version.
    """
    check_helpers(workers, scheduler)
    check_shapes(config, library)
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be a number of samples, 1 or more; got {batch}")
    memory_limit = checked_limit(memory_limit)
    if memory_limit is not None:
        if scheduler is not None:
            raise ValueError("memory_limit is for local workers; those of a cluster have limits of their own")
        _check_largest(config, memory_limit)
    if workers == 0:
        start_jax_with_one_thread()
    if scheduler is None and on_accelerator():
        # Processes would share one accelerator, and each would claim its memory.
        workers, batch = 0 if workers is None else workers, ON_ACCELERATOR if batch is None else batch
    if workers == 0:
        require_float64()
    with writing(store, config, library=library, provenance=provenance) as place:
        missing = in_batches(config, _missing(config, place), most=1 if batch is None else batch)
        if missing:
            record_code(place)
        if workers == 0 or not missing:
            _store(_computed_here(config, missing, library), config, place, workers=1, progress=progress)
        else:
            count = default_workers(config, memory_limit) if workers is None else workers
            with connected(count, scheduler, threads=1) as client:
                together = max(1, sum(client.nthreads().values()))
                results = _computed_by(client, config, missing, library, memory_limit)
                _store(results, config, place, workers=together, progress=progress)
    return open_study(store)


def default_workers(config: StudyConfig, memory_limit: int | None = None) -> int:
    """Local processes that compute a study: one for each core; without a limit as far as the memory goes."""
    if memory_limit is not None:
        return cores()
    return max(
        1, min(cores(), available_memory() // max(memory_of(geometry, config) for geometry in config.geometries()))
    )


def memory_of(geometry: Geometry, config: StudyConfig) -> int:
    """Bytes that a process takes at its peak to compute a sample."""
    sensors = max(sensor_count(Cell(*geometry, interval)) for interval in config.interval)
    return estimate_memory(grain_count(geometry), sensors)


def _check_largest(config: StudyConfig, memory_limit: int) -> None:
    largest = max(config.geometries(), key=lambda geometry: memory_of(geometry, config))
    require_bytes(
        _MASTER + memory_of(largest, config),
        limit=memory_limit,
        work=f"the sample of {largest.words}",
        remedy="leave it out of the study, or allow more",
    )


def _missing(config: StudyConfig, store: Path) -> dict[Geometry, list[float]]:
    """Sampling intervals that are not in the store, for each sample that lacks any, in the order of computing."""
    there = set(complete_cells(store))
    missing: dict[Geometry, list[float]] = {}
    for cell in config.cells():
        if cell not in there:
            missing.setdefault(cell.geometry, []).append(cell.interval)
    return missing


def _store(
    results: Iterator[_Result],
    config: StudyConfig,
    place: Path,
    *,
    workers: int,
    progress: Callable[[StudyProgress], None] | None,
) -> None:
    wanted = config.cells()
    left = dict.fromkeys(wanted)
    for cell in complete_cells(place):
        left.pop(cell, None)
    log = log_of(place)

    def tell(cell: Cell | None, failure: str) -> None:
        if progress is not None:
            ahead = seconds_left(left, log, workers=workers)
            progress(StudyProgress(len(wanted) - len(left), len(wanted), ahead, cell, failure))

    tell(None, "")
    for cell, dataset, seconds in results:
        write_cell(place, cell, dataset)
        entry = {"event": "cell", "cell": str(cell), "seconds": round(seconds, 3)}
        add_to_log(place, entry)
        log.append(entry)
        del left[cell]
        tell(cell, dataset.attrs["failure"])


def _computed_here(config: StudyConfig, missing: list[Batch], library: ShapeLibrary | None) -> Iterator[_Result]:
    for batch in missing:
        with _named(batch):
            yield from _timed(config, batch, library)


def _timed(config: StudyConfig, batch: Batch, library: ShapeLibrary | None) -> Iterator[_Result]:
    cells = _cells(config, batch, library)
    while True:
        start = time.perf_counter()
        found = next(cells, None)
        if found is None:
            return
        yield _Result(*found, time.perf_counter() - start)


def _cells(config: StudyConfig, batch: Batch, library: ShapeLibrary | None) -> Iterator[tuple[Cell, xarray.Dataset]]:
    geometries, intervals = batch
    if len(geometries) > 1:
        yield from run_batch(config, geometries, intervals, library=library)
        return
    for interval, dataset in run_geometry(config, geometries[0], intervals, library=library):
        yield Cell(*geometries[0], interval), dataset


@contextlib.contextmanager
def _named(batch: Batch) -> Iterator[None]:
    """Context that names the sample, or the first of several, in errors of computing it."""
    try:
        yield
    except Exception as error:
        raise _failed(batch, error) from error


def _failed(batch: Batch, error: Exception) -> StudyError:
    why = describe_worker_failure(error) or f"{error or type(error).__name__}"
    more = len(batch.geometries) - 1
    return StudyError(
        f"the sample of {batch.geometries[0].words}{f', and {more} beside it,' if more else ''} could not be computed: "
        f"{why}. Complete cells are kept; the same command continues"
    )


def _computed_by(
    client: Client, config: StudyConfig, missing: list[Batch], library: ShapeLibrary | None, memory_limit: int | None
) -> Iterator[_Result]:
    version = importlib.metadata.version("mmtjax")
    workers = sum(client.nthreads().values())
    shapes = None if library is None else _sent(client, library)
    waiting, running, finished = dict(enumerate(missing)), {}, as_completed()

    def start() -> None:
        for number, batch in list(waiting.items()):
            if memory_limit is None or _fits(
                batch, list(running.values()), config, workers=workers, limit=memory_limit
            ):
                future = client.submit(_work, config, batch, shapes, version, pure=False, priority=-number)
                running[future] = waiting.pop(number)
                finished.add(future)

    start()
    for future in finished:
        with _named(running.pop(future)):
            results = future.result()
        start()
        yield from results


def _fits(batch: Batch, running: list[Batch], config: StudyConfig, *, workers: int, limit: int) -> bool:
    """Whether a batch may be started beside those that run."""
    held = sum(len(one.geometries) * memory_of(one.geometries[0], config) for one in [batch, *running])
    return not running or (len(running) < workers and _MASTER + held <= limit)


def _sent(client: Client, library: ShapeLibrary) -> Future:
    """The shapes, on all workers: the scheduler gives work to those that have what it needs.

    They are the result of a task, which is done again where a worker dies; data that are scattered would be lost.
    """
    shapes = client.submit(_handed_on, library, pure=False)
    client.replicate(shapes)
    return shapes


def _handed_on(library: ShapeLibrary) -> ShapeLibrary:
    return library


def _work(config: StudyConfig, batch: Batch, library: ShapeLibrary | None, version: str) -> list[_Result]:
    """What a worker does."""
    check_worker(version)
    results = list(_timed(config, batch, library))
    drop_programs()
    return results
