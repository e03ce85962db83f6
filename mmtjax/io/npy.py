"""Read NumPy files, with errors that say what to do where a file is cut short or holds Python objects."""

import zipfile
import zlib

import numpy as np

from mmtjax.errors import InputError
from mmtjax.io.text import AnyPath, require_file


def load_npy(path: AnyPath) -> np.ndarray:
    """Read the array of a ``.npy`` file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, is not a ``.npy`` file, or holds Python objects.
    """
    file = require_file(path)
    try:
        content = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        msg = f"{file} does not read as a .npy array ({error}); was its copy cut short?"
        raise InputError(msg) from error
    if not isinstance(content, np.ndarray):
        msg = f"{file} is an archive of arrays (.npz) where one array (.npy) is expected"
        raise InputError(msg)
    return content


def load_npz(path: AnyPath) -> dict[str, np.ndarray]:
    """Read the arrays of a ``.npz`` file by name.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, is not a ``.npz`` file, or holds Python objects.
    """
    file = require_file(path)
    try:
        # NumPy does not close a file that it has opened itself if the archive is damaged.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        msg = f"{file} does not read as a .npz archive ({error}); was its copy cut short?"
        raise InputError(msg) from error
