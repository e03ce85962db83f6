"""The command ``mmtjax threshold``."""

import dataclasses
import itertools
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas
from cyclopts import Group, Parameter
from rich.table import Table

from mmtjax.cli.grain_inputs import ShapeInput
from mmtjax.cli.inputs import option_values
from mmtjax.cli.screen import after_results, error_screen, screen
from mmtjax.cli.terminal import OPTIONS, Stages, translate_errors, with_option_names
from mmtjax.io.output import output_directory, result_files
from mmtjax.io.provenance_record import provenance, write_provenance
from mmtjax.io.tables import write_table
from mmtjax.precision import random_key
from mmtjax.report.plain_text import plain
from mmtjax.selection import LIMIT, SMALLER_IS_BETTER
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.interpolation import NotCovered, interpolate_threshold
from mmtjax.study.read import open_study
from mmtjax.study.threshold import ThresholdAnswer, find_threshold
from mmtjax.study.threshold_case import ThresholdCase
from mmtjax.units import percent

_SAMPLE = Parameter(group=Group("The sample", sort_key=1))
_MAP = Parameter(group=Group("The map", sort_key=2))
_SELECTION = Parameter(group=Group("What to select", sort_key=3))
_MODELS = Parameter(group=Group("Where the answer comes from", sort_key=4))
_FILES = Parameter(group=Group("The files", sort_key=5))


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdOptions:
    """Options of ``mmtjax threshold``.

    Parameters
    ----------
    side
        Edge of the square surface of the sample, a whole number of intervals, µm.
    thickness
        Thickness of the sample, µm.
    density
        Grains per mm³.
    directions
        Whether the angle of the magnetization from z is uniform, as the paper prints it, or no direction is favoured.
    interval
        Sampling interval of the map, a whole number of µm.
    noise
        Standard deviation of the noise of a sensor, nT.
    height
        z of the scanning plane above the surface of the sample, µm.
    limit
        Largest uncertainty ratio, as a fraction, of a grain that counts as resolved.
    study
        Store of `mmtjax study run`, to take the answer from if it covers the case.
    seed
        Seed of the random numbers of models; the same seed gives the same answer.
    minimum
        Number of models that are run at least.
    maximum
        Number of models after which to stop, stable or not; one that would take more than a month is refused.
    out
        Directory to make for `thresholds.csv`, `statistics.csv`, `convergence.csv` and `provenance.json`.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    """

    side: Annotated[float, _SAMPLE]
    thickness: Annotated[float, _SAMPLE]
    density: Annotated[float, _SAMPLE]
    directions: Annotated[Literal["printed", "isotropic"], _SAMPLE] = "printed"
    interval: Annotated[float, _MAP]
    noise: Annotated[float, _MAP]
    height: Annotated[float, _MAP] = 0.0
    limit: Annotated[float, _SELECTION] = LIMIT
    study: Annotated[Path | None, _MODELS] = None
    seed: Annotated[int, _MODELS] = 0
    minimum: Annotated[int, _MODELS] = 5
    maximum: Annotated[int, _MODELS] = 60
    out: Annotated[Path | None, _FILES] = None
    overwrite: Annotated[bool, Parameter(group=_FILES.group, show_default=False)] = False

    def case(self, library: ShapeLibrary | None) -> ThresholdCase:
        """Return the case for grains of these shapes."""
        return ThresholdCase.from_fields(
            side=self.side,
            thickness=self.thickness,
            density=self.density,
            directions=self.directions,
            height=self.height,
            library=library,
            interval=self.interval,
            noise=self.noise,
            limit=self.limit,
        )


