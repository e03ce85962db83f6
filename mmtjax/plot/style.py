"""What the figures share: sizes, colours that colour-blind readers and grey prints keep apart, and text of numbers."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmtjax.inversion.solution import Solution

#: Colours of Okabe and Ito's palette, with a grey that is as dark as they are.
BLUE, ORANGE, VERMILLION, GREEN, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#595959"


class GrainClass(NamedTuple):
    """Grains that a figure shows alike."""

    label: str
    members: Bool[np.ndarray, " grain"]
    marker: str
    color: str
    filled: bool


def classes(solution: Solution, limit: float) -> list[GrainClass]:
    """Every grain in one class: not trusted, beyond saturation, trusted; the last is drawn on top."""
    trusted = np.asarray(solution.trusted(limit))
    beyond = np.asarray(solution.beyond_saturation)
    kinds = [
        GrainClass("not trusted", ~trusted & ~beyond, "s", GREY, False),
        GrainClass("beyond saturation", beyond, "x", VERMILLION, True),
        GrainClass("trusted", trusted, "o", BLUE, True),
    ]
    return [kind._replace(label=f"{kind.label} ({int(kind.members.sum())})") for kind in kinds]


def colours_of(kind: GrainClass) -> dict[str, object]:
    """Keywords of `Axes.scatter` for one class in its own colour."""
    if kind.marker == "x":
        return {"marker": "x", "color": kind.color, "linewidths": 0.9}
    return {
        "marker": kind.marker,
        "facecolors": kind.color if kind.filled else "none",
        "edgecolors": "white" if kind.filled else kind.color,
        "linewidths": 0.4 if kind.filled else 0.8,
    }


def key_of(kind: GrainClass) -> Line2D:
    """Entry of a legend for one class, where its points have colours of another meaning."""
    return Line2D([], [], linestyle="none", marker=kind.marker, color=GREY, label=kind.label)


def log_norm(values: np.ndarray) -> LogNorm:
    """Logarithmic colours from the smallest to the largest of `values`, and over a factor of four at least."""
    low, high = float(values.min()), float(values.max())
    room = max(1.02, 2 / np.sqrt(high / low))
    return LogNorm(low / room, high * room)


def new_axes(axes: Axes | None, *, size: tuple[float, float], layout: str = "constrained") -> Axes:
    """`axes`, or those of a new figure of `size` inches that nothing but the caller knows of."""
    return Figure(figsize=size, layout=layout).add_subplot() if axes is None else axes


def logarithmic(axes: Axes, *, x: np.ndarray, y: np.ndarray) -> None:
    """Logarithmic axes with room around the positive finite values of `x` and `y`."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for values, place in ((x, axes.set_xlim), (y, axes.set_ylim)):
        seen = values[np.isfinite(values) & (values > 0)]
        low, high = (seen.min(), seen.max()) if seen.size else (0.1, 10.0)
        margin = max(1.35, (high / low) ** 0.06)
        place(low / margin, high * margin)


def percent(share: float) -> str:
    """A share as text in percent.

    Examples
    --------
    >>> percent(0.1), percent(0.999)
    ('10 %', '99.9 %')
    """
    return f"{100 * share:.4g} %"
