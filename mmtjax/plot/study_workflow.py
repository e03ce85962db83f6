"""Draw the method: a sample with its maps (Out et al. 2022, Fig. 1), and the confidence sphere (Fig. 2)."""

import numpy as np
import pandas
from matplotlib import colormaps
from matplotlib.colors import LightSource
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from mpl_toolkits.mplot3d.axes3d import Axes3D

from mmtjax.inversion.solution import Solution
from mmtjax.plot.study_style import StudyFigure, letter
from mmtjax.plot.style import BLUE, VERMILLION
from mmtjax.sources.faces import surface_faces
from mmtjax.study.example import Example
from mmtjax.units import percent

#: Share of the sensors within the range of colours of a map.
_RESOLVED = 0.98

#: Number of draws of the bootstrap, as in section 2.2.2, and of those that are shown as points.
_DRAWS, _SHOWN = 10_000, 2_000

#: Ratio of the grain of Fig. 2, at which the cloud of vectors and the vector itself are both visible.
_RATIO = 0.30


def plot_workflow(example: Example) -> StudyFigure:
    """Draw the grains of a model in space, its map, the forward map of the solution and the residual (Fig. 1).

    The tables hold the maps (the forward map is the sum of measured map and residual) and the grains.
    """
    solution, side = example.solution, example.geometry.side
    # An automatic layout would leave a gap as wide as the panel above between the square map c and its colour bar.
    figure = Figure(figsize=(10.4, 8.1))
    grid = figure.add_gridspec(
        2,
        5,
        width_ratios=(1, 0.05, 0.48, 1, 0.05),
        left=0.07,
        right=0.92,
        bottom=0.07,
        top=0.95,
        wspace=0.08,
        hspace=0.25,
    )
    places = ((0, 3), (1, 0), (1, 3))
    space = figure.add_subplot(grid[0, 0], projection="3d")
    panels = [figure.add_subplot(grid[place]) for place in places]
    bars = [figure.add_subplot(grid[row, column + 1]) for row, column in places]
    _draw_grains(space, example)
    measured, forward = np.asarray(solution.scan.field), np.asarray(solution.forward)
    # The paper subtracts the original field from the forward field.
    residual = forward - measured
    strongest = float(np.quantile(np.abs(measured), _RESOLVED)) / 1e3
    noise = float(np.asarray(solution.noise))
    for number, (values, unit, end, name) in enumerate(
        (
            (measured / 1e3, "µT", strongest, f"field with {noise:g} nT of noise"),
            (forward / 1e3, "µT", strongest, "forward field of the solution"),
            (residual, "nT", float(np.quantile(np.abs(residual), _RESOLVED)), "forward field minus field"),
        )
    ):
        axes = panels[number]
        image = axes.imshow(values, origin="lower", extent=(0, side, 0, side), cmap="RdBu_r", vmin=-end, vmax=end)
        figure.colorbar(image, cax=bars[number], label=f"Bz ({unit})", extend="both")
        axes.set_xlabel("x (µm)")
        axes.set_ylabel("y (µm)")
        letter(axes, number + 1, name)
    letter(space, 0, f"{len(solution.grains)} grains of {side:g} × {side:g} × {example.geometry.thickness:g} µm³")
    y, x = np.meshgrid(np.asarray(solution.scan.grid.y), np.asarray(solution.scan.grid.x), indexing="ij")
    maps = pandas.DataFrame({"x": x.ravel(), "y": y.ravel(), "field": measured.ravel(), "residual": residual.ravel()})
    maps = maps.round({"field": 1, "residual": 1})
    maps.attrs["units"] = {"x": "µm", "y": "µm", "field": "nT", "residual": "nT"}
    caption = (
        f"Workflow of a model of {example.geometry.density:g} grains/mm³: a) its grains, each in its own colour, below "
        f"the plane of the sensors; b) the field with noise of {noise:g} nT; c) the forward field of the solved "
        "magnetizations; d) the forward field minus the field of b."
    )
    return StudyFigure(figure, maps, caption, (("grains", _grain_table(example)),))


