"""The page of results in a browser, with real events: what it shows, how fast, and that it stays inside its file."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

import mmtjax
from mmtjax.page import write_page
from tests.page.browser import (
    browser,
    choose_tool,
    complaints_of,
    mouse_path,
    numbers_of,
    open_page,
    pixels_of,
    place_on,
    requests_of,
    text_of,
    type_into,
    wait_until,
)
from tests.page.samples import sample

#: Colours of the page.
ORANGE, BLUE = (230, 159, 0), (0, 114, 178)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser and the folder where it saves files."""
    folder = tmp_path_factory.mktemp("browser")
    with browser(folder) as driver:
        yield SimpleNamespace(driver=driver, folder=folder)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A page of 5,000 grains under a map of 951 × 771 sensors."""
    folder = tmp_path_factory.mktemp("large")
    made = sample(folder)
    return SimpleNamespace(file=write_page(folder / "sample.html", made.directory), made=made)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A page of 400 grains, more than those for which the covariance of all is kept."""
    folder = tmp_path_factory.mktemp("small")
    made = sample(folder, count=400, shape=(240, 300))
    return SimpleNamespace(file=write_page(folder / "sample.html", made.directory), made=made)


@pytest.fixture
def page(small, chromium):
    """The small page with its first selection."""
    driver = chromium.driver
    if driver.current_url != small.file.as_uri():
        open_page(driver, small.file)
    driver.set_window_size(1280, 900)
    time.sleep(0.2)
    driver.find_element("id", "reset").click()
    driver.execute_script(
        "for (const name of ['map', 'strength']) Bokeh.documents[0].get_model_by_name(name).reset.emit()"
    )
    return SimpleNamespace(driver=driver, made=small.made, folder=chromium.folder)


def test_a_page_of_a_large_sample_is_small_quick_and_quiet(large, chromium):
    driver = chromium.driver
    open_page(driver, large.file)
    assert large.file.stat().st_size < 5e6
    assert driver.execute_script("return performance.now()") < 5000
    assert text_of(driver, "count") == str(int(large.made.table["trusted"].sum()))
    assert text_of(driver, "verdict") == f"{text_of(driver, 'count')} of 5000 grains can be trusted to 10 %."
    assert text_of(driver, "banner") == ""
    driver.execute_script("document.getElementById('space').scrollIntoView()")
    time.sleep(0.5)
    assert requests_of(driver) == [large.file.as_uri()]
    assert complaints_of(driver) == []


_WATCH = """
  window.steps = [];
  document.getElementById('ssr-slider').addEventListener('input', (event) => {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.steps.push(performance.now() - event.timeStamp);
      channel.port2.postMessage(0);
    });
  });
"""


def test_a_step_of_a_slider_takes_less_than_a_fifth_of_a_second(large, chromium):
    from selenium.webdriver.common.keys import Keys

    driver = chromium.driver
    if driver.current_url != large.file.as_uri():
        open_page(driver, large.file)
    driver.execute_script(_WATCH)
    slider = driver.find_element("id", "ssr-slider")
    before = text_of(driver, "count")
    for key in [Keys.PAGE_UP] * 7 + [Keys.ARROW_RIGHT] * 5:
        slider.send_keys(key)
    wait_until(driver, "return window.steps.length >= 12")
    steps = driver.execute_script("return window.steps")
    assert np.median(steps) < 200, steps
    assert int(text_of(driver, "count")) < int(before)


def thresholds(page):
    """Three pairs of thresholds: none, at nodes of the grid of covariances, and between nodes."""
    ssr, ratio = page.made.grains["ssr_threshold"].to_numpy(), page.made.grains["ratio_threshold"].to_numpy()
    return {
        "none": ("", "", 0.0, np.inf),
        "nodes": (repr(float(ssr[9])), repr(100 * float(ratio[8])), ssr[9], 100 * float(ratio[8]) / 100),
        "between": ("2e-4", "35", 2e-4, 0.35),
    }


@pytest.mark.parametrize("saturated", [False, True])
@pytest.mark.parametrize("case", ["none", "nodes", "between"])
def test_counts_and_sums_are_those_of_python(page, case, saturated):
    ssr_text, ratio_text, ssr, ratio = thresholds(page)[case]
    if saturated:
        page.driver.find_element("id", "saturated").click()
    type_into(page.driver, "ssr-value", ssr_text)
    type_into(page.driver, "ratio-value", ratio_text)
    table = page.made.table
    widened = 2 * table["uncertainty_ratio"].to_numpy()
    members = (table["signal_strength_ratio"].to_numpy() >= ssr) & (widened <= ratio)
    members &= saturated | ~table["beyond_saturation"].to_numpy()
    assert text_of(page.driver, "count") == str(members.sum())
    moments = 1e-18 * table["volume"].to_numpy()[:, None] * table[["mx", "my", "mz"]].to_numpy()
    total = moments[members].sum(axis=0)
    shown = numbers_of(page.driver, "sums")
    found = np.array([shown[axis] for axis in "xyz"])
    np.testing.assert_allclose(found[:, 0], total, rtol=1e-11, atol=1e-11 * np.abs(total).max())
    np.testing.assert_allclose(shown["length"][0], np.linalg.norm(total), rtol=1e-11)
    # Reduced χ² is 4: deviations are widened by 2.
    covariance = 4 * page.made.sum_covariance(members)
    exact = case != "between"
    expected = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-9 if exact else 0.1)
    note = text_of(page.driver, "sums-note")
    assert ("interpolated" in note) == (not exact), note
    assert "widened by √χ² = 2" in note


