"""The figures of a page, which Bokeh draws; this is the only module that needs Bokeh."""

import json
import math
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypedDict

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.core.properties import value
from bokeh.document import Document
from bokeh.models import (
    CDSView,
    ColorBar,
    ColumnDataSource,
    Image,
    IndexFilter,
    LassoSelectTool,
    LinearColorMapper,
    PanTool,
    PolyAnnotation,
    Range1d,
    ResetTool,
    Span,
    WheelZoomTool,
)
from bokeh.palettes import RdBu11
from bokeh.plotting import figure
from bokeh.resources import Resources

from mmtjax.io.text import JsonValue
from mmtjax.page.content import NOTABLE_WIDENING
from mmtjax.sources.magnetization import magnetization_of_volume
from mmtjax.units import A_M2_PER_A_PER_M_UM3

#: Colours of Okabe and Ito's palette, as in the figures of `mmtjax.plot`, and greys.
BLUE, ORANGE, VERMILLION, GREY, INK = "#0072B2", "#E69F00", "#D55E00", "#8a8f98", "#1f2430"

#: Events that the script of the page listens to.
_EVENTS = {"tap", "mousemove", "mouseleave", "selectiongeometry", "reset"}

#: Classes of grains, from the bottom to the top: each has a filter that the script of the page fills.
_CLASSES = ("other", "beyond", "chosen")

#: Lines at the thresholds, and along what they go.
_LINES: Mapping[str, Literal["height", "width"]] = {"ssr_line": "height", "ratio_line": "width"}

_FONT = "system-ui, sans-serif"


class _GrainSources(NamedTuple):
    """Sources of the grains: all of them with views of the classes, and the picked one; and their number."""

    all: ColumnDataSource
    views: Mapping[str, CDSView]
    picked: ColumnDataSource
    number: int


class _PointStyle(TypedDict):
    """How points are drawn."""

    marker: Literal["square", "x", "circle"]
    size: float
    fill_color: str | None
    line_color: str
    line_width: float
    line_alpha: float


def library() -> str:
    """Return the script of Bokeh."""
    return Resources(mode="inline", components=["bokeh"], minified=True).js_raw[0]


def figures(*, grains: int, widening: float, saturation: float) -> dict[str, JsonValue]:
    """Return the figures as the script of Bokeh takes them: a document without data, and the ids of its roots.

    Parameters
    ----------
    grains
        Number of grains.
    widening
        Factor by which the ratios that are shown are widened.
    saturation
        Magnetization that a line shows, A/m.
    """
    columns = ("x", "y", "strength", "ratio", "volume", "moment", "net_x", "net_y", "outline_x", "outline_y")
    everything = ColumnDataSource({column: [] for column in columns}, name="grains")
    views = {
        kind: CDSView(filter=IndexFilter(indices=[], name=f"filter_{kind}"))
        for kind in (*_CLASSES, "chosen_down", "chosen_up")
    }
    picked = ColumnDataSource({column: [] for column in columns}, name="picked")
    all_grains = _GrainSources(everything, views, picked, grains)
    shown = {
        "map": _map(all_grains),
        "strength": _strength(all_grains, widening=widening),
        "moment": _moment(all_grains, saturation=saturation),
        "net": _net(all_grains),
    }
    document = Document()
    for one in shown.values():
        document.add_root(one)
    return {
        "document": json.loads(serialize_json(document.to_json())),
        "roots": {name: one.id for name, one in shown.items()},
    }


