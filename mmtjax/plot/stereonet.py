"""Directions on an equal-area net (Lambert, Schmidt)."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import GREY, ORANGE, VERMILLION, log_norm, new_axes, percent

#: Angles in degrees.
Angles = float | Float[np.ndarray, "..."]

_TICKS = np.arange(0, 360, 10)


def equal_area(declination: Angles, inclination: Angles) -> tuple[Angles, Angles]:
    """Place of directions on the equal-area net of radius one.

    Both hemispheres fall on the same disc: r = √2 sin((90° - |inclination|) / 2).

    Parameters
    ----------
    declination
        Clockwise from +y, which is up on the net, degrees.
    inclination
        Positive down, degrees.

    Returns
    -------
    tuple of np.ndarray
        x (to the right) and y of the net.

    Examples
    --------
    >>> east = equal_area(np.array(90.0), np.array(0.0))
    >>> np.round(east, 12).tolist()
    [1.0, 0.0]
    """
    radius = np.sqrt(2) * np.sin(np.radians(90 - np.abs(inclination)) / 2)
    return radius * np.sin(np.radians(declination)), radius * np.cos(np.radians(declination))


def directions(vectors: Float[np.ndarray, "... 3"]) -> tuple[Angles, Angles]:
    """Declination (clockwise from +y) and inclination (positive down), degrees, of vectors with z up.

    Examples
    --------
    >>> [angle.item() for angle in directions(np.array([0.0, 1.0, -1.0]))]
    [0.0, 45.0]
    """
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.degrees(np.arctan2(x, y)) % 360, np.degrees(np.arctan2(-z, np.hypot(x, y)))


def plot_stereonet(solution: Solution, *, limit: float = 0.10, axes: Axes | None = None) -> Figure:
    """Directions of the magnetizations, the trusted grains coloured by uncertainty ratio, with their means.

    Filled symbols point down (lower hemisphere), open ones up. The star is the direction of the vector sum of the
    moments of trusted grains, the square that of the sum of their unit vectors. Other grains are small crosses.

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
        The figure drawn into; declination clockwise from +y, inclination positive down, every 10° a circle.
    """
    axes = new_axes(axes, size=(6.6, 6.6), layout="compressed")
    _draw_net(axes)
    magnetization, trusted = np.asarray(solution.magnetization), np.asarray(solution.trusted(limit))
    ratio = np.asarray(solution.uncertainty_ratio)
    declination, inclination = directions(magnetization)
    x, y = equal_area(declination, inclination)
    others = ~trusted & (np.linalg.norm(magnetization, axis=1) > 0)
    axes.scatter(x[others], y[others], marker="+", s=14, color=GREY, linewidths=0.5, zorder=2)
    keys = [_key("+", GREY, True, f"not trusted ({int((~trusted).sum())})")]
    if trusted.any():
        colours = log_norm(ratio[trusted])
        tint = ScalarMappable(colours, "viridis")
        for down in (False, True):
            shown = trusted & ((inclination >= 0) == down)
            colour = tint.to_rgba(ratio[shown])
            axes.scatter(
                x[shown],
                y[shown],
                s=42,
                facecolors=colour if down else "white",
                edgecolors="black" if down else colour,
                linewidths=0.4 if down else 1.8,
                zorder=4,
            )
        axes.figure.colorbar(tint, ax=axes, label="uncertainty ratio (1)", shrink=0.75)
        moments = magnetization[trusted] * np.asarray(solution.grains.volume)[trusted, None]
        units = magnetization[trusted] / np.linalg.norm(magnetization[trusted], axis=1, keepdims=True)
        keys += [
            _key(
                "o",
                GREY,
                True,
                f"trusted to {percent(limit)}, pointing down ({int((trusted & (inclination >= 0)).sum())})",
            ),
            _key("o", GREY, False, f"pointing up ({int((trusted & (inclination < 0)).sum())})"),
            _draw_mean(axes, moments.sum(axis=0), marker="*", size=330.0, colour=VERMILLION, label="sum of moments"),
            _draw_mean(axes, units.sum(axis=0), marker="s", size=110.0, colour=ORANGE, label="mean of unit vectors"),
        ]
    else:
        axes.text(0, 0.42, f"no grain is trusted to {percent(limit)}", ha="center", bbox=_paper(), zorder=5)
    axes.set_title("declination clockwise from +y, inclination positive down", fontsize="medium")
    axes.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize="small")
    return axes.figure


def _draw_mean(axes: Axes, vector: np.ndarray, *, marker: str, size: float, colour: str, label: str) -> Line2D:
    declination, inclination = directions(vector)
    x, y = equal_area(declination, inclination)
    down = bool(inclination >= 0)
    axes.scatter(
        x,
        y,
        marker=marker,
        s=size,
        facecolors=colour if down else "white",
        edgecolors="black" if down else colour,
        linewidths=1.0 if down else 1.8,
        zorder=3,
    )
    return _key(marker, colour, down, f"{label}: {declination:.0f}°, {inclination:.0f}°".replace("-", "−"))


def _key(marker: str, colour: str, filled: bool, label: str) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        color=colour,
        markerfacecolor=colour if filled else "white",
        label=label,
    )


def _draw_net(axes: Axes) -> None:
    """Schmidt's net: great and small circles about the axis from -y to +y every 10°, every 30° bold; the rim marked."""
    arc = np.radians(np.linspace(-90, 90, 181))
    for angle in range(-80, 90, 10):
        tilt = np.radians(angle)
        great = np.stack([np.cos(arc) * np.sin(tilt), np.sin(arc), -np.cos(arc) * np.cos(tilt)], axis=1)
        small = np.stack(
            [np.cos(tilt) * np.sin(arc), np.full_like(arc, np.sin(tilt)), -np.cos(tilt) * np.cos(arc)], axis=1
        )
        shade = {"color": "0.62", "linewidth": 0.6} if angle % 30 == 0 else {"color": "0.85", "linewidth": 0.4}
        for circle in (great, small):
            axes.plot(*equal_area(*directions(circle)), zorder=1, **shade)
    rim = np.radians(np.linspace(0, 360, 361))
    axes.plot(np.sin(rim), np.cos(rim), color="black", linewidth=1.2, zorder=1)
    for tick in np.radians(_TICKS):
        ends = np.array([1.0, 1.025])
        axes.plot(ends * np.sin(tick), ends * np.cos(tick), color="black", linewidth=0.8)
    for angle, name in ((0, "0°, +y"), (90, "90°\n+x"), (180, "180°, −y"), (270, "270°\n−x")):
        x, y = 1.05 * np.sin(np.radians(angle)), 1.05 * np.cos(np.radians(angle))
        sides = {
            "ha": {1: "left", -1: "right"}.get(round(x), "center"),
            "va": {1: "bottom", -1: "top"}.get(round(y), "center"),
        }
        axes.text(x, y, name, fontsize="small", **sides)
    axes.set_aspect("equal")
    axes.set_xlim(-1.25, 1.25)
    axes.set_ylim(-1.18, 1.18)
    axes.set_axis_off()


def _paper() -> dict[str, object]:
    return {"facecolor": "white", "edgecolor": "0.5", "linewidth": 0.6}
