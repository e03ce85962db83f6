"""How the commands speak: progress, warnings, and messages of the library in the words that a user can type."""

import contextlib
import re
import warnings
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

#: Arguments of the library, and the options that stand for them, for all that is not a file of grains.
OPTIONS: Mapping[str, str] = {
    "allow_overlap": "--allow-overlap",
    "bounds": "--bounds",
    "buffer": "--buffer",
    "core": "--core",
    "draws": "--draws",
    "format": "--scan-format",
    "frame": "--bounds-frame",
    "height": "--height",
    "level": "--level",
    "mask": "--mask",
    "mask_true_is": "--mask-true-is",
    "memory_limit": "--memory-limit",
    "method": "--method",
    "noise": "--noise",
    "origin": "--origin",
    "overwrite": "--overwrite",
    "parameters": "--parameters",
    "prior": "--prior",
    "side": "--side",
    "spacing": "--spacing",
    "tolerance": "--tolerance",
    "unit": "--unit",
    "upward_continuation": "--upward-continuation",
    "variable": "--variable",
}

#: The same where it is a file of grains that is read.
GRAIN_OPTIONS: Mapping[str, str] = {
    "allow_overlap": "--allow-overlap",
    "format": "--grains-format",
    "lengths": "--lengths",
    "min_voxels": "--min-voxels",
    "origin": "--voxel-origin",
    "spacing": "--voxel-spacing",
    "surface": "--surface",
    "unit": "--grains-unit",
    "z": "--grains-z",
}


def with_option_names(message: str, options: Mapping[str, str] = OPTIONS) -> str:
    """`message` with the arguments of Python that it names as options of the command.

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

    def option(found: re.Match[str]) -> str:
        word, value = options[found["name"]], found["value"] or ""
        if word.endswith("="):
            # A key of a file, where text has its quotes.
            return f"{word} {value}".rstrip()
        value = value.strip("'()").replace(",", "")
        return word + ("" if value in ("", "True") else f" {value}")

    def listed(found: re.Match[str]) -> str:
        return "it has " + ", ".join(options[name] for name in found["names"].split(", ") if name in options)

    # A name is one where a value follows, or where its underscore tells.
    names = "|".join(sorted(options, key=len, reverse=True))
    value = r"(?P<value>'[^']*'|\([^)]*\)|\w[\w.+-]*\w|\w|)"
    message = re.sub(r"it has (?P<names>\w+(, \w+)*)$", listed, message)
    message = re.sub(rf"(?<![\w-])(?P<name>{names})={value}", option, message)
    words = "|".join(name for name in options if "_" in name)
    if not words:
        return message
    return re.sub(rf"(?<![\w-])(?P<name>{words})\b(?P<value>)", option, message)


@contextlib.contextmanager
def translate_errors(options: Mapping[str, str]) -> Iterator[None]:
    """Context in which errors of values name options of the command."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (ValueError, MemoryError) as error:
        raise type(error)(with_option_names(str(error), options)) from error


@contextlib.contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Context that collects warnings, each once, in the order in which they come; the list is filled at its end."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield messages
    messages.extend(dict.fromkeys(str(warning.message) for warning in caught))


#: Seconds between two lines about one stage where progress goes to a file.
_LINE_SECONDS = 30.0


class Stages:
    """Bars of progress on standard error, one for each stage that is heard of; use it as a context.

    Where standard error is no terminal there is a line where a stage first ends, and now and then.
    """

    def __init__(self, console: Console) -> None:
        self.bars = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.tasks: dict[str, TaskID] = {}
        self.ended: set[str] = set()
        self.last_heard = self.last_line = self.bars.get_time()

    def __enter__(self) -> "Stages":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show `done` of `total` of `stage`; a stage that begins anew begins its bar anew."""
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total)
            # A stage is heard of when its first part is done: it began when the stage before it was last heard of.
            self.bars.tasks[-1].start_time = self.last_heard
        self.bars.update(self.tasks[stage], completed=done, total=total)
        self.last_heard = now = self.bars.get_time()
        ends = done >= total and stage not in self.ended
        if not self.bars.console.is_terminal and (ends or now - self.last_line >= _LINE_SECONDS):
            elapsed = now - self.bars.tasks[self.tasks[stage]].start_time
            self.bars.console.print(f"{stage}: {done} of {total}, {elapsed:.0f} s", highlight=False, markup=False)
            self.last_line = now
        if ends:
            self.ended.add(stage)
