"""Draw box plots of the uncertainty ratio of every model (Out et al. 2022, Fig. 4 and S1)."""

from collections.abc import Sequence

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmtjax.errors import InputError
from mmtjax.plot.study_style import (
    Colour,
    StudyFigure,
    letter,
    ordered_colours,
    repeats_of,
    rows_of,
    thousands,
    values_of,
)
from mmtjax.plot.style import VERMILLION

#: Ratio that the paper calls low.
_REFERENCE = 0.10


def plot_ratio_boxes(ratios: pandas.DataFrame, *, intervals: Sequence[float]) -> StudyFigure:
    """Draw the ratio against grain density, a box for each noise level; a row for each side and thickness.

    Boxes run from the first to the third quartile with the median as a line, whiskers to the smallest and the largest
    ratio, as in Fig. 4 of the paper.

    Parameters
    ----------
    ratios
        Table of `mmtjax.study.ratio_table.ratio_table`.
    intervals
        Sampling intervals of the columns, µm: 1 and 5 in Fig. 4, 2 and 4 in S1.

    Raises
    ------
    ValueError
        If no model has such an interval.
    """
    shown = pandas.concat([rows_of(ratios, interval=interval) for interval in intervals], ignore_index=True)
    if shown.empty:
        msg = f"no model has a sampling interval of {list(intervals)} µm"
        raise InputError(msg)
    shown.attrs = ratios.attrs
    samples = sorted(set(zip(shown["side"], shown["thickness"], strict=True)))
    figure = Figure(figsize=(5.0 * len(intervals), 2.7 * len(samples) + 0.9), layout="constrained")
    panels = figure.subplots(len(samples), len(intervals), sharex=True, sharey=True, squeeze=False)
    densities, noises = values_of(shown, "density"), values_of(shown, "noise")
    colours = ordered_colours(len(noises))
    low, high = _limits(shown)
    for row, (side, thickness) in enumerate(samples):
        for column, interval in enumerate(intervals):
            axes = panels[row, column]
            axes.set_yscale("log")
            axes.set_ylim(low, high)
            axes.axhline(100 * _REFERENCE, color="0.35", linewidth=0.8, linestyle="--", zorder=0)
            letter(
                axes, row * len(intervals) + column, f"{side:g} × {side:g} × {thickness:g} µm³, every {interval:g} µm"
            )
            for number, (noise, colour) in enumerate(zip(noises, colours, strict=True)):
                models = rows_of(shown, side=side, thickness=thickness, interval=interval, noise=noise)
                places = np.array([densities.index(density) for density in models["density"]], float)
                _draw_boxes(axes, models, places + 0.2 * (number - (len(noises) - 1) / 2), colour, top=high)
            axes.set_xticks(range(len(densities)), [thousands(density) for density in densities])
            axes.set_xlim(-0.6, len(densities) - 0.4)
    for axes in panels[-1]:
        axes.set_xlabel("grain density (10³ grains/mm³)")
    for axes in panels[:, 0]:
        axes.set_ylabel("uncertainty ratio (%)")
    keys = [Patch(facecolor=colour, label=f"{noise:g} nT") for noise, colour in zip(noises, colours, strict=True)]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), title="noise", fontsize="small")
    caption = (
        "Uncertainty ratio of all grains by grain density: quartiles, median, smallest and largest; the dashed line is "
        f"{100 * _REFERENCE:g} %. {repeats_of(shown).capitalize()} of each model."
    )
    figure.suptitle(repeats_of(shown), fontsize="medium")
    return StudyFigure(figure, shown, caption)


def _limits(shown: pandas.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis of ratios, %: around all finite values."""
    values = 100 * shown[["minimum", "first_quartile", "median", "third_quartile", "maximum"]].to_numpy()
    values = values[np.isfinite(values) & (values > 0)]
    return float(values.min()) / 2, float(values.max()) * 2


def _draw_boxes(axes: Axes, models: pandas.DataFrame, places: np.ndarray, colour: Colour, *, top: float) -> None:
    """Draw the boxes of the models of one noise level; infinite values end at the top of the axis."""
    boxes = [
        {
            "med": min(100 * model["median"], top),
            "q1": min(100 * model["first_quartile"], top),
            "q3": min(100 * model["third_quartile"], top),
            "whislo": 100 * model["minimum"],
            "whishi": min(100 * model["maximum"], top),
        }
        for model in models.to_dict("records")
    ]
    if boxes:
        axes.bxp(
            boxes,
            positions=places,
            widths=0.16,
            manage_ticks=False,
            showfliers=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "edgecolor": "black", "linewidth": 0.5},
            medianprops={"color": VERMILLION, "linewidth": 1.6},
            whiskerprops={"color": "0.25", "linewidth": 0.7},
            capprops={"color": "0.25", "linewidth": 0.7},
        )