def test_the_purity_is_that_of_python(page):
    table = page.made.table
    strength, beyond = table["signal_strength_ratio"].to_numpy(), table["beyond_saturation"].to_numpy()
    type_into(page.driver, "ratio-value", "100")
    type_into(page.driver, "ssr-value", "1e-3")
    good = (2 * table["uncertainty_ratio"].to_numpy() <= 1) & ~beyond
    above = strength >= 1e-3
    assert float(text_of(page.driver, "purity-value").removesuffix(" %")) == pytest.approx(
        100 * good[above].mean(), rel=5e-3
    )


def test_the_slider_of_the_purity_finds_the_threshold_of_python(page):
    from selenium.webdriver.common.keys import Keys

    type_into(page.driver, "ratio-value", "100")
    slider = page.driver.find_element("id", "purity-slider")
    slider.send_keys(Keys.HOME, *[Keys.PAGE_UP] * 9)
    table = page.made.table
    strength, beyond = table["signal_strength_ratio"].to_numpy(), table["beyond_saturation"].to_numpy()
    ratio = np.where(beyond, np.inf, 2 * table["uncertainty_ratio"].to_numpy())
    found = mmtjax.ssr_threshold(strength, ratio, limit=1.0, purity=0.9)
    assert float(page.driver.find_element("id", "ssr-value").get_property("value")) == pytest.approx(found.value, 1e-3)
    assert text_of(page.driver, "count") == str(int(((strength >= found.value) & (ratio <= 1)).sum()))


_HIDE_POINTS = """
  for (const one of Bokeh.documents[0].get_model_by_name('net').renderers) {
    if (['grains', 'picked', 'total'].includes(one.data_source.name)) one.visible = arguments[0];
  }
"""


def measured_radii(driver):
    """Distances of the rim of the net from its middle, pixels, along directions without labels and ticks."""
    across, along = place_on(driver, "net", 0, 0)
    radius = place_on(driver, "net", 1, 0)[0] - across
    time.sleep(0.4)
    darkness = 765 - pixels_of(driver).sum(axis=2)
    found = []
    for angle in np.radians([quarter + part for quarter in (0, 90, 180, 270) for part in (25, 45, 65)]):
        distance = np.arange(radius - 4, radius + 4, 0.1)
        x, y = (across + distance * np.cos(angle)).astype(int), (along + distance * np.sin(angle)).astype(int)
        found.append(np.average(distance, weights=darkness[y, x]))
    return np.array(found)


@pytest.mark.parametrize("width", [1280, 1920, 1000, 1500])
def test_the_net_is_round_after_every_reflow(page, width):
    page.driver.execute_script(_HIDE_POINTS, False)
    page.driver.set_window_size(width, 950)
    time.sleep(0.3)
    radii = measured_radii(page.driver)
    page.driver.execute_script(_HIDE_POINTS, True)
    diameters = radii[:6] + radii[6:]
    assert np.ptp(diameters) <= 1, diameters
    corners = [np.array(place_on(page.driver, "net", *place)) for place in [(1, 0), (-1, 0), (0, 1), (0, -1)]]
    assert np.linalg.norm(corners[0] - corners[1]) == pytest.approx(np.linalg.norm(corners[2] - corners[3]), abs=1)


def orange_near(page, figure, x, y):
    """Number of pixels of the colour of picked grains around a place of a figure."""
    across, along = place_on(page.driver, figure, x, y)
    time.sleep(0.4)
    shown = pixels_of(page.driver)[int(along) - 20 : int(along) + 21, int(across) - 20 : int(across) + 21]
    return int((np.abs(shown - ORANGE).sum(axis=2) < 30).sum())


