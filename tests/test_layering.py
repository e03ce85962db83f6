"""Imports flow one way, files stay short, and importing the package changes no global state."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mmtjax"

#: From the bottom up. A file imports from its own layer or from below; ``mmtjax/__init__.py`` re-exports and is free.
LAYERS = (
    ("units", "lazy", "platform", "precision", "files", "errors", "progress", "options", "unknowns", "prior"),
    ("linalg",),
    ("physics",),
    ("parallel",),
    ("sources",),
    ("scan",),
    ("patterns", "noise"),
    ("uncertainty",),
    ("field",),
    ("greens",),
    ("solvers",),
    ("estimators",),
    ("selection",),
    ("inversion",),
    ("registration", "subdomains"),
    ("simulation",),
    ("study", "design"),
    ("io",),
    ("plot",),
    ("report",),
    ("page",),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LONGEST_FILE = 400

#: The files that may change the configuration of JAX.
CONFIGURING = ("mmtjax.cli.main", "mmtjax.cli.program_cache")


def modules_of(package: Path) -> dict[str, Path]:
    """Dotted names of the modules of `package`, with their files."""
    modules = {}
    for file in sorted(package.rglob("*.py")):
        parts = (package.name, *file.relative_to(package).with_suffix("").parts)
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return modules


def own_imports(tree: ast.AST, module: str, modules: dict[str, Path]) -> Iterator[tuple[ast.stmt, str]]:
    """Statements that import from the package, each with the full dotted name of what it imports."""
    root = module.partition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                is_package = modules[module].name == "__init__.py"
                base = module.split(".")[: len(module.split(".")) - node.level + is_package]
                source = ".".join([*base, *source.split(".")] if source else base)
            names = [f"{source}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node, name) for name in names if name.partition(".")[0] == root)


def module_of(name: str, modules: dict[str, Path]) -> str:
    """The module that a dotted name is, or that it is imported from."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name


def cycle_in(edges: Iterable[tuple[str, str]]) -> list[str]:
    """Nodes left when those that import nothing or are imported by nothing are taken away again and again."""
    graph = {(source, target) for source, target in edges if source != target}
    while True:
        importing, imported = {source for source, _ in graph}, {target for _, target in graph}
        rest = {(source, target) for source, target in graph if source in imported and target in importing}
        if rest == graph:
            return sorted(importing)
        graph = rest


def violations(package: Path) -> list[str]:
    """What breaks the rules of this file in `package`, one line each."""
    modules = modules_of(package)
    found: list[str] = []
    edges: set[tuple[str, str]] = set()
    for module, file in modules.items():
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
        if (length := len(text.splitlines())) > LONGEST_FILE:
            found.append(f"{module}: {length} lines, more than {LONGEST_FILE}")
        if module not in CONFIGURING and sets_jax_configuration(tree):
            found.append(f"{module}: sets the configuration of JAX")
        if module != f"{package.name}.lazy" and uses_type_checking(tree):
            found.append(f"{module}: uses TYPE_CHECKING")
        if module == package.name:
            continue
        layer = module.split(".")[1]
        if layer not in LEVEL:
            found.append(f"{module}: belongs to no layer")
            continue
        for statement, name in own_imports(tree, module, modules):
            target = module_of(name, modules)
            if statement not in tree.body:
                found.append(f"{module}: imports {name} below the top level")
            if target == package.name:
                found.append(f"{module}: imports {name}, which no module below {package.name} defines")
                continue
            edges.add((module, target))
            if LEVEL.get(target.split(".")[1], -1) > LEVEL[layer]:
                found.append(f"{module}: imports {target}, which lies above it")
    for kind, graph in (
        ("files", edges),
        ("folders", {(source.split(".")[1], target.split(".")[1]) for source, target in edges}),
    ):
        if members := cycle_in(graph):
            found.append(f"{kind} import each other in a circle, among {', '.join(members)}")
    return found


def uses_type_checking(tree: ast.AST) -> bool:
    """Whether `tree` has code that only type checkers read."""
    return any("TYPE_CHECKING" in (getattr(node, "id", ""), getattr(node, "attr", "")) for node in ast.walk(tree))


