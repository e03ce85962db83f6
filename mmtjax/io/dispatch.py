"""The choice of a reader by what a file looks like, and the check of the options it is given."""

import inspect
from collections.abc import Callable

from mmtjax.io.text import AnyPath


def choose_format(
    path: AnyPath, formats: tuple[str, ...], *, format: str | None, candidates: tuple[str, ...], what: str
) -> str:
    """The one of `formats` that a file has.

    Parameters
    ----------
    path
        The file, for the error.
    formats
        The formats that can be read here.
    format
        The format that the user names; overrides what the file looks like.
    candidates
        The kinds that the file may be.
    what
        What is looked for, for the error.

    Raises
    ------
    ValueError
        If the format is unknown, or none or several of `candidates` can be read here.

    Examples
    --------
    >>> choose_format("a.txt", ("cuboids", "voxels"), format=None, candidates=("cuboids",), what="grains")
    'cuboids'
    """
    listed = ", ".join(map(repr, formats))
    if format is not None:
        if format not in formats:
            raise ValueError(f"format={format!r} is not known for {what}; use one of {listed}")
        return format
    looks = " or ".join(map(repr, candidates)) or "nothing known here"
    if len(candidates) > 1:
        raise ValueError(f"{path} may be {looks}; if it holds {what}, say as what by format=, one of {listed}")
    if not candidates or candidates[0] not in formats:
        raise ValueError(
            f"{path} looks like {looks}, not like {what}; if it holds {what}, pass format=, one of {listed}"
        )
    return candidates[0]


def call_reader(reader: Callable, path: AnyPath, options: dict[str, object], *, format: str) -> object:
    """What `reader` makes of `path` with those of `options` that are not None.

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
            raise ValueError(
                f"{path}: format {format!r} has no option {name} (got {name}={value!r}); it has {', '.join(known)}"
            )
    return reader(path, **given)
