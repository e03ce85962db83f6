"""Write files completely or not at all, and lock directories against other processes."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"


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
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                errno.EAGAIN, f"another process is computing into {place}; wait for it, or end it"
            ) from error
        yield
