"""Files that are there whole or not at all, and directories that one process at a time writes to."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Context in which a file is written under another name; it takes its own at the end, unless writing failed.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "text"
    >>> with beside(place) as partial:
    ...     _ = partial.write_text("whole")
    >>> place.read_text()
    'whole'
    """
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_alone(place: Path) -> Iterator[None]:
    """Context in which no other process that asks the same way writes to a directory.

    Raises
    ------
    BlockingIOError
        If another process does.
    """
    with (place / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                errno.EAGAIN, f"another process is computing into {place}; wait for it, or end it"
            ) from error
        yield
