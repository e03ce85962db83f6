"""Draw what the signal strength ratio means (Out et al. 2022, Fig. 3), and what it selects (Fig. 6)."""

from typing import overload

import numpy as np
import pandas
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from mmtjax.plot.study_style import StudyFigure, letter, ordered_colours
from mmtjax.plot.style import BLUE, GREEN, VERMILLION
from mmtjax.selection import LIMIT, PURITIES, ssr_threshold
from mmtjax.study.pool import Pool
from mmtjax.units import percent

#: SSR of the curves of Fig. 3a, 1/µm.
_CURVES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)

#: Share of the grains in the example of the paper.
_EXAMPLE = 0.70

#: Line styles of the thresholds, the strictest purity first.
_DASHES = ("solid", (0, (6, 2)), (0, (3, 1.5)), (0, (1, 1.2)))

#: Classes of the uncertainty ratio in Fig. 6.
_EDGES = (0.0, 0.01, 0.03, 0.10, 0.30, 1.0, np.inf)

#: Places of the classes in a diverging colour map, with the limit of 10 % in its middle.
_SHADES = (0.0, 0.13, 0.28, 0.70, 0.85, 1.0)


@overload
def volume_of(ssr: float, depth: float) -> float: ...
@overload
def volume_of(ssr: float, depth: np.ndarray) -> np.ndarray: ...


def volume_of(ssr: float, depth: float | np.ndarray) -> float | np.ndarray:
    """Return the volume (µm³) of a grain with an SSR (1/µm) at a depth (µm): equation 13 with d³ = 6 V / π.

    Examples
    --------
    >>> round(volume_of(2.387e-4, 25.0), 1)
    10.0
    """
    return (ssr * depth**3 * (6 / np.pi) ** (1 / 3)) ** 1.5


def plot_strength(distribution: pandas.DataFrame) -> StudyFigure:
    """Draw depth and volume of grains of equal SSR, and the share of grains above an SSR by thickness (Fig. 3).

    Parameters
    ----------
    distribution
        Table of `mmtjax.study.strengths.distribution_table`.
    """
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    depth = np.linspace(1.0, np.max(distribution["thickness"].to_numpy()), 300)
    for ssr, colour in zip(_CURVES, ordered_colours(len(_CURVES)), strict=True):
        left.plot(depth, volume_of(ssr, depth), color=colour, label=f"{ssr:g}")
    left.set_yscale("log")
    left.set_ylim(0.3, 6e3)
    left.set_xlim(0, depth[-1])
    left.set_xlabel("depth (µm)")
    left.set_ylabel("volume (µm³)")
    left.legend(title="SSR (1/µm)", fontsize="small", loc="lower right")
    letter(left, 0, "grains of equal SSR")
    for number, (thickness, group) in enumerate(distribution.groupby("thickness")):
        colour = (BLUE, VERMILLION, GREEN)[number % 3]
        grains = int(group["grains"].iloc[0])
        line = ("solid", "dashed", "dashdot")[number % 3]
        right.plot(
            group["ssr"],
            100 * group["share"],
            color=colour,
            linestyle=line,
            label=f"{thickness:g} µm ({grains} grains)",
        )
        at = float(np.exp(np.interp(-_EXAMPLE, -group["share"], np.log(group["ssr"]))))
        right.plot([1e-12, at, at], [100 * _EXAMPLE, 100 * _EXAMPLE, 0], color=colour, linestyle=":", linewidth=1.2)
        right.annotate(
            f"{at:.2g}", (at, 3 + 9 * number), xytext=(4, 0), textcoords="offset points", color=colour, fontsize="small"
        )
    right.set_xscale("log")
    share, ssr = distribution["share"].to_numpy(), distribution["ssr"].to_numpy()
    tails = (share >= 0.999) | (share <= 0.001)
    middle = ssr if np.all(tails) else ssr[~tails]
    right.set_xlim(middle.min() / 2, middle.max() * 2)
    right.set_ylim(0, 102)
    right.set_xlabel("SSR (1/µm)")
    right.set_ylabel("grains with at least this SSR (%)")
    right.legend(title="thickness", fontsize="small")
    letter(right, 1, "distribution of the SSR")
    caption = (
        "a) Volume and depth of grains of equal SSR. b) Share of the grains with at least an SSR, by thickness of the "
        f"sample; dotted: {percent(_EXAMPLE)}."
    )
    return StudyFigure(figure, distribution, caption)


