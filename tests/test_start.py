"""What is imported when: the package and the command start fast, and a missing extra is named."""

import signal
import subprocess
import sys

import pytest

from mmtjax.cli.main import COMMANDS, application
from mmtjax.lazy import LazyModule

#: Libraries of extras; and all that take long to import.
HEAVY = (
    "jax",
    "distributed",
    "dask",
    "pyarrow",
    "zarr",
    "bokeh",
    "matplotlib",
    "h5py",
    "pandas",
    "xarray",
    "scipy.stats",
)
EXTRAS = ("distributed", "dask", "pyarrow", "zarr", "bokeh")


def loaded(code: str, *names: str) -> set[str]:
    """Which of some modules a new interpreter has loaded after `code`."""
    script = f"import sys\n{code}\nprint(*(name for name in {names!r} if name in sys.modules))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(answer.stdout.splitlines()[-1].split())


def run_command(*arguments: str) -> str:
    """Return code that runs the command without printing."""
    return (
        "import contextlib, io\nfrom mmtjax.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n    main({list(arguments)!r})"
    )


def test_importing_the_package_loads_no_other() -> None:
    assert loaded("import mmtjax", *HEAVY) == set()


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)], ids=" ".join)
def test_the_help_of_the_command_loads_no_library_that_takes_long(arguments: tuple[str, ...]) -> None:
    assert loaded(run_command(*arguments), *HEAVY) == set()


def test_the_main_work_loads_no_library_of_an_extra() -> None:
    code = "import mmtjax\n(mmtjax.invert, mmtjax.Scan, mmtjax.Grains, mmtjax.simulate, mmtjax.invert_subdomains)"
    assert loaded(code, *EXTRAS, "matplotlib", "scipy.stats") == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_has_the_first_line_of_their_help(name: str) -> None:
    command = application([name])[name]
    assert COMMANDS[name] == command.help.strip().splitlines()[0]


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(ImportError, match=r"needs the package zorro; type: pip install 'mmtjax\[study\]'"):
        _ = LazyModule("zorro", extra="study").anything


def test_names_that_a_lazy_library_lacks() -> None:
    with pytest.raises(AttributeError, match="fractions.*nothing"):
        _ = LazyModule("fractions").nothing


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_imports_ends_the_process_though_a_library_catches_everything(number: int) -> None:
    script = (
        "import signal\nfrom mmtjax.cli.signals import ended_by_signals\n"
        f"with ended_by_signals():\n    try:\n        signal.raise_signal({int(number)})\n"
        "    except BaseException:\n        pass\n    print('went on')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (128 + number, "")
    assert ran.stderr == "interrupted; incomplete results are not written\n"
