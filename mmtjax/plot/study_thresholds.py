"""Draw the SSR above which grains are resolved against grain density (Out et al. 2022, Fig. 5, S5 and S6)."""

from collections.abc import Sequence

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmtjax.errors import InputError
from mmtjax.plot.study_style import StudyFigure, letter, ordered_colours, repeats_of, rows_of, thousands, values_of
from mmtjax.plot.style import VERMILLION
from mmtjax.selection import PURITY
from mmtjax.units import percent

#: Marks of the limits in the order of the paper: circle, triangle up, triangle down, cross, star.
_MARKERS = ("o", "^", "v", "X", "*")

#: Fewer selected grains than this include no violator: a single grain decides where the threshold lies.
_FEW = round(1 / (1 - PURITY))


def plot_resolved_strength(
    thresholds: pandas.DataFrame,
    panels: Sequence[Sequence[dict[str, float]]],
    *,
    example: tuple[float, float] | None = None,
) -> StudyFigure:
    """Draw the smallest SSR above which 99 % of the grains are within a limit, against density, for each limit.

    Points are missing where no SSR has that purity, and hollow where fewer than 100 grains are selected: a single grain
    more or less would move them.

    Parameters
    ----------
    thresholds
        Table of `mmtjax.study.strengths.threshold_table`.
    panels
        Rows of panels, each with the ``side``, ``thickness``, ``interval`` and ``noise`` of its models.
    example
        Density (1/mm³) and limit of a point whose SSR is shown in the first row of panels, where they have it.

    Raises
    ------
    ValueError
        If no panel has a model.
    """
    pure = rows_of(thresholds, purity=PURITY)
    shown = pandas.concat([rows_of(pure, **panel) for row in panels for panel in row], ignore_index=True)
    if shown.empty:
        msg = "the table has no model of any of the panels"
        raise InputError(msg)
    shown.attrs = thresholds.attrs
    rows, columns = len(panels), len(panels[0])
    size = (4.6 * columns, 3.3 * rows + 0.9) if columns <= 2 else (3.0 * columns, 2.5 * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    places = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    densities, limits = values_of(shown, "density"), values_of(shown, "limit")
    for number, (axes, panel) in enumerate(zip(places.flat, [panel for row in panels for panel in row], strict=True)):
        _draw_limits(axes, rows_of(pure, **panel), limits, densities)
        name = f"{panel['noise']:g} nT, every {panel['interval']:g} µm"
        letter(axes, number, name if columns > 2 else f"{panel['thickness']:g} µm thick, {name}")
    if example is not None:
        for axes, panel in zip(places[0], panels[0], strict=True):
            _mark_point(axes, rows_of(pure, **panel, density=example[0], limit=example[1]))
    for axes in places[-1]:
        axes.set_xlabel("grain density (10³/mm³)")
    for axes in places[:, 0]:
        axes.set_ylabel("resolved SSR (1/µm)")
    handles, labels = places[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(limits), title="uncertainty ratio up to")
    first = panels[0][0]
    sample = f"{first['side']:g} × {first['side']:g} µm²"
    if len(values_of(shown, "thickness")) == 1:
        sample += f", {first['thickness']:g} µm thick"
    figure.suptitle(f"{sample}, {repeats_of(shown)}", fontsize="medium")
    caption = (
        f"Smallest SSR above which {percent(PURITY)} of the grains have at most the uncertainty ratio of the line, "
        f"by grain density, {sample}. {repeats_of(shown).capitalize()} of each model; points are missing where "
        f"there is no such SSR, and hollow where they rest on fewer than {_FEW} selected grains."
    )
    if example is not None:
        caption += f" Dotted: {thousands(example[0])}·10³ grains/mm³ and {percent(example[1])}."
    return StudyFigure(figure, shown, caption)


def _draw_limits(axes: Axes, models: pandas.DataFrame, limits: list[float], densities: list[float]) -> None:
    """Draw a line for each limit."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    colours = ordered_colours(len(limits))
    for limit, marker, colour in zip(limits, _MARKERS[: len(limits)], colours, strict=True):
        line = rows_of(models, limit=limit).sort_values("density")
        ssr = np.where(np.isfinite(line["ssr"]), line["ssr"], np.nan)
        axes.plot(line["density"], ssr, marker=marker, color=colour, linewidth=1.1, markersize=5, label=percent(limit))
        few = line[np.isfinite(line["ssr"]) & (line["selected"] < _FEW)]
        axes.scatter(few["density"], few["ssr"], s=22, marker=marker, facecolors="white", edgecolors=[colour], zorder=3)
    axes.set_xticks(densities, [thousands(density) for density in densities], fontsize="x-small")
    axes.set_xticks([], minor=True)
    axes.grid(axis="y", color="0.9", linewidth=0.6)


def _mark_point(axes: Axes, model: pandas.DataFrame) -> None:
    """Draw dotted lines from a point to both axes, with its SSR."""
    for density, ssr in model[["density", "ssr"]].to_numpy():
        if not np.isfinite(ssr):
            continue
        left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
        axes.plot([left, density, density], [ssr, ssr, bottom], color=VERMILLION, linestyle=":", linewidth=1.4)
        axes.annotate(
            f"{ssr:.2g}",
            (left, ssr),
            xytext=(4, -3),
            textcoords="offset points",
            color=VERMILLION,
            fontsize="small",
            va="top",
        )
        axes.set_xlim(left=left)
        axes.set_ylim(bottom=bottom)