def sets_jax_configuration(tree: ast.AST) -> bool:
    """Whether `tree` calls ``config.update`` of jax or assigns to an attribute of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("jax.config.update", "config.update"):
            return True
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(ast.unparse(target).startswith("jax.config.") for target in targets):
            return True
    return False


def test_the_package_keeps_its_layers() -> None:
    found = violations(PACKAGE)
    assert not found, "\n".join(found)


def test_the_page_on_the_architecture_names_every_room_in_the_order_of_the_layers() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## The layers")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.M)
    assert named == [name for names in LAYERS for name in names]
    rooms = {module.split(".")[1] for module in modules_of(PACKAGE) if module != PACKAGE.name}
    assert set(named) == rooms


PLANTED = {
    "upward": (
        {"sources/a.py": "from mmtjax.scan.b import thing\n", "scan/b.py": ""},
        "mmtjax.scan.b, which lies above",
    ),
    "upward, relative": (
        {"sources/a.py": "from ..scan import b\n", "scan/b.py": ""},
        "mmtjax.scan.b, which lies above",
    ),
    "in a function": (
        {"scan/b.py": "def f():\n    import mmtjax.sources.a\n", "sources/a.py": ""},
        "imports mmtjax.sources.a below the top level",
    ),
    "for types only": (
        {"scan/b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\n"},
        "mmtjax.scan.b: uses TYPE_CHECKING",
    ),
    "circle of files": (
        {
            "sources/a.py": "from mmtjax.sources import b\n",
            "sources/b.py": "import mmtjax.sources.a, mmtjax.units\n",
            "units.py": "",
            "cli.py": "import mmtjax.sources.a\n",
        },
        "files import each other in a circle, among mmtjax.sources.a, mmtjax.sources.b",
    ),
    "circle of folders": (
        {
            "study/a.py": "import mmtjax.design.b\n",
            "design/b.py": "",
            "design/c.py": "import mmtjax.study.d\n",
            "study/d.py": "",
        },
        "folders import each other in a circle, among design, study",
    ),
    "facade": (
        {"sources/a.py": "from mmtjax import Grains\n"},
        "imports mmtjax.Grains, which no module below mmtjax defines",
    ),
    "stranger": ({"helpers.py": ""}, "mmtjax.helpers: belongs to no layer"),
    "long": ({"sources/a.py": "x = 1\n" * (LONGEST_FILE + 1)}, "401 lines, more than 400"),
    "configuration": (
        {"precision.py": "import jax\njax.config.update('jax_enable_x64', True)\n"},
        "mmtjax.precision: sets the configuration of JAX",
    ),
    "configuration, assigned": (
        {"units.py": "import jax\njax.config.jax_enable_x64 = True\n"},
        "mmtjax.units: sets the configuration of JAX",
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_violation_is_found(case: str, tmp_path: Path) -> None:
    files, expected = PLANTED[case]
    _write(tmp_path / "mmtjax", files)
    found = violations(tmp_path / "mmtjax")
    assert len(found) == 1, found
    assert expected in found[0]


def test_allowed_imports_are_not_reported(tmp_path: Path) -> None:
    files = {
        "lazy.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import zarr\n",
        "precision.py": "import mmtjax.units\n",
        "units.py": "",
        "sources/a.py": "from mmtjax.units import x\nfrom .b import y\n",
        "sources/b.py": "",
        "sources/__init__.py": "from mmtjax.sources.a import x as x\n",
        "design/a.py": "from mmtjax.study import b\nfrom mmtjax.sources import x\n",
        "study/b.py": "",
        "cli/main.py": "import jax\nfrom mmtjax.design import a\njax.config.update('jax_enable_x64', True)\n",
    }
    _write(tmp_path / "mmtjax", files)
    assert violations(tmp_path / "mmtjax") == []


def _write(package: Path, files: dict[str, str]) -> None:
    package.mkdir()
    (package / "__init__.py").write_text("from mmtjax.cli import main as main\n")
    for name, text in files.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
