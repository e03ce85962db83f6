"""Write all figures of a study as files, with the tables of what they show."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from mmtjax.io.tables import write_table
from mmtjax.plot.study_boxes import plot_ratio_boxes
from mmtjax.plot.study_convergence import plot_coarse_scans, plot_convergence
from mmtjax.plot.study_strengths import plot_selection, plot_strength
from mmtjax.plot.study_style import StudyFigure, rows_of, values_of
from mmtjax.plot.study_thresholds import plot_resolved_strength
from mmtjax.plot.study_workflow import plot_confidence_sphere, plot_workflow
from mmtjax.progress import StageProgress
from mmtjax.study.example import example_of
from mmtjax.study.pool import pooled
from mmtjax.study.read import Study
from mmtjax.study.report_tables import StudyTables

_DOTS_PER_INCH = 300

#: Density (1/mm³) and limit of the example that section 3.2 of the paper reads off Fig. 5.
_EXAMPLE = 1e4, 0.10

#: The name of a figure, and the function that draws it.
Drawing = tuple[str, Callable[[], StudyFigure]]


def save_study_figures(
    study: Study,
    tables: StudyTables,
    directory: str | os.PathLike[str],
    *,
    formats: Sequence[str] = ("png", "pdf"),
    progress: StageProgress | None = None,
) -> list[Path]:
    """Draw the figures for which a study, complete or not, has the models, and write each with its data.

    Parameters
    ----------
    study
        The study.
    tables
        Its tables.
    directory
        Where to write; made if it does not exist. Files of the same names are replaced.
    formats
        Endings that matplotlib writes, without the dot.
    progress
        Called as ``progress("figures", done, total)``.

    Returns
    -------
    list of pathlib.Path
        The files: ``<name>.<format>`` and ``<name>.csv``, whose first line says what the figure shows.
    """
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    drawings = [*drawings_of_samples(study), *drawings_of_tables(tables)]
    written = []
    for done, (name, draw) in enumerate(drawings, start=1):
        drawn = draw()
        for ending in formats:
            written.append(place / f"{name}.{ending}")
            drawn.figure.savefig(written[-1], dpi=_DOTS_PER_INCH)
        drawn.figure.clear()
        for suffix, table in (("", drawn.data), *((f"_{key}", table) for key, table in drawn.others)):
            written.append(write_table(place / f"{name}{suffix}.csv", table, comment=drawn.caption))
        if progress is not None:
            progress("figures", done, len(drawings))
    return written


def drawings_of_samples(study: Study) -> Iterator[Drawing]:
    """Yield Fig. 1 and 2, of a model that is made and inverted again, and Fig. 6, of the densest sample."""
    example = example_of(study.config, library=study.library())
    yield "figure_1_workflow", lambda: plot_workflow(example)
    yield "figure_2_confidence_sphere", lambda: plot_confidence_sphere(example.solution)
    # The largest, thinnest and densest sample in the store.
    cells = study.cells()
    side, thickness, density = max(cells, key=lambda cell: (cell.side, -cell.thickness, cell.density))[:3]
    interval = min(cell.interval for cell in cells if cell[:3] == (side, thickness, density))
    chosen = [cell for cell in cells if cell[:3] == (side, thickness, density) and cell.interval == interval]
    pool = pooled(study, chosen)[interval]
    yield "figure_6_selection", lambda: plot_selection(pool, noise=float(pool.noise.min()))


def drawings_of_tables(tables: StudyTables) -> Iterator[Drawing]:
    """Yield Fig. 3 to 5, those of the supplement, and those of sections 4.3 and 3.1.3, as far as there are models."""
    sides, intervals = values_of(tables.ratios, "side"), values_of(tables.ratios, "interval")
    ends = sorted({intervals[0], intervals[-1]})
    yield "figure_3_signal_strength", lambda: plot_strength(tables.distribution)
    yield "figure_4_uncertainty_ratio", lambda: plot_ratio_boxes(tables.ratios, intervals=ends)
    if between := intervals[1:-1]:
        yield "figure_s1_uncertainty_ratio", lambda: plot_ratio_boxes(tables.ratios, intervals=between)
    yield (
        "figure_5_resolved_strength",
        lambda: plot_resolved_strength(tables.thresholds, _extremes(tables, sides[-1]), example=_EXAMPLE),
    )
    if len(sides) > 1:
        for number, panels in zip(("s5", "s6"), _all_noises(tables, sides[0]), strict=False):
            yield f"figure_{number}_resolved_strength", partial(plot_resolved_strength, tables.thresholds, panels)
    if values_of(tables.convergence, "repeats")[-1] > 1:
        yield "convergence", lambda: plot_convergence(tables.convergence)
    if len(tables.coarse_scans):
        yield "coarse_scans", lambda: plot_coarse_scans(tables.coarse_scans)


#: Rows of panels, each with the parameters of its models.
Panels = list[list[dict[str, float]]]


def _extremes(tables: StudyTables, side: float) -> Panels:
    """Return a row for each thickness: least noise at the finest interval, and most noise at the coarsest one."""
    of_side = rows_of(tables.ratios, side=side)
    intervals, noises = values_of(of_side, "interval"), values_of(of_side, "noise")
    return [
        [
            {"side": side, "thickness": thickness, "interval": interval, "noise": noise}
            for interval, noise in sorted({(intervals[0], noises[0]), (intervals[-1], noises[-1])})
        ]
        for thickness in values_of(of_side, "thickness")
    ]


def _all_noises(tables: StudyTables, side: float) -> Iterator[Panels]:
    """Yield the panels of each thickness: a row for each interval, a column for each noise."""
    of_side = rows_of(tables.ratios, side=side)
    for thickness in values_of(of_side, "thickness"):
        yield [
            [
                {"side": side, "thickness": thickness, "interval": interval, "noise": noise}
                for noise in values_of(of_side, "noise")
            ]
            for interval in values_of(rows_of(of_side, thickness=thickness), "interval")
        ]
