"""Stores and configurations of studies that are damaged or were changed by hand: the error names them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmtjax.design.config import read_design
from mmtjax.study import Cell, StudyConfig, open_study
from mmtjax.study.config import read_config
from mmtjax.study.cost import seconds_left
from mmtjax.study.store import write_cell, writing
from tests.study_process import made_up

CONFIG = StudyConfig(
    name="made up", seed=1, side=(100,), thickness=(50,), density=(1e4,), interval=(2,), noise=(5, 20), repeats=1
)
CELL = Cell(100, 50, 1e4, 0, 2)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with its one cell."""
    place = tmp_path / "store.zarr"
    with writing(place, CONFIG):
        write_cell(place, CELL, made_up(CELL))
    return place


def changed(file: Path, **attributes: object) -> None:
    """Change attributes in a file of Zarr; None removes one."""
    content = json.loads(file.read_text())
    content["attributes"] |= attributes
    for name in [name for name, value in attributes.items() if value is None]:
        del content["attributes"][name]
    file.write_text(json.dumps(content))


def started(store: Path) -> None:
    """Start a run, which writes to the store."""
    with writing(store, CONFIG):
        pass


def status(store: Path) -> None:
    """Report the progress."""
    open_study(store).status()


def table(store: Path) -> None:
    """Read all records."""
    open_study(store).records()


ATTRIBUTES = [
    *((name, None, rf"has no valid '{name}': it is missing") for name in ("version", "fingerprint", "config")),
    ("version", 3, r"has no valid 'version': it is '3'"),
    ("fingerprint", [], r"has no valid 'fingerprint'"),
    ("config", [1], r"has no valid 'config': it is '\[1\]'"),
    ("code", "x", "has no valid 'code'"),
    ("shapes", 1, "has no valid 'shapes'"),
    ("provenance", 1, "has no valid 'provenance'"),
    ("config", CONFIG.to_dict() | {"colour": "red"}, "config: unknown value 'colour'; a study has name, seed, side"),
    ("config", CONFIG.to_dict() | {"side": 10**400}, r"config: side must be a list of different positive numbers"),
    ("config", {"name": "a"}, "config: 'seed' is missing"),
]


@pytest.mark.parametrize("action", [status, started])
@pytest.mark.parametrize(("name", "value", "message"), ATTRIBUTES)
def test_attributes_of_a_store_are_checked(
    action: Callable[[Path], object], name: str, value: object, message: str, store: Path
) -> None:
    changed(store / "zarr.json", **{name: value})
    with pytest.raises(ValueError, match=rf"store\.zarr/zarr\.json: .*{message}"):
        action(store)


ROOTS = {
    "nothing": ("", r"zarr\.json: the file does not read as JSON"),
    "half": ('{"attributes": {', r"zarr\.json: the file does not read as JSON"),
    "list": ("[1]", r"zarr\.json: the file must hold an object in braces; it holds '\[1\]'"),
    "nested": ("[" * 100_000, "its values are nested too deeply"),
    "integer": ('{"a": 1' + 5000 * "0" + "}", r"zarr\.json: the file does not read as JSON"),
    "attributes": ('{"attributes": [1]}', "is a Zarr store, but not one of a study"),
}


@pytest.mark.parametrize("case", ROOTS)
@pytest.mark.parametrize("action", [open_study, started])
def test_a_damaged_root_is_refused(action: Callable[[Path], object], case: str, store: Path) -> None:
    text, message = ROOTS[case]
    (store / "zarr.json").write_text(text)
    with pytest.raises(ValueError, match=rf"store\.zarr.*{message}|{message}"):
        action(store)


@pytest.mark.parametrize("case", ["nothing", "list", "nested", "integer", "attributes"])
def test_a_damaged_cell_is_named(case: str, store: Path) -> None:
    (store / str(CELL) / "zarr.json").write_text(ROOTS[case][0])
    with pytest.raises(ValueError, match=r"interval=2/zarr\.json: .*; remove this cell, which the next run computes"):
        open_study(store).status()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zarr.json", b"{}"),
        ("zarr.json", b"[" * 100_000),
        ("c/0", b"1234567"),
        ("c/0", None),
    ],
)
def test_a_damaged_array_is_named(name: str, content: bytes | None, store: Path) -> None:
    file = store / str(CELL) / "volume" / name
    file.unlink() if content is None else file.write_bytes(content)
    for read in (table, lambda place: open_study(place).load(CELL)):
        with pytest.raises(ValueError, match="interval=2/volume.*; remove this part of the store, and run the study"):
            read(store)