@pytest.mark.parametrize("kind", ["crowded", "not selected", "beyond saturation"])
def test_a_picked_grain_is_seen_in_every_figure(page, kind):
    table = page.made.table
    chosen = {
        "crowded": table["trusted"],
        "not selected": ~table["trusted"] & ~table["beyond_saturation"],
        "beyond saturation": table["beyond_saturation"],
    }[kind]
    grain = table[chosen].iloc[len(table[chosen]) // 2]
    type_into(page.driver, "find-id", str(int(grain["id"])))
    assert text_of(page.driver, "picked").startswith(f"grain\n{int(grain['id'])}, ")
    assert numbers_of(page.driver, "picked")["magnetization"][0] == pytest.approx(grain["magnetization"], rel=1e-12)
    places = {
        "map": (grain["x"], grain["y"]),
        "strength": (grain["signal_strength_ratio"], 2 * grain["uncertainty_ratio"]),
        "moment": (grain["volume"], grain["moment"]),
        "net": net_place(grain),
    }
    for figure, (x, y) in places.items():
        assert orange_near(page, figure, x, y) > 60, figure


def net_place(grain):
    """Place of a grain on the equal-area net."""
    vector = grain[["mx", "my", "mz"]].to_numpy(float)
    radius = np.sqrt(1 - abs(vector[2]) / np.linalg.norm(vector))
    return tuple(radius * vector[:2] / np.hypot(*vector[:2]))


def test_a_picked_grain_outside_of_the_shown_part_is_brought_into_it(page):
    grain = page.made.table.iloc[page.made.table["x"].argmax()]
    page.driver.execute_script(
        "const {x_range, y_range} = Bokeh.index.find_one_by_id(document.getElementById('map').dataset.root).model;"
        "x_range.setv({start: 10, end: 60}); y_range.setv({start: 10, end: 60});"
    )
    type_into(page.driver, "find-id", str(int(grain["id"])))
    assert orange_near(page, "map", grain["x"], grain["y"]) > 60


@pytest.mark.parametrize("figure", ["map", "strength"])
def test_a_click_picks_the_grain_below_the_mouse(page, figure):
    table = page.made.table
    # The largest grains with no other near: what is clicked is not in doubt.
    grain = (
        table.loc[table["volume"].idxmax()] if figure == "map" else table.loc[table["signal_strength_ratio"].idxmax()]
    )
    place = (
        (grain["x"], grain["y"])
        if figure == "map"
        else (grain["signal_strength_ratio"], 2 * grain["uncertainty_ratio"])
    )
    mouse_path(page.driver, place_on(page.driver, figure, *place))
    time.sleep(0.3)
    assert text_of(page.driver, "picked").startswith(f"grain\n{int(grain['id'])}, ")


def test_a_lasso_selects_and_no_point_fades(page):
    driver, table = page.driver, page.made.table
    type_into(driver, "ratio-value", "100")
    place_on(driver, "map", 0, 0)
    choose_tool(driver, "map", "lasso-select")
    corners = [(60, 60), (250, 60), (250, 250), (60, 250)]
    mouse_path(driver, *(place_on(driver, "map", *corner) for corner in [*corners, (60, 70)]))
    wait_until(driver, "return !document.getElementById('clear-lasso').hidden")
    good = (2 * table["uncertainty_ratio"] <= 1) & ~table["beyond_saturation"]
    inside = table["x"].between(60, 250) & table["y"].between(60, 250)
    count = int((good & inside).sum())
    # The corners of the lasso are whole pixels.
    assert int(text_of(driver, "count")) == pytest.approx(count, rel=0.05)
    assert "independent" in text_of(driver, "sums-note")
    # A point of the selection has its full colour, wherever the limits and the lasso are.
    best = table[good & inside].sort_values("signal_strength_ratio").iloc[-1]
    across, along = place_on(driver, "strength", best["signal_strength_ratio"], 2 * best["uncertainty_ratio"])
    time.sleep(0.4)
    assert np.abs(pixels_of(driver)[int(along), int(across)] - BLUE).sum() < 10
    driver.find_element("id", "clear-lasso").click()
    assert int(text_of(driver, "count")) == int(good.sum())


def test_the_ids_of_the_selection_are_saved(page):
    page.driver.find_element("id", "download").click()
    file = page.folder / "downloads" / "selected-grains.csv"
    for _ in range(100):
        if file.exists():
            break
        time.sleep(0.05)
    time.sleep(0.1)
    header, *ids = file.read_text(encoding="utf-8").splitlines()
    assert header == "id"
    assert list(map(int, ids)) == page.made.table.loc[page.made.table["trusted"], "id"].tolist()
    page.driver.find_element("id", "copy").click()
    wait_until(page.driver, "return document.getElementById('copied').textContent !== ''")
    assert text_of(page.driver, "copied") == f"{len(ids)} ids copied."


def test_the_mouse_moves_a_slider(page):
    slider = page.driver.find_element("id", "ratio-slider").rect
    offset = page.driver.execute_script("return window.scrollY")
    before = int(text_of(page.driver, "count"))
    middle = slider["y"] - offset + slider["height"] / 2
    handle = page.driver.execute_script("return Number(document.getElementById('ratio-slider').value) / 1000")
    start = slider["x"] + 8 + handle * (slider["width"] - 16)
    mouse_path(page.driver, (start, middle), (slider["x"] + 0.9 * slider["width"], middle))
    assert int(text_of(page.driver, "count")) > before
