"""Moment against volume, the way to see which magnetizations are physical."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import classes, key_of, log_norm, logarithmic, new_axes
from mmtjax.sources.magnetization import magnetization_of_volume
from mmtjax.units import A_M2_PER_A_PER_M_UM3, MAGNETITE_SATURATION


def plot_moment_volume(solution: Solution, *, limit: float = 0.10, axes: Axes | None = None) -> Figure:
    """Moment (A m²) against volume (µm³), log-log, coloured by SSR, with eq. 1 and the saturation of magnetite.

    Parameters
    ----------
    solution
        What `mmtjax.invert` returns.
    limit
        Uncertainty ratio up to which a grain may be trusted; those grains have bars of their confidence radius.
    axes
        Axes to draw into; by default those of a new figure.

    Returns
    -------
    matplotlib.figure.Figure
        The figure drawn into. Grains of moment zero have no place in it and are counted below.
    """
    axes = new_axes(axes, size=(6.4, 4.8))
    volume, strength = np.asarray(solution.grains.volume), np.asarray(solution.signal_strength_ratio)
    moment = A_M2_PER_A_PER_M_UM3 * volume * np.asarray(solution.magnitude)
    error = A_M2_PER_A_PER_M_UM3 * volume * np.asarray(solution.confidence_radius)
    ends = volume.min() / 1.5, volume.max() * 1.5
    span = np.geomspace(*ends, 50)
    natural = A_M2_PER_A_PER_M_UM3 * span * magnetization_of_volume(span)
    saturated = A_M2_PER_A_PER_M_UM3 * span * MAGNETITE_SATURATION
    logarithmic(axes, x=np.array(ends), y=np.r_[moment, natural, saturated])
    colours = log_norm(strength)
    kinds = classes(solution, limit)
    for kind in kinds:
        shown = kind.members & (moment > 0)
        outline = {"linewidths": 0.9} if kind.marker == "x" else {"edgecolors": "black", "linewidths": 0.4}
        if kind.label.startswith("trusted"):
            # A bar that reaches zero has no end on this axis; no trusted grain has one at limits below one.
            axes.errorbar(
                volume[shown],
                moment[shown],
                yerr=np.stack([np.minimum(error, moment * (1 - 1e-9)), error])[:, shown],
                fmt="none",
                ecolor="0.4",
                elinewidth=0.8,
                zorder=2,
            )
        points = axes.scatter(
            volume[shown],
            moment[shown],
            c=strength[shown],
            norm=colours,
            cmap="viridis",
            marker=kind.marker,
            s=34 if kind.marker == "o" else 18,
            zorder=3,
            **outline,
        )
    axes.plot(span, saturated, color="black", linewidth=1, label=f"{MAGNETITE_SATURATION / 1e3:g} kA/m, magnetite")
    axes.plot(span, natural, color="black", linewidth=1, linestyle="dashed", label="46.5 kA/m (V/V₀)⁻⁰·³⁵⁵, eq. 1")
    if hidden := int((moment <= 0).sum()):
        axes.plot([], [], " ", label=f"not shown: moment zero ({hidden})")
    axes.figure.colorbar(points, ax=axes, label="signal strength ratio (1/µm)")
    axes.set_xlabel("volume (µm³)")
    axes.set_ylabel("moment (A m²)")
    lines = axes.get_legend_handles_labels()[0]
    axes.legend(
        handles=[*map(key_of, kinds), *lines],
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=2,
    )
    return axes.figure
