"""Write a directory of results so that it is either complete or does not exist."""

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmtjax.errors import ExistingFileError, InputError
from mmtjax.files import lock_file, read_json, real_path
from mmtjax.io.text import AnyPath

#: The list of the files that were written into a directory of results, and what the list says that it is.
LIST_OF_FILES, _KIND = ".mmtjax-results.json", "mmtjax results"


@contextlib.contextmanager
def output_directory(path: AnyPath, *, overwrite: bool = False, inputs: Iterable[AnyPath] = ()) -> Iterator[Path]:
    """Context in which a directory is filled; it gets its name only when it is complete.

    Files go to a directory ``.<name>.partial-<process id>`` beside it, which is renamed when the context ends. An
    exception, including an interrupt from the keyboard, removes it and leaves an earlier directory unchanged. What
    killed processes have left is removed by the next call for the same directory.

    Parameters
    ----------
    path
        The directory to make; its parents are made as needed.
    overwrite
        Replace a directory of that name that was written by this function, and holds nothing else.
    inputs
        Files and stores that must not be lost: a directory that holds one of them is not replaced.

    Yields
    ------
    pathlib.Path
        The directory to write into.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is not set, or holds a file that is not among its results, or if it is a file.
    ValueError
        If replacing the directory would delete an input, a store or the working directory, or it would lie in one.
    OSError
        If the system refuses to write; it names the directory where Python names no file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with output_directory(Path(folder) / "run") as partial:
    ...         _ = (partial / "note.txt").write_text("done")
    ...     [str(file.relative_to(folder)) for file in Path(folder).rglob("*.txt")]
    ['run/note.txt']
    """
    target, kept = real_path(path), list(inputs)
    _check_target(target, path, overwrite=overwrite, inputs=kept)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    with _locked(partial):
        partial.mkdir()
        try:
            yield partial
            _write_list(partial)
            _check_target(target, path, overwrite=overwrite, inputs=kept)
            _replace(target, partial)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno is not None and error.filename is None:
                # Where a write fails, as on a full disk, Python does not say in which file.
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise


def result_files(directory: AnyPath) -> list[str]:
    """Return the names of the files in a directory of results and below it, relative to it, without the list of them.

    Parameters
    ----------
    directory
        The directory.
    """
    folder = Path(directory)
    return sorted(
        str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file() and file.name != LIST_OF_FILES
    )


def _check_target(target: Path, path: AnyPath, *, overwrite: bool, inputs: list[AnyPath]) -> None:
    """Raise unless `target` does not exist or may be replaced; `path` is the name that the user gave."""
    if target.exists() and not target.is_dir():
        msg = f"{path} is a file; give the name of a directory to make"
        raise ExistingFileError(msg)
    if target.exists() and not overwrite:
        msg = f"{path} exists already; pass overwrite=True to replace it, or another name"
        raise ExistingFileError(msg)
    for needed, what in [(Path.cwd(), "the working directory"), *((file, "an input or store") for file in inputs)]:
        if real_path(needed).is_relative_to(target):
            msg = f"replacing {path} would delete {what}, {needed}; give another name"
            raise InputError(msg)
    for needed in inputs:
        if target.is_relative_to(real_path(needed)):
            msg = f"{path} lies in an input or store, {needed}; give another name"
            raise InputError(msg)
    if other := _other_file(target):
        msg = (
            f"{path} would be replaced with all that is in it, but {other} is not among the results that were written "
            "there; move it to another place, or give another name"
        )
        raise ExistingFileError(msg)


def _write_list(directory: Path) -> None:
    """Write the list of the files that are in a directory; only these are deleted when it is replaced."""
    content = {"kind": _KIND, "files": result_files(directory)}
    (directory / LIST_OF_FILES).write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _other_file(directory: Path) -> Path | None:
    """Return a file in a directory or below it that is not on the list of its folder or of one above; None if all are.

    A file is on the list of any folder between `directory` and itself; links are files here.
    """
    known: set[Path] = set()
    for folder, folders, files in os.walk(directory):
        place = Path(folder)
        if LIST_OF_FILES in files:
            known.add(place / LIST_OF_FILES)
            known.update(place / name for name in _listed(place / LIST_OF_FILES))
        links = [name for name in folders if (place / name).is_symlink()]
        for name in sorted([*files, *links]):
            if place / name not in known:
                return place / name
    return None


def _listed(file: Path) -> list[str]:
    """Return the names of the files on a list; none if it is not one of results."""
    content = read_json(file, remedy="give another name, or remove the directory yourself")
    names = content.get("files")
    if content.get("kind") != _KIND or not isinstance(names, list):
        return []
    return [name for name in names if isinstance(name, str)]


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


@contextlib.contextmanager
def _locked(partial: Path) -> Iterator[None]:
    """Hold the lock of an incomplete directory while the block runs, so that no other process takes it for left over.

    The lock is a file beside it. A process that has ended, however it did, holds no lock any more.
    """
    with _lock_of(partial).open("a") as lock:
        try:
            # Without locks of the file system, nothing can be known to be left over, so that nothing is removed.
            with contextlib.suppress(OSError):
                lock_file(lock)
            yield
        finally:
            _lock_of(partial).unlink(missing_ok=True)


def _lock_of(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.lock")


def _remove_leftovers(target: Path) -> None:
    """Remove incomplete directories of `target` whose processes have ended; put back what one was about to replace."""
    name = glob.escape(target.name)
    found = {entry.with_name(entry.name.removesuffix(".lock")) for entry in target.parent.glob(f".{name}.partial-*")}
    # A process that ended between the two renamings of `_replace` has left the earlier directory as the only one.
    olds = {
        old.with_name(f".{target.name}.partial-{old.name.rpartition('-')[2]}"): old
        for old in target.parent.glob(f".{name}.old-*")
    }
    for partial in sorted(found | set(olds)):
        with contextlib.suppress(OSError), _lock_of(partial).open("a") as lock:
            lock_file(lock)
            shutil.rmtree(partial, ignore_errors=True)
            if partial in olds:
                if target.exists():
                    shutil.rmtree(olds[partial], ignore_errors=True)
                else:
                    olds[partial].rename(target)
            _lock_of(partial).unlink(missing_ok=True)
