"""The commands ``mmtjax study table`` and ``mmtjax study figures``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mmtjax.cli.screen import after_results, error_screen, screen
from mmtjax.cli.terminal import OPTIONS, Stages, translate_errors
from mmtjax.io.output import output_directory, result_files
from mmtjax.io.tables import write_table
from mmtjax.plot.study_figures import save_study_figures
from mmtjax.report.plain_text import plain
from mmtjax.study.pool import pooled_samples, sample_values
from mmtjax.study.read import Study, open_study
from mmtjax.study.report_tables import StudyTables, study_tables
from mmtjax.study.store import attributes_of


def table(store: Path, *, out: Path, overwrite: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Make tables of a study: ratios and SSR thresholds of every model, SSR distribution, convergence, scaling.

        mmtjax study table study.zarr --out tables

    The study may be incomplete; every row says how many repeats it is made of.

    Parameters
    ----------
    store
        Zarr store of the study.
    out
        Directory to make for the tables, CSV with units in the headings.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    """
    opened = open_study(store)
    with translate_errors(OPTIONS), output_directory(out, overwrite=overwrite, inputs=[store]) as place:
        with Stages(error_screen()) as stages:
            tables = _tables(opened, stages)
        for name, values in tables._asdict().items():
            write_table(place / f"{name}.csv", values, comment=_origin(opened))
    _list_files(out)


def figures(store: Path, *, out: Path, overwrite: Annotated[bool, Parameter(show_default=False)] = False) -> None:
    """Draw the figures of the paper from a study, as PNG and PDF, each with a CSV of what it shows.

        mmtjax study figures study.zarr --out figures

    The study may be incomplete; figures whose models are missing are left out.

    Parameters
    ----------
    store
        Zarr store of the study.
    out
        Directory to make for the figures.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    """
    opened = open_study(store)
    with (
        translate_errors(OPTIONS),
        output_directory(out, overwrite=overwrite, inputs=[store]) as place,
        Stages(error_screen()) as stages,
    ):
        save_study_figures(opened, _tables(opened, stages), place, progress=stages)
    _list_files(out)


def _tables(opened: Study, stages: Stages) -> StudyTables:
    return study_tables(pooled_samples(opened), progress=stages, total=len(sample_values(opened)))


def _origin(opened: Study) -> str:
    """Return what the tables are made from, without anything that differs from one computer to the next."""
    status, attributes = opened.status(), attributes_of(opened.path)
    text = (
        f"study {opened.config.name}, seed {opened.config.seed}, mmtjax {attributes['version']}: "
        f"{status.done} of {status.total} cells"
    )
    text += f", of {status.states} states of the source" if status.states > 1 else ""
    return text + (f", {len(status.failures)} of them with inversions that failed" if status.failures else "")


def _list_files(out: Path) -> None:
    with after_results(str(out)):
        screen().print(plain(f"In {out}: {', '.join(result_files(out))}"), soft_wrap=True)
