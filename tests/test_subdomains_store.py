"""Files of an inversion by windows: nothing in them is executed, and damaged or foreign ones are refused by name."""

import ast
import functools
import gc
import json
import os
import pickle
import shutil
import weakref
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import mmtjax
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.parallel.saved_arrays import load_arrays, save_arrays
from mmtjax.subdomains import work
from mmtjax.subdomains.invert import invert_subdomains
from mmtjax.subdomains.stored_blocks import load_block, save_block
from tests.subdomains_process import NOISE, by_windows, sample

PACKAGE = Path(mmtjax.__file__).parent

#: Modules whose readers build any object, or run code, and functions of others that do.
EXECUTING = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "copyreg", "jsonpickle"}
FUNCTIONS = {"read_pickle", "to_pickle", "eval", "exec", "compile", "__import__"}


def executing(package: Path) -> list[str]:
    """Return the files of a package that import what may execute the contents of a file, or call it."""
    found = []
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)]
            called = getattr(node.func, "id", None) if isinstance(node, ast.Call) else getattr(node, "attr", None)
            method = isinstance(node, ast.Attribute) and called in ("eval", "compile")
            if any(part in EXECUTING for name in names for part in name.split(".")) or (
                called in FUNCTIONS and not method
            ):
                found.append(f"{file.name}:{node.lineno}")
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", 1):
                found.append(f"{file.name}:{node.value.lineno}")
    return found


def test_nothing_in_the_package_can_execute_the_contents_of_a_file(tmp_path: Path) -> None:
    assert executing(PACKAGE) == []
    planted = [
        "import pickle", "from pickle import loads", "from numpy import load\nload('a', allow_pickle=True)",
        "import pandas\npandas.read_pickle('a')", "eval('1')",
    ]  # fmt: skip
    for number, text in enumerate(planted):
        (tmp_path / f"{number}.py").write_text(text)
    assert [name.partition(":")[0] for name in executing(tmp_path)] == [f"{n}.py" for n in range(len(planted))]


@functools.cache
def whole() -> mmtjax.Solution:
    return mmtjax.invert(*sample(), NOISE, method="orthogonal")


def small(store: Path, factor: float = 1.0) -> mmtjax.Solution:
    """Nine grains in one window, below one block of sensors."""
    grains = mmtjax.Grains.from_cuboids(
        [[8.0 * i, 8.0 * j, -4, 1, 1, 1, 3 * i + j] for i in range(3) for j in range(3)]
    )
    grid = mmtjax.SensorGrid(origin=(-10, -10), spacing=1, shape=(37, 37), height=0)
    field = factor * np.asarray(mmtjax.forward(grains, np.full((9, 3), 1e4), grid))
    return invert_subdomains(
        jax.random.key(1), mmtjax.Scan(field, grid), grains, 5.0, core=1e3, buffer=20.0, draws=2, store=store
    )


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a complete run."""
    place = tmp_path_factory.mktemp("subdomains") / "store"
    small(place)
    return place


@pytest.fixture
def store(complete: Path, tmp_path: Path) -> Path:
    """A copy of the store, to be damaged."""
    return Path(shutil.copytree(complete, tmp_path / "store"))


class Malicious:
    """An object whose pickle makes a directory when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_a_received_store_runs_no_code(store: Path, tmp_path: Path) -> None:
    (store / "state.arrays").unlink(missing_ok=True)
    text = pickle.dumps(([], pickle.dumps(Malicious(tmp_path / "mark"))))
    work.block_file(store, 0).write_bytes(text)
    with pytest.raises(ValueError, match=r"block-00000\.arrays: the file is damaged: its first line is no description"):
        small(store)
    work.block_file(store, 0).write_bytes(pickle.dumps(Malicious(tmp_path / "mark")))
    with pytest.raises(ValueError, match=r"block-00000\.arrays: the file is damaged"):
        small(store)
    assert not (tmp_path / "mark").exists()


FILES = ("block-00000.arrays", "window-00000.arrays", "problem.arrays", "rights.arrays", "state.arrays")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 20, 60, 400, -1])
def test_one_changed_byte_is_found(name: str, place: int, store: Path) -> None:
    (store / "state.arrays").unlink() if name != "state.arrays" else None
    content = bytearray((store / name).read_bytes())
    content[place] ^= 1
    (store / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: the file is damaged: .*; remove the directory to start again"):
        small(store)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 10, 300, -1])
def test_a_file_that_is_cut_short_is_found(name: str, size: int, store: Path) -> None:
    (store / "state.arrays").unlink() if name != "state.arrays" else None
    (store / name).write_bytes((store / name).read_bytes()[:size])
    with pytest.raises(ValueError, match=rf"{name}: the file is damaged"):
        small(store)


def test_files_of_another_problem_are_found(store: Path, tmp_path: Path) -> None:
    small(tmp_path / "other", factor=2.0)
    (store / "state.arrays").unlink()
    for name in ("block-00000.arrays", "window-00000.arrays"):
        kept = (store / name).read_bytes()
        shutil.copy(tmp_path / "other" / name, store / name)
        with pytest.raises(ValueError, match=rf"{name}: the file belongs to the work on another problem"):
            small(store)
        (store / name).write_bytes(kept)


