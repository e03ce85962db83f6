"""Output of the commands: progress, warnings, and errors that name options as a user types them."""

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mmtjax.errors import InputError, MemoryLimitError

#: Options of the command line by the argument of the library that they set, except for files of grains.
OPTIONS: Mapping[str, str] = {
    "allow_overlap": "--allow-overlap",
    "background": "--background",
    "bounds": "--bounds",
    "buffer": "--buffer",
    "core": "--core",
    "draws": "--draws",
    "format": "--scan-format",
    "frame": "--bounds-frame",
    "green": "--green",
    "height": "--height",
    "level": "--level",
    "mask": "--mask",
    "mask_true_is": "--mask-true-is",
    "maximum": "--maximum",
    "memory_limit": "--memory-limit",
    "method": "--method",
    "noise": "--noise",
    "origin": "--origin",
    "overwrite": "--overwrite",
    "parameters": "--parameters",
    "prior": "--prior",
    "side": "--side",
    "spacing": "--spacing",
    "time_limit": "--time-limit",
    "tolerance": "--tolerance",
    "unit": "--unit",
    "upward_continuation": "--upward-continuation",
    "variable": "--variable",
}

#: Options of the command line by the argument of the library that they set, for files of grains.
GRAIN_OPTIONS: Mapping[str, str] = {
    "allow_overlap": "--allow-overlap",
    "format": "--grains-format",
    "labels": "--labels",
    "lengths": "--lengths",
    "min_voxels": "--min-voxels",
    "origin": "--voxel-origin",
    "spacing": "--voxel-spacing",
    "surface": "--surface",
    "unit": "--grains-unit",
    "z": "--grains-z",
}


def with_option_names(message: str, options: Mapping[str, str] = OPTIONS) -> str:
    """Replace the Python arguments that a message names by the options of the command line.

    Examples
    --------
    >>> with_option_names("pass z='down', or origin=(x, y, z)", GRAIN_OPTIONS)
    'pass --grains-z down, or --voxel-origin x y z'
    >>> with_option_names("pass overwrite=True, or noise= in nT")
    'pass --overwrite, or --noise in nT'
    >>> with_option_names("got surface='zmax'; it has z, unit, allow_overlap", GRAIN_OPTIONS)
    'got --surface zmax; it has --grains-z, --grains-unit, --allow-overlap'
    >>> with_option_names("pass z='down', or spacing=0.75", {"z": "library_z =", "spacing": "library_voxel_spacing ="})
    "pass library_z = 'down', or library_voxel_spacing = 0.75"
    """

    def replaced(found: re.Match[str]) -> str:
        option, value = options[found["name"]], found["value"] or ""
        if option.endswith("="):
            # A key of a configuration file, where text keeps its quotes.
            return f"{option} {value}".rstrip()
        value = value.strip("'()").replace(",", "")
        return option + ("" if value in ("", "True") else f" {value}")

    def listed(found: re.Match[str]) -> str:
        return "it has " + ", ".join(options[name] for name in found["names"].split(", ") if name in options)

    # Words like "spacing" also occur in prose: they are arguments only where "=" follows or they hold an underscore.
    names = "|".join(sorted(options, key=len, reverse=True))
    value = r"(?P<value>'[^']*'|\([^)]*\)|\w[\w.+-]*\w|\w|)"
    message = re.sub(r"it has (?P<names>\w+(, \w+)*)$", listed, message)
    message = re.sub(rf"(?<![\w-])(?P<name>{names})={value}", replaced, message)
    names_with_underscore = "|".join(name for name in options if "_" in name)
    if not names_with_underscore:
        return message
    return re.sub(rf"(?<![\w-])(?P<name>{names_with_underscore})\b(?P<value>)", replaced, message)


@contextlib.contextmanager
def translate_errors(options: Mapping[str, str]) -> Iterator[None]:
    """Context in which errors about inputs and about memory name the options of the command line."""
    try:
        yield
    except InputError as error:
        raise InputError(with_option_names(str(error), options)) from error
    except MemoryLimitError as error:
        raise MemoryLimitError(with_option_names(str(error), options)) from error


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Context that collects warnings, each once, in the order in which they come.

    Yields
    ------
    list of str
        Empty until the context ends.
    """
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield messages
    messages.extend(dict.fromkeys(str(warning.message) for warning in caught))


#: Seconds between two lines about one stage where progress is written to a file.
_LINE_SECONDS = 30.0


class Stages:
    """Progress bars on standard error, one for each stage of the work; use it as a context.

    Where standard error is not a terminal, a line is printed when a stage first ends, and at most every half minute.

    Parameters
    ----------
    console
        The console to print to.
    """

    def __init__(self, console: Console) -> None:
        self.bars = Progress(
            TextColumn("{task.description:<20}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.start_times: dict[str, float] = {}
        self.ended: set[str] = set()
        self.last_update = self.last_line = self.bars.get_time()

    def __enter__(self) -> "Stages":
        """Show the bars."""
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop updating the bars."""
        self.bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts of `stage` are complete; a stage that is repeated starts its bar again."""
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total)
            # The first call comes when the first part of a stage is complete. The stage started at the last update of
            # the stage before it.
            self.bars.tasks[-1].start_time = self.start_times[stage] = self.last_update
        self.bars.update(self.tasks[stage], completed=done, total=total)
        self.last_update = now = self.bars.get_time()
        first_end = done >= total and stage not in self.ended
        if not self.bars.console.is_terminal and (first_end or now - self.last_line >= _LINE_SECONDS):
            elapsed = now - self.start_times[stage]
            self.bars.console.print(f"{stage}: {done} of {total}, {elapsed:.0f} s")
            self.last_line = now
        if first_end:
            self.ended.add(stage)
