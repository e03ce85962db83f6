"""Read NumPy files, with errors that say what to do where a file is damaged or holds Python objects."""

import zipfile
from pathlib import Path

import numpy as np

from mmtjax.errors import InputError, MemoryLimitError
from mmtjax.inversion.memory import available_memory
from mmtjax.io.text import AnyPath, require_file

_NPY_START, _ZIP_START = b"\x93NUMPY", b"PK"


def load_npy(path: AnyPath) -> np.ndarray:
    """Read the array of numbers of a ``.npy`` file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short or damaged, is not a ``.npy`` file, or holds Python objects, texts or records.
    """
    file = require_file(path)
    with file.open("rb") as stream:
        start = stream.read(len(_NPY_START))
        if start.startswith(_ZIP_START):
            msg = f"{file} is an archive of arrays (.npz) where one array (.npy) is expected"
            raise InputError(msg)
        if start != _NPY_START:
            msg = f"{file} is not a .npy file: it begins with {start!r} instead of {_NPY_START!r}"
            raise InputError(msg)
        stream.seek(0)
        try:
            content = np.lib.format.read_array(stream, allow_pickle=False)
        except Exception as error:  # any, because the header of a damaged file is parsed as Python
            raise _unreadable(file, ".npy array", error) from error
    if content.dtype.kind not in "biufc":
        msg = f"{file} holds values of type {content.dtype} where numbers are expected"
        raise InputError(msg)
    return content


def load_npz(path: AnyPath) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.npz`` file by name.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short or damaged, is not a ``.npz`` file, or holds Python objects.
    MemoryError
        If the arrays take more than half of the memory of the machine.
    """
    file = require_file(path)
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception as error:  # any, because what zipfile raises on a damaged file is not documented
        raise _unreadable(file, ".npz archive", error) from error
    if size > available_memory() // 2:
        msg = f"{file}: its arrays take {size / 2**30:.3g} GiB, more than half of the memory of this machine"
        raise MemoryLimitError(msg, remedy="is it damaged? If not, save a smaller part of it")
    try:
        # NumPy does not close a file that it has opened itself if the archive is damaged.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except Exception as error:  # any, as above, and because headers are parsed as Python
        raise _unreadable(file, ".npz archive", error) from error
    # Members that are not arrays are bytes.
    return {name: array for name, array in members.items() if isinstance(array, np.ndarray)}


def _unreadable(file: Path, kind: str, error: Exception) -> InputError:
    """Return the error of a file that NumPy cannot read."""
    if "allow_pickle" in str(error):
        msg = f"{file} holds Python objects, which are not read, because reading them runs code; save plain numbers"
        return InputError(msg)
    return InputError(f"{file} does not read as a {kind} ({error}); was its copy cut short?")
