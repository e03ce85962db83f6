"""Uncertainty ratio against signal strength ratio, and the thresholds that it gives (Fig. 6 of Out et al. 2022)."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import GREEN, classes, colours_of, logarithmic, new_axes, percent
from mmtjax.selection import SsrThreshold, StatisticThreshold, ssr_threshold, statistic_threshold
from mmtjax.study.statistics import SMALLER_IS_BETTER

#: Shares of good grains among the selected ones for which thresholds are given.
PURITIES = (0.90, 0.95, 0.99, 0.999)

_DASHES = ((0, (1, 1.2)), (0, (3, 1.5)), (0, (6, 2)), "solid")


def ssr_thresholds(solution: Solution, *, limit: float = 0.10) -> dict[float, SsrThreshold]:
    """Smallest SSR above which at least a share of the grains is trusted, for each of `PURITIES`.

    A grain counts as resolved as `Solution.trusted` takes it: by its ratio widened by the root of the reduced χ², and
    below saturation. A threshold is infinite where no choice of grains is pure enough.
    """
    strength, ratio = np.asarray(solution.signal_strength_ratio), _judged_ratio(solution)
    return {purity: ssr_threshold(strength, ratio, limit=limit, purity=purity) for purity in PURITIES}


def statistic_thresholds(solution: Solution, *, limit: float = 0.10) -> dict[str, dict[float, StatisticThreshold]]:
    """Thresholds on what else is known without a scan, by the name of the statistic, as `ssr_thresholds` on the SSR.

    The expected uncertainty ratio selects grains up to its threshold, the crowded signal strength from it on.
    """
    ratio = _judged_ratio(solution)
    return {
        name: {
            purity: statistic_threshold(
                np.asarray(getattr(solution, name)), ratio, limit=limit, purity=purity, smaller_is_better=smaller
            )
            for purity in PURITIES
        }
        for name, smaller in SMALLER_IS_BETTER.items()
        if name != "signal_strength_ratio"
    }


def _judged_ratio(solution: Solution) -> Float[np.ndarray, " grain"]:
    """Uncertainty ratios as `Solution.trusted` takes them, infinite beyond saturation."""
    widened = np.asarray(solution.uncertainty_ratio) * np.sqrt(max(float(solution.reduced_chi_square), 1.0))
    return np.where(np.asarray(solution.beyond_saturation), np.inf, widened)


def plot_ratio_ssr(solution: Solution, *, limit: float = 0.10, axes: Axes | None = None) -> Figure:
    """Uncertainty ratio (equation 12) against SSR (equation 13), log-log, with the limit and the thresholds that exist.

    Parameters
    ----------
    solution
        What `mmtjax.invert` returns.
    limit
        Uncertainty ratio up to which a grain may be trusted.
    axes
        Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure drawn into; SSR in 1/µm, the ratio as a fraction. Grains whose ratio is infinite, because their
        magnetization is zero, are arrows at the top.
    """
    axes = new_axes(axes, size=(6.2, 5.2))
    strength, ratio = np.asarray(solution.signal_strength_ratio), np.asarray(solution.uncertainty_ratio)
    widening = np.sqrt(max(float(solution.reduced_chi_square), 1.0))
    finite = np.isfinite(ratio)
    logarithmic(axes, x=strength, y=np.r_[ratio[finite], limit, limit / widening])
    for kind in classes(solution, limit):
        shown = kind.members & finite
        axes.scatter(strength[shown], ratio[shown], s=24, label=kind.label, zorder=3, **colours_of(kind))
    if not finite.all():
        top = np.full(int((~finite).sum()), 0.985)
        axes.scatter(
            strength[~finite],
            top,
            transform=axes.get_xaxis_transform(),
            marker="^",
            s=26,
            facecolors="none",
            edgecolors="black",
            label=f"infinite ratio ({top.size})",
        )
    axes.axhline(limit, color="black", linewidth=1, label=f"limit, {percent(limit)}")
    if widening > 1.05:
        axes.axhline(
            limit / widening,
            color="black",
            linewidth=1,
            linestyle="dashdot",
            label=f"limit / √(reduced χ²), {limit / widening:.2g}",
        )
    _draw_thresholds(axes, solution, limit=limit)
    axes.set_xlabel("signal strength ratio (1/µm)")
    axes.set_ylabel("uncertainty ratio (1)")
    axes.set_title(f"reduced χ² = {float(solution.reduced_chi_square):.3g}", fontsize="medium")
    _legend(axes)
    return axes.figure


def _draw_thresholds(axes: Axes, solution: Solution, *, limit: float) -> None:
    found = 0
    for (purity, threshold), dashes in zip(ssr_thresholds(solution, limit=limit).items(), _DASHES, strict=True):
        if not np.isfinite(threshold.ssr):
            continue
        found += 1
        axes.axvline(
            threshold.ssr,
            color=GREEN,
            linewidth=1.3,
            linestyle=dashes,
            label=f"{percent(purity)} trusted above {threshold.ssr:.3g}/µm ({threshold.selected} grains)",
        )
    if not found:
        axes.plot([], [], " ", label=f"no SSR above which {percent(min(PURITIES))} are trusted")


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize="small")
