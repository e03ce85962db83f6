"""The commands ``mmtjax study``: run a study, and report its progress."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mmtjax.cli.grain_inputs import ShapeInput
from mmtjax.cli.memory import bytes_of
from mmtjax.cli.screen import after_results, error_screen, screen
from mmtjax.cli.study_report import figures, table
from mmtjax.cli.terminal import OPTIONS, translate_errors
from mmtjax.io.provenance_record import provenance
from mmtjax.parallel.cluster import start_jax_with_one_thread
from mmtjax.report.plain_text import plain
from mmtjax.report.summary import listing
from mmtjax.simulation.feasibility import LONGEST
from mmtjax.study.config import SYNTHETIC, read_config
from mmtjax.study.cost import seconds_left
from mmtjax.study.read import open_study
from mmtjax.study.run import StudyProgress, run_study
from mmtjax.study.run_options import RunOptions

study = App(
    name="study",
    help="""The limits of micromagnetic tomography from many synthetic samples, as in Out et al. (2022).

`run` computes a study, which takes hours at its full size; it may be ended at any time and started again. `status`
reports its progress, `table` and `figures` its results.""",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
)

#: Keys of the configuration for the arguments of readers of grains.
_LIBRARY_KEYS = {"z": "library_z =", "spacing": "library_voxel_spacing ="}

for command in (table, figures):
    study.command(command)


@study.command
def run(
    config: Path,
    *,
    out: Path,
    workers: Annotated[int | None, Parameter(show_default=False)] = None,
    scheduler: str | None = None,
    batch: Annotated[int | None, Parameter(show_default=False)] = None,
    memory_limit: float | None = None,
    time_limit: float = LONGEST,
) -> None:
    """Compute the samples of a study, or those that are missing.

        mmtjax study run experiments/limits_of_mmt/reduced.toml --out study.zarr

    It may be ended at any time, by Ctrl-C or otherwise; the same command continues.

    Parameters
    ----------
    config
        TOML file of the study. The path of a file of grains in it is relative to it.
    out
        Zarr store to make, or to continue.
    workers
        Number of local processes of one thread; 0 computes in this process. By default one for each core, as far as
        the memory goes; with fewer, cores idle.
    scheduler
        Address of the scheduler of a Dask cluster that computes instead, `tcp://host:8786`; its workers need the
        environment variables `JAX_ENABLE_X64=1` and `NPROC=1`.
    batch
        Number of small samples of a model that are solved at once: by default several on an accelerator, where this
        process computes then, and one elsewhere.
    memory_limit
        GiB that local workers and this process may use together: large samples then run beside small ones.
    time_limit
        Hours that the missing cells may be estimated to take; a longer study is refused.
    """
    study_config = read_config(config)
    options = RunOptions(
        workers=workers,
        scheduler=scheduler,
        batch=batch,
        memory_limit=bytes_of(memory_limit),
        time_limit=time_limit,
    )
    shapes = None if study_config.library == SYNTHETIC else config.parent / study_config.library
    if workers == 0:
        # This must come before the record asks JAX for its devices.
        start_jax_with_one_thread()
    record = provenance(
        [config, *filter(None, [shapes])],
        {"workers": workers, "scheduler": scheduler, "batch": batch, "memory_limit": memory_limit},
    )
    shape_input = ShapeInput(
        grains=shapes, grains_z=_direction(study_config.library_z), voxel_spacing=study_config.library_voxel_spacing
    )
    library = shape_input.library(option_names=_LIBRARY_KEYS)
    try:
        with translate_errors(OPTIONS), _progress_bar(error_screen()) as progress:
            run_study(study_config, out, options, library=library, provenance=record, progress=progress)
    except KeyboardInterrupt:
        error_screen().print("complete cells are kept; the same command continues")
        raise
    with after_results(str(out)):
        _report(out)


@study.command
def status(store: Path) -> None:
    """Report the progress of a study: cells done and missing, failures, time left.

        mmtjax study status study.zarr

    Parameters
    ----------
    store
        The store of the study.
    """
    _report(store)


def _report(store: Path) -> None:
    """Print the progress of a study."""
    opened = open_study(store)
    found = opened.status()
    config = opened.config
    whole = Counter(cell.repeat for cell in opened.cells())
    per_repeat = found.total // config.repeats
    repeats = sum(count == per_repeat for count in whole.values())
    left = seconds_left(found.missing, opened.log())
    rows = {
        "study": config.name,
        "models": f"{config.models}, each {config.repeats} times",
        "cells done": f"{found.done} of {found.total} (a sample at one sampling interval, all noise levels)",
        "repeats complete": f"{repeats} of {config.repeats}",
        "failures": str(len(found.failures)),
        "time left": _duration(left) + ("" if not found.missing else " with one worker"),
    }
    if found.states > 1:
        rows["code"] = f"cells of {found.states} states of the source; they may differ beyond the last digits"
    for cell, reason in list(found.failures.items())[:5]:
        rows[cell.description] = reason
    screen().print(listing(rows, title=f"Study in {store}"))


def _direction(name: str | None) -> Literal["up", "down"] | None:
    """Return the direction of z of a configuration, which has been checked when it was read."""
    if name is None:
        return None
    return "up" if name == "up" else "down"


def _duration(seconds: float | None) -> str:
    return "not known yet" if seconds is None else str(timedelta(seconds=round(seconds)))


@contextlib.contextmanager
def _progress_bar(console: Console) -> Iterator[Callable[[StudyProgress], None]]:
    """Context with a bar of cells and the time left, or lines of text if there is no terminal."""
    if not console.is_terminal:

        def line(progress: StudyProgress) -> None:
            name = "start" if progress.cell is None else str(progress.cell)
            left = _duration(progress.seconds_left)
            console.print(plain(f"{progress.done}/{progress.total} {name}, left {left}"), soft_wrap=True)

        yield line
        return
    columns = (
        TextColumn("cells"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task("cells", total=None, left="")

        def update(progress: StudyProgress) -> None:
            left = f"left {_duration(progress.seconds_left)}"
            bars.update(task, completed=progress.done, total=progress.total, left=left)
            if progress.cell is not None and progress.failure:
                console.print(plain(f"{progress.cell.description}: {progress.failure}"), soft_wrap=True)

        yield update
