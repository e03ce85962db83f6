"""Write results as an unstructured grid of VTK (.vtu), which ParaView reads."""

import base64
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from mmtjax.errors import InputError, located
from mmtjax.files import replace_when_complete
from mmtjax.io.grain_file import StoredCuboids, stored_cuboids
from mmtjax.io.results import read_grain_dataset, read_results
from mmtjax.io.text import AnyPath
from mmtjax.lazy import pandas
from mmtjax.units import AXES

#: Number of the hexahedron among the cells of VTK.
_HEXAHEDRON = 12

#: Corners of a hexahedron in the order of VTK, as signs of the half-lengths.
_CORNERS = np.array(
    [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], np.float64
)

#: Columns of the table that become data of the cells, by their names there.
_COLUMNS = {
    "confidence_radius": "confidence_radius (A/m)",
    "uncertainty_ratio": "uncertainty_ratio",
    "signal_strength_ratio": "signal_strength_ratio (1/µm)",
    "trusted": "trusted",
    "beyond_saturation": "beyond_saturation",
    "moment": "moment (A m²)",
}

#: Names of the types of VTK by types of NumPy.
_TYPES = {"float64": "Float64", "int64": "Int64", "uint8": "UInt8"}


def write_vtu(file: AnyPath, directory: AnyPath) -> int:
    """Write the grains of results as hexahedra, with the numbers of their grain as data of each.

    Lengths are µm, z up. Grains whose shapes the results do not hold become cubes of their volumes.

    Parameters
    ----------
    file
        The file to write, ``.vtu``; an existing one is replaced when the new one is complete.
    directory
        Results of an inversion for grains, see `mmtjax.io.write_results`.

    Returns
    -------
    int
        Number of the hexahedra.

    Raises
    ------
    FileNotFoundError
        If the directory or one of its files does not exist.
    ValueError
        If the results are damaged or are not those of an inversion for grains.
    """
    table = read_results(directory).table
    centre, half, owner = _cuboids(table, directory)
    points = (centre[:, None] + _CORNERS * half[:, None]).reshape(-1, 3)
    count = len(owner)
    sections = {
        "Points": {"points": points},
        "Cells": {
            "connectivity": np.arange(8 * count),
            "offsets": np.arange(8, 8 * count + 1, 8),
            "types": np.full(count, _HEXAHEDRON, np.uint8),
        },
        "CellData": {name: values[owner] for name, values in _data(table, where=str(directory)).items()},
    }
    body = "".join(
        f"<{section}>\n{''.join(_array(name, values) for name, values in arrays.items())}</{section}>\n"
        for section, arrays in sections.items()
    )
    text = (
        '<?xml version="1.0"?>\n'
        '<VTKFile type="UnstructuredGrid" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'
        f'<UnstructuredGrid>\n<Piece NumberOfPoints="{8 * count}" NumberOfCells="{count}">\n'
        f"{body}</Piece>\n</UnstructuredGrid>\n</VTKFile>\n"
    )
    with replace_when_complete(Path(file)) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return count


def _cuboids(table: "pandas.DataFrame", directory: AnyPath) -> StoredCuboids:
    """Return the cuboids of the grains, or cubes of their volumes, µm."""
    grains = read_grain_dataset(directory)
    with located(f"{directory}: the results do not hold the shapes of grains"):
        if grains is not None:
            return stored_cuboids(grains, count=len(table))
        try:
            centre = np.column_stack([np.asarray(table[axis], np.float64) for axis in AXES])
            half = np.cbrt(np.asarray(table["volume"], np.float64))[:, None] / 2 * np.ones(3)
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(str(error)) from error
        return StoredCuboids(centre, half, np.arange(len(table)))


def _data(table: "pandas.DataFrame", *, where: str) -> dict[str, np.ndarray]:
    """Return the data of each grain by the names that ParaView shows."""
    try:
        data = {
            "id": np.asarray(table["id"], np.int64),
            "magnetization (A/m)": np.column_stack([np.asarray(table[one], np.float64) for one in ("mx", "my", "mz")]),
        }
        for column, name in _COLUMNS.items():
            values = np.asarray(table[column])
            data[name] = values.astype(np.uint8) if values.dtype == bool else values.astype(np.float64)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        msg = f"the table does not hold the results of an inversion for grains ({error})"
        raise InputError(msg, where=where) from error
    return data


def _array(name: str, values: np.ndarray) -> str:
    """Return an array as an element of XML: the number of its bytes and the bytes, as base64."""
    content = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    packed = base64.b64encode(np.array(len(content), "<u8").tobytes() + content).decode("ascii")
    components = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
    kind = _TYPES[values.dtype.name]
    return f'<DataArray type="{kind}" Name={quoteattr(name)}{components} format="binary">\n{packed}\n</DataArray>\n'