def plot_confidence_sphere(solution: Solution, *, seed: int = 2022) -> StudyFigure:
    """Draw vectors from the covariance of one grain, the sphere that holds 95 % of them, and their norms (Fig. 2).

    Parameters
    ----------
    solution
        Result of `mmtjax.invert`; the grain whose ratio is nearest to 30 % is shown.
    seed
        Seed of the draws.
    """
    ratio = np.asarray(solution.uncertainty_ratio)
    grain = int(np.argmin(np.abs(np.log(ratio / _RATIO))))
    mean = np.asarray(solution.magnetization)[grain] / 1e3
    covariance = np.asarray(solution.covariance)[grain] / 1e6
    error = np.random.default_rng(seed).multivariate_normal(np.zeros(3), covariance, _DRAWS)
    norm = np.linalg.norm(error, axis=1)
    rank = round(solution.level * _DRAWS)
    radius, length = float(np.sort(norm)[rank - 1]), float(np.linalg.norm(mean))
    figure = Figure(figsize=(9.8, 4.8), layout="constrained")
    space, share = figure.add_subplot(1, 2, 1, projection="3d"), figure.add_subplot(1, 2, 2)
    _draw_sphere(space, mean, error[:_SHOWN], radius)
    letter(space, 0, f"{_DRAWS} draws, {_SHOWN} shown")
    share.plot(np.sort(norm), 100 * np.arange(1, _DRAWS + 1) / _DRAWS, color=BLUE)
    exact = float(np.asarray(solution.confidence_radius)[grain]) / 1e3
    share.plot([radius, radius, 0], [0, 100 * solution.level, 100 * solution.level], color=VERMILLION, linestyle="--")
    share.set_xlim(0, float(norm.max()))
    share.set_ylim(0, 101)
    share.set_xlabel("distance from the mean vector (kA/m)")
    share.set_ylabel("draws within (%)")
    share.text(
        0.98,
        0.3,
        f"u = {radius:.3g} kA/m by {_DRAWS} draws\nu = {exact:.3g} kA/m exactly\n"
        f"|M| = {length:.3g} kA/m\nuncertainty ratio u / |M| = {100 * radius / length:.3g} %",
        transform=share.transAxes,
        ha="right",
        va="bottom",
        fontsize="small",
        bbox={"facecolor": "white", "edgecolor": "0.6", "linewidth": 0.6},
    )
    letter(share, 1, f"draw {rank} in order of distance gives u")
    data = pandas.DataFrame(mean + error, columns=["mx", "my", "mz"]).assign(distance=norm)
    data.attrs["units"] = dict.fromkeys(data.columns, "kA/m")
    caption = (
        f"The uncertainty ratio of a grain: {_DRAWS} vectors drawn about its mean vector M, and the radius u of the "
        f"sphere that holds {percent(solution.level)} of them."
    )
    return StudyFigure(figure, data, caption)


