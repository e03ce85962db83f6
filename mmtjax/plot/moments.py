"""Draw moment against volume, which shows which magnetizations are physical."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import classes, figure_of, legend_entry, log_norm, logarithmic, new_axes
from mmtjax.sources.magnetization import magnetization_of_volume
from mmtjax.units import A_M2_PER_A_PER_M_UM3, MAGNETITE_SATURATION


def plot_moment_volume(solution: Solution, *, limit: float = 0.10, axes: Axes | None = None) -> Figure:
    """Draw moment (A m²) against volume (µm³), coloured by SSR, with equation 1 and the saturation of magnetite.

    Parameters
    ----------
    solution
        Result of `mmtjax.invert`.
    limit
        Uncertainty ratio up to which a grain may be trusted; those grains have bars of their confidence radius.
    axes
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, with logarithmic axes. Grains of moment zero cannot be shown and are counted below.
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
        cross = kind.marker == "x"
        if kind.label.startswith("trusted"):
            # A bar that reaches zero has no end on this axis; at limits below one no trusted grain has such a bar.
            axes.errorbar(
                volume[shown],
                moment[shown],
                yerr=np.stack([np.minimum(error, moment * (1 - 1e-9)), error])[:, shown],
                fmt="none",
                ecolor="0.4",
                elinewidth=0.8,
                zorder=2,
            )
        axes.scatter(
            volume[shown],
            moment[shown],
            c=strength[shown],
            norm=colours,
            cmap="viridis",
            marker=kind.marker,
            s=34 if kind.marker == "o" else 18,
            zorder=3,
            edgecolors=None if cross else "black",
            linewidths=0.9 if cross else 0.4,
        )
    axes.plot(span, saturated, color="black", linewidth=1, label=f"{MAGNETITE_SATURATION / 1e3:g} kA/m, magnetite")
    axes.plot(span, natural, color="black", linewidth=1, linestyle="dashed", label="46.5 kA/m (V/V₀)⁻⁰·³⁵⁵, eq. 1")
    if hidden := int((moment <= 0).sum()):
        axes.plot([], [], " ", label=f"not shown: moment zero ({hidden})")
    figure_of(axes).colorbar(ScalarMappable(colours, "viridis"), ax=axes, label="signal strength ratio (1/µm)")
    axes.set_xlabel("volume (µm³)")
    axes.set_ylabel("moment (A m²)")
    lines = axes.get_legend_handles_labels()[0]
    axes.legend(
        handles=[*map(legend_entry, kinds), *lines],
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=2,
    )
    return figure_of(axes)
