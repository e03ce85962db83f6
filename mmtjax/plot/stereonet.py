"""Draw directions on an equal-area net (Lambert, Schmidt)."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import GREY, ORANGE, VERMILLION, figure_of, log_norm, new_axes
from mmtjax.units import directions, percent

#: An angle in degrees, or an array of them.
Angles = float | Float[np.ndarray, "..."]

#: Box behind text on the net.
_BOX = {"facecolor": "white", "edgecolor": "0.5", "linewidth": 0.6}

#: Declinations that are marked at the rim, degrees.
_TICKS = np.arange(0, 360, 10)


def equal_area(declination: Angles, inclination: Angles) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return the places of directions on the equal-area net of radius one.

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
        x (to the right) and y on the net.

    Examples
    --------
    >>> east = equal_area(np.array(90.0), np.array(0.0))
    >>> np.round(east, 12).tolist()
    [1.0, 0.0]
    """
    radius = np.sqrt(2) * np.sin(np.radians(90 - np.abs(inclination)) / 2)
    azimuth = np.radians(declination)
    return np.asarray(radius * np.sin(azimuth)), np.asarray(radius * np.cos(azimuth))


def plot_stereonet(solution: Solution, *, limit: float = 0.10, axes: Axes | None = None) -> Figure:
    """Draw the directions of the magnetizations, the trusted grains coloured by uncertainty ratio, with their means.

    Filled symbols point down (lower hemisphere), open ones up. The star is the direction of the vector sum of the
    moments of trusted grains, the square that of the sum of their unit vectors. Other grains are small crosses.

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
        The figure; declination clockwise from +y, inclination positive down, a circle every 10°.
    """
    axes = new_axes(axes, size=(6.6, 6.6), layout="compressed")
    _draw_net(axes)
    magnetization, trusted = np.asarray(solution.magnetization), np.asarray(solution.trusted(limit))
    ratio = np.asarray(solution.uncertainty_ratio)
    declination, inclination = directions(magnetization)
    x, y = equal_area(declination, inclination)
    others = ~trusted & (np.linalg.norm(magnetization, axis=1) > 0)
    axes.scatter(x[others], y[others], marker="+", s=14, color=GREY, linewidths=0.5, zorder=2)
    entries = [_legend_entry("+", GREY, True, f"not trusted ({int((~trusted).sum())})")]
    if trusted.any():
        colours = log_norm(ratio[trusted])
        tint = ScalarMappable(colours, "viridis")
        for down in (False, True):
            shown = trusted & ((inclination >= 0) == down)
            colour = [tuple(rgba) for rgba in tint.to_rgba(ratio[shown])]
            axes.scatter(
                x[shown],
                y[shown],
                s=42,
                facecolors=colour if down else "white",
                edgecolors="black" if down else colour,
                linewidths=0.4 if down else 1.8,
                zorder=4,
            )
        figure_of(axes).colorbar(tint, ax=axes, label="uncertainty ratio (1)", shrink=0.75)
        moments = magnetization[trusted] * np.asarray(solution.grains.volume)[trusted, None]
        units = magnetization[trusted] / np.linalg.norm(magnetization[trusted], axis=1, keepdims=True)
        entries += [
            _legend_entry(
                "o",
                GREY,
                True,
                f"trusted to {percent(limit)}, pointing down ({int((trusted & (inclination >= 0)).sum())})",
            ),
            _legend_entry("o", GREY, False, f"pointing up ({int((trusted & (inclination < 0)).sum())})"),
            _draw_mean(axes, moments.sum(axis=0), marker="*", size=330.0, colour=VERMILLION, label="sum of moments"),
            _draw_mean(axes, units.sum(axis=0), marker="s", size=110.0, colour=ORANGE, label="mean of unit vectors"),
        ]
    else:
        axes.text(0, 0.42, f"no grain is trusted to {percent(limit)}", ha="center", bbox=_BOX, zorder=5)
    axes.set_title("declination clockwise from +y, inclination positive down", fontsize="medium")
    axes.legend(handles=entries, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, fontsize="small")
    return figure_of(axes)


def _draw_mean(axes: Axes, vector: np.ndarray, *, marker: str, size: float, colour: str, label: str) -> Line2D:
    """Draw the direction of a vector, and return its entry of the legend."""
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
    return _legend_entry(marker, colour, down, f"{label}: {declination:.0f}°, {inclination:.0f}°".replace("-", "−"))


def _legend_entry(marker: str, colour: str, filled: bool, label: str) -> Line2D:
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
    """Draw Schmidt's net with its rim: great and small circles about the y axis every 10°, every 30° bold."""
    arc = np.radians(np.linspace(-90, 90, 181))
    for angle in range(-80, 90, 10):
        tilt = np.radians(angle)
        great = np.stack([np.cos(arc) * np.sin(tilt), np.sin(arc), -np.cos(arc) * np.cos(tilt)], axis=1)
        small = np.stack(
            [np.cos(tilt) * np.sin(arc), np.full_like(arc, np.sin(tilt)), -np.cos(tilt) * np.cos(arc)], axis=1
        )
        bold = angle % 30 == 0
        for circle in (great, small):
            x, y = equal_area(*directions(circle))
            axes.plot(x, y, zorder=1, color="0.62" if bold else "0.85", linewidth=0.6 if bold else 0.4)
    rim = np.radians(np.linspace(0, 360, 361))
    axes.plot(np.sin(rim), np.cos(rim), color="black", linewidth=1.2, zorder=1)
    for tick in np.radians(_TICKS):
        ends = np.array([1.0, 1.025])
        axes.plot(ends * np.sin(tick), ends * np.cos(tick), color="black", linewidth=0.8)
    for angle, name in ((0, "0°, +y"), (90, "90°\n+x"), (180, "180°, −y"), (270, "270°\n−x")):
        x, y = 1.05 * np.sin(np.radians(angle)), 1.05 * np.cos(np.radians(angle))
        horizontal = {1: "left", -1: "right"}.get(round(x), "center")
        vertical = {1: "bottom", -1: "top"}.get(round(y), "center")
        axes.text(x, y, name, fontsize="small", ha=horizontal, va=vertical)
    axes.set_aspect("equal")
    axes.set_xlim(-1.25, 1.25)
    axes.set_ylim(-1.18, 1.18)
    axes.set_axis_off()
