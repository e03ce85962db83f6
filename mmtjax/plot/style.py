"""Colours, axes and text of numbers that the figures of a solution share."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmtjax.inversion.solution import Solution

#: Colours of Okabe and Ito's palette, which colour-blind readers and grey prints tell apart, and a grey as dark.
BLUE, ORANGE, VERMILLION, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#595959"


class GrainClass(NamedTuple):
    """Grains that a figure draws with the same symbol.

    Attributes
    ----------
    label
        Name of the class and number of its grains, for legends.
    members
        Whether a grain belongs to the class, (grain,).
    marker, color, filled
        Symbol, its colour, and whether it is filled.
    """

    label: str
    members: Bool[np.ndarray, " grain"]
    marker: str
    color: str
    filled: bool


def classes(solution: Solution, limit: float) -> list[GrainClass]:
    """Return the classes of grains: not trusted, beyond saturation, trusted; the last is drawn on top."""
    trusted = np.asarray(solution.trusted(limit))
    beyond = np.asarray(solution.beyond_saturation)
    kinds = [
        GrainClass("not trusted", ~trusted & ~beyond, "s", GREY, False),
        GrainClass("beyond saturation", beyond, "x", VERMILLION, True),
        GrainClass("trusted", trusted, "o", BLUE, True),
    ]
    return [kind._replace(label=f"{kind.label} ({int(kind.members.sum())})") for kind in kinds]


def draw_class(
    axes: Axes, kind: GrainClass, x: Float[np.ndarray, " grain"], y: Float[np.ndarray, " grain"], *, size: float
) -> None:
    """Draw the grains of one class in its own colour, at x and y."""
    if kind.marker == "x":
        axes.scatter(x, y, s=size, label=kind.label, zorder=3, marker="x", color=kind.color, linewidths=0.9)
        return
    axes.scatter(
        x,
        y,
        s=size,
        label=kind.label,
        zorder=3,
        marker=kind.marker,
        facecolors=kind.color if kind.filled else "none",
        edgecolors="white" if kind.filled else kind.color,
        linewidths=0.4 if kind.filled else 0.8,
    )


def legend_entry(kind: GrainClass) -> Line2D:
    """Return the entry of a legend for one class whose points have colours of another meaning."""
    return Line2D([], [], linestyle="none", marker=kind.marker, color=GREY, label=kind.label)


def log_norm(values: np.ndarray) -> LogNorm:
    """Return logarithmic colours from the smallest to the largest of some values, over a factor of four at least."""
    low, high = float(values.min()), float(values.max())
    room = max(1.02, 2 / np.sqrt(high / low))
    return LogNorm(low / room, high * room)


def new_axes(
    axes: Axes | None, *, size: tuple[float, float], layout: Literal["constrained", "compressed"] = "constrained"
) -> Axes:
    """Return the given axes, or those of a new figure of a size in inches that is not part of matplotlib's state."""
    return Figure(figsize=size, layout=layout).add_subplot() if axes is None else axes


def figure_of(axes: Axes) -> Figure:
    """Return the whole figure that axes belong to, also if they are in a part of it."""
    return axes.figure.figure


def logarithmic(axes: Axes, *, x: np.ndarray, y: np.ndarray) -> None:
    """Make axes logarithmic, with margins around the positive finite values of `x` and `y`."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for values, place in ((x, axes.set_xlim), (y, axes.set_ylim)):
        seen = values[np.isfinite(values) & (values > 0)]
        low, high = (seen.min(), seen.max()) if seen.size else (0.1, 10.0)
        margin = max(1.35, (high / low) ** 0.06)
        place(low / margin, high * margin)
