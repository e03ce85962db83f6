"""Write files completely or not at all, and lock directories against other processes."""

import contextlib
import errno
import fcntl
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mmtjax.errors import InputError, MissingFileError

LOCK = ".lock"

_TOO_DEEP = "its values are nested too deeply"


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a file or directory, which need not exist, without symbolic links.

    Parameters
    ----------
    path
        The path, also relative.

    Raises
    ------
    ValueError
        For symbolic links that lead in a circle.

    Examples
    --------
    >>> real_path("runs/../results").name
    'results'
    """
    try:
        return Path(path).resolve()
    except (RuntimeError, OSError) as error:
        msg = f"{path} cannot be used: its symbolic links lead in a circle"
        raise InputError(msg, remedy="remove the links, or give another name") from error


def read_json(path: Path, *, remedy: str) -> dict[str, Any]:
    """Return the object of a JSON file, whose values may be of any type.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do where it is damaged.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        As `json_object`.
    """
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = "the file is missing"
        raise MissingFileError(msg, where=str(path), remedy=remedy) from error
    return json_object(text, where=str(path), remedy=remedy)


def json_object(text: str | bytes, *, where: str, remedy: str) -> dict[str, Any]:
    """Return the object that a text holds in JSON, whose values may be of any type.

    Parameters
    ----------
    text
        The text.
    where, remedy
        The file that it is of, and what to do where it is damaged.

    Raises
    ------
    ValueError
        If it is no JSON, not an object, or has a key twice, of which JSON keeps the last.

    Examples
    --------
    >>> json_object('{"a": 1, "b": [2]}', where="problem.json", remedy="remove it")
    {'a': 1, 'b': [2]}
    """
    try:
        content = json.loads(text, object_pairs_hook=_without_repeats)
    except InputError as error:
        raise InputError(str(error), where=where) from error
    except (ValueError, RecursionError) as error:
        # ValueError is raised for integers of thousands of digits too.
        reason = _TOO_DEEP if isinstance(error, RecursionError) else error
        msg = f"the file does not read as JSON ({reason})"
        raise InputError(msg, where=where, remedy=remedy) from error
    if not isinstance(content, dict):
        msg = f"the file must hold an object in braces; it holds {str(content)[:80]!r}"
        raise InputError(msg, where=where, remedy=remedy)
    return content


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the dictionary of a JSON object; raise ValueError if it has a key twice."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        msg = f"the key {repeated!r} occurs {keys.count(repeated)} times; keep one"
        raise InputError(msg)
    return content


def read_toml(path: str | os.PathLike[str], *, kind: str) -> dict[str, Any]:
    """Return the tables of a TOML file, whose values may be of any type.

    Parameters
    ----------
    path
        The file.
    kind
        What the file is of, for the error.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no TOML.
    """
    place = Path(path)
    if not place.is_file():
        msg = f"{path} does not exist; give the TOML file of {kind}"
        raise MissingFileError(msg)
    try:
        return tomllib.loads(place.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = _TOO_DEEP if isinstance(error, RecursionError) else str(error)
        raise InputError(msg, where=str(path)) from error


@contextlib.contextmanager
def replace_when_complete(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, and rename it to `path` when the block ends without an error.

    Parameters
    ----------
    path
        The file to write or replace.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "text"
    >>> with replace_when_complete(file) as partial:
    ...     _ = partial.write_text("complete")
    >>> file.read_text()
    'complete'
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(place: Path) -> None:
    """Remove what killed processes have left of `replace_when_complete` in a directory that this process has locked.

    Parameters
    ----------
    place
        The directory.
    """
    for leftover in place.glob(".*.partial-*"):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def lock_directory(place: Path) -> Iterator[None]:
    """Hold the lock of a directory, which one process at a time can have, while the block runs.

    Parameters
    ----------
    place
        The directory; the lock is its file `LOCK`.

    Raises
    ------
    BlockingIOError
        If another process has the lock.
    """
    with (place / LOCK).open("a") as lock:
        try:
            lock_file(lock)
        except BlockingIOError as error:
            raise BlockingIOError(
                errno.EAGAIN, f"another process is computing into {place}; wait for it, or end it"
            ) from error
        yield


def lock_file(file: TextIO) -> None:
    """Lock an open file against other processes until it is closed, also by the end of this process.

    Raises
    ------
    BlockingIOError
        If another process has locked it.
    OSError
        If the file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
