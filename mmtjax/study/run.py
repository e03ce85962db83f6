"""Run a study: compute the cells that its store lacks, in this process, in local ones or on a cluster."""

import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import xarray

from mmtjax.errors import MmtjaxError
from mmtjax.inversion.memory import available_memory, estimate_memory, require_bytes
from mmtjax.lazy import distributed
from mmtjax.options import value_or_fields
from mmtjax.parallel.cluster import (
    check_worker,
    connected,
    cores,
    describe_worker_failure,
    drop_programs,
    start_jax_with_one_thread,
)
from mmtjax.precision import on_accelerator, require_float64
from mmtjax.simulation.feasibility import require_hours
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.batch import ON_ACCELERATOR, Batch, in_batches, run_batch
from mmtjax.study.cell import Cell, Geometry, grain_count, sensor_count
from mmtjax.study.config import StudyConfig
from mmtjax.study.cost import estimated_hours, seconds_left
from mmtjax.study.geometry import run_geometry
from mmtjax.study.read import Study, open_study
from mmtjax.study.run_options import RunFields, RunOptions
from mmtjax.study.store import add_to_log, complete_cells, log_of, record_code, write_cell, writing
from mmtjax.study.stored_shapes import check_shapes

#: Bytes that the process takes that submits samples and writes their results.
_MASTER = 3 * 2**27


class StudyError(MmtjaxError, RuntimeError):
    """A study that could not continue; complete cells are in the store, and the next run continues from there."""


class StudyProgress(NamedTuple):
    """The progress of a run, reported once at its start and after every cell.

    Attributes
    ----------
    done, total
        Cells of the study.
    seconds_left
        Estimated time until the end, s; None before the first cell was measured.
    cell, failure
        The cell that was completed last (None at the start), and why its inversion failed; empty where it did not.
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
    options: RunOptions | None = None,
    *,
    library: ShapeLibrary | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Callable[[StudyProgress], None] | None = None,
    **fields: Unpack[RunFields],
) -> Study:
    """Compute the cells of a study that its store lacks.

    A run that ends early, for whatever reason, leaves the complete cells in the store; the next run computes the
    others. On processors of one kind the numbers are the same to the last bit, in any order and whoever computes them:
    each cell is computed by one thread.

    Parameters
    ----------
    config
        The study.
    store
        Directory to make, or to continue.
    options
        Who computes the study, and how much at once.
    library
        Shapes of the grains, if the configuration names a file of grains; the store keeps them.
    provenance
        Record of this run for the store, of values that JSON has.
    progress
        Called with a `StudyProgress`.
    **fields
        Instead of `options` its fields by keyword: ``workers``, ``scheduler``, ``batch``, ``memory_limit`` and
        ``time_limit``, see `mmtjax.study.RunOptions`.

    Returns
    -------
    Study
        The store, opened for reading.

    Raises
    ------
    ValueError
        If the store belongs to another study, other shapes or another version, the configuration does not match
        `library`, an option is invalid, or the cells would take longer than ``time_limit`` allows.
    MemoryError
        If the largest sample would not fit into the limit, into the memory that is free, or into that of a worker of
        the cluster.
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
    chosen = value_or_fields(options, RunOptions, fields=fields)
    check_shapes(config, library)
    _check_size(config, Path(store), chosen)
    workers, batch = chosen.workers, chosen.batch
    if workers == 0:
        start_jax_with_one_thread()
    if chosen.scheduler is None and on_accelerator():
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
            count = default_workers(config, chosen.memory_limit) if workers is None else workers
            with connected(count, chosen.scheduler, threads=1) as client:
                results = _computed_by(client, config, missing, library, chosen.memory_limit)
                _store(results, config, place, workers=max(1, _thread_count(client)), progress=progress)
    return open_study(store)


