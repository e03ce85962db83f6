"""Configuration of Sphinx. The build needs no network; equations are typeset in the reader's browser."""

import ast
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
    """List what `mmtjax/__init__.py` imports on a page from which autosummary makes one page per name.

    The list is read from the package, so that no name is forgotten and none has to exist before it is written.
    """
    tree = ast.parse(Path(mmtjax.__file__).read_text(encoding="utf-8"))
    imports = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    groups: dict[str, list[str]] = {"Classes": [], "Functions": [], "Modules": [], "Constants": []}
    for name in sorted(alias.asname or alias.name for alias in imports):
        thing = getattr(mmtjax, name)
        if inspect.isclass(thing):
            groups["Classes"].append(name)
        elif inspect.ismodule(thing):
            groups["Modules"].append(name)
        else:
            groups["Functions" if callable(thing) else "Constants"].append(name)
    lines = ["Public names", "============", "", ".. currentmodule:: mmtjax", ""]
    for title, names in groups.items():
        if names:
            lines += [title, "-" * len(title), "", ".. autosummary::", "   :toctree:", ""]
            lines += [f"   {name}" for name in names] + [""]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines), encoding="utf-8")


write_public_names(Path(__file__).parent / "api" / "generated" / "names.rst")
