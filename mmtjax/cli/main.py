"""The command line of mmtjax: all its commands, and the one place that sets JAX to double precision."""

import importlib.metadata
import sys
from collections.abc import Sequence

import jax
from cyclopts import App, CycloptsError, Parameter

from mmtjax.cli.demo import demo
from mmtjax.cli.design import design
from mmtjax.cli.failure import describe_failure
from mmtjax.cli.info import info
from mmtjax.cli.invert import invert
from mmtjax.cli.screen import error_screen, say, screen
from mmtjax.cli.signals import interrupted_by_signals
from mmtjax.cli.simulate import simulate
from mmtjax.cli.study import study
from mmtjax.cli.threshold import threshold

app = App(
    name="mmtjax",
    help="""Magnetization of every grain in a slice of rock, and which grains to believe.

New here? `mmtjax demo --out demo` makes a small sample, inverts it and shows the results. With data of your own, start
with `mmtjax info FILE`, which describes a file, and then see `mmtjax invert --help`.

Lengths are µm, fields nT, magnetizations A/m. z points up and is 0 at the surface of the sample: grains have negative
z, sensors a height of 0 or more. Row 0 of a map has the lowest y.""",
    version=importlib.metadata.version("mmtjax"),
    help_format="markdown",
    default_parameter=Parameter(negative=()),
)
for command in (invert, demo, info, simulate, threshold, study, design):
    app.command(command)


@interrupted_by_signals
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, by default with the arguments of the process.

    Returns
    -------
    int
        0; 1 if the command failed; 2 for invalid arguments; 130 if interrupted, 143 by SIGTERM, 129 by SIGHUP.
    """
    jax.config.update("jax_enable_x64", True)
    try:
        command, bound, _ = app.parse_args(
            sys.argv[1:] if arguments is None else list(arguments),
            console=screen(),
            exit_on_error=False,
            print_error=False,
        )
        command(*bound.args, **bound.kwargs)
    except CycloptsError as error:
        say(str(error).strip(), kind="error")
        return 2
    except KeyboardInterrupt:
        error_screen().print("interrupted; incomplete results are not written")
        return 130
    except Exception as error:  # Nothing leaves the command but a message.
        say(describe_failure(error), kind="error")
        return 1
    return 0