def _draw_grains(axes: Axes3D, example: Example) -> None:
    """Draw the surfaces of the grains in the outline of the sample."""
    faces = surface_faces(example.solution.grains)
    # Steps by the golden ratio give grains of successive numbers different colours.
    shades = colormaps["turbo"](np.arange(len(example.solution.grains)) * 0.6180339887 % 1.0)
    axes.add_collection3d(
        Poly3DCollection(
            faces.corners,
            facecolors=shades[faces.grain],
            shade=True,
            lightsource=LightSource(azdeg=225, altdeg=45),
            linewidths=0,
            antialiased=False,
            rasterized=True,
        )
    )
    side, thickness = example.geometry.side, example.geometry.thickness
    height = float(np.asarray(example.solution.scan.grid.height))
    rim = np.array([[0, 0], [side, 0], [side, side], [0, side], [0, 0]], float)
    for level, style in ((height, "solid"), (-thickness, "dotted")):
        axes.plot(rim[:, 0], rim[:, 1], np.full(5, level), color="0.2", linewidth=0.9, linestyle=style)
    for x, y in rim[:4]:
        axes.plot([x, x], [y, y], [-thickness, height], color="0.2", linewidth=0.6, linestyle="dotted")
    # The sample is enlarged to fill its panel, and reaches beyond the rectangle that the layout knows.
    for artist in (*axes.collections, *axes.lines):
        artist.set(clip_on=False, in_layout=False)
    axes.set_xlim(0, side)
    axes.set_ylim(0, side)
    axes.set_zlim(-thickness, max(height, 0.0))
    zoom = 1.3 if thickness < side / 2 else 0.95
    # The type is inferred from the default, 1.
    axes.set_box_aspect((side, side, thickness), zoom=zoom)  # pyright: ignore[reportArgumentType]
    axes.view_init(elev=28, azim=-55)
    axes.set_xlabel("x (µm)")
    axes.set_ylabel("y (µm)")
    axes.set_zlabel("z (µm)")
    axes.zaxis.set_ticks([-thickness, 0])


def _draw_sphere(axes: Axes3D, mean: np.ndarray, error: np.ndarray, radius: float) -> None:
    """Draw vectors about their mean, with the sphere that holds most of them."""
    inside = np.linalg.norm(error, axis=1) <= radius
    for members, colour, name in ((inside, BLUE, "inside"), (~inside, VERMILLION, "outside")):
        axes.scatter(*(mean + error[members]).T, s=2, color=colour, alpha=0.4, rasterized=True, label=name)
    polar, azimuth = np.meshgrid(np.linspace(0, np.pi, 25), np.linspace(0, 2 * np.pi, 49))
    ball = radius * np.array([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)])
    axes.plot_wireframe(*(ball + mean[:, None, None]), color="0.4", linewidth=0.3, rstride=4, cstride=3)
    axes.quiver(0, 0, 0, *mean, color="black", linewidth=1.6, arrow_length_ratio=0.08)
    reach = np.stack([mean - 1.05 * radius, mean + 1.05 * radius, np.zeros(3)])
    middle = (reach.min(axis=0) + reach.max(axis=0)) / 2
    half = np.ptp(reach, axis=0).max() / 2
    for place, centre in zip((axes.set_xlim, axes.set_ylim, axes.set_zlim), middle, strict=True):
        place(centre - half, centre + half)
    # The type is inferred from the default, 1.
    axes.set_box_aspect((1, 1, 1), zoom=0.85)  # pyright: ignore[reportArgumentType]
    axes.set_xlabel("Mx (kA/m)")
    axes.set_ylabel("My (kA/m)")
    axes.set_zlabel("Mz (kA/m)")
    axes.legend(loc="upper left", markerscale=4, fontsize="small")


def _grain_table(example: Example) -> pandas.DataFrame:
    """Return one row per grain with its true and its solved magnetization."""
    solution = example.solution
    solved = np.asarray(solution.magnetization)
    table = pandas.DataFrame(np.asarray(solution.grains.position), columns=["x", "y", "z"])
    table["volume"] = np.asarray(solution.grains.volume)
    for name, values in (("true", example.magnetization), ("solved", solved)):
        for component, axis in enumerate("xyz"):
            table[f"m{axis}_{name}"] = values[:, component]
    table["confidence_radius"] = np.asarray(solution.confidence_radius)
    table["uncertainty_ratio"] = np.asarray(solution.uncertainty_ratio)
    magnetizations = [name for name in table.columns if name.startswith("m")]
    table.attrs["units"] = {
        **dict.fromkeys(("x", "y", "z"), "µm"),
        "volume": "µm³",
        **dict.fromkeys([*magnetizations, "confidence_radius"], "A/m"),
        "uncertainty_ratio": "1",
    }
    return table
