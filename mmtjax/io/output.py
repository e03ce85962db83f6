"""A directory of results that is there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmtjax.io.text import AnyPath


@contextlib.contextmanager
def output_directory(path: AnyPath, *, overwrite: bool = False, inputs: Iterable[AnyPath] = ()) -> Iterator[Path]:
    """Context in which to fill a directory that takes its name only once it is complete.

    Files go to a directory ``.<name>.partial-<process id>`` beside it. Leaving the context renames that; an exception,
    an interrupt from the keyboard included, removes it and leaves what was there before as it was.

    Parameters
    ----------
    path
        The directory to make; those above it are made as needed.
    overwrite
        Replace a directory of that name, with all that is in it.
    inputs
        Files that must not be lost: the directory is not replaced if it holds one of them.

    Yields
    ------
    pathlib.Path
        The directory to write into.

    Raises
    ------
    FileExistsError
        If `path` is there and `overwrite` is not set, or it is a file.
    ValueError
        If replacing it would delete an input or the working directory.

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
    _refuse(target, path, overwrite=overwrite, inputs=kept)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        _refuse(target, path, overwrite=overwrite, inputs=kept)
        _replace(target, partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _refuse(target: Path, path: AnyPath, *, overwrite: bool, inputs: list[AnyPath]) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise FileExistsError(f"{path} is a file; give the name of a directory to make")
    if not overwrite:
        raise FileExistsError(f"{path} is there already; pass overwrite=True to replace it, or another name")
    for precious, what in [(Path.cwd(), "the working directory"), *((Path(file), "an input") for file in inputs)]:
        if precious.resolve().is_relative_to(target):
            raise ValueError(f"replacing {path} would delete {what}, {precious}; give another name")


def _replace(target: Path, partial: Path) -> None:
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