def default_workers(config: StudyConfig, memory_limit: int | None = None) -> int:
    """Return the number of local processes for a study: one for each core; without a limit as far as memory goes."""
    if memory_limit is not None:
        return cores()
    return max(
        1, min(cores(), available_memory() // max(memory_of(geometry, config) for geometry in config.geometries()))
    )


def memory_of(geometry: Geometry, config: StudyConfig) -> int:
    """Return the bytes that a process takes at its peak to compute a sample."""
    sensors = max(sensor_count(Cell(*geometry, interval)) for interval in config.interval)
    return estimate_memory(grain_count(geometry), sensors)


def _check_size(config: StudyConfig, store: Path, options: RunOptions) -> None:
    """Raise an error if what a store lacks does not fit into the memory of the workers, or would take too long."""
    missing = _missing(config, store)
    if options.scheduler is None:
        beside = 0 if options.memory_limit is None else _MASTER
        _check_largest(config, limit=options.memory_limit, beside=beside, remedy="allow more")
        _check_time(missing, options, workers=max(1, cores() if options.workers is None else options.workers))
    elif missing:
        with connected(0, options.scheduler) as client:
            limits = [worker["memory_limit"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
            # Any worker may get any sample; a limit of 0 is none.
            if any(limits):
                smallest = min(filter(None, limits))
                _check_largest(config, limit=smallest, beside=0, remedy="give each worker of the cluster more")
            _check_time(missing, options, workers=max(1, _thread_count(client)))


def _check_largest(config: StudyConfig, *, limit: int | None, beside: int, remedy: str) -> None:
    """Raise an error if the largest sample does not fit into memory, with some bytes beside it."""
    largest = max(config.models_of_samples(), key=lambda geometry: memory_of(geometry, config))
    require_bytes(
        beside + memory_of(largest, config),
        limit=limit,
        work=f"the sample of {largest.description}",
        remedy=f"leave it out of the study, or {remedy}",
    )


def _check_time(missing: Mapping[Geometry, list[float]], options: RunOptions, *, workers: int) -> None:
    """Raise an error if the cells that a store lacks would take too long."""
    cells = [Cell(*geometry, one) for geometry, intervals in missing.items() for one in intervals]
    grains = sum(grain_count(cell.geometry) for cell in cells)
    require_hours(
        estimated_hours(cells) / workers,
        limit=options.time_limit,
        work=f"the {len(cells)} cells that are missing, with {grains} grains together, take on {workers} cores",
        remedy="leave models or repeats out of the study, or pass time_limit= to allow more",
    )


def _missing(config: StudyConfig, store: Path) -> dict[Geometry, list[float]]:
    """Return the sampling intervals that the store lacks, for each sample that lacks any, in the order of computing."""
    complete = set(complete_cells(store))
    missing: dict[Geometry, list[float]] = {}
    for cell in config.cells():
        if cell not in complete:
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
    """Write results to the store as they come, and report the progress."""
    cells = config.cells()
    missing = dict.fromkeys(cells)
    for cell in complete_cells(place):
        missing.pop(cell, None)
    log = log_of(place)

    def report(cell: Cell | None, failure: str) -> None:
        if progress is not None:
            seconds = seconds_left(missing, log, workers=workers)
            progress(StudyProgress(len(cells) - len(missing), len(cells), seconds, cell, failure))

    report(None, "")
    for cell, dataset, seconds in results:
        write_cell(place, cell, dataset)
        entry = {"event": "cell", "cell": str(cell), "seconds": round(seconds, 3)}
        add_to_log(place, entry)
        log.append(entry)
        del missing[cell]
        report(cell, dataset.attrs["failure"])


def _computed_here(config: StudyConfig, missing: list[Batch], library: ShapeLibrary | None) -> Iterator[_Result]:
    for batch in missing:
        with _naming_sample(batch):
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
def _naming_sample(batch: Batch) -> Iterator[None]:
    """Context in which errors of computing name the sample, or the first of several."""
    try:
        yield
    except Exception as error:
        reason = describe_worker_failure(error) or f"{error or type(error).__name__}"
        more = len(batch.geometries) - 1
        msg = (
            f"the sample of {batch.geometries[0].description}{f', and {more} beside it,' if more else ''} could not be "
            f"computed: {reason}. Complete cells are kept; the same command continues"
        )
        raise StudyError(msg) from error


def _computed_by(
    client: "distributed.Client",
    config: StudyConfig,
    missing: list[Batch],
    library: ShapeLibrary | None,
    memory_limit: int | None,
) -> Iterator[_Result]:
    version = importlib.metadata.version("mmtjax")
    workers = _thread_count(client)
    shapes = None if library is None else _sent(client, library)
    waiting = dict(enumerate(missing))
    running: dict[distributed.Future, Batch] = {}
    finished = distributed.as_completed()

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
        with _naming_sample(running.pop(future)):
            results = future.result()
        start()
        yield from results


def _fits(batch: Batch, running: list[Batch], config: StudyConfig, *, workers: int, limit: int) -> bool:
    """Return whether a batch may be started beside those that run."""
    used = sum(len(one.geometries) * memory_of(one.geometries[0], config) for one in [batch, *running])
    return not running or (len(running) < workers and _MASTER + used <= limit)


def _thread_count(client: "distributed.Client") -> int:
    threads = client.nthreads()
    return sum(threads.values())  # pyright: ignore[reportAttributeAccessIssue]: a coroutine of asynchronous clients only


def _sent(client: "distributed.Client", library: ShapeLibrary) -> "distributed.Future":
    """Send shapes to all workers, as the scheduler gives work to those that have what it needs.

    The shapes are the result of a task, which is repeated where a worker dies; scattered data would be lost.
    """
    shapes = client.submit(_identity, library, pure=False)
    client.replicate(shapes)
    return shapes


def _identity(library: ShapeLibrary) -> ShapeLibrary:
    return library


def _work(config: StudyConfig, batch: Batch, library: ShapeLibrary | None, version: str) -> list[_Result]:
    """Compute a batch in a worker."""
    check_worker(version)
    results = list(_timed(config, batch, library))
    drop_programs()
    return results
