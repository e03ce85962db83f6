"""NumPy files, with an error a user can act on where they are cut short or hold Python objects."""

import zipfile
import zlib

import numpy as np

from mmtjax.io.text import AnyPath, require_file


def load_npy(path: AnyPath) -> np.ndarray:
    """Array of a ``.npy`` file.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If the file is cut short, is not a ``.npy`` file, or holds Python objects.
    """
    place = require_file(path)
    try:
        content = np.load(place, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{place} does not read as a .npy array ({error}); was its copy cut short?") from error
    if not isinstance(content, np.ndarray):
        raise ValueError(f"{place} is an archive of arrays (.npz) where one array (.npy) is expected")
    return content


def load_npz(path: AnyPath) -> dict[str, np.ndarray]:
    """Arrays of a ``.npz`` file by name.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If the file is cut short, is not a ``.npz`` file, or holds Python objects.
    """
    place = require_file(path)
    try:
        # NumPy leaves a file that it has opened itself open if the archive is damaged.
        with place.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{place} does not read as a .npz archive ({error}); was its copy cut short?") from error
