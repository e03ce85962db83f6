"""Figures of a study show the numbers of its tables, with units on every axis, complete or not."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mmtjax.inversion.solution import SetEstimate, Solution
from mmtjax.inversion.stack import SourceStack
from mmtjax.io.tables import read_table
from mmtjax.plot import study_figures
from mmtjax.plot.study_boxes import plot_ratio_boxes
from mmtjax.plot.study_convergence import plot_coarse_scans, plot_convergence
from mmtjax.plot.study_figures import drawings_of_tables, save_study_figures
from mmtjax.plot.study_strengths import plot_selection, plot_strength, volume_of
from mmtjax.plot.study_style import StudyFigure
from mmtjax.plot.study_thresholds import plot_resolved_strength
from mmtjax.plot.study_workflow import plot_confidence_sphere, plot_workflow
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.selection import ssr_threshold
from mmtjax.sources.faces import surface_faces
from mmtjax.sources.grains import Grains
from mmtjax.study.cell import Geometry
from mmtjax.study.config import StudyConfig
from mmtjax.study.example import Example
from mmtjax.study.pool import pooled_samples
from mmtjax.study.read import open_study
from mmtjax.study.report_tables import StudyTables, study_tables
from mmtjax.study.store import write_cell, writing
from tests.drawn import assert_nothing_is_cut_off
from tests.study_samples import NOISES, made_up_pools, made_up_samples
from tests.test_study_tables import CONFIG, cell_data


@pytest.fixture(scope="module")
def tables() -> StudyTables:
    return study_tables(made_up_samples(repeats=2, densities=(1e4, 1e5)))


@pytest.fixture(scope="module")
def example() -> Example:
    """Two ragged grains below a small map, with a solution that is made up: errors are alike in all directions."""
    labels = np.zeros((12, 20, 20), int)
    labels[8:10, 3:6, 3:7] = labels[9, 6, 4] = 1
    labels[3:9, 12:17, 10:16] = labels[2, 13, 12] = 2
    grains = Grains.from_voxels(labels, spacing=1.0, origin=(0.5, 0.5, -11.5))
    magnetization = np.array([[9e3, 2e3, -8e3], [0.0, 7e3, 6e3]])
    grid = SensorGrid(origin=(0.0, 0.0), spacing=1.0, shape=(21, 21), height=0.0)
    residual = 100 * np.random.default_rng(5).normal(size=grid.shape)
    measured = 5e4 * np.sin(np.add.outer(np.arange(21.0), np.arange(21.0))) + residual
    error = np.array([1e3, 10.0])
    solution = Solution(
        stack=SourceStack((grains,)),
        scan=Scan(measured, grid),
        estimates=(
            SetEstimate(
                grains.unknowns,
                jnp.asarray(magnetization * 1.01),
                jnp.asarray(error[:, None, None] ** 2 * np.eye(3)),
            ),
        ),
        # 95 % of a chi distribution of three degrees of freedom.
        confidence_radius=jnp.asarray(2.7954834829151074 * error),
        forward=jnp.asarray(measured - residual),
        residual=jnp.asarray(residual),
        noise=np.asarray(100.0),
        reduced_chi_square=jnp.asarray(1.0),
        effective_unknowns=jnp.asarray(6.0),
        condition=jnp.asarray(10.0),
        factor=None,
        variance=jnp.asarray(1e4),
        method="cholesky",
        level=0.95,
        prior=None,
    )
    return Example(Geometry(20.0, 12.0, 4e5, 0), magnetization, solution)


def panels_of(side: float, thickness: float) -> list[list[dict[str, float]]]:
    return [
        [{"side": side, "thickness": thickness, "interval": interval, "noise": noise} for noise in NOISES]
        for interval in (1.0, 5.0)
    ]


def drawn(name: str, tables: StudyTables, example: Example) -> StudyFigure:
    return {
        "boxes": lambda: plot_ratio_boxes(tables.ratios, intervals=[1, 5]),
        "thresholds": lambda: plot_resolved_strength(tables.thresholds, panels_of(200.0, 75.0)),
        "strength": lambda: plot_strength(tables.distribution),
        "selection": lambda: plot_selection(made_up_pools(side=200.0, thickness=50.0, density=1e5)[1.0], noise=5.0),
        "convergence": lambda: plot_convergence(tables.convergence),
        "coarse scans": lambda: plot_coarse_scans(tables.coarse_scans),
        "workflow": lambda: plot_workflow(example),
        "sphere": lambda: plot_confidence_sphere(example.solution),
    }[name]()


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize(
    "name", ["boxes", "thresholds", "strength", "selection", "convergence", "coarse scans", "workflow", "sphere"]
)
def test_nothing_is_cut_off_and_every_axis_has_its_unit(name: str, tables: StudyTables, example: Example) -> None:
    figure, data, caption, others = drawn(name, tables, example)
    assert_nothing_is_cut_off(figure)
    labels = [axis.get_label_text() for axes in figure.axes for axis in axes._axis_map.values()]
    labels = [label for label in labels if label]
    assert len(labels) >= 2
    assert all(label.endswith(")") for label in labels), labels
    assert len(caption) > 40
    for table in (data, *(table for _, table in others)):
        assert len(table)
        assert set(table.select_dtypes("float")) <= set(table.attrs["units"]) | {"reached"}


def test_boxes_show_the_quartiles(tables: StudyTables) -> None:
    figure, data, *_ = plot_ratio_boxes(tables.ratios, intervals=[1, 5])
    assert len(figure.axes) == 2 * 2 * 2
    assert len(data) == 2 * 2 * 2 * 2 * len(NOISES)
    panel = figure.axes[5]
    assert panel.get_title(loc="left") == "f) 500 × 500 × 50 µm³, every 5 µm"
    models = data.query("side == 500 and thickness == 50 and interval == 5")
    medians = sorted(line.get_ydata()[0] for line in panel.lines if line.get_color() == "#D55E00")
    np.testing.assert_allclose(medians, sorted(100 * models["median"]))
    assert figure.get_suptitle() == "2 repeats"


def test_infinite_ratios_end_at_the_top(tables: StudyTables) -> None:
    lost = tables.ratios.copy()
    lost.attrs = tables.ratios.attrs
    lost.loc[lost["density"] == 1e5, ["third_quartile", "maximum"]] = np.inf
    figure = plot_ratio_boxes(lost, intervals=[1]).figure
    top = figure.axes[0].get_ylim()[1]
    assert np.isfinite(top)
    assert max(np.max(line.get_ydata()) for line in figure.axes[0].lines) <= top


def test_missing_thresholds_are_missing_points(tables: StudyTables) -> None:
    gone = tables.thresholds.copy()
    gone.attrs = tables.thresholds.attrs
    gone.loc[(gone["density"] == 1e4) & (gone["limit"] == 0.01), "ssr"] = np.inf
    figure, data, *_ = plot_resolved_strength(gone, panels_of(200.0, 50.0))
    line = figure.axes[0].lines[0]
    assert line.get_label() == "1 %"
    np.testing.assert_array_equal(line.get_xdata(), [1e4, 1e5])
    assert np.isnan(line.get_ydata()).tolist() == [True, False]
    whole = data.query("side == 200 and thickness == 50 and interval == 1 and noise == 5 and limit == 0.2")
    np.testing.assert_array_equal(figure.axes[0].lines[4].get_ydata(), whole["ssr"])


def test_points_of_fewer_than_a_hundred_selected_grains_are_hollow(tables: StudyTables) -> None:
    counted = tables.thresholds.copy()
    counted.attrs = tables.thresholds.attrs
    counted["selected"] = np.where((counted["density"] == 1e4) & (counted["limit"] < 0.02), 99, 100)
    figure, data, caption, _ = plot_resolved_strength(counted, panels_of(200.0, 50.0))
    hollow = [points for points in figure.axes[0].collections if len(points.get_offsets())]
    few = data.query("side == 200 and thickness == 50 and interval == 1 and noise == 5 and selected < 100")
    assert len(few) == len(hollow) == 1
    np.testing.assert_allclose(hollow[0].get_offsets(), few[["density", "ssr"]])
    np.testing.assert_array_equal(hollow[0].get_facecolors(), [[1, 1, 1, 1]])
    assert "fewer than 100 selected grains" in caption


def test_an_example_is_read_off_where_it_is_there(tables: StudyTables) -> None:
    gone = tables.thresholds.copy()
    gone.attrs = tables.thresholds.attrs
    gone.loc[(gone["noise"] == 20) & (gone["density"] == 1e4), "ssr"] = np.inf
    figure, data, caption, _ = plot_resolved_strength(gone, panels_of(200.0, 50.0), example=(1e4, 0.1))
    assert_nothing_is_cut_off(figure)
    limits = data["limit"].nunique()
    for axes, noise in zip(figure.axes[:4], NOISES, strict=True):
        dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert len(axes.lines) == limits + (noise != 20)
        if noise != 20:
            where = "side == 200 and thickness == 50 and interval == 1 and density == 1e4 and limit == 0.1"
            [ssr] = data.query(f"{where} and noise == {noise}")["ssr"]
            assert list(dotted[0].get_ydata())[:2] == [ssr, ssr]
            assert list(dotted[0].get_xdata())[1:] == [1e4, 1e4]
            assert f"{ssr:.2g}" in [text.get_text() for text in axes.texts]
    assert not any(line.get_linestyle() == ":" for axes in figure.axes[4:] for line in axes.lines)
    assert "Dotted: 10·10³ grains/mm³ and 10 %." in caption


def test_curves_are_of_equal_ssr() -> None:
    depth = np.array([5.0, 20.0, 60.0])
    volume = volume_of(3e-3, depth)
    diameter = 2 * (3 * volume / (4 * np.pi)) ** (1 / 3)
    np.testing.assert_allclose(volume / (depth**3 * diameter), 3e-3)


def test_the_selection_shows_every_grain_and_the_thresholds() -> None:
    pool = made_up_pools(side=200.0, thickness=75.0, density=1e5)[5.0]
    figure, data, *_ = plot_selection(pool, noise=20.0)
    assert len(data) == pool.repeat.size == len(figure.axes[0].collections[0].get_offsets())
    found = ssr_threshold(pool.signal_strength_ratio, pool.uncertainty_ratio[1], 0.10, 0.90)
    assert f"90 % pure: SSR ≥ {found.value:.2g}/µm, {found.selected} grains" in texts(figure)
    assert f"3 repeats: {pool.repeat.size} grains" in texts(figure)


def test_a_selection_that_is_never_pure_is_reported(tables: StudyTables) -> None:
    pool = made_up_pools(side=200.0, thickness=75.0, density=1e5)[5.0]
    lost = dataclasses.replace(pool, uncertainty_ratio=np.full_like(pool.uncertainty_ratio, np.inf))
    assert "90 % pure: no such SSR" in texts(plot_selection(lost, noise=20.0).figure)


def test_convergence_needs_two_repeats(tables: StudyTables) -> None:
    with pytest.raises(ValueError, match="two repeats at least"):
        plot_convergence(tables.convergence[tables.convergence["repeats"] == 1])


def test_the_surface_of_grains_is_closed() -> None:
    """The signed areas of a closed surface cancel, and the flux of the position through it is three volumes."""
    labels = np.random.default_rng(1).integers(0, 2, (4, 5, 6)) * 7
    grains = Grains.from_voxels(labels, spacing=0.75, origin=(0.0, 0.0, -10.0))
    corners, owner = surface_faces(grains)
    assert set(owner) == {0}
    sides = np.linalg.norm(np.diff(corners, axis=1), axis=2)
    filled = np.pad(labels > 0, 1).astype(int)
    exposed = sum(np.abs(np.diff(filled, axis=axis)).sum() for axis in range(3))
    assert np.sum(sides[:, 0] * sides[:, 1]) == pytest.approx(exposed * 0.75**2)
    np.testing.assert_allclose(sides[:, 0], sides[:, 2])


def test_the_workflow_shows_the_fields_of_the_solution(example: Example) -> None:
    figure, maps, _, others = plot_workflow(example)
    solution = example.solution
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_allclose(images[0], np.asarray(solution.scan.field) / 1e3)
    np.testing.assert_allclose(images[1] - images[0], images[2] / 1e3, atol=1e-9)
    np.testing.assert_allclose(maps["field"], np.asarray(solution.scan.field).ravel(), atol=0.06)
    assert maps.loc[22, ["x", "y"]].tolist() == [1.0, 1.0]
    ((name, grains),) = others
    assert name == "grains"
    np.testing.assert_allclose(grains[["mx_true", "my_true", "mz_true"]], example.magnetization)
    assert "2 grains of 20 × 20 × 12 µm³" in texts(figure)


def test_the_sphere_holds_its_share_of_the_draws(example: Example) -> None:
    figure, draws, *_ = plot_confidence_sphere(example.solution)
    ratio = np.asarray(example.solution.uncertainty_ratio)
    grain = int(np.argmin(np.abs(np.log(ratio / 0.3))))
    assert len(draws) == 10_000
    radius = np.asarray(example.solution.confidence_radius)[grain] / 1e3
    assert np.mean(draws["distance"] <= radius) == pytest.approx(0.95, abs=0.01)
    mean = np.asarray(example.solution.magnetization)[grain] / 1e3
    np.testing.assert_allclose(np.linalg.norm(draws[["mx", "my", "mz"]] - mean, axis=1), draws["distance"])
    assert "draw 9500 in order" in texts(figure)


def test_a_whole_study_has_the_figures_of_the_paper(tables: StudyTables) -> None:
    names = [name for name, _ in drawings_of_tables(tables)]
    assert [
        name.removeprefix("figure_").partition("_")[0] for name in names
    ] == "3 4 s1 5 s5 s6 convergence coarse".split()


def test_an_incomplete_study_has_the_figures_it_can(
    tmp_path: Path, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, name="part", repeats=2)
    with writing(tmp_path / "part.zarr", config) as place:
        write_cell(place, config.cells()[0], cell_data(config.cells()[0]))
    # The model of Fig. 1 is made in a test of its own.
    monkeypatch.setattr(study_figures, "example_of", lambda *_, **__: example)
    reported, study = [], open_study(tmp_path / "part.zarr")
    tables = study_tables(pooled_samples(study))
    files = save_study_figures(
        study, tables, tmp_path / "figures", formats=("png",), progress=lambda *values: reported.append(values)
    )
    names = {file.stem for file in files if file.suffix == ".png"}
    assert {name.split("_")[1] for name in names} == set("123456")
    assert reported[-1] == ("figures", 6, 6)
    tabled = {file.stem for file in files if file.suffix == ".csv"}
    assert tabled == names | {"figure_1_workflow_grains"}
    assert all(file.stat().st_size > 5000 for file in files if file.suffix == ".png")
    # 8.4 × 5.8 inches at 300 dots per inch, as journals ask for.
    assert imread(tmp_path / "figures" / "figure_6_selection.png").shape[:2] == (1740, 2520)
    selected = read_table(tmp_path / "figures" / "figure_6_selection.csv")
    assert len(selected) == 5
    assert selected.attrs["units"]["depth"] == "µm"


def test_the_model_of_figure_1_is_the_nearest_of_the_study(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sample is that of a cell; how samples are made and inverted is tested elsewhere."""
    config = StudyConfig(
        name="tiny",
        seed=3,
        side=(30.0, 40.0),
        thickness=(25.0, 50.0),
        density=(4.5e4, 9e4, 1.4e5),
        interval=(2.0,),
        noise=(5.0, 90.0, 120.0),
        repeats=1,
    )
    requested = []

    class Sample:
        grains, magnetization = example.solution.grains, example.magnetization

        def sample(self, *, noise: float) -> Scan:
            requested.append(noise)
            return example.solution.scan

    def sample_of(study: StudyConfig, geometry: Geometry, *, library: None) -> Sample:
        requested.append((study, geometry))
        return Sample()

    def solved(scan: Scan, grains: Grains, **others: float) -> Solution:
        requested.append((scan is example.solution.scan, grains is example.solution.grains, others["noise"]))
        return example.solution

    monkeypatch.setattr("mmtjax.study.example.sample_of", sample_of)
    monkeypatch.setattr("mmtjax.study.example.invert", solved)
    found = study_figures.example_of(config)
    assert found.geometry == Geometry(30.0, 25.0, 9e4, 0)
    assert found.magnetization is example.magnetization
    assert found.solution is example.solution
    assert requested == [(config, Geometry(30.0, 25.0, 9e4, 0)), 90.0, (True, True, 90.0)]
