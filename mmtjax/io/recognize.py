"""Recognize the kind of a file by its name and its first lines or the names of its arrays."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.cells import content_lines, text_table
from mmtjax.io.coordinates import are_coordinates
from mmtjax.io.npy import load_npy, load_npz
from mmtjax.io.parameters import DCI_KEYS, METADICT_KEYS
from mmtjax.io.qdmlab import is_b111, load_mat
from mmtjax.io.text import AnyPath, read_json, read_text, require_file

#: A word of prose: numbers that are missing are not.
_WORD = re.compile(r"(?i)\b(?!null\b|none\b)[^\W\d_]{4,}")

#: Number of rows that are examined.
_ROWS = 40

#: Moments of grains, A m², are below the first number; coordinates in a slice, m, are above the second.
_MOMENT_OR_POSITION = (1e-11, 1e-8)


def recognize(path: AnyPath) -> tuple[str, ...]:
    """Return the kinds that a file may be, the likeliest first; empty for a file of no known kind.

    Grains are ``cuboids``, ``voxels``, ``stack``, ``dragonfly`` or ``positions``; maps ``text``, ``npy``, ``qdmlab``,
    ``qdm`` or ``netcdf``; the rest ``moments``, ``multipoles``, ``mask``, ``b111``, ``domainbounds``,
    ``dci-parameters``, ``metadict`` and, for a directory, ``results``.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is empty, too damaged to recognize its kind, or has numbers that may be split in several ways.
    """
    if Path(path).is_dir():
        return ("results",) if all((Path(path) / name).is_file() for name in ("grains.csv", "maps.nc")) else ()
    suffix = require_file(path).suffix.lower()
    by_suffix = {
        ".npy": _recognize_npy,
        ".npz": _recognize_npz,
        ".mat": _recognize_mat,
        ".json": _recognize_json,
        ".tif": lambda _: ("stack",),
        ".tiff": lambda _: ("stack",),
        ".nc": lambda _: ("netcdf",),
        ".nc4": lambda _: ("netcdf",),
        ".h5": lambda _: ("netcdf",),
        ".qdm": lambda _: ("qdm",),
    }
    return by_suffix.get(suffix, _recognize_text)(path)


def _recognize_npy(path: AnyPath) -> tuple[str, ...]:
    array = load_npy(path)
    if array.ndim == 3 and array.dtype.kind in "biu":
        return ("stack",)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        return ()
    return ("mask",) if array.dtype == bool else ("npy",)


def _recognize_npz(path: AnyPath) -> tuple[str, ...]:
    return ("multipoles",) if "inv_multipole_moments" in load_npz(path) else ()


def _recognize_mat(path: AnyPath) -> tuple[str, ...]:
    content = load_mat(path)
    return ("qdmlab",) if "Bz" in content.variables else ("b111",) if is_b111(content) else ()


def _recognize_json(path: AnyPath) -> tuple[str, ...]:
    content = read_json(path)
    if METADICT_KEYS[0] in content:
        return ("metadict",)
    return ("dci-parameters",) if any(key in content for key in DCI_KEYS) else ()


def _recognize_text(path: AnyPath) -> tuple[str, ...]:
    lines = content_lines(read_text(path))
    if lines and "Label Index" in lines[0].text:
        return ("dragonfly",)
    try:
        sample = text_table(lines[:_ROWS], file=str(path))
    except InputError:
        # The readers raise the same error for numbers, and prose may hold numbers too.
        if any(_WORD.search(line.text) for line in lines[1:_ROWS]):
            return ()
        raise
    if sample is None:
        return ()
    columns = len(sample.rows[0])
    rows: list[list[float]] = []
    for line, cells in zip(sample.lines, sample.rows, strict=True):
        try:
            numbers = sample.layout.numbers(line, cells, file=str(path))
        except InputError:
            continue
        # The last line may be cut short; the reader of the file raises the error, with the number of the line.
        if len(numbers) == columns:
            rows.append(numbers)
    if not rows:
        return ()
    # The reader of maps raises the error about a list of points.
    headed = bool(sample.headings) and not are_coordinates(sample.headings)
    return _by_columns(np.array(rows), headed=headed, length=len(lines))


def _by_columns(table: Float[np.ndarray, "row column"], *, headed: bool, length: int) -> tuple[str, ...]:
    """Return the kinds of a table of numbers, from its first rows and the number of all its lines."""
    whole = np.all(table == np.round(table), axis=0)
    columns = table.shape[1]
    matrix = () if headed else ("text",)
    if columns == 1:
        return ("domainbounds",) if length == 4 else ()
    if columns == 4 and whole.all():
        return ("voxels", *matrix)
    if columns == 7 and whole[6] and np.all(table[:, 3:6] > 0):
        return ("cuboids", *matrix)
    if columns == 5 and whole[4] and np.all(table[:, 3] > 0):
        return (*_positions_or_moments(np.median(np.abs(table[:, :2]))), *matrix)
    return matrix


def _positions_or_moments(typical: float) -> tuple[str, ...]:
    """Decide between ``x y z volume id`` and ``mx my mz volume id`` by the typical size of the first two columns.

    Examples
    --------
    >>> _positions_or_moments(5e-4), _positions_or_moments(1e-13)
    (('positions',), ('moments',))
    """
    if typical > _MOMENT_OR_POSITION[1]:
        return ("positions",)
    return ("moments",) if typical < _MOMENT_OR_POSITION[0] else ("positions", "moments")
