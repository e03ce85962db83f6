"""Configuration of Sphinx. The build needs no network; equations are typeset in the reader's browser."""

import inspect
from pathlib import Path

import mmtjax

project = "mmtjax"
author = "The mmtjax developers"
copyright = "2026, The mmtjax developers"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "py:obj"

myst_enable_extensions = ["amsmath", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "mmtjax"
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2}
html_sidebars = {page: [] for page in ("index", "conventions", "theory", "architecture")}


def write_public_names(page: Path) -> None:
    """List the public names on a page from which autosummary makes one page per name.

    The list is read from the package, so that no name is forgotten and none has to exist before it is written.
    """
    things = {name: getattr(mmtjax, name) for name in mmtjax.__all__}
    groups = {
        "Classes": [name for name, thing in things.items() if inspect.isclass(thing)],
        "Functions": [name for name, thing in things.items() if inspect.isroutine(thing)],
    }
    lines = ["Public names", "============", "", ".. currentmodule:: mmtjax", ""]
    for title, names in groups.items():
        if names:
            lines += [title, "-" * len(title), "", ".. autosummary::", "   :toctree:", ""]
            lines += [f"   {name}" for name in names] + [""]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines), encoding="utf-8")


write_public_names(Path(__file__).parent / "api" / "generated" / "names.rst")