def plot_selection(pool: Pool, *, noise: float) -> StudyFigure:
    """Draw depth and volume of all grains of a model, coloured by their ratio, with the SSR thresholds (Fig. 6).

    Parameters
    ----------
    pool
        The grains of all repeats.
    noise
        One of the noise levels of the pool, nT.
    """
    level = int(np.flatnonzero(np.isclose(pool.noise, noise))[0])
    ratio = pool.uncertainty_ratio[level]
    figure = Figure(figsize=(8.4, 5.8), layout="constrained")
    axes = figure.add_subplot()
    colours = ListedColormap([colormaps["RdYlBu_r"](share) for share in _SHADES])
    ranks = np.searchsorted(_EDGES[1:-1], ratio, side="left")
    order = np.random.default_rng(0).permutation(ratio.size)
    points = axes.scatter(
        pool.depth[order],
        pool.volume[order],
        c=ranks[order],
        cmap=colours,
        norm=BoundaryNorm(np.arange(len(_EDGES)) - 0.5, len(_EDGES) - 1),
        s=5,
        linewidths=0,
        rasterized=True,
    )
    _draw_selections(axes, pool, ratio)
    axes.set_yscale("log")
    axes.set_ylim(pool.volume.min() / 1.3, pool.volume.max() * 1.3)
    axes.set_xlim(0, pool.depth.max() * 1.02)
    axes.set_xlabel("depth (µm)")
    axes.set_ylabel("volume (µm³)")
    bar = figure.colorbar(points, ax=axes, ticks=np.arange(len(_EDGES) - 2) + 0.5)
    bar.ax.set_yticklabels([f"{100 * edge:g}" for edge in _EDGES[1:-1]])
    bar.set_label("uncertainty ratio (%)")
    repeats = len(pool.repeats)
    axes.set_title(
        f"{pool.side:g} × {pool.side:g} × {pool.thickness:g} µm³, {pool.density:g} grains/mm³, every "
        f"{pool.interval:g} µm, {noise:g} nT\n{repeats} repeat{'s' * (repeats != 1)}: {ratio.size} grains, "
        f"{percent(round(float(np.mean(ratio <= LIMIT)), 3))} within {percent(LIMIT)}",
        fontsize="medium",
    )
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="x-small")
    data = pandas.DataFrame(
        {"repeat": pool.repeat, "depth": pool.depth, "volume": pool.volume, "uncertainty_ratio": ratio}
    )
    data.attrs["units"] = {"depth": "µm", "volume": "µm³", "uncertainty_ratio": "1"}
    caption = (
        f"All {ratio.size} grains of {repeats} repeats coloured by their uncertainty ratio; the lines are the SSR "
        f"above which the share given is within {percent(LIMIT)}."
    )
    return StudyFigure(figure, data, caption)


def _draw_selections(axes: Axes, pool: Pool, ratio: np.ndarray) -> None:
    """Draw the line of each threshold, above which its share of the grains is resolved."""
    depth = np.linspace(0.3, float(pool.depth.max()) * 1.02, 300)
    for purity, dashes in zip(PURITIES, _DASHES, strict=True):
        found = ssr_threshold(pool.signal_strength_ratio, ratio, LIMIT, purity)
        if np.isfinite(found.value):
            axes.plot(
                depth,
                volume_of(found.value, depth),
                color="black",
                linewidth=1.6,
                linestyle=dashes,
                label=f"{percent(purity)} pure: SSR ≥ {found.value:.2g}/µm, {found.selected} grains, "
                f"{percent(round(found.recovered, 3))} of the good",
            )
        else:
            axes.plot([], [], " ", label=f"{percent(purity)} pure: no such SSR")
