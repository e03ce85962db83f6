"""Write a directory of results so that it is either complete or does not exist."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmtjax.errors import ExistingFileError, InputError
from mmtjax.io.text import AnyPath


@contextlib.contextmanager
def output_directory(path: AnyPath, *, overwrite: bool = False, inputs: Iterable[AnyPath] = ()) -> Iterator[Path]:
    """Context in which a directory is filled; it gets its name only when it is complete.

    Files go to a directory ``.<name>.partial-<process id>`` beside it, which is renamed when the context ends. An
    exception, including an interrupt from the keyboard, removes it and leaves an earlier directory unchanged.

    Parameters
    ----------
    path
        The directory to make; its parents are made as needed.
    overwrite
        Replace a directory of that name, with everything in it.
    inputs
        Files that must not be lost: a directory that holds one of them is not replaced.

    Yields
    ------
    pathlib.Path
        The directory to write into.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is not set, or if it is a file.
    ValueError
        If replacing the directory would delete an input or the working directory.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with output_directory(Path(folder) / "run") as partial:
    ...         _ = (partial / "note.txt").write_text("done")
    ...     [str(file.relative_to(folder)) for file in Path(folder).rglob("*.txt")]
    ['run/note.txt']
    """
    target, kept = Path(path).resolve(), list(inputs)
    _check_target(target, path, overwrite=overwrite, inputs=kept)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        _check_target(target, path, overwrite=overwrite, inputs=kept)
        _replace(target, partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _check_target(target: Path, path: AnyPath, *, overwrite: bool, inputs: list[AnyPath]) -> None:
    """Raise unless `target` does not exist or may be replaced; `path` is the name that the user gave."""
    if not target.exists():
        return
    if not target.is_dir():
        msg = f"{path} is a file; give the name of a directory to make"
        raise ExistingFileError(msg)
    if not overwrite:
        msg = f"{path} exists already; pass overwrite=True to replace it, or another name"
        raise ExistingFileError(msg)
    for needed, what in [(Path.cwd(), "the working directory"), *((Path(file), "an input") for file in inputs)]:
        if needed.resolve().is_relative_to(target):
            msg = f"replacing {path} would delete {what}, {needed}; give another name"
            raise InputError(msg)


def _replace(target: Path, partial: Path) -> None:
    """Rename `partial` to `target`; an earlier directory of that name is removed last."""
    if not target.exists():
        partial.rename(target)
        return
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