def threshold(*, options: ThresholdOptions, shapes: ShapeInput | None = None) -> None:
    r"""Find the signal strength ratio above which grains may be believed, for a sample and scan of yours.

    It also finds thresholds on two better statistics: the signal strength among neighbours, and the expected ratio.

    Samples are made up and inverted until the threshold is stable, as in section 4.4 of Out et al. (2022); or the
    answer is taken from a study that was run, if it covers the case. The command says which.

        mmtjax threshold --side 200 --thickness 50 --density 25e3 \
          --interval 2 --noise 20
        mmtjax threshold --side 200 --thickness 50 --density 2e4 \
          --interval 1 --noise 10 --study study.zarr --out threshold
    """
    out, limit, shapes = options.out, options.limit, shapes or ShapeInput()
    with translate_errors(OPTIONS):
        if out is None:
            _show(_answer(options, shapes), limit)
            return
        protected = shapes.files if options.study is None else [*shapes.files, options.study]
        with output_directory(out, overwrite=options.overwrite, inputs=protected) as place:
            record = provenance(shapes.files, option_values(options, shapes))
            found = _answer(options, shapes)
            write_table(place / "thresholds.csv", found.table, comment=f"uncertainty ratio {limit:g}\n{found.how}")
            write_table(place / "statistics.csv", found.statistics, comment=f"uncertainty ratio {limit:g}\n{found.how}")
            write_table(place / "convergence.csv", found.convergence, comment=found.how)
            record |= {"source": found.source, "how": found.how, "converged": found.converged}
            write_provenance(place, record)
    with after_results(str(out)):
        _show(found, limit)
        screen().print(plain(f"In {out}: {', '.join(result_files(out))}"), soft_wrap=True)


def _answer(options: ThresholdOptions, shapes: ShapeInput) -> ThresholdAnswer:
    """Return the answer of the study if it covers the case, and of models that are run otherwise."""
    case = options.case(shapes.library())
    if options.study is not None:
        study = open_study(options.study)
        if shapes.grains is None:
            case = options.case(study.library())
        try:
            return interpolate_threshold(study, case)
        except NotCovered as reason:
            message = f"models are run, for {with_option_names(str(reason))}"
            error_screen().print(plain(message, style="yellow"), soft_wrap=True)
    with Stages(error_screen()) as stages:
        return find_threshold(
            random_key(options.seed),
            case,
            minimum=options.minimum,
            maximum=options.maximum,
            progress=stages,
        )


#: Headings of the columns of counts and shares.
_COUNTS = ("selected", "violators", "share selected", "share recovered")


def _show(answer: ThresholdAnswer, limit: float) -> None:
    """Print an answer as tables and words."""
    table = Table(title=f"SSR to select grains by, uncertainty ratio within {percent(limit)}", title_justify="left")
    for heading in ("within the limit", "SSR (1/µm)", "standard error (decades)", *_COUNTS):
        table.add_column(heading, justify="right")
    for row in answer.table.to_dict("records"):
        # The errors of sampling and interpolation are independent.
        error = np.hypot(row["sampling_error"], row["interpolation_error"])
        found = np.isfinite(row["ssr"])
        table.add_row(
            percent(row["purity"]),
            f"{row['ssr']:.2e}" if found else "none",
            f"{error:.2f}" if np.isfinite(error) else "not known" if found else "",
            *_counts(row),
        )
    console = screen()
    console.print(table)
    console.print(_statistic_table(answer.statistics))
    console.print(plain(answer.how, style="" if answer.converged else "bold yellow"), soft_wrap=True)


def _statistic_table(statistics: pandas.DataFrame) -> Table:
    table = Table(title="The same by each statistic that is known without a scan", title_justify="left")
    for heading in ("within the limit", "select"):
        table.add_column(heading)
    for heading in _COUNTS:
        table.add_column(heading, justify="right")
    for purity, rows in itertools.groupby(statistics.to_dict("records"), key=lambda row: row["purity"]):
        for row in rows:
            name, value = row["statistic"].replace("_", " "), row["threshold"]
            sign = "≤" if SMALLER_IS_BETTER[row["statistic"]] else "≥"
            choice = f"{name} {sign} {value:.3g}" if np.isfinite(value) else f"{name}: none"
            table.add_row(percent(purity), choice, *_counts(row))
        table.add_section()
    return table


def _counts(row: Mapping[Hashable, Any]) -> list[str]:
    """Return the cells of the columns `_COUNTS` for a row of a table of thresholds."""
    counts = ["" if pandas.isna(row[name]) else str(row[name]) for name in ("selected", "violators")]
    return [*counts, f"{row['selected_share']:.3f}", f"{row['recovered']:.3f}"]
