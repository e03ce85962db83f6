"""Write the page of results."""

import base64
import hashlib
import html
import importlib.resources
import json
from pathlib import Path
from string import Template

from mmtjax.errors import MissingPackageError
from mmtjax.files import real_path, replace_when_complete
from mmtjax.io.results import read_grain_dataset, read_results
from mmtjax.io.text import AnyPath, JsonValue
from mmtjax.lazy import LazyModule, is_installed
from mmtjax.page.content import page_content
from mmtjax.units import MAGNETITE_SATURATION

#: The only module that needs Bokeh, which is loaded when a page is made.
figures = LazyModule("mmtjax.page.figures", extra="page")

#: Our scripts, in the order in which they use each other.
_SCRIPTS = (
    "data.js",
    "sums.js",
    "state.js",
    "figures.js",
    "space_math.js",
    "space_programs.js",
    "space.js",
    "table.js",
    "panels.js",
    "main.js",
)

#: What is written for characters that could end a script or a comment in HTML.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def write_page(file: AnyPath, directory: AnyPath, *, name: str | None = None) -> Path:
    """Write results as one HTML file, which opens without a network.

    Browsers of 2023 and later can open it. Nothing of it comes from another place, and the browser is told to let it
    load nothing and run no script but those that it was written with.

    Parameters
    ----------
    file
        The file to write; an existing one is replaced when the new one is complete.
    directory
        Results of an inversion for grains, see `mmtjax.io.write_results`.
    name
        Name of the results, for the heading; by default that of the directory.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    FileNotFoundError
        If the directory or one of its files does not exist.
    ValueError
        If the results are damaged or are not those of an inversion for grains.
    MissingPackageError
        If Bokeh is not installed.
    """
    require_bokeh()
    name = real_path(directory).name if name is None else name
    content = page_content(read_results(directory), read_grain_dataset(directory), name=name)
    described = figures.figures(grains=content.grains, widening=content.widening, saturation=MAGNETITE_SATURATION)
    facts = content.facts | {"arrays": dict(content.arrays.places), "figures": described}
    scripts = [figures.library(), _own_scripts()]
    page = Template(_asset("page.html")).substitute(
        title=html.escape(f"{name} – mmtjax"),
        style=_asset("page.css"),
        facts=_script_safe(facts),
        arrays=content.arrays.text(),
        library=scripts[0],
        script=scripts[1],
        policy=html.escape(_policy(scripts)),
    )
    path = Path(file)
    with replace_when_complete(path) as partial:
        # A name of a file may hold bytes that are no text.
        partial.write_bytes(page.encode("utf-8", "backslashreplace"))
    return path


def require_bokeh() -> None:
    """Raise a `MissingPackageError`, with the line to type, if Bokeh is not installed."""
    if not is_installed("bokeh"):
        msg = "a page needs Bokeh, which is not installed"
        raise MissingPackageError(msg, remedy="type: pip install 'mmtjax[page]'")


def _own_scripts() -> str:
    """Return our scripts as one, whose names are not global."""
    return "(() => {\n'use strict';\n" + "\n".join(_asset(script) for script in _SCRIPTS) + "\n})();\n"


def _asset(name: str) -> str:
    """Return a file of this package as text."""
    return (importlib.resources.files("mmtjax.page") / "assets" / name).read_text(encoding="utf-8")


def _script_safe(facts: dict[str, JsonValue]) -> str:
    """Return facts as JSON in which nothing can end the script element that holds it."""
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _policy(scripts: list[str]) -> str:
    """Return the policy by which a browser runs these scripts and no others, and loads nothing."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