def _map(grains: _GrainSources) -> figure:
    """Return the map with the outlines of the grains."""
    plot = _plot("map", x_label="x (µm)", y_label="y (µm)", scale="linear")
    plot.grid.visible = False
    # Places of labels of any length, so that the frame does not change while the map is moved.
    plot.min_border_left = 62
    colours = LinearColorMapper(palette=_diverging(), low=-1, high=1, nan_color="#b9bec7", name="colours")
    image = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []}, name="image")
    plot.add_glyph(image, Image(image="image", x="x", y="y", dw="dw", dh="dh", color_mapper=colours), level="image")
    bar = ColorBar(
        color_mapper=colours, height=10, padding=2, major_label_text_font=_FONT, bar_line_color=None,
        major_tick_line_color=INK, major_tick_out=3, major_tick_in=0,
    )  # fmt: skip
    plot.add_layout(bar, "below")
    lines = {
        "other": {"line_color": "#3b4252", "line_width": 0.7, "line_alpha": 0.75},
        "beyond": {"line_color": "#3b4252", "line_width": 1.0, "line_dash": [2, 2]},
        "chosen": {"line_color": "black", "line_width": 1.8},
    }
    for kind in _CLASSES:
        plot.multi_line("outline_x", "outline_y", source=grains.all, view=grains.views[kind], **lines[kind])
    plot.multi_line("outline_x", "outline_y", source=grains.picked, line_color="white", line_width=5)
    plot.multi_line("outline_x", "outline_y", source=grains.picked, line_color=ORANGE, line_width=2.5)
    _ring(plot, "x", "y", grains, size=26)
    return plot


def _strength(grains: _GrainSources, *, widening: float) -> figure:
    """Return the uncertainty ratio against the signal strength ratio."""
    label = "uncertainty ratio" if widening < NOTABLE_WIDENING else f"uncertainty ratio × √χ² ({widening:.3g})"
    plot = _plot("strength", x_label="signal strength ratio (µm⁻¹)", y_label=label, scale="log")
    _points(plot, "strength", "ratio", grains)
    for name, dimension in _LINES.items():
        plot.add_layout(Span(location=None, dimension=dimension, line_color=INK, line_dash="dashed", name=name))
    _ring(plot, "strength", "ratio", grains, size=20)
    return plot


def _moment(grains: _GrainSources, *, saturation: float) -> figure:
    """Return the moment against the volume, with the saturation of magnetite and equation 1."""
    plot = _plot("moment", x_label="volume (µm³)", y_label="moment (A m²)", scale="log")
    span = np.geomspace(1e-6, 1e9, 61)
    saturated = A_M2_PER_A_PER_M_UM3 * span * saturation
    natural = A_M2_PER_A_PER_M_UM3 * span * np.asarray(magnetization_of_volume(span))
    for values, dash in ((saturated, "solid"), (natural, "dashed")):
        plot.line(span.tolist(), values.tolist(), line_color=INK, line_width=1, line_dash=dash)
    _points(plot, "volume", "moment", grains)
    _ring(plot, "volume", "moment", grains, size=20)
    return plot


def _net(grains: _GrainSources) -> figure:
    """Return the equal-area net: filled symbols point down, open ones up."""
    plot = _plot("net", x_label=None, y_label=None, scale="linear", zooms=False)
    plot.axis.visible = False
    plot.grid.visible = False
    plot.outline_line_color = None
    plot.min_border = 0
    circle = np.linspace(0, 2 * math.pi, 361)
    for inclination in range(0, 90, 10):
        radius = math.sqrt(2) * math.sin(math.radians(90 - inclination) / 2)
        rim = inclination == 0
        plot.line(
            (radius * np.sin(circle)).tolist(),
            (radius * np.cos(circle)).tolist(),
            line_color=INK if rim else "#d3d7de",
            line_width=1.5 if rim else 1,
        )
    angles = [math.radians(declination) for declination in range(0, 360, 10)]
    plot.segment(
        [0.985 * math.sin(a) for a in angles], [0.985 * math.cos(a) for a in angles],
        [math.sin(a) for a in angles], [math.cos(a) for a in angles], line_color=INK,
    )  # fmt: skip
    plot.segment([-1, 0], [0, -1], [1, 0], [0, 1], line_color="#d3d7de")
    for declination, place, align in ((0, (0, 1), "center"), (90, (1, 0), "left"), (270, (-1, 0), "right")):
        plot.text(
            [place[0]], [place[1]], [f"{declination}°"], text_align=align, x_offset=5 * place[0],
            y_offset=-5 * place[1], text_baseline="bottom" if place[1] else "middle", text_font=value(_FONT),
            text_font_size="12px", text_color=INK,
        )  # fmt: skip
    for kind in ("other", "beyond"):
        style = _style(kind, grains.number)
        style["size"] *= 0.7
        plot.scatter("net_x", "net_y", source=grains.all, view=grains.views[kind], **style)
    style = _style("chosen", grains.number)
    hollow = _PointStyle(
        marker="circle", size=style["size"], fill_color="white", line_color=BLUE, line_width=style["size"] / 5,
        line_alpha=1.0,
    )  # fmt: skip
    plot.scatter("net_x", "net_y", source=grains.all, view=grains.views["chosen_up"], **hollow)
    plot.scatter("net_x", "net_y", source=grains.all, view=grains.views["chosen_down"], **style)
    total = ColumnDataSource({"x": [], "y": [], "colour": []}, name="total")
    plot.scatter("x", "y", source=total, marker="star", size=22, fill_color="colour", line_color="black", line_width=1)
    _ring(plot, "net_x", "net_y", grains, size=20)
    return plot


