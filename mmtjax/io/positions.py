"""Grains as points with a volume: ``position_grains.txt``, ``x y z volume id``."""

import numpy as np

from mmtjax.io.depth import sign_of_z
from mmtjax.io.plausible import check_grain_size, unit_option
from mmtjax.io.text import AnyPath, read_numbers, require_finite, whole_numbers
from mmtjax.sources.grains import Grains
from mmtjax.units import length_in_micrometres


def read_positions(path: AnyPath, *, z: str | None = None, unit: str = "m") -> Grains:
    """Grains, as cubes of their volume, from a text file of five columns: x, y, z, volume, grain id.

    Positions of a ``position_grains.txt`` are relative to the lowest left sensor of the map that was cut out for it.

    Parameters
    ----------
    path
        The file.
    z
        ``"up"`` if z is a height and grains have negative ones, as the format has it, ``"down"`` if it is a depth.
    unit
        Unit of the lengths; volumes are in its cube.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a line that has not five numbers, volumes that are not positive, ids that are not whole or are there twice,
        a z that the file cannot tell, and sizes that only a wrong unit gives.
    """
    table = read_numbers(path, columns=5, names="x y z volume id")
    require_finite(table, path=path)
    names = whole_numbers(table, 4, path=path, name="grain id")
    wrong = np.flatnonzero(table.values[:, 3] <= 0)
    if len(wrong):
        raise ValueError(
            f"{path}, line {table.lines[wrong[0]]}: the volume is {table.values[wrong[0], 3]}; it must be positive"
        )
    scale = length_in_micrometres(unit)
    place = table.values[:, :3] * scale
    place[:, 2] *= sign_of_z(place[:, 2], z=z, path=path)
    volume = table.values[:, 3] * scale**3
    check_grain_size(np.cbrt(volume), remedy=unit_option(unit), path=path)
    return Grains.from_volumes(place, volume, ids=names)
