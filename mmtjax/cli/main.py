"""The command line of mmtjax: all its commands, and the one place that changes the configuration of JAX."""

import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from cyclopts import App, CycloptsError, Parameter

from mmtjax.cli.failure import describe_failure
from mmtjax.cli.program_cache import keep_compiled_programs
from mmtjax.cli.run_config import config_of, with_options_of
from mmtjax.cli.screen import error_screen, say, screen
from mmtjax.cli.signals import INTERRUPTED, ended_by_signals, interrupted_by_signals
from mmtjax.lazy import jax

#: The first line of the help of each command, which is imported when it is called, or its help is asked for.
COMMANDS: Mapping[str, str] = {
    "invert": "Find the magnetization, confidence sphere and uncertainty ratio of every grain from a map of Bz.",
    "page": "Write results as one HTML file with linked views: maps, plots, directions, grains in space, a table.",
    "export": "Write results in the formats of other programs.",
    "demo": (
        "Make a small sample, write it as files, invert them as `mmtjax invert` does, and compare with the truth."
    ),
    "info": (
        "Describe a file or a directory of results: its kind, contents, units, common mistakes, and how to read it."
    ),
    "simulate": (
        "Make up a sample and the map that a scan of it gives, as Out et al. (2022), and write both as files."
    ),
    "threshold": "Find the signal strength ratio above which grains may be believed, for a sample and scan of yours.",
    "study": "The limits of micromagnetic tomography from many synthetic samples, as in Out et al. (2022).",
    "design": (
        "Find the best setting of a scan before it is made: interval, standoff, thickness, sensor size and dwell."
    ),
}

_HELP = """Magnetization of every grain in a slice of rock, and which grains to believe.

New here? `mmtjax demo --out demo` makes a small sample, inverts it and shows the results. With data of your own, start
with `mmtjax info FILE`, which describes a file, and then see `mmtjax invert --help`.

Lengths are µm, fields nT, magnetizations A/m. z points up and is 0 at the surface of the sample: grains have negative
z, sensors a height of 0 or more. Row 0 of a map has the lowest y."""


def application(arguments: Sequence[str] = ()) -> App:
    """Return the command with all its commands, of which only those in `arguments` are imported.

    Examples
    --------
    >>> application().name
    ('mmtjax',)
    """
    app = App(
        name="mmtjax",
        help=_HELP,
        version=importlib.metadata.version("mmtjax"),
        help_format="markdown",
        default_parameter=Parameter(negative=()),
    )
    for name, summary in COMMANDS.items():
        # A help that is given here would replace all of the command's own.
        app.command(f"mmtjax.cli.{name}:{name}", name=name, help=None if name in arguments else summary)
    return app


@interrupted_by_signals
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, by default with the arguments of the process.

    Returns
    -------
    int
        0; 1 if the command failed; 2 for invalid arguments; 130 if interrupted, 143 by SIGTERM, 129 by SIGHUP.
    """
    config: Path | None = None
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        config = config_of(words)
        if config is not None:
            words = with_options_of(config, words)
        with ended_by_signals():
            command, bound, _ = application(words).parse_args(
                words, console=screen(), exit_on_error=False, print_error=False
            )
        # Help and version do without JAX, which takes longest to import.
        if "jax" in sys.modules:
            jax.config.update("jax_enable_x64", True)
            keep_compiled_programs()
        command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        say(str(error).strip() + ("" if config is None else f" (options are read from {config}, too)"), kind="error")
        return 2
    except KeyboardInterrupt:
        error_screen().print(INTERRUPTED)
        return 130
    except Exception as error:  # Nothing leaves the command but a message.
        say(describe_failure(error), kind="error")
        return 1
    return 0