def _style(kind: str, count: int) -> _PointStyle:
    """Return how points of a class are drawn, smaller where there are many grains."""
    scale = min(max((300 / count) ** 0.2, 0.55), 1.0)
    if kind == "chosen":
        return _PointStyle(
            marker="circle", size=9 * scale, fill_color=BLUE, line_color="white", line_width=0.6, line_alpha=1.0
        )
    if kind == "beyond":
        return _PointStyle(
            marker="x", size=7 * scale, fill_color=None, line_color=VERMILLION, line_width=1.3 * scale, line_alpha=1.0
        )
    return _PointStyle(
        marker="square", size=6 * scale, fill_color=None, line_color=GREY, line_width=1.0, line_alpha=scale
    )


def _points(plot: figure, x: str, y: str, grains: _GrainSources) -> None:
    """Draw the grains of all classes as points."""
    for kind in _CLASSES:
        plot.scatter(x, y, source=grains.all, view=grains.views[kind], **_style(kind, grains.number))


def _ring(plot: figure, x: str, y: str, grains: _GrainSources, *, size: float) -> None:
    """Draw a ring around the picked grain, on top of all, which is seen on any background."""
    for width, colour in ((6, "white"), (3.5, INK), (2, ORANGE)):
        plot.scatter(
            x, y, source=grains.picked, marker="circle", size=size, fill_color=None, line_color=colour,
            line_width=width, level="overlay",
        )  # fmt: skip


def _plot(
    name: str, *, x_label: str | None, y_label: str | None, scale: Literal["linear", "log"], zooms: bool = True
) -> figure:
    """Return an empty figure that fills its place."""
    lasso = LassoSelectTool(
        renderers=[], overlay=PolyAnnotation(fill_color=BLUE, fill_alpha=0.12, line_color=BLUE, line_dash=[4, 4])
    )
    tools = [PanTool(), WheelZoomTool(), ResetTool(), lasso] if zooms else [lasso]
    # The wheel scrolls the page until its tool is chosen.
    plot = figure(
        name=name, tools=tools, active_drag=None, active_scroll=None, sizing_mode="stretch_both",
        x_axis_type=scale, y_axis_type=scale, x_range=Range1d(start=1, end=2), y_range=Range1d(start=1, end=2),
        x_axis_label=x_label, y_axis_label=y_label, toolbar_location="above",
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.subscribed_events = _EVENTS
    plot.background_fill_color = plot.border_fill_color = None
    plot.outline_line_color = "#c4c9d2"
    plot.grid.grid_line_color = "#eceef2"
    plot.axis.axis_label_text_font = plot.axis.major_label_text_font = _FONT
    plot.axis.axis_label_text_font_style = "normal"
    plot.axis.axis_label_text_font_size = "13px"
    plot.axis.major_label_text_font_size = "12px"
    plot.axis.axis_label_text_color = plot.axis.major_label_text_color = INK
    plot.axis.axis_line_color = plot.axis.major_tick_line_color = "#8a8f98"
    plot.axis.minor_tick_line_color = "#c4c9d2"
    plot.lod_threshold = None
    return plot


def _diverging() -> list[str]:
    """Return 255 colours from blue over white to red, as the figures of maps have."""
    corners = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in RdBu11])
    places = np.linspace(0, len(corners) - 1, 255)
    mixed = np.column_stack([np.interp(places, np.arange(len(corners)), corners[:, i]) for i in range(3)])
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.round(mixed).astype(int).tolist()]
