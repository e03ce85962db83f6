"""Draw the uncertainty ratio against the signal strength ratio, with thresholds (Fig. 6 of Out et al. 2022)."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import GREEN, classes, draw_class, figure_of, logarithmic, new_axes
from mmtjax.selection import PURITIES, ssr_threshold, widening
from mmtjax.units import percent

#: Line styles of the thresholds, the least strict purity first.
_DASHES = ((0, (1, 1.2)), (0, (3, 1.5)), (0, (6, 2)), "solid")


def plot_ratio_ssr(solution: Solution, *, limit: float = 0.10, axes: Axes | None = None) -> Figure:
    """Draw the uncertainty ratio (equation 12) against the SSR (equation 13) with the limit and the thresholds found.

    Parameters
    ----------
    solution
        Result of `mmtjax.invert`.
    limit
        Uncertainty ratio up to which a grain may be trusted.
    axes
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, with logarithmic axes: SSR in 1/µm, the ratio as a fraction. Grains whose ratio is infinite, because
        their magnetization is zero, are arrows at the top.
    """
    axes = new_axes(axes, size=(6.2, 5.2))
    strength, ratio = np.asarray(solution.signal_strength_ratio), np.asarray(solution.uncertainty_ratio)
    factor = float(widening(solution.reduced_chi_square))
    finite = np.isfinite(ratio)
    logarithmic(axes, x=strength, y=np.r_[ratio[finite], limit, limit / factor])
    for kind in classes(solution, limit):
        shown = kind.members & finite
        draw_class(axes, kind, strength[shown], ratio[shown], size=24)
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
    if factor > 1.05:
        axes.axhline(
            limit / factor,
            color="black",
            linewidth=1,
            linestyle="dashdot",
            label=f"limit / √(reduced χ²), {limit / factor:.2g}",
        )
    _draw_thresholds(axes, solution, limit=limit)
    axes.set_xlabel("signal strength ratio (1/µm)")
    axes.set_ylabel("uncertainty ratio (1)")
    axes.set_title(f"reduced χ² = {float(solution.reduced_chi_square):.3g}", fontsize="medium")
    _legend(axes)
    return figure_of(axes)


def _draw_thresholds(axes: Axes, solution: Solution, *, limit: float) -> None:
    ratio, found = solution.trusted_ratio, 0
    for purity, dashes in zip(reversed(PURITIES), _DASHES, strict=True):
        threshold = ssr_threshold(solution.signal_strength_ratio, ratio, limit=limit, purity=purity)
        if not np.isfinite(threshold.value):
            continue
        found += 1
        axes.axvline(
            threshold.value,
            color=GREEN,
            linewidth=1.3,
            linestyle=dashes,
            label=f"{percent(purity)} trusted above {threshold.value:.3g}/µm ({threshold.selected} grains)",
        )
    if not found:
        axes.plot([], [], " ", label=f"no SSR above which {percent(min(PURITIES))} are trusted")


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize="small")
