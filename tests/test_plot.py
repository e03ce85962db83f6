"""Figures keep their geometry and their text, and say so where there is nothing to show."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmtjax import Grains, Scan, SensorGrid, forward
from mmtjax.inversion.invert import invert
from mmtjax.inversion.solution import Solution
from mmtjax.plot import directions, equal_area, plot_maps, plot_ratio_ssr, save_figures
from mmtjax.plot.save import FIGURES
from mmtjax.selection import PURITIES, SMALLER_IS_BETTER, thresholds_by_purity, trusted_ratio
from tests.drawn import assert_nothing_is_cut_off
from tests.inversions import with_magnetization

NOISE = 10.0


def solved(magnetization: list[list[float]], *, mask: np.ndarray | None = None) -> Solution:
    """Solution of cubes in a row, 8 µm apart and ever deeper, with the given magnetizations, A/m."""
    rows = [[8.0 * g, 10, -3 - 2 * g, 1, 1, 1, g + 1] for g in range(len(magnetization))]
    grains = Grains.from_cuboids(rows)
    grid = SensorGrid(origin=(-5.0, 0.0), spacing=1.0, shape=(21, 31), height=2.0)
    noise = np.random.default_rng(5).normal(0, NOISE, grid.shape)
    return invert(Scan(np.asarray(forward(grains, magnetization, grid)) + noise, grid, mask), grains, noise=NOISE)


@pytest.fixture(scope="module")
def usual() -> Solution:
    return solved([[9e3, 2e3, -8e3], [0, 7e3, 6e3], [1e3, 2e3, -1e3]])


@pytest.fixture(scope="module")
def cases(usual: Solution) -> dict[str, Solution]:
    masked = np.ones((21, 31), bool)
    masked[4:9, 3:20] = masked[15, 15] = False
    zero = with_magnetization(usual, usual.magnetization.at[1].set(0.0))
    return {
        "usual": usual,
        "single grain": solved([[5e3, 0, 0]]),
        "masked": solved([[9e3, 0, 0], [0, 0, 9e3]], mask=masked),
        "one infinite ratio": zero,
        "nothing but zeros": with_magnetization(usual, jnp.zeros((3, 3))),
        "none trusted": dataclasses.replace(usual, confidence_radius=usual.confidence_radius * 1e4),
        "all beyond saturation": with_magnetization(usual, usual.magnetization * 1e3),
        "noise too small": dataclasses.replace(usual, reduced_chi_square=jnp.asarray(3e4)),
    }


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
@pytest.mark.parametrize(
    "case",
    [
        "usual",
        "single grain",
        "masked",
        "one infinite ratio",
        "nothing but zeros",
        "none trusted",
        "all beyond saturation",
        "noise too small",
    ],
)
def test_nothing_is_cut_off_and_every_axis_has_its_unit(
    draw: Callable[..., Figure], case: str, cases: dict[str, Solution]
) -> None:
    figure = draw(cases[case])
    assert_nothing_is_cut_off(figure)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labelled = axes.axison and any(tick.get_text() for tick in axis.get_ticklabels() if tick.get_visible())
            if labelled and axis.get_tick_params().get("labelleft", True) and axis.get_visible():
                assert axis.get_label_text().endswith(")"), f"an axis has no unit: {axis.get_label_text()!r}"


def test_the_net_is_of_equal_area() -> None:
    """Caps about the centre, and equal shares of the hemisphere, take their share of the disc."""
    inclination = np.linspace(0, 90, 19)
    x, y = equal_area(np.full(19, 33.0), inclination)
    # The share of a hemisphere nearer to the pole than an inclination is 1 - sin of it.
    np.testing.assert_allclose(np.hypot(x, y) ** 2, 1 - np.sin(np.radians(inclination)), atol=1e-14)
    step = 1e-5
    for dec, inc in ((10.0, 5.0), (200.0, 45.0), (300.0, 80.0)):
        corner = np.array(equal_area(dec, inc))
        one, other = np.array(equal_area(dec + step, inc)) - corner, np.array(equal_area(dec, inc + step)) - corner
        area = abs(one[0] * other[1] - one[1] * other[0]) / np.radians(step) ** 2
        # A hemisphere of area 2π fills a disc of π.
        assert area == pytest.approx(np.cos(np.radians(inc)) / 2, rel=1e-4)


def test_the_net_has_north_up_east_right_and_its_edge_at_one() -> None:
    for declination, place in ((0, (0, 1)), (90, (1, 0)), (180, (0, -1)), (270, (-1, 0))):
        np.testing.assert_allclose(equal_area(float(declination), 0.0), place, atol=1e-15)
    np.testing.assert_allclose(equal_area(77.0, 90.0), 0, atol=1e-15)
    np.testing.assert_allclose(equal_area(77.0, -30.0), equal_area(77.0, 30.0))


def test_directions_are_clockwise_from_y_and_positive_down(usual: Solution) -> None:
    vectors = np.array([[0.0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, -1], [0, 1, 1]])
    declination, inclination = directions(vectors)
    np.testing.assert_allclose(declination, [0, 90, 180, 270, 0, 0])
    np.testing.assert_allclose(inclination, [0, 0, 0, 0, 45, -45], atol=1e-12)
    table = usual.table()
    np.testing.assert_allclose(
        np.array(directions(np.asarray(usual.magnetization))).T, table[["declination", "inclination"]]
    )


def test_figures_say_what_is_missing(cases: dict[str, Solution]) -> None:
    none = cases["none trusted"]
    assert "no grain is trusted to 10 %" in texts(FIGURES["stereonet"](none))
    assert "no SSR above which 90 % are trusted" in texts(plot_ratio_ssr(none))
    assert "infinite ratio (1)" in texts(plot_ratio_ssr(cases["one infinite ratio"]))
    assert "moment zero (1)" in texts(FIGURES["moment_volume"](cases["one infinite ratio"]))
    assert "sensors not used" in texts(plot_maps(cases["masked"]))
    assert "sensors not used" not in texts(plot_maps(cases["usual"]))


def test_measured_and_forward_share_a_scale_and_the_residual_has_its_own(usual: Solution) -> None:
    measured, modelled, residual = (axes.images[0] for axes in plot_maps(usual).axes[:3])
    assert measured.get_clim() == modelled.get_clim()
    for image in (measured, residual):
        low, high = image.get_clim()
        assert low == -high
    assert residual.get_clim()[1] < measured.get_clim()[1]
    assert measured.get_extent() == [-5.5, 25.5, -0.5, 20.5]


def test_masked_sensors_have_no_colour(cases: dict[str, Solution]) -> None:
    shown = plot_maps(cases["masked"]).axes[0].images[0].get_array()
    assert np.ma.getmaskarray(np.ma.masked_invalid(shown)).sum() == 5 * 17 + 1


def test_maps_take_axes_of_the_caller(usual: Solution) -> None:
    figure = Figure()
    assert plot_maps(usual, axes=figure.subplots(3, 1)) is figure
    with pytest.raises(ValueError, match="three axes"):
        plot_maps(usual, axes=figure.subplots(1, 2))


def test_thresholds_count_a_grain_as_trusted_does(cases: dict[str, Solution]) -> None:
    for solution in cases.values():
        ratio = trusted_ratio(
            solution.uncertainty_ratio,
            reduced_chi_square=solution.reduced_chi_square,
            beyond_saturation=solution.beyond_saturation,
            is_explained=solution.misfit.is_explained,
        )
        statistics = {name: getattr(solution, name) for name in SMALLER_IS_BETTER}
        found = thresholds_by_purity(statistics, ratio)
        assert set(found) == set(SMALLER_IS_BETTER)
        for by_purity in found.values():
            assert tuple(by_purity) == PURITIES
            assert {threshold.resolved for threshold in by_purity.values()} == {int(solution.trusted().sum())}


def test_all_figures_are_written_in_all_formats(usual: Solution, tmp_path: Path) -> None:
    files = save_figures(usual, tmp_path / "figures", formats=("png", "pdf"))
    assert sorted(file.name for file in files) == sorted(f"{name}.{end}" for name in FIGURES for end in ("png", "pdf"))
    assert all(file.stat().st_size > 3000 for file in files)
