"""A headless Chromium for the tests of pages, driven by real events of mouse and keyboard."""

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

#: Programs of Debian's packages chromium and chromium-driver; nothing is downloaded.
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)


@contextlib.contextmanager
def browser(folder: Path, *, width: int = 1280, height: int = 900, webgl: bool = True) -> Iterator:
    """Context with a browser that has an empty profile; the test is skipped where there is none."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("chromium and chromedriver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    graphics = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    for option in (*_OPTIONS, *(graphics if webgl else ("--disable-3d-apis",)), f"--window-size={width},{height}"):
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def open_page(driver, file: Path) -> None:
    """Open a page of results and wait until it is complete; what happened before is forgotten."""
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get_log("browser")
    driver.get(file.as_uri())
    wait_until(driver, "return document.documentElement.dataset.ready === 'true'")


def wait_until(driver, script: str, *, seconds: float = 30) -> None:
    """Wait until a script returns something true."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, seconds, poll_frequency=0.05).until(lambda one: one.execute_script(script))


def requests_of(driver) -> list[str]:
    """Return the addresses that were requested since the last call, without those inside of the page itself."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    sent += [one["params"]["url"] for one in messages if one["method"] == "Network.webSocketCreated"]
    return [url for url in sent if not url.startswith(("data:", "blob:"))]


def complaints_of(driver) -> list[str]:
    """Return the warnings and errors in the console since the last call.

    Chromium itself warns when its software for WebGL is slow.
    """
    entries = [entry for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
    return [entry["message"] for entry in entries if "GL Driver Message" not in entry["message"]]


def text_of(driver, name: str) -> str:
    """Return the text that an element shows."""
    return driver.find_element("id", name).text


def numbers_of(driver, listing: str) -> dict[str, list[float]]:
    """Return the numbers, of full precision, of a list of names and values."""
    script = """return Array.from(document.querySelectorAll(arguments[0] + ' div'), (pair) =>
      [pair.children[0].textContent, pair.children[1].dataset.value ?? ''])"""
    found = driver.execute_script(script, f"#{listing}")
    return {name: [float(one) for one in text.split()] for name, text in found if text}


def type_into(driver, name: str, text: str) -> None:
    """Replace the text of a field by the keyboard, and leave it by Enter."""
    from selenium.webdriver.common.keys import Keys

    field = driver.find_element("id", name)
    field.click()
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(Keys.DELETE)
    field.send_keys(text, Keys.ENTER)


def place_on(driver, figure: str, x: float, y: float) -> tuple[float, float]:
    """Return where a place of a figure is in the window, pixels, after the figure was scrolled there."""
    script = """const box = document.getElementById(arguments[0]);
      box.scrollIntoView({block: 'center'});
      const view = Bokeh.index.find_one_by_id(box.dataset.root);
      const {left, top} = view.canvas.el.getBoundingClientRect();
      const {x_scale, y_scale} = view.frame;
      return [left + x_scale.compute(arguments[1]), top + y_scale.compute(arguments[2])]"""
    across, along = driver.execute_script(script, figure, x, y)
    return across, along


def pixels_of(driver) -> np.ndarray:
    """Return the window as it is shown, [y, x, colour], 0 to 255."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")).astype(int)


def mouse_path(driver, *places: tuple[float, float], press: bool = True) -> None:
    """Move the mouse along places of the window, with its button held down from the first to the last."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder

    actions = ActionBuilder(driver, duration=80)
    for number, (x, y) in enumerate(places):
        actions.pointer_action.move_to_location(round(x), round(y))
        if press and number == 0:
            actions.pointer_action.pointer_down()
    if press:
        actions.pointer_action.pointer_up()
    actions.perform()


def choose_tool(driver, figure: str, tool: str) -> None:
    """Click the button of a tool of a figure."""
    script = """const view = Bokeh.index.find_one_by_id(document.getElementById(arguments[0]).dataset.root);
      document.getElementById(arguments[0]).scrollIntoView({block: 'center'});
      const find = (root) => {
        for (const one of root.querySelectorAll('*')) {
          if (String(one.className).includes('bk-tool-icon-' + arguments[1])) return one;
          const inner = one.shadowRoot && find(one.shadowRoot);
          if (inner) return inner;
        }
        return null;
      };
      const box = find(view.el.shadowRoot ?? view.el)?.getBoundingClientRect();
      return box ? [box.left + box.width / 2, box.top + box.height / 2] : null"""
    place = driver.execute_script(script, figure, tool)
    assert place is not None, f"no tool {tool} of {figure}"
    mouse_path(driver, tuple(place))
