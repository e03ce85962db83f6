"""Store the columns of a block of sensors, and read them again without a copy."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError
from mmtjax.greens.compressed.frame import TreeColumns
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.greens.compressed.tree import Square, leaf_vandermonde
from mmtjax.parallel.saved_arrays import load_arrays, save_arrays
from mmtjax.precision import AnyArray
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains
from mmtjax.unknowns import Unknowns

#: Columns of the table of squares: level, row and column, and the numbers of near and far sources and of children.
_SQUARE = 6

#: The arrays of a block: the table of squares, leaves first; sources near to each and far from it, with the index of
#: the series of the latter; flat indices of the sensors of each leaf; columns of near sources; polynomials of far ones.
_INDICES = ("squares", "near", "far", "form", "sensors")
_NAMES = (*_INDICES, "leaves", "polynomials")


def save_block(green: CompressedGreen, path: Path, *, owner: str) -> None:
    """Write the columns of an operator to a file.

    Parameters
    ----------
    green
        The operator of all grains over a block of sensors.
    path, owner
        As for `save_arrays`.
    """
    squares = [square for level in green.levels for square in level]
    table = [(one.level, one.row, one.column, len(one.near), len(one.far), len(one.children)) for one in squares]
    save_arrays(
        {
            "squares": np.array(table, np.int64),
            "near": [square.near for square in squares],
            "far": [square.far for square in squares],
            "form": [square.form for square in squares],
            "sensors": np.stack(green.sensors),
            "leaves": [np.asarray(columns) for columns in green.leaves],
            "polynomials": [np.asarray(own) for level in green.polynomials for own in level],
        },
        path,
        owner=owner,
    )


def load_block(path: Path, grains: Grains, grid: SensorGrid, *, owner: str) -> CompressedGreen:
    """Return the operator of `save_block`; its columns are read from the disk when they are used.

    Parameters
    ----------
    path, owner
        As for `load_arrays`.
    grains, grid
        All grains, and the sensors of the block.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, or its arrays are not those of a block of these grains and sensors.
    """
    arrays = load_arrays(path, _NAMES, owner=owner)
    unknowns = Unknowns((grains.unknowns,))
    components = len(grains.components)
    _check(arrays, grains, grid, path=path)
    table = arrays["squares"]
    near, far, form = (
        _divided(arrays[name], table[:, column]) for name, column in (("near", 3), ("far", 4), ("form", 4))
    )
    polynomials = _divided(arrays["polynomials"], components * table[:, 4])
    levels: list[list[Square]] = [[] for _ in range(int(table[-1, 0]) + 1)]
    stored: list[list[Float[AnyArray, "far_unknown term"]]] = [[] for _ in levels]
    first = [0] * len(levels)
    for number, (level, row, column, _, _, children) in enumerate(table.tolist()):
        inside = tuple(range(first[level], first[level] + children))
        first[level] += children
        levels[level].append(Square(level, row, column, near[number], far[number], form[number], inside))
        stored[level].append(polynomials[number])
    leaves: list[Float[AnyArray, "near_unknown sensor"]] = []
    leaves += _divided(arrays["leaves"], components * table[: len(levels[0]), 3])
    columns = TreeColumns(levels, leaves, stored, components)
    return CompressedGreen.of_columns(
        grains.position, grid, unknowns=unknowns, sensors=list(arrays["sensors"]), columns=columns
    )


def _divided(values: np.ndarray, counts: Int[np.ndarray, " part"]) -> list[np.ndarray]:
    """Return consecutive rows of an array, `counts` of them in each part."""
    ends = np.cumsum(counts).tolist()
    return [values[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _check(arrays: Mapping[str, np.ndarray], grains: Grains, grid: SensorGrid, *, path: Path) -> None:
    """Raise a ValueError unless arrays are those of a block; indices beyond an array would give wrong columns."""
    table, sources = arrays["squares"], len(grains)
    integers = all(arrays[name].dtype == np.int64 for name in _INDICES)
    if not (integers and table.ndim == 2 and table.shape[1] == _SQUARE and len(table) and np.all(table >= 0)):
        raise _foreign(path, "its table of squares is none")
    level = table[:, 0]
    leaves = int(np.sum(level == 0))
    ordered = np.all(np.diff(level) >= 0) and level[0] == 0 and len(np.unique(level)) == level[-1] + 1
    inside = np.bincount(level, table[:, 5], minlength=int(level[-1]) + 1) if ordered else np.zeros(0)
    if not ordered or np.any(inside[1:] != np.bincount(level)[:-1]) or inside[0]:
        raise _foreign(path, "its squares are no tree")
    near, far = int(table[:, 3].sum()), int(table[:, 4].sum())
    components, (sensors, terms) = len(grains.components), leaf_vandermonde().shape
    shapes = {
        "near": (near,),
        "far": (far,),
        "form": (far,),
        "sensors": (leaves, sensors),
        "leaves": (components * int(table[:leaves, 3].sum()), sensors),
        "polynomials": (components * far, terms),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise _foreign(path, f"its {name} have the shape {arrays[name].shape}, not {shape}")
    for name, count in (("near", sources), ("far", sources), ("sensors", grid.size + 1)):
        values = arrays[name]
        if values.size and not (0 <= values.min() and values.max() < count):
            raise _foreign(path, f"its {name} are numbers up to {values.max()}, where {count} are known")
    if arrays["leaves"].dtype != np.float64 or arrays["polynomials"].dtype != np.float64:
        raise _foreign(path, "its columns are not in double precision")


def _foreign(path: Path, why: str) -> InputError:
    return InputError(f"the file holds no block of this problem: {why}", where=str(path), remedy="remove the directory")
