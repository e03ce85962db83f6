"""The store of a study: cells are there whole or not at all, and belong to one configuration."""

import contextlib
import dataclasses
import errno
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray

from mmtjax.cli.study import status
from mmtjax.study import Cell, StudyConfig, open_study
from mmtjax.study.store import (
    add_to_log,
    code_fingerprint,
    complete_cells,
    log_of,
    record_code,
    write_cell,
    writing,
)
from tests.study_process import files_of, made_up

CONFIG = StudyConfig(
    name="made up",
    seed=1,
    side=(100, 200),
    thickness=(50,),
    density=(1e4,),
    interval=(1, 2),
    noise=(5, 20),
    repeats=2,
    height=2.0,
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with all cells of repeat 0."""
    place = tmp_path / "store.zarr"
    with writing(place, CONFIG, provenance={"who": "a test"}):
        for cell in CONFIG.cells():
            if cell.repeat == 0:
                write_cell(place, cell, made_up(cell))
    return place


def test_a_cell_is_what_was_written_and_any_reader_of_zarr_agrees(store: Path) -> None:
    cell = Cell(200, 50, 1e4, 0, 2)
    expected = made_up(cell)
    xarray.testing.assert_identical(open_study(store).load(cell), expected)
    with xarray.open_zarr(store, group=str(cell), consolidated=False, chunks=None) as read:
        xarray.testing.assert_identical(read.load(), expected)


def test_a_cell_that_another_program_compressed_is_read_too(store: Path) -> None:
    cell = Cell(200, 50, 1e4, 0, 2)
    made_up(cell).to_zarr(store / str(cell), mode="w", zarr_format=3, consolidated=False)
    xarray.testing.assert_equal(open_study(store).load(cell), made_up(cell))


def test_the_root_tells_where_the_store_comes_from(store: Path) -> None:
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    assert StudyConfig.from_dict(attributes["config"]) == CONFIG == open_study(store).config
    assert attributes["provenance"] == {"who": "a test"}
    assert attributes["version"]


def test_cells_and_status(store: Path) -> None:
    study = open_study(store)
    assert set(study.cells()) == {cell for cell in CONFIG.cells() if cell.repeat == 0}
    failed = Cell(100, 50, 1e4, 1, 1)
    with writing(store, CONFIG):
        write_cell(store, failed, made_up(failed, failure="too many"))
    status = study.status()
    assert (status.total, status.done) == (8, 5)
    assert status.failures == {failed: "too many"}
    assert status.missing == [cell for cell in CONFIG.cells() if cell.repeat == 1 and cell != failed]
    with pytest.raises(FileNotFoundError, match="200 × 200 × 50 µm with 10000 grains per mm³, repeat 1, every 2 µm"):
        study.load(Cell(200, 50, 1e4, 1, 2))


def test_records_hold_every_grain_once_for_each_level(store: Path) -> None:
    table = open_study(store).records()
    assert len(table) == 4 * 2 * 7
    assert set(table.attrs["units"]) == set(table.columns)
    for cell in complete_cells(store):
        data = made_up(cell)
        for level, noise in enumerate(CONFIG.noise):
            fits = (table["side"] == cell.side) & (table["interval"] == cell.interval) & (table["noise"] == noise)
            part = table[fits]
            np.testing.assert_array_equal(part[["x", "y", "z"]], data["position"])
            np.testing.assert_array_equal(part["depth"], 2.0 - data["position"][:, 2])
            for name in ("volume", "diameter", "signal_strength_ratio"):
                np.testing.assert_array_equal(part[name], data[name])
            for name in ("confidence_radius", "uncertainty_ratio"):
                np.testing.assert_array_equal(part[name], data[name][level])
            truth, solved = (data[name].values for name in ("magnetization_true", "magnetization"))
            np.testing.assert_allclose(part["magnetization_true"], np.sqrt((truth**2).sum(1)))
            np.testing.assert_allclose(part["magnetization"], np.sqrt((solved[level] ** 2).sum(1)))


def test_records_are_chosen_by_value(store: Path) -> None:
    study = open_study(store)
    part = study.records(side=200, thickness=50, density=1e4, interval=1, noise=20)
    assert len(part) == 7
    assert set(part["noise"]) == {20.0}
    assert len(study.records(side=[100, 200], noise=5, repeat=0)) == 28
    assert len(study.records(repeat=1)) == 0
    with pytest.raises(ValueError, match=r"noise 7 nT is not in the study; it has \[5.0, 20.0\]"):
        study.records(noise=7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "holds a study with seed = 1, this one has 2"),
        ({"noise": (5.0,)}, r"holds a study with noise = \[5.0, 20.0\], this one has \[5.0\]"),
        ({"level": 0.9}, "level = 0.95, this one has 0.9"),
    ],
)
def test_a_store_of_another_configuration_is_refused_and_left_alone(
    store: Path, change: dict[str, object], message: str
) -> None:
    before = {file: file.read_bytes() for file in store.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=message), writing(store, dataclasses.replace(CONFIG, **change)):
        pytest.fail("it was opened")
    assert {file: file.read_bytes() for file in store.rglob("*") if file.is_file()} == before


def test_a_store_of_another_version_is_refused(store: Path) -> None:
    root = store / "zarr.json"
    content = json.loads(root.read_text())
    content["attributes"]["version"] = "0.0.1"
    root.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"was computed by mmtjax 0\.0\.1, this is"), writing(store, CONFIG):
        pytest.fail("it was opened")


def test_cells_of_another_state_of_the_code_are_reported(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record_code(store)
    record_code(store)
    assert open_study(store).status().states == 1
    monkeypatch.setattr("mmtjax.study.store.code_fingerprint", lambda: "other")
    with pytest.warns(UserWarning, match=r"store\.zarr were computed: it will hold cells of 2 states of the code"):
        record_code(store)
    # The warning comes once, and the state is kept when the store is continued.
    record_code(store)
    with writing(store, dataclasses.replace(CONFIG, repeats=5)):
        pass
    assert open_study(store).status().states == 2
    assert [entry["states"] for entry in log_of(store) if entry["event"] == "code"] == [2]
    status(store)
    assert "code cells of 2 states of the source" in " ".join(capsys.readouterr().out.split())


def test_the_fingerprint_is_of_the_source_that_numbers_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mmtjax"
    for name, text in {"field/corner.py": "1", "plot/style.py": "2", "study/store.py": "3"}.items():
        (package / name).parent.mkdir(parents=True)
        (package / name).write_text(text)
    monkeypatch.setattr("mmtjax.study.store.__file__", str(package / "study" / "store.py"))
    hashes = []
    for name, text in (("plot/style.py", "2"), ("plot/style.py", "other"), ("field/corner.py", "other")):
        (package / name).write_text(text)
        hashes.append(code_fingerprint.__wrapped__())
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_store_goes_on_with_more_repeats_and_keeps_them(store: Path) -> None:
    with writing(store, dataclasses.replace(CONFIG, repeats=5, name="longer")):
        pass
    assert open_study(store).config == dataclasses.replace(CONFIG, repeats=5, name="longer")
    with writing(store, CONFIG):
        pass
    assert open_study(store).config.repeats == 5
    assert open_study(store).status().done == 4


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "one.jpg").write_text("not of a grain")
    with pytest.raises(FileExistsError, match="is no store of a study"), writing(tmp_path / "photographs", CONFIG):
        pytest.fail("it was opened")
    with pytest.raises(FileNotFoundError, match="holds no study"):
        open_study(tmp_path / "photographs")
    xarray.Dataset({"a": 1}).to_zarr(tmp_path / "other", zarr_format=3, consolidated=False)
    with pytest.raises(ValueError, match="not one of a study"):
        open_study(tmp_path / "other")


def test_one_process_writes_at_a_time(store: Path) -> None:
    code = (
        "import sys, fcntl\n"
        "file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError, match="another process is computing into"), writing(store, CONFIG):
            pytest.fail("it was opened")
        other.stdin.close()
    with writing(store, CONFIG):
        pass


def test_leftovers_of_a_killed_run_are_removed(store: Path) -> None:
    cell = CONFIG.cells()[-1]
    before = files_of(store)
    half = (store / str(cell)).with_name(".interval=2.partial-4711")
    half.mkdir(parents=True)
    (half / "zarr.json").write_text("{")
    (store / "side=100" / "zarr.0123.partial").write_text("{")
    assert cell not in complete_cells(store)
    with writing(store, CONFIG):
        assert files_of(store) == before


def test_half_a_line_of_the_log_is_no_harm(store: Path) -> None:
    with (store / "log.jsonl").open("a") as log:
        log.write('{"event": "ce')
    add_to_log(store, {"event": "cell", "seconds": 2.0})
    assert [entry["event"] for entry in log_of(store)] == ["start", "cell"]


def test_a_disk_that_is_full_leaves_no_half_cell(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, cell = files_of(store), CONFIG.cells()[-1]
    write = xarray.Dataset.to_zarr

    def full(self: xarray.Dataset, place: Path, **options: object) -> None:
        write(self, place, **options)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(xarray.Dataset, "to_zarr", full)
    with pytest.raises(OSError, match="No space left on device; .* could not be written") as caught:
        write_cell(store, cell, made_up(cell))
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    left = files_of(store)
    assert {name for name in left if name not in before} <= {f"{cell.geometry}/zarr.json"}
    assert not list(store.rglob("*partial*"))
    write_cell(store, cell, made_up(cell))
    xarray.testing.assert_identical(open_study(store).load(cell), made_up(cell))


@contextlib.contextmanager
def _no_file_beyond(size: int) -> Iterator[None]:
    """As a full disk, but by the system itself: it writes no more than so many bytes to a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_system_that_takes_no_more_bytes_leaves_no_half_cell(store: Path) -> None:
    cell = CONFIG.cells()[-1]
    large = made_up(cell, grains=20_000)
    with _no_file_beyond(100_000), pytest.raises(OSError, match="repeat 1, every 2 µm, could not be written to .*room"):
        write_cell(store, cell, large)
    assert cell not in complete_cells(store)
    assert not list(store.rglob("*partial*"))


def test_a_system_that_takes_no_more_bytes_ends_the_log_with_a_clear_error(store: Path) -> None:
    size = (store / "log.jsonl").stat().st_size
    with _no_file_beyond(size + 5), pytest.raises(OSError, match="a line of the log could not be written to .*room"):
        add_to_log(store, {"event": "cell", "seconds": 1.0})
    add_to_log(store, {"event": "cell", "seconds": 2.0})
    assert [entry.get("seconds") for entry in log_of(store)] == [None, 2.0]


def test_a_system_that_takes_no_more_bytes_leaves_the_old_description(store: Path, tmp_path: Path) -> None:
    before = (store / "zarr.json").read_bytes()
    for place, config in ((store, dataclasses.replace(CONFIG, repeats=5)), (tmp_path / "new.zarr", CONFIG)):
        with (
            _no_file_beyond(100),
            pytest.raises(OSError, match="its description could not be written to .*room"),
            writing(place, config),
        ):
            pytest.fail("it was opened")
        assert not list(place.glob("*partial*"))
    assert (store / "zarr.json").read_bytes() == before
    with writing(tmp_path / "new.zarr", CONFIG):
        pass