@pytest.mark.parametrize(
    "change",
    [
        {"data_type": "object"},
        {"data_type": "|O"},
        {"shape": [10**30]},
        {"shape": -1},
        {"codecs": [{"name": "numcodecs.pickle", "configuration": {}}]},
        {"codecs": 3},
        {"dimension_names": ["a", "b", "c"]},
        {"attributes": None},
        {"chunk_grid": {}},
    ],
)
def test_an_array_of_anything_but_numbers_is_refused(change: dict[str, object], store: Path) -> None:
    file = store / str(CELL) / "volume" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match="interval=2/volume: the array cannot be read"):
        open_study(store).load(CELL)


def test_arrays_that_do_not_belong_together_are_refused(store: Path) -> None:
    file = store / str(CELL) / "volume" / "zarr.json"
    content = json.loads(file.read_text())
    half = [content["shape"][0] // 2]
    file.write_text(json.dumps(content | {"shape": half, "chunk_grid": {"configuration": {"chunk_shape": half}}}))
    chunk = file.parent / "c" / "0"
    chunk.write_bytes(chunk.read_bytes()[: 8 * half[0]])
    with pytest.raises(ValueError, match="interval=2: the arrays of the cell do not belong together"):
        open_study(store).load(CELL)


@pytest.mark.parametrize("name", ["interval=x", "interval=nan", "interval=-1"])
def test_a_folder_that_is_no_cell_is_named(name: str, store: Path) -> None:
    (store / str(CELL)).parent.joinpath(name).mkdir()
    with pytest.raises(ValueError, match=rf"store\.zarr: '.*/{name}' is no name of a cell of a study"):
        open_study(store).status()


def test_odd_lines_of_the_log_are_left_out(store: Path) -> None:
    lines = [
        b"[1]", b"[" * 100_000, b"\xff", b'{"seconds": "x", "cell": "' + str(CELL).encode() + b'"}', b'{"seconds": 1}',
        b'{"seconds": 2, "cell": "' + str(CELL).encode() + b'"}', b'{"seconds": NaN, "cell": "a"}', b'{"event": "odd"}',
    ]  # fmt: skip
    with (store / "log.jsonl").open("ab") as log:
        log.write(b"\n".join(lines) + b"\n")
    entries = open_study(store).log()
    assert [entry["event"] for entry in entries if "event" in entry] == ["start", "odd"]
    assert all(isinstance(entry, dict) for entry in entries)
    assert seconds_left([CELL], entries) == pytest.approx(2.0)


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(ValueError, match="circle cannot be used: its symbolic links lead in a circle"):
        started(tmp_path / "circle")
    with pytest.raises(FileNotFoundError, match="circle holds no study"):
        open_study(tmp_path / "circle")


TOML = {
    "nested": ("a = " + "[" * 100_000, "nested too deeply"),
    "integer": ("[study]\nseed = 1" + 5000 * "0", r"study\.toml: "),
    "bytes": ("ÿ", r"study\.toml: "),
    "list": ("study = [1]\nparameters = 2", r"study\.toml: the table \[\w+\] is missing"),
}


@pytest.mark.parametrize("read", [read_config, read_design])
@pytest.mark.parametrize("case", TOML)
def test_odd_configurations_are_refused(case: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    text, message = TOML[case]
    (tmp_path / "study.toml").write_text(text, encoding="latin1")
    with pytest.raises(ValueError, match=r"study\.toml: ") as caught:
        read(tmp_path / "study.toml")
    if read is read_config:
        assert caught.match(message)


@pytest.mark.parametrize("name", ["height", "level", "tolerance", "side"])
def test_integers_beyond_all_numbers_are_refused(name: str) -> None:
    value = [10**400] if name == "side" else 10**400
    with pytest.raises(ValueError, match=f"{name} must be"):
        StudyConfig.from_dict(CONFIG.to_dict() | {name: value})
