"""Draw what each repeat changes (Out et al. 2022, section 4.3), and coarse scans against a fine one (section 3.1.3)."""

import numpy as np
import pandas
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mmtjax.errors import InputError
from mmtjax.plot.study_style import StudyFigure, letter, ordered_colours, rows_of, thousands, values_of
from mmtjax.plot.style import VERMILLION
from mmtjax.study.convergence import mean_changes

#: Changes that the paper reports after fifteen repeats: 5 % of the median, a quarter of a decade of the SSR.
_MEDIAN_CHANGE, _SSR_CHANGE = 0.05, 0.25


def plot_convergence(convergence: pandas.DataFrame) -> StudyFigure:
    """Draw the mean change of median ratio and SSR threshold by the last repeat, for each density and for all models.

    Parameters
    ----------
    convergence
        Table of `mmtjax.study.convergence.convergence_table`.

    Raises
    ------
    ValueError
        If no model has two repeats.
    """
    changes, overall = mean_changes(convergence, "density"), mean_changes(convergence)
    if overall.empty:
        msg = "convergence needs models with two repeats at least"
        raise InputError(msg)
    most = int(np.max(overall["repeats"].to_numpy()))
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True)
    densities = values_of(changes, "density")
    for axes, column, factor in zip(panels, ("median_change", "ssr_change"), (100, 1), strict=True):
        for density, colour in zip(densities, ordered_colours(len(densities)), strict=True):
            line = rows_of(changes, density=density)
            label = f"{thousands(density)} · 10³/mm³"
            axes.plot(line["repeats"], factor * line[column], color=colour, marker="o", markersize=3, label=label)
        axes.plot(
            overall["repeats"],
            factor * overall[column],
            color=VERMILLION,
            linewidth=2.4,
            marker="s",
            label="all models",
        )
        axes.set_yscale("log")
        axes.set_xlim(1.5, most + 0.5)
        axes.set_xlabel("repeats (number)")
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].axhline(100 * _MEDIAN_CHANGE, color="0.3", linestyle="--", linewidth=0.9, label="paper, 15 repeats")
    panels[1].axhline(_SSR_CHANGE, color="0.3", linestyle="--", linewidth=0.9)
    panels[0].set_ylabel("mean change of the median ratio (%)")
    panels[1].set_ylabel("mean change of the resolved SSR (decades)")
    letter(panels[0], 0, "median uncertainty ratio")
    letter(panels[1], 1, "SSR resolved to 10 % at 99 %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize="small", title="grain density")
    data = pandas.concat([changes, overall.assign(density=np.nan)], ignore_index=True)
    data.attrs["units"] = {"density": "1/mm³", "median_change": "1", "ssr_change": "decades"}
    caption = (
        f"Change of the median uncertainty ratio and of the SSR threshold by the last of up to {most} repeats, "
        "averaged over the models; rows without density are the mean over all."
    )
    return StudyFigure(figure, data, caption)


def plot_coarse_scans(scans: pandas.DataFrame) -> StudyFigure:
    """Draw radii of averaged coarse scans over those of one fine scan with as many readings, by depth of the grain.

    Boxes hold the middle half, whiskers the middle nine tenths of the grains; section 3.1.3 states a factor of 1.

    Parameters
    ----------
    scans
        Table of `mmtjax.study.scaling.scan_table`.

    Raises
    ------
    ValueError
        If there is only one sampling interval.
    """
    if scans.empty:
        msg = "coarse scans need two sampling intervals at least"
        raise InputError(msg)
    side = max(values_of(scans, "side"))
    shown = rows_of(scans, side=side, thickness=min(values_of(scans, "thickness")))
    whole = (shown["depth_from"] == 0) & np.isinf(shown["depth_to"])
    parts = pandas.DataFrame(shown[~whole])
    fine = values_of(shown, "fine_interval")[0]
    intervals, densities = values_of(parts, "interval"), values_of(parts, "density")
    densities = [densities[number] for number in sorted({0, len(densities) // 2, len(densities) - 1})]
    depths = sorted(set(zip(parts["depth_from"], parts["depth_to"], strict=True)))
    figure = Figure(figsize=(3.7 * len(intervals) + 0.6, 4.4), layout="constrained")
    panels = figure.subplots(1, len(intervals), sharey=True, squeeze=False)[0]
    colours = ordered_colours(len(densities))
    for number, (axes, interval) in enumerate(zip(panels, intervals, strict=True)):
        axes.set_yscale("log")
        axes.set_ylim(min(0.7, values_of(parts, "p05")[0] / 1.1), max(1.4, values_of(parts, "p95")[-1] * 1.1))
        axes.axhline(1, color="0.3", linestyle="--", linewidth=0.9, zorder=0)
        for order, (density, colour) in enumerate(zip(densities, colours, strict=True)):
            models = rows_of(parts, interval=interval, density=density).to_dict("records")
            names = {"med": "median", "q1": "p25", "q3": "p75", "whislo": "p05", "whishi": "p95"}
            boxes = [{key: row[name] for key, name in names.items()} for row in models]
            places = [
                depths.index((row["depth_from"], row["depth_to"])) + 0.24 * (order - (len(densities) - 1) / 2)
                for row in models
            ]
            axes.bxp(
                boxes,
                positions=places,
                widths=0.2,
                manage_ticks=False,
                showfliers=False,
                patch_artist=True,
                boxprops={"facecolor": colour, "edgecolor": "black", "linewidth": 0.5},
                medianprops={"color": VERMILLION, "linewidth": 1.6},
            )
        names = [f"{low:g}–{high:g}" if np.isfinite(high) else f"> {low:g}" for low, high in depths]
        axes.set_xticks(range(len(depths)), names)
        axes.set_xlabel("depth of the grain (µm)")
        letter(axes, number, f"{(interval / fine) ** 2:g} scans every {interval:g} µm")
    panels[0].set_ylabel(f"radius over that of one scan every {fine:g} µm (1)")
    keys = [Patch(facecolor=c, label=f"{thousands(d)} · 10³/mm³") for d, c in zip(densities, colours, strict=True)]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), title="grain density", fontsize="small")
    caption = (
        "Confidence radius from as many coarse scans as have the readings of one fine scan, over the radius from that "
        "scan, by depth: quartiles, and 5th to 95th percentile."
    )
    return StudyFigure(figure, shown, caption)
