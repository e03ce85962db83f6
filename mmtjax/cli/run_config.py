"""Options of a run in a TOML file: read in front of those of the command line, and written beside the results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from mmtjax.errors import InputError
from mmtjax.files import read_toml

#: The value of an option.
OptionValue: TypeAlias = Path | str | float | tuple[float, ...] | list[float]

#: Name of the file beside the results.
RUN_CONFIG = "invert.toml"

#: Options that name files and directories. In a file of options, they are relative to its directory.
PATH_OPTIONS = ("bounds", "grains", "mask", "out", "parameters", "scan", "select", "subdomains")

_HEADING = "# All options of this run of mmtjax. To repeat it: mmtjax invert {name} --out DIR\n"


def config_of(words: Sequence[str]) -> Path | None:
    """Return the file of options that follows the name of a command, or None.

    Examples
    --------
    >>> config_of(["invert", "run.toml", "--out", "again"]).name
    'run.toml'
    >>> config_of(["invert", "--scan", "map.nc"]) is None
    True
    """
    named = len(words) > 1 and words[0] == "invert" and words[1].endswith(".toml")
    return Path(words[1]) if named else None


def with_options_of(config: Path, words: Sequence[str]) -> list[str]:
    """Return the words of a command with the options of a file in place of its name.

    Parameters
    ----------
    config
        TOML file whose keys are options, with hyphens or underscores; a switch is true or false. Paths are relative to
        its directory.
    words
        Name of the command, name of the file, and options, which replace those of the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not TOML, or a value is of a kind that no option has.
    """
    rest = list(words[2:])
    given = {word.partition("=")[0].removeprefix("--").replace("-", "_") for word in rest if word.startswith("--")}
    options: list[str] = []
    for key, value in read_toml(config, kind="the options").items():
        name = key.replace("-", "_")
        if name not in given:
            options += _words(name, value, config=config)
    return [words[0], *options, *rest]


def write_run_config(directory: Path, options: Mapping[str, OptionValue]) -> None:
    """Write the options of a run into a directory, as `with_options_of` reads them; paths become absolute.

    Parameters
    ----------
    directory
        An existing directory.
    options
        Values by the names of options, with underscores.
    """
    lines = [f"{name} = {_toml(value)}\n" for name, value in options.items()]
    text = _HEADING.format(name=RUN_CONFIG) + "".join(lines)
    (directory / RUN_CONFIG).write_text(text, encoding="utf-8")


def _words(name: str, value: Any, *, config: Path) -> list[str]:
    """Return an option as words of a command line."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, list) and value and all(isinstance(one, int | float) for one in value):
        return [option, *map(repr, value)]
    if isinstance(value, str) and name in PATH_OPTIONS:
        return [f"{option}={config.parent / value}"]
    if isinstance(value, str | int | float):
        return [f"{option}={value}"]
    msg = f"{name} = {value!r} is not the value of an option"
    raise InputError(msg, where=str(config), remedy="give a number, a text, true or false, or a list of numbers")


def _toml(value: OptionValue) -> str:
    """Return a value in the notation of TOML.

    Examples
    --------
    >>> _toml("Bz [nT]"), _toml(True), _toml((0.5, 1))
    ('"Bz [nT]"', 'true', '[0.5, 1]')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value.absolute()) if isinstance(value, Path) else str(value)
    # JSON and TOML write text alike, but for the character DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
