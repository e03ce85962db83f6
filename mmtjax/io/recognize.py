"""What kind of file a file may be, by its name and its first lines or its index."""

import itertools
from pathlib import Path

import numpy as np

from mmtjax.io.arrays import load_npy, load_npz
from mmtjax.io.parameters import DCI_KEYS, METADICT_KEYS
from mmtjax.io.qdmlab import is_b111, load_mat
from mmtjax.io.text import AnyPath, is_number, read_json, read_text, require_file, split_cells

#: Rows that are looked at.
_ROWS = 40

#: A moment of a grain in A m² stays below, a place in a slice in m lies above.
_MOMENT_OR_PLACE = (1e-11, 1e-8)


def recognize(path: AnyPath) -> tuple[str, ...]:
    """Kinds that the file may be, the likeliest first; none for a file of no kind known here.

    Grains are ``cuboids``, ``voxels``, ``stack``, ``dragonfly`` or ``positions``; maps ``text``, ``npy``, ``qdmlab`` or
    ``netcdf``; the rest ``moments``, ``multipoles``, ``mask``, ``b111``, ``domainbounds``, ``dci-parameters``,
    ``metadict`` and, for a directory, ``results``.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If the file is empty, or so damaged that its kind does not show.
    """
    if Path(path).is_dir():
        return ("results",) if (Path(path) / "grains.parquet").is_file() else ()
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
    }
    return by_suffix.get(suffix, _recognize_text)(path)


def _recognize_npy(path: AnyPath) -> tuple[str, ...]:
    array = load_npy(path)
    if array.ndim == 3 and array.dtype.kind in "iu":
        return ("stack",)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        return ()
    return ("mask",) if array.dtype == bool else ("npy",)


def _recognize_npz(path: AnyPath) -> tuple[str, ...]:
    return ("multipoles",) if "inv_multipole_moments" in load_npz(path) else ()


def _recognize_mat(path: AnyPath) -> tuple[str, ...]:
    content = load_mat(path)
    return ("qdmlab",) if "Bz" in content else ("b111",) if is_b111(content) else ()


def _recognize_json(path: AnyPath) -> tuple[str, ...]:
    content = read_json(path)
    if METADICT_KEYS[0] in content:
        return ("metadict",)
    return ("dci-parameters",) if any(key in content for key in DCI_KEYS) else ()


def _recognize_text(path: AnyPath) -> tuple[str, ...]:
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return ()
    if "Label Index" in lines[0]:
        return ("dragonfly",)
    headed = not any(is_number(cell) for cell in split_cells(lines[0]))
    sample = [split_cells(line) for line in itertools.islice(lines, int(headed), _ROWS)]
    # The last line looked at may be cut short; its reader says so better than this function could.
    rows = [row for row in sample if len(row) == len(sample[0]) and all(map(is_number, row))]
    if not rows:
        return ()
    table = np.array(rows, np.float64)
    return _by_columns(table, headed=headed, length=len(lines))


def _by_columns(table: np.ndarray, *, headed: bool, length: int) -> tuple[str, ...]:
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
    """Which of the two tables of five columns, ``x y z volume id`` and ``mx my mz volume id``, has such numbers.

    Examples
    --------
    >>> _positions_or_moments(5e-4), _positions_or_moments(1e-13)
    (('positions',), ('moments',))
    """
    if typical > _MOMENT_OR_PLACE[1]:
        return ("positions",)
    return ("moments",) if typical < _MOMENT_OR_PLACE[0] else ("positions", "moments")
