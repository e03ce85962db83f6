"""Write files completely or not at all, and lock directories against other processes."""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mmtjax.errors import InputError, MissingFileError

LOCK = ".lock"


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
        If it is no JSON, or not an object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = "the file is missing"
        raise MissingFileError(msg, where=str(path), remedy=remedy) from error
    except (ValueError, RecursionError) as error:
        reason = "its values are nested too deeply" if isinstance(error, RecursionError) else error
        msg = f"the file does not read as JSON ({reason})"
        raise InputError(msg, where=str(path), remedy=remedy) from error
    if not isinstance(content, dict):
        msg = f"the file must hold an object in braces; it holds {str(content)[:80]!r}"
        raise InputError(msg, where=str(path), remedy=remedy)
    return content


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
