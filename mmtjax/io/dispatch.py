"""Choose the reader of a file by its format, and check the options that the reader gets."""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from mmtjax.errors import InputError
from mmtjax.io.text import AnyPath
from mmtjax.precision import ArrayLike
from mmtjax.sources.grains import Grains

#: A value of an option of a reader; the reader checks it.
ReaderOption = ArrayLike | os.PathLike[str] | Grains | None

Content = TypeVar("Content")


def choose_format(
    path: AnyPath, formats: tuple[str, ...], *, format: str | None, candidates: tuple[str, ...], what: str
) -> str:
    """Return the format of a file: the one that the user names, or the one that the file looks like.

    Parameters
    ----------
    path
        The file, for the error.
    formats
        The formats that can be read here.
    format
        The format that the user names, if any.
    candidates
        The kinds that the file may be, as `recognize` returns them.
    what
        What the file should hold, for the error.

    Raises
    ------
    ValueError
        If the format is unknown, or if not exactly one of `candidates` can be read here.

    Examples
    --------
    >>> choose_format("a.txt", ("cuboids", "voxels"), format=None, candidates=("cuboids",), what="grains")
    'cuboids'
    """
    listed = ", ".join(map(repr, formats))
    if format is not None:
        if format not in formats:
            msg = f"format={format!r} is not known for {what}; use one of {listed}"
            raise InputError(msg)
        return format
    looks = " or ".join(map(repr, candidates)) or "no known format"
    if len(candidates) > 1:
        msg = f"{path} may be {looks}; if it holds {what}, pass format=, one of {listed}"
        raise InputError(msg)
    if not candidates or candidates[0] not in formats:
        msg = f"{path} looks like {looks}, not like {what}; if it holds {what}, pass format=, one of {listed}"
        raise InputError(msg)
    return candidates[0]


def call_reader(
    reader: Callable[..., Content], path: AnyPath, options: Mapping[str, ReaderOption], *, format: str
) -> Content:
    """Call the reader of a format with the options that are not None, and return what it reads.

    Parameters
    ----------
    reader
        Function of a path and of options by keyword.
    path
        The file.
    options
        Options by name; None stands for an option that is not given.
    format
        Name of the format, for the error.

    Raises
    ------
    ValueError
        For an option that the format does not have; the message lists those it has.
    """
    parameters = inspect.signature(reader).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        if name not in known:
            msg = f"{path}: format {format!r} has no option {name} (got {name}={value!r}); it has {', '.join(known)}"
            raise InputError(msg)
    return reader(path, **given)
