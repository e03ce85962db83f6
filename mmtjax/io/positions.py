"""Read grains as points with a volume from ``position_grains.txt``, with the columns ``x y z volume id``."""

import numpy as np

from mmtjax.errors import InputError
from mmtjax.io.depth import sign_of_z
from mmtjax.io.plausible import check_grain_size, unit_remedy
from mmtjax.io.text import AnyPath, read_numbers, require_finite, whole_numbers, with_lines
from mmtjax.sources.grains import Grains
from mmtjax.units import length_in_micrometres


def read_positions(path: AnyPath, *, z: str | None = None, unit: str = "m") -> Grains:
    """Read grains, as cubes of their volume, from a text file of five columns: x, y, z, volume, grain id.

    Positions in a ``position_grains.txt`` are relative to the lowest left sensor of the cropped map.

    Parameters
    ----------
    path
        The file.
    z
        ``"up"`` if z is a height and grains have negative ones, as is usual for this format, ``"down"`` if it is a
        depth.
    unit
        Unit of the coordinates; volumes are in its cube.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        For a line that does not have five numbers, volumes that are not positive, ids that are not whole numbers or
        occur twice, positive z without the option `z`, and sizes that only a wrong unit gives.
    """
    table = read_numbers(path, columns=5, names="x y z volume id")
    require_finite(table, path=path)
    ids = whole_numbers(table, 4, path=path, name="grain id")
    wrong = np.flatnonzero(table.values[:, 3] <= 0)
    if len(wrong):
        msg = f"{path}, line {table.lines[wrong[0]]}: the volume is {table.values[wrong[0], 3]}; it must be positive"
        raise InputError(msg)
    scale = length_in_micrometres(unit)
    # The checks below refuse what becomes infinite.
    with np.errstate(over="ignore"):
        position, volume = table.values[:, :3] * scale, table.values[:, 3] * scale**3
    position[:, 2] *= sign_of_z(position[:, 2], z=z, path=path)
    check_grain_size(np.cbrt(volume), remedy=unit_remedy(unit), path=path, lines=table.lines)
    try:
        return Grains.from_volumes(position, volume, ids=ids)
    except InputError as error:
        raise InputError(with_lines(str(error), table.lines), where=str(path)) from error