def test_a_block_that_does_not_fit_its_problem_is_found(tmp_path: Path) -> None:
    scan, grains = sample()
    save_block(CompressedGreen(grains, scan.grid), tmp_path / "block", owner="")
    with pytest.raises(ValueError, match=r"block: the file holds no block of this problem: its near are numbers up to"):
        load_block(tmp_path / "block", grains.select(np.arange(50)), scan.grid, owner="")
    arrays = load_arrays(
        tmp_path / "block", ("squares", "near", "far", "form", "sensors", "leaves", "polynomials"), owner=""
    )
    for name, values in arrays.items():
        save_arrays(arrays | {name: values[:-1]}, tmp_path / "changed", owner="")
        with pytest.raises(ValueError, match="changed: the file holds no block of this problem: its"):
            load_block(tmp_path / "changed", grains, scan.grid, owner="")
    save_arrays({"squares": arrays["squares"]}, tmp_path / "changed", owner="")
    with pytest.raises(ValueError, match="changed: the file is damaged: it has the arrays squares; squares, near"):
        load_block(tmp_path / "changed", grains, scan.grid, owner="")


DESCRIPTIONS = {
    "text": ("no JSON", r"problem\.json: the file does not read as JSON"),
    "bytes": ("ÿ", r"problem\.json: the file does not read as JSON"),
    "list": ("[1, 2]", r"problem\.json: the file must hold an object in braces; it holds '\[1, 2\]'"),
    "nested": ("[" * 100_000, r"problem\.json: the file does not read as JSON \(its values are nested too deeply\)"),
    "large": ('{"a": 1' + "0" * 5000 + "}", r"problem\.json: the file does not read as JSON"),
    "nothing": ("{}", "contains the work on another problem: its kind is None, not 'mmtjax subdomains'"),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_description_that_is_damaged_is_refused(case: str, store: Path) -> None:
    text, message = DESCRIPTIONS[case]
    (store / "problem.json").write_text(text, encoding="latin1")
    with pytest.raises(ValueError, match=message):
        small(store)


def test_a_description_with_other_keys_is_refused(store: Path) -> None:
    stored = json.loads((store / "problem.json").read_text())
    changes = {
        "its version is None, not": {key: value for key, value in stored.items() if key != "version"},
        "its unknown is 1, not None": stored | {"unknown": 1},
        "its more is 2, not None": stored | {"options": stored["options"] | {"more": 2}},
        r"its core is None, not 1000\.0": stored | {"options": [1]},
        "its grains-position is None, not": stored | {"arrays": {}},
    }
    for message, content in changes.items():
        (store / "problem.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=f"another problem: {message}"):
            small(store)


def test_a_directory_of_other_files_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    with pytest.raises(FileExistsError, match=r"photos exists, and does not hold the work of an inversion by windows"):
        small(tmp_path / "photos")
    with pytest.raises(FileExistsError, match=r"one\.jpg exists, and does not"):
        small(tmp_path / "photos" / "one.jpg")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(ValueError, match="circle cannot be used: its symbolic links lead in a circle"):
        small(tmp_path / "circle")
    assert sorted(file.name for file in (tmp_path / "photos").iterdir()) == ["one.jpg"]


def test_left_over_files_of_killed_processes_are_removed(store: Path) -> None:
    (store / ".block-00001.arrays.partial-1").write_bytes(b"part")
    small(store)
    assert not (store / ".block-00001.arrays.partial-1").exists()


def test_a_block_that_is_read_from_the_disk_is_the_same_and_forgotten_again(tmp_path: Path) -> None:
    scan, grains = sample()
    green = CompressedGreen(grains, scan.grid)
    save_block(green, tmp_path / "block", owner="")
    read = load_block(tmp_path / "block", grains, scan.grid, owner="")
    assert eqx.tree_equal(jax.tree.leaves(read), jax.tree.leaves(green))
    for own, others in zip(read.levels, green.levels, strict=True):
        for one, other in zip(own, others, strict=True):
            assert (one.level, one.row, one.column, one.children) == (
                other.level, other.row, other.column, other.children
            )  # fmt: skip
            for name in ("near", "far", "form"):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert not read.leaves[0].flags.writeable
    assert not read.leaves[0].flags.owndata
    watched = weakref.ref(read)
    del read
    gc.collect()
    assert watched() is None


def test_a_store_of_another_problem_is_refused(tmp_path: Path) -> None:
    scan, grains = sample()
    store = tmp_path / "store"
    by_windows(scan, grains, store=store)
    with pytest.raises(ValueError, match=r"its draws is 16, not 17; pass another directory"):
        by_windows(scan, grains, store=store, draws=17)
    with pytest.raises(ValueError, match="contains the work on another problem: its field"):
        by_windows(mmtjax.Scan(2 * scan.field, scan.grid), grains, store=store)


def test_a_store_of_other_blocks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_windows(*sample(), store=tmp_path / "store")
    monkeypatch.setattr("mmtjax.subdomains.windows._SHARED", 0)
    with pytest.raises(ValueError, match="its block is '64 × 64 sensors', not '101 × 101 sensors'; pass another"):
        by_windows(*sample(), store=tmp_path / "store")


def test_a_store_that_was_removed_and_made_anew_is_of_the_new_problem(tmp_path: Path) -> None:
    scan, grains = sample()
    store = tmp_path / "store"
    by_windows(scan, grains, store=store)
    shutil.rmtree(store)
    again = by_windows(mmtjax.Scan(2 * scan.field, scan.grid), grains, 2 * NOISE, store=store)
    away = np.linalg.norm(again.magnetization - 2 * whole().magnetization, axis=1)
    assert np.max(away / np.asarray(whole().confidence_radius)) < 1e-2
