"""Draw the maps of an inversion: measured, forward and residual."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mmtjax.errors import InputError
from mmtjax.inversion.solution import Solution
from mmtjax.plot.style import figure_of
from mmtjax.sources.cuboids import footprints
from mmtjax.units import percent

#: Share of the sensors within the range of colours of a map; a few strong sensors would make all others pale.
_RESOLVED = 0.99

#: Field from which on maps are drawn in µT, nT.
_MICROTESLA_FROM = 1e4

_COLOURS = "RdBu_r"


def plot_maps(solution: Solution, *, limit: float = 0.10, axes: Iterable[Axes] | None = None) -> Figure:
    """Draw measured and forward map on one scale of colours, the residual on its own, with outlines of the grains.

    Colours are symmetric about zero and end at the 99th percentile of the strength; pointed ends of a colour bar show
    that some sensors lie beyond. Sensors that are not used are hatched.

    Parameters
    ----------
    solution
        Result of `mmtjax.invert`.
    limit
        Uncertainty ratio up to which a grain may be trusted; outlines of trusted grains are bold.
    axes
        Three axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; lengths are µm, fields nT or µT as the colour bars say.

    Raises
    ------
    ValueError
        Unless there are three axes.
    """
    places = list(_three_axes(solution) if axes is None else axes)
    if len(places) != 3:
        msg = f"three axes are needed, for the measured, forward and residual map; got {len(places)}"
        raise InputError(msg)
    used = np.asarray(solution.scan.mask)
    maps = [np.asarray(values) for values in (solution.scan.field, solution.forward, solution.residual)]
    scale = _scale(maps[0][used])
    titles = ("measured", "forward", "measured − forward")
    scales = (scale, scale, _scale(maps[2][used]))
    for place, values, title, strongest in zip(places, maps, titles, scales, strict=True):
        _draw_map(place, np.where(used, values, np.nan), solution, strongest=strongest)
        _draw_outlines(place, solution, limit=limit)
        place.set_title(title)
    figure = figure_of(places[0])
    if axes is None:
        for place in places[1:]:
            place.set_ylabel("")
            place.tick_params(labelleft=False)
        entries = _legend_entries(solution, limit, masked=not used.all())
        figure.legend(handles=entries, loc="outside lower center", ncols=3)
    return figure


def _three_axes(solution: Solution) -> list[Axes]:
    """Return the axes of a new figure with the proportions of the map."""
    ny, nx = solution.scan.grid.shape
    dx, dy = np.asarray(solution.scan.grid.spacing)
    tall = float(np.clip(ny * dy / (nx * dx), 0.3, 2.5))
    figure = Figure(figsize=(11.5, 3.5 * tall + 1.9), layout="compressed")
    return list(figure.subplots(1, 3, sharex=True, sharey=True))


def _scale(values: np.ndarray) -> float:
    """Return the strength at the end of the colours, nT; never zero."""
    strength = np.abs(values)
    return float(np.quantile(strength, _RESOLVED)) or float(strength.max()) or 1.0


def _draw_map(axes: Axes, values: np.ndarray, solution: Solution, *, strongest: float) -> None:
    grid = solution.scan.grid
    unit, factor = ("µT", 1e-3) if strongest >= _MICROTESLA_FROM else ("nT", 1.0)
    (dx, dy), x, y = np.asarray(grid.spacing), np.asarray(grid.x), np.asarray(grid.y)
    # The background shows sensors without colour.
    axes.patch.set(facecolor="0.85", edgecolor="0.45", hatch="////", linewidth=0)
    end = factor * strongest
    image = axes.imshow(
        factor * values,
        origin="lower",
        extent=(x[0] - dx / 2, x[-1] + dx / 2, y[0] - dy / 2, y[-1] + dy / 2),
        cmap=_COLOURS,
        vmin=-end,
        vmax=end,
        interpolation="nearest",
    )
    beyond = np.nanmax(np.abs(values)) > strongest
    bar = figure_of(axes).colorbar(
        image, ax=axes, extend="both" if beyond else "neither", orientation="horizontal", shrink=0.9, aspect=25
    )
    bar.set_label(f"Bz ({unit})")
    axes.set_xlabel("x (µm)")
    axes.set_ylabel("y (µm)")


def _draw_outlines(axes: Axes, solution: Solution, *, limit: float) -> None:
    trusted = np.asarray(solution.trusted(limit))
    bounds = axes.get_xlim(), axes.get_ylim()
    outlines = footprints(solution.grains)
    for kind, width, colour in ((False, 0.4, "0.25"), (True, 1.3, "black")):
        lines = [outline for outline, good in zip(outlines, trusted, strict=True) if good == kind]
        if lines:
            segments = list(np.concatenate(lines))
            axes.add_collection(LineCollection(segments, colors=colour, linewidths=width), autolim=False)
    axes.set_xlim(bounds[0])
    axes.set_ylim(bounds[1])


def _legend_entries(solution: Solution, limit: float, *, masked: bool) -> list[Line2D | Patch]:
    trusted = int(np.sum(solution.trusted(limit)))
    entries: list[Line2D | Patch] = [
        Line2D([], [], color="0.25", linewidth=0.4, label=f"outline of a grain ({len(solution.grains) - trusted})"),
        Line2D([], [], color="black", linewidth=1.3, label=f"of a grain trusted to {percent(limit)} ({trusted})"),
    ]
    if masked:
        entries.append(Patch(facecolor="0.85", edgecolor="0.45", hatch="////", label="sensors not used"))
    return entries
