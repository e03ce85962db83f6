"""The page of results in a browser: the view in space, keys, covariance of lassos, and text of strangers."""

import json
import time

import jax
import numpy as np
import pytest

from mmtjax.inversion.sums import covariance_of_sums
from mmtjax.io import grain_dataset, write_results
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
from tests.page.test_page import HOSTILE


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A browser."""
    with browser(tmp_path_factory.mktemp("browser")) as started:
        started.folder = tmp_path_factory.getbasetemp()
        yield started


@pytest.fixture(scope="module")
def file(results, tmp_path_factory):
    """The page of a small solution with the covariance of all grains."""
    return write_page(tmp_path_factory.mktemp("page") / "page.html", results)


@pytest.fixture
def page(file, driver):
    """That page, open anew."""
    open_page(driver, file)
    return driver


def shown_in_space(page):
    """Pixels of the view in space."""
    time.sleep(0.5)
    box = page.execute_script(
        "const box = document.getElementById('space').getBoundingClientRect();"
        "return [box.left, box.top, box.right, box.bottom].map(Math.round)"
    )
    return pixels_of(page)[max(box[1], 0) : box[3], box[0] : box[2]]


def test_the_sum_over_a_lasso_has_the_covariance_between_grains(page, solved):
    type_into(page, "ratio-value", "")
    place_on(page, "map", 0, 0)
    choose_tool(page, "map", "lasso-select")
    # Around the grains 7, 3 and 12, not 5.
    mouse_path(
        page, *(place_on(page, "map", *corner) for corner in [(4, 4), (38, 4), (38, 38), (20, 38), (20, 20), (4, 20)])
    )
    wait_until(page, "return !document.getElementById('clear-lasso').hidden")
    assert text_of(page, "count") == "3"
    assert text_of(page, "sums-note") == "Standard deviations, with the covariance between grains."
    members = np.array([True, True, False, True])
    with jax.enable_x64(True):
        covariance = covariance_of_sums(solved, members[None])[0]
    widening = max(float(solved.reduced_chi_square), 1.0)
    found = numbers_of(page, "sums")
    np.testing.assert_allclose([found[axis][1] for axis in "xyz"], np.sqrt(widening * np.diag(covariance)), rtol=1e-5)
    total = found["x"][0], found["y"][0], found["z"][0]
    along = np.array(total) / np.linalg.norm(total)
    np.testing.assert_allclose(found["length"][1], np.sqrt(widening * along @ covariance @ along), rtol=1e-5)


def test_the_mouse_turns_the_view_in_space_and_picks_in_it(page):
    page.execute_script("document.getElementById('space').scrollIntoView({block: 'center'})")
    before = shown_in_space(page)
    canvas = page.find_element("id", "space").rect
    offset = page.execute_script("return window.scrollY")
    middle = canvas["x"] + canvas["width"] / 2, canvas["y"] - offset + canvas["height"] / 2
    mouse_path(page, middle, (middle[0] + 90, middle[1] - 20))
    assert (np.abs(shown_in_space(page) - before).sum(axis=2) > 60).mean() > 0.005
    blue = np.argwhere(np.abs(shown_in_space(page) - [0, 100, 155]).sum(axis=2) < 60)
    y, x = blue[len(blue) // 2]
    mouse_path(page, (canvas["x"] + x, canvas["y"] - offset + y))
    wait_until(page, "return document.getElementById('picked').childElementCount > 0")
    assert text_of(page, "picked").split()[1].rstrip(",") in ("7", "3", "5", "12")
    orange = np.abs(shown_in_space(page) - [230, 115, 0]).sum(axis=2) < 40
    assert orange.sum() > 100


def test_keys_turn_the_view_in_space(page):
    from selenium.webdriver.common.keys import Keys

    canvas = page.find_element("id", "space")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", canvas)
    first = shown_in_space(page)
    canvas.send_keys(Keys.ARROW_LEFT * 4 + Keys.ARROW_UP + "+")
    turned = shown_in_space(page)
    assert (np.abs(turned - first).sum(axis=2) > 60).mean() > 0.005
    canvas.send_keys("0")
    assert (np.abs(shown_in_space(page) - first).sum(axis=2) > 60).mean() < 0.001
    page.find_element("css selector", "input[name=paint][value=magnetization]").send_keys(Keys.SPACE)
    assert "kA/m" in text_of(page, "space-legend")


def test_all_controls_are_reached_by_the_tabulator(page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    reached = []
    for _ in range(60):
        ActionChains(page).send_keys(Keys.TAB).perform()
        one = page.switch_to.active_element
        reached.append(one.get_attribute("id") or one.get_attribute("name") or one.text)
    wanted = ["ssr-slider", "ssr-value", "ratio-slider", "ratio-value", "purity-slider", "saturated", "reset"]
    wanted += ["download", "copy", "find-id", "map", "paint", "space", "arrows", "only-selected", "7"]
    assert [name for name in wanted if name not in reached] == [], reached


def test_radio_buttons_switch_the_map_by_keys(page):
    from selenium.webdriver.common.keys import Keys

    place_on(page, "map", 20, 20)
    time.sleep(0.4)
    measured = pixels_of(page)
    radio = page.find_element("css selector", "input[name=map][value=measured]")
    radio.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    time.sleep(0.4)
    assert page.find_element("css selector", "input[name=map]:checked").get_attribute("value") == "residual"
    assert (np.abs(pixels_of(page) - measured).sum(axis=2) > 60).mean() > 0.01


def test_hostile_text_does_nothing_in_a_browser(parts, tmp_path, driver):
    table = parts.table.assign(id=[HOSTILE, "=HYPERLINK(1)", "  @x,y", "3"], selected=True)
    record = {"options": {"scan": HOSTILE}, "summary": {"verdict": HOSTILE, HOSTILE: HOSTILE}}
    grains = parts.grains.assign_attrs(warnings=json.dumps([HOSTILE]))
    folder = tmp_path / "x<img src=y onerror=alert(1)>"
    write_results(folder, table=table, maps=parts.maps, provenance=record, grains=grains)
    file = write_page(tmp_path / "page.html", folder)
    open_page(driver, file)
    driver.find_element("css selector", "#table tbody button").click()
    time.sleep(0.5)
    assert driver.title == f"{folder.name} – mmtjax"
    assert text_of(driver, "name") == folder.name
    assert text_of(driver, "verdict") == HOSTILE
    driver.find_element("css selector", "#warnings-box summary").click()
    assert HOSTILE in text_of(driver, "reasons")
    assert HOSTILE in text_of(driver, "warnings")
    assert HOSTILE in text_of(driver, "made")
    assert driver.find_elements("css selector", "img") == []
    assert requests_of(driver) == [file.as_uri()]
    assert complaints_of(driver) == []
    assert text_of(driver, "count") == "4"
    saved = driver.execute_script(
        "const kept = URL.createObjectURL; let blob; URL.createObjectURL = (one) => { blob = one; return kept(one); };"
        "document.getElementById('download').click(); URL.createObjectURL = kept; return blob.text()"
    )
    quoted = HOSTILE.replace('"', '""')
    lines = saved.split("\n")
    assert [lines[0], lines[1], lines[2], lines[4], lines[5]] == ["id", f'"{quoted}"', "'=HYPERLINK(1)", "3", ""]
    # An apostrophe stands before the formula, from the file of the results or from the page.
    assert lines[3] in ('"\'  @x,y"', '"  \'@x,y"')


def test_a_browser_without_webgl_says_so(file, tmp_path):
    with browser(tmp_path, webgl=False) as without:
        open_page(without, file)
        without.execute_script("document.getElementById('space-card').scrollIntoView()")
        assert text_of(without, "space-message").startswith("The view in space needs WebGL 2")
        assert text_of(without, "count") != ""
        assert complaints_of(without) == []


def test_a_selection_that_the_results_were_made_with_is_shown_first(parts, tmp_path, driver):
    table = parts.table.assign(selected=[False, True, True, False])
    write_results(tmp_path / "other", table=table, maps=parts.maps, provenance=parts.record)
    open_page(driver, write_page(tmp_path / "page.html", tmp_path / "other"))
    assert text_of(driver, "count") == "2"
    assert "without covariances" in text_of(driver, "sums-note")


def test_no_grain_is_selected_first_where_the_map_is_not_explained(parts, tmp_path, driver):
    grains, table = parts.grains.assign_attrs(is_explained=0), parts.table.assign(trusted=False)
    write_results(tmp_path / "other", table=table, maps=parts.maps, provenance=parts.record, grains=grains)
    open_page(driver, write_page(tmp_path / "page.html", tmp_path / "other"))
    assert text_of(driver, "count") == "0"
    assert text_of(driver, "verdict") == "None of the 4 grains can be trusted to 10 %."
    assert text_of(driver, "banner").startswith("Noise does not explain the map, so that no grain can be believed")
    type_into(driver, "ratio-value", "1000")
    assert text_of(driver, "count") != "0"


def test_solutions_by_windows_or_with_a_bound_have_no_covariance_between_grains(solved):
    with jax.enable_x64(True):
        fields = {name: getattr(solved, name) for name in solved.__dataclass_fields__}
        bounded = type(solved)(**fields | {"is_gaussian": False})
        assert "sum_covariance" not in grain_dataset(bounded, limit=0.1)
