"""The command ``mmtjax threshold``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import jax
import numpy as np
import pandas
from cyclopts import Group, Parameter
from rich.console import Console
from rich.table import Table

from mmtjax.cli.library import shape_library
from mmtjax.cli.terminal import OPTIONS, Stages, translate_errors, with_option_names
from mmtjax.io.output import output_directory
from mmtjax.io.provenance_record import provenance, write_provenance
from mmtjax.io.tables import write_table
from mmtjax.plot.style import percent
from mmtjax.selection import LIMIT, SMALLER_IS_BETTER
from mmtjax.study.interpolation import NotCovered, interpolate_threshold
from mmtjax.study.read import Study, open_study
from mmtjax.study.stored_shapes import shapes_fingerprint
from mmtjax.study.threshold import ThresholdAnswer, find_threshold

_IN_SAMPLE = Parameter(group=Group("The sample", sort_key=1))
_IN_MAP = Parameter(group=Group("The map", sort_key=2))
_IN_CHOICE = Parameter(group=Group("What to select", sort_key=3))
_IN_MODELS = Parameter(group=Group("Where the answer comes from", sort_key=4))
_IN_RESULTS = Parameter(group=Group("The files", sort_key=5))


def threshold(
    *,
    side: Annotated[float, _IN_SAMPLE],
    thickness: Annotated[float, _IN_SAMPLE],
    density: Annotated[float, _IN_SAMPLE],
    directions: Annotated[Literal["printed", "isotropic"], _IN_SAMPLE] = "printed",
    grains: Annotated[Path | None, _IN_SAMPLE] = None,
    grains_z: Annotated[Literal["up", "down"] | None, _IN_SAMPLE] = None,
    voxel_spacing: Annotated[float | None, _IN_SAMPLE] = None,
    interval: Annotated[float, _IN_MAP],
    noise: Annotated[float, _IN_MAP],
    height: Annotated[float, _IN_MAP] = 0.0,
    limit: Annotated[float, _IN_CHOICE] = LIMIT,
    study: Annotated[Path | None, _IN_MODELS] = None,
    seed: Annotated[int, _IN_MODELS] = 0,
    minimum: Annotated[int, _IN_MODELS] = 5,
    maximum: Annotated[int, _IN_MODELS] = 60,
    out: Annotated[Path | None, _IN_RESULTS] = None,
    overwrite: Annotated[bool, Parameter(group=_IN_RESULTS.group, show_default=False)] = False,
) -> None:
    """Signal strength ratio above which grains may be believed, for a sample and scan of yours.

    Beside it two better statistics: signal strength among neighbours, and the uncertainty ratio to expect.

    Samples are made up and inverted until the threshold is stable, as in section 4.4 of Out et al. (2022); or the
    answer is taken from a study that was run, where it covers the case. It says which.

        mmtjax threshold --side 200 --thickness 50 --density 25e3 \\
          --interval 2 --noise 20
        mmtjax threshold --side 200 --thickness 50 --density 2e4 \\
          --interval 1 --noise 10 --study study.zarr --out threshold

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
    grains
        File with grains whose shapes to draw from, of any format that `mmtjax invert` reads: those of your microCT.
        Those of the study by default, synthetic ones without a study.
    grains_z
        Whether z of that file is a height (up) or a depth (down).
    voxel_spacing
        Edge of a voxel of that file, µm.
    interval
        Sampling interval of the map, a whole number of µm.
    noise
        Standard deviation of the noise of a sensor, nT.
    height
        z of the scanning plane above the surface of the sample, µm.
    limit
        Largest uncertainty ratio, as a fraction, of a grain that counts as resolved.
    study
        Store of `mmtjax study run`, to take the answer from where it covers the case.
    seed
        Number that the random numbers of models come from; the same one gives the same answer.
    minimum
        Models that are run at least.
    maximum
        Models after which to stop, stable or not.
    out
        Directory to make for `thresholds.csv`, `statistics.csv`, `convergence.csv` and `provenance.json`.
    overwrite
        Replace the directory, with all that is in it.
    """
    asked = {name: value for name, value in locals().items() if value is not None}
    case = {"side": side, "thickness": thickness, "density": density, "interval": interval, "noise": noise}
    case |= {"height": height, "limit": limit, "directions": directions}
    inputs, voice = ([] if grains is None else [grains]), Console(stderr=True)

    def answer() -> ThresholdAnswer:
        library = shape_library(grains, z=grains_z, voxel_spacing=voxel_spacing)
        if study is not None:
            opened = open_study(study)
            kept = opened.library()
            # Without a file of grains, what has to be run has those of the study.
            other = grains is not None and shapes_fingerprint(library) != shapes_fingerprint(kept)
            library = kept if grains is None else library
            found = _from_study(opened, case, other_shapes=other, voice=voice)
            if found is not None:
                return found
        with Stages(voice) as stages:
            return find_threshold(
                jax.random.key(seed), **case, library=library, minimum=minimum, maximum=maximum, progress=stages
            )

    with translate_errors(OPTIONS):
        if out is None:
            _show(answer(), limit)
            return
        with output_directory(out, overwrite=overwrite, inputs=[*inputs, *([] if study is None else [study])]) as place:
            record = provenance(inputs, asked)
            found = answer()
            write_table(place / "thresholds.csv", found.table, comment=f"uncertainty ratio {limit:g}\n{found.how}")
            write_table(place / "statistics.csv", found.statistics, comment=f"uncertainty ratio {limit:g}\n{found.how}")
            write_table(place / "convergence.csv", found.convergence, comment=found.how)
            record |= {"source": found.source, "how": found.how, "converged": found.converged}
            write_provenance(place, record)
    _show(found, limit)
    Console().print(
        f"In {out}: {', '.join(sorted(file.name for file in out.iterdir()))}", highlight=False, markup=False
    )


def _from_study(
    opened: Study, case: Mapping[str, object], *, other_shapes: bool, voice: Console
) -> ThresholdAnswer | None:
    """The answer of a study, or None where it does not cover the case, after saying so."""
    try:
        if other_shapes:
            raise NotCovered(f"the study {opened.config.name} does not cover grains of other shapes than its own")
        return interpolate_threshold(opened, **case)
    except NotCovered as reason:
        voice.print(
            f"models are run, for {with_option_names(str(reason))}",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        return None


def _show(answer: ThresholdAnswer, limit: float) -> None:
    table = Table(title=f"SSR to select grains by, uncertainty ratio within {percent(limit)}", title_justify="left")
    headings = ("within the limit", "SSR (1/µm)", "standard error (decades)")
    headings += ("selected", "violators", "share selected", "share recovered")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in answer.table.itertuples():
        # What sampling and interpolation each leave open add up as errors that know nothing of each other.
        error = np.hypot(row.sampling_error, row.interpolation_error)
        known = np.isfinite(row.ssr)
        table.add_row(
            percent(row.purity),
            f"{row.ssr:.2e}" if known else "none",
            f"{error:.2f}" if np.isfinite(error) else "not known" if known else "",
            *("" if pandas.isna(count) else str(count) for count in (row.selected, row.violators)),
            f"{row.selected_share:.3f}",
            f"{row.recovered:.3f}",
        )
    screen = Console()
    screen.print(table)
    screen.print(_beside(answer.statistics))
    style = None if answer.converged else "bold yellow"
    screen.print(answer.how, style=style, highlight=False, markup=False, soft_wrap=True)


def _beside(statistics: pandas.DataFrame) -> Table:
    table = Table(title="The same by each statistic that is known without a scan", title_justify="left")
    for heading in ("within the limit", "select"):
        table.add_column(heading)
    for heading in ("selected", "violators", "share selected", "share recovered"):
        table.add_column(heading, justify="right")
    for purity, rows in statistics.groupby("purity", sort=False):
        for row in rows.itertuples():
            sign = "≤" if SMALLER_IS_BETTER[row.statistic] else "≥"
            table.add_row(
                percent(purity),
                f"{row.statistic.replace('_', ' ')} {sign} {row.threshold:.3g}"
                if np.isfinite(row.threshold)
                else f"{row.statistic.replace('_', ' ')}: none",
                *("" if pandas.isna(count) else str(count) for count in (row.selected, row.violators)),
                f"{row.selected_share:.3f}",
                f"{row.recovered:.3f}",
            )
        table.add_section()
    return table
