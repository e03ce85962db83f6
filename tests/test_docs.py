"""The documentation builds without a warning, and its code and commands name functions and options that exist."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmtjax
from mmtjax import cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.mark.slow
def test_documentation_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx", reason="the documentation needs the extra 'docs'")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-E", "-d", tmp_path / "doctrees", DOCS, tmp_path / "html"]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stderr
    assert (tmp_path / "html" / "theory.html").is_file()
    reference = {file.stem for file in (tmp_path / "html" / "api" / "generated").glob("mmtjax.*.html")}
    names = {f"mmtjax.{name}" for name in mmtjax.__all__ if not inspect.ismodule(getattr(mmtjax, name))}
    assert names <= reference


def _blocks() -> Iterator[tuple[str, str]]:
    """Every block of Python in the pages, with where it stands."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S), start=1):
            yield f"{page.relative_to(ROOT)}, block {number}", code


def _ours(tree: ast.Module) -> dict[str, object]:
    """What a block imports of mmtjax, by its name there."""
    found: dict[str, object] = {"mmtjax": mmtjax}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "mmtjax":
            module = importlib.import_module(node.module)
            found |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    return found


def _called(node: ast.Call, names: dict[str, object]) -> object | None:
    """The function or class of ours that a call is of; None for others, and for methods."""
    path, function = [], node.func
    while isinstance(function, ast.Attribute):
        path, function = [function.attr, *path], function.value
    thing = names.get(function.id) if isinstance(function, ast.Name) else None
    for name in path if thing is not None else []:
        thing = getattr(thing, name)
    return thing if callable(thing) else None


def _unpacks(node: ast.Call) -> bool:
    """Whether a call has arguments that only its run would tell."""
    return any(isinstance(part, ast.Starred) for part in node.args) or any(part.arg is None for part in node.keywords)


@pytest.mark.parametrize(("place", "code"), [pytest.param(*block, id=block[0]) for block in _blocks()])
def test_code_of_the_pages_calls_what_there_is(place: str, code: str) -> None:
    tree = ast.parse(code, place)
    names = _ours(tree)
    for node in ast.walk(tree):
        thing = _called(node, names) if isinstance(node, ast.Call) else None
        if thing is not None and not _unpacks(node):
            given = dict.fromkeys(keyword.arg for keyword in node.keywords)
            inspect.signature(thing).bind(*node.args, **given)


def _commands() -> Iterator[tuple[str, ...]]:
    """Yield the commands of mmtjax in the blocks of the terminal: names of the command, then its options."""
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.M | re.S):
            for line in re.findall(r"^\$ mmtjax (.*)$", block.replace("\\\n", " "), re.M):
                words = line.partition("#")[0].split()
                names = [word for word in words[:2] if re.fullmatch("[a-z]+", word)]
                names = names if names[0] in ("study", "export") else names[:1]
                yield (*names, *(word for word in words if word.startswith("--")))


@pytest.mark.parametrize("command", sorted(set(_commands())), ids=" ".join)
def test_commands_of_the_pages_have_the_options_that_they_show(command, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    names = [word for word in command if not word.startswith("--")]
    assert cli.main([*names, "--help"]) == 0
    listed = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    assert not [word for word in command if word.startswith("--") and word not in listed]


def test_options_in_the_text_of_the_pages_exist(capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    commands = ("invert", "page", "simulate", "threshold", "design", "demo", "info")
    for command in (*((one,) for one in commands), *(("study", one) for one in ("run", "status", "table", "figures"))):
        cli.main([*command, "--help"])
    listed = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        shown = set(re.findall(r"`(--[a-z][a-z-]*)", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)))
        assert shown <= listed | {"--platform"}, page
