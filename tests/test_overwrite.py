"""Directories of results: what replaces them, what must not, and what killed processes leave."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmtjax.cli.failure import describe_failure
from mmtjax.io import output_directory
from mmtjax.io.output import LIST_OF_FILES, result_files


def written(place: Path, name: str = "old.txt") -> None:
    """Make a directory of results, or replace one."""
    with output_directory(place, overwrite=True) as partial:
        (partial / "figures").mkdir()
        (partial / "figures" / "map.png").touch()
        (partial / name).touch()


def test_results_are_replaced_with_their_folders(tmp_path: Path) -> None:
    written(tmp_path / "run")
    written(tmp_path / "run" / "inner")
    written(tmp_path / "run", "new.txt")
    assert result_files(tmp_path / "run") == ["figures/map.png", "new.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_an_empty_directory_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    written(tmp_path / "run")
    assert result_files(tmp_path / "run") == ["figures/map.png", "old.txt"]


@pytest.mark.parametrize(
    "name", ["thesis.tex", "figures/mine.svg", "work/problem.json", "study.zarr/zarr.json", "link"]
)
@pytest.mark.parametrize("results", [True, False])
def test_what_is_no_result_is_never_deleted(name: str, results: bool, tmp_path: Path) -> None:
    place = tmp_path / "run"
    if results:
        written(place)
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).symlink_to("..") if name == "link" else (place / name).write_text("mine")
    with pytest.raises(FileExistsError, match=rf"run would be replaced with all .*, but .*run/{name} is not among the"):
        written(place, "new.txt")
    assert (place / name).is_symlink() or (place / name).read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_what_is_put_there_meanwhile_is_not_deleted(tmp_path: Path) -> None:
    written(tmp_path / "run")

    def overtaken() -> None:
        with output_directory(tmp_path / "run", overwrite=True) as partial:
            (partial / "new.txt").touch()
            (tmp_path / "run" / "thesis.tex").touch()

    with pytest.raises(FileExistsError, match=r"run/thesis\.tex is not among"):
        overtaken()
    assert (tmp_path / "run" / "thesis.tex").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", '{"kind": 1}', '{"kind": "mmtjax results", "files": 3}'])
def test_a_damaged_list_of_results_allows_nothing(text: str, tmp_path: Path) -> None:
    written(tmp_path / "run")
    (tmp_path / "run" / LIST_OF_FILES).write_text(text)
    with pytest.raises(ValueError, match="run"):
        written(tmp_path / "run")
    assert (tmp_path / "run" / "old.txt").exists()


def test_a_store_is_neither_inside_nor_around_the_results(tmp_path: Path) -> None:
    for store, out, message in (
        ("run/work", "run", "replacing .*run would delete an input or store, .*run/work; give another name"),
        ("run", "run", "replacing .*run would delete an input or store"),
        ("work", "work/run", "work/run lies in an input or store, .*work; give another name"),
    ):
        with (
            pytest.raises(ValueError, match=message),
            output_directory(tmp_path / out, overwrite=True, inputs=[tmp_path / store]),
        ):
            pytest.fail("the work began")
    assert list(tmp_path.iterdir()) == []


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "run")
    with pytest.raises(ValueError, match="run cannot be used: its symbolic links lead in a circle"):
        written(tmp_path / "run")


HOLDING = """
import sys, time
from mmtjax.cli.failure import describe_failure
from mmtjax.io import output_directory
with output_directory(sys.argv[1], overwrite=True) as partial:
    (partial / "half.txt").touch()
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_killed_processes_leave_is_removed_and_what_runs_is_not(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "run")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        partial = tmp_path / f".run.partial-{process.pid}"
        written(tmp_path / "run")
        assert (partial / "half.txt").exists(), "the other process is running"
        process.send_signal(signal.SIGKILL)
    assert partial.exists()
    (tmp_path / ".run.partial-7").mkdir()
    (tmp_path / ".other.partial-7").mkdir()
    written(tmp_path / "run")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".other.partial-7", "run"]


def test_results_that_a_killed_process_had_renamed_return(tmp_path: Path) -> None:
    written(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / ".run.old-7")
    with pytest.raises(RuntimeError), output_directory(tmp_path / "run"):
        raise RuntimeError
    assert result_files(tmp_path / "run") == ["figures/map.png", "old.txt"]
    written(tmp_path / "run")
    (tmp_path / ".run.old-8").mkdir()
    written(tmp_path / "run")
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_is_named_by_the_directory(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught, output_directory(tmp_path / "run"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert describe_failure(caught.value) == (
        f"{tmp_path / 'run'}: No space left on device; make room, or give another place"
    )
    assert [file.name for file in tmp_path.iterdir()] == []


# Whoever runs the tests in the background may ignore these signals, and processes pass that on.
AS_USUAL = """
import signal
for one in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
"""

COMMAND = """
import sys, time
import mmtjax.cli.simulate as module
from mmtjax.cli.main import main

def slow(*_, **__):
    print("ready", flush=True)
    time.sleep(600)

module.make_sample = slow
sys.exit(main(["simulate", "--out", sys.argv[1]]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_that_end_a_command_leave_nothing(number: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", AS_USUAL + COMMAND, str(tmp_path / "run")]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(number)
        error = process.stderr.read()
    assert process.returncode == 128 + number
    assert "interrupted; incomplete results are not written" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ignoring = AS_USUAL + "signal.signal(signal.SIGHUP, signal.SIG_IGN)" + COMMAND
    command = [sys.executable, "-c", ignoring, str(tmp_path / "run")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM
