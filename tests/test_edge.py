"""What leaves the command: text as it is, on any terminal, and one clear message for every error."""

import ast
import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

from mmtjax import Grains, Scan, SensorGrid, cli, forward
from mmtjax.cli.failure import describe_failure
from mmtjax.cli.screen import OutputStream, encodable
from mmtjax.errors import InputError, MmtjaxError, SetupError
from mmtjax.io.output import result_files
from mmtjax.platform import require_device
from mmtjax.report.summary import listing

PACKAGE = Path(cli.__file__).resolve().parents[1]
CUBOIDS = [[5, 5, -4, 1, 1, 1, 1], [12, 11, -5, 1.5, 1, 1, 2]]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Folder with a small map and its grains, whose names hold what rich and terminals take for markup."""
    folder = tmp_path_factory.mktemp("study [x] [")
    grid = SensorGrid(origin=(0, 0), spacing=1, shape=(16, 17), height=2)
    field = np.asarray(forward(Grains.from_cuboids(CUBOIDS), np.array([[1e4, 0, 2e4], [0, 1e4, -1e4]]), grid))
    noise = np.random.default_rng(0).normal(0, 20, field.shape)
    Scan(field + noise, grid, noise=20.0).to_xarray().to_netcdf(folder / "nrm] :cat: map.nc", engine="h5netcdf")
    np.savetxt(folder / "bold] grains [red].txt", CUBOIDS)
    return folder


def invert(inputs, out, *others):
    files = ["--scan", inputs / "nrm] :cat: map.nc", "--grains", inputs / "bold] grains [red].txt", "--grains-z", "up"]
    return cli.main(["invert", *map(str, [*files, "--lengths", "half", "--no-figures", "--out", out, *others])])


def test_brackets_of_names_are_printed_as_they_are(inputs, tmp_path, capsys):
    assert invert(inputs, tmp_path / "out[nrm]") == 0
    assert f"Results in {tmp_path}/out[nrm]: grains.csv" in capsys.readouterr().out
    assert invert(inputs, tmp_path / "out[nrm]") == 1
    assert "out[nrm] exists already" in capsys.readouterr().err
    for name in ("nrm] :cat: map.nc", "bold] grains [red].txt"):
        assert cli.main(["info", str(inputs / name)]) == 0
        assert f"{inputs.name}/{name}" in re.sub(r"\s*\n\s*", "", capsys.readouterr().out)
    assert cli.main(["info", str(inputs / "no[/thing]")]) == 1
    assert "no[/thing]" in capsys.readouterr().err
    assert cli.main(["info", "[/bold]", "--nois[/e]", "3"]) == 2
    assert "--nois[/e]" in capsys.readouterr().err


def test_info_prints_the_axes_of_a_map(tmp_path, capsys):
    np.savetxt(tmp_path / "map[nrm].txt", np.arange(54.0).reshape(6, 9))
    assert cli.main(["info", str(tmp_path / "map[nrm].txt")]) == 0
    printed = capsys.readouterr().out
    assert "[y, x] = (6, 9)" in printed
    assert "map[nrm].txt" in printed


def test_tables_hold_no_markup_on_a_console_of_the_user():
    written = io.StringIO()
    Console(file=written, width=200).print(listing({"[y, x]": "a [/] b \x1b[31m"}, title="[nan]"))
    assert all(text in written.getvalue() for text in ("[y, x]", "a [/] b \\x1b[31m", "[nan]"))


def test_only_one_place_makes_consoles():
    """Consoles of `mmtjax.cli.screen` take nothing for markup; any other would."""
    places = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Console", "print")
    }
    assert places == {"cli/screen.py"}


def test_dollars_in_the_name_of_an_objective_are_no_formula():
    axes = Figure().subplots()
    # matplotlib refuses this formula; the figures of a design set labels this way.
    axes.set_ylabel(r"cost in $ of \frac$", parse_math=False)
    axes.figure.draw_without_rendering()
    source = (PACKAGE / "plot" / "design_figures.py").read_text(encoding="utf-8")
    assert source.count("axis_label(") - 1 == len(re.findall(r"axis_label\([^)]*\), parse_math=False", source))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            InputError("got 2", where="a.txt, line 3", remedy="pass overwrite=True"),
            "a.txt, line 3: got 2; pass --overwr",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "out/a"), "out/a: No space left on device; make room"),
        (
            OSError(errno.ELOOP, "Too many levels of symbolic links", "a.txt"),
            "a.txt: Too many .* leads to itself",
        ),
        (OSError("cannot be read"), "^cannot be read$"),
        (OSError(), "^OSError$"),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
            "a bug in mmtjax: UnicodeDecodeError.* has the",
        ),
        (MemoryError(), "^memory ran out; compute less"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore"), r"allocating 9 bytes\.\); comp"),
        (KeyError("version"), "this is a bug in mmtjax: KeyError: 'version'; please report it"),
    ],
)
def test_every_error_has_a_message_of_one_line(error, message, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    described = describe_failure(error)
    assert re.search(message, described), described
    assert "\n" not in described


def test_a_bug_leaves_its_traceback_in_a_file(monkeypatch, tmp_path, capsys):
    def broken(*_):
        raise KeyError("version")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("mmtjax.cli.info.describe", broken)
    assert cli.main(["info", "a"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: this is a bug in mmtjax")
    assert "Traceback" not in printed
    (file,) = tmp_path.iterdir()
    assert str(file) in printed
    assert "in broken" in file.read_text()
    file.unlink()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nothing"))
    assert "in broken" in describe_failure(KeyError("version")) or "KeyError" in describe_failure(KeyError("version"))


def test_all_errors_of_a_command_keep_their_text():
    """Errors with constructors of their own, such as that of a bad byte, are not made anew with one text."""
    for kind in (MmtjaxError, *MmtjaxError.__subclasses__()):
        assert describe_failure(kind("what", where="a", remedy="do")) == "a: what; do"


class ClosedPipe(io.TextIOBase):
    """A stream that fails as one whose reader has gone, or whose disk is full."""

    def __init__(self, number):
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
def test_results_are_complete_though_they_cannot_be_printed(number, inputs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", ClosedPipe(number))
    assert invert(inputs, tmp_path / "out") == 0
    files = {"grains.csv", "grains.nc", "grains.parquet", "invert.toml", "maps.nc"}
    assert set(result_files(tmp_path / "out")) == files
    assert ("are complete, but not all about them could be printed" in capsys.readouterr().err) == (
        number != errno.EPIPE
    )


def test_progress_that_cannot_be_printed_does_not_end_a_run(inputs, tmp_path, monkeypatch):
    for number in (errno.EPIPE, errno.ENOSPC):
        monkeypatch.setattr(sys, "stderr", ClosedPipe(number))
        assert invert(inputs, tmp_path / f"out-{number}") == 0
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    assert invert(inputs, tmp_path / "out") == 0


def test_what_is_printed_alone_fails_on_a_full_disk_and_not_on_a_pipe_that_ends(inputs, monkeypatch, capsys):
    for number, code in ((errno.ENOSPC, 1), (errno.EPIPE, 0)):
        monkeypatch.setattr(sys, "stdout", ClosedPipe(number))
        assert cli.main(["info", str(inputs / "nrm] :cat: map.nc")]) == code
    assert capsys.readouterr().err == "error: standard output: No space left on device\n"


COMMAND = "import sys; from mmtjax.cli.main import main; sys.exit(main())"


def test_the_end_of_a_process_adds_nothing(inputs, tmp_path):
    """Python writes what is left in its buffers when it ends, and would fail there again."""
    file, environment = str(inputs / "nrm] :cat: map.nc"), os.environ | {"PYTHONIOENCODING": "ascii"}
    script = (
        '"$0" -c "$1" info "$2" > /dev/full; echo $?; "$0" -c "$1" info "$2" | head -c 1 > "$3"; echo ${PIPESTATUS[0]}'
    )
    arguments = ["bash", "-c", script, sys.executable, COMMAND, file, str(tmp_path / "first")]
    ran = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout.split() == ["1", "0"]
    assert ran.stderr == "error: standard output: No space left on device\n"


def test_ascii_terminals_get_ascii(inputs, tmp_path, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert invert(inputs, tmp_path / "ö") == 0
    for arguments in (["--help"], ["invert", "--help"], ["info", str(inputs / "nrm] :cat: map.nc")]):
        assert cli.main(arguments) == 0
    printed = raw.getvalue().decode("ascii")
    assert "reduced chi^2" in printed
    assert "um above the surface" in printed
    assert "\\xf6: grains.csv" in printed


def test_every_sign_of_the_package_has_a_form_in_ascii():
    """Signs that commands print are not left as escapes; names of files are, for another name is another file."""
    assert encodable("µm, 5 × 5, χ² ≤ 3 ± 1, −1 … 10³/mm³ · 90 °, √2 ≥ 1, ≠, σ, nT⁻¹", "ascii") == (
        "um, 5 x 5, chi^2 <= 3 +- 1, -1 ... 10^3/mm^3 * 90  deg, sqrt2 >= 1, !=, sigma, nT^-1"
    )
    assert encodable("grün \udcff", "utf-8") == "grün \\udcff"


def test_a_stream_that_is_closed_is_dropped(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    stream = OutputStream("stdout")
    assert stream.write("text") == 4
    assert not stream.isatty()
    with pytest.raises(io.UnsupportedOperation, match="no standard output"):
        stream.fileno()


@pytest.mark.parametrize(
    "error", [RuntimeError("Unable to initialize backend 'metal': no such\nmore"), AssertionError()], ids=repr
)
def test_a_platform_that_is_not_there_is_named(error, monkeypatch):
    def absent():
        raise error

    monkeypatch.setattr(jax, "devices", absent)
    with pytest.raises(SetupError, match="platform that JAX_PLATFORMS asks for.*; unset JAX_PLATFORMS, or"):
        require_device()
    assert "JAX_PLATFORMS" in describe_failure(AssertionError())


@pytest.mark.parametrize("platform", ["metal", "cuda"])
def test_jax_platforms_of_a_command(platform, inputs, tmp_path):
    if platform == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("this computer has that platform")
    arguments = ["simulate", "--side", "30", "--thickness", "20", "--out", str(tmp_path / "out")]
    environment = os.environ | {"JAX_PLATFORMS": platform}
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(
        f"error: JAX cannot start on '{platform}', the platform that JAX_PLATF"
    )
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []
