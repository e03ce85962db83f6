"""Grains as cuboids in a text file: ``x y z dx dy dz id``."""

import warnings

import numpy as np

from mmtjax.io.depth import sign_of_z
from mmtjax.io.plausible import check_choice, check_grain_size, unit_option
from mmtjax.io.text import AnyPath, read_numbers, require_finite, whole_numbers
from mmtjax.rock.grains import Grains
from mmtjax.units import length_in_micrometres


def read_cuboids(
    path: AnyPath, *, z: str | None = None, lengths: str = "half", unit: str = "um", allow_overlap: bool = False
) -> Grains:
    """Grains from a text file of axis-parallel cuboids, seven columns: centre x, y, z, lengths x, y, z, grain id.

    Parameters
    ----------
    path
        The file; cells are separated by white space, commas or semicolons.
    z
        ``"up"`` if z is a height and grains have negative ones, ``"down"`` if it is a depth. Needed where z is
        positive.
    lengths
        ``"half"`` for half-lengths, ``"full"`` for whole edges. The manual of mmt_dipole_cuboid_inversion speaks of
        edges, its code and its published files hold half-lengths.
    unit
        Unit of the six lengths.
    allow_overlap
        See `Grains.from_cuboids`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a line that has not seven numbers, lengths that are not positive, ids that are not whole, a z that the file
        cannot tell, sizes that only a wrong unit gives, and cuboids that overlap as `Grains.from_cuboids` refuses it;
        where halving the lengths would mend the overlap the message says so.
    """
    check_choice(lengths, ("half", "full"), option="lengths")
    table = read_numbers(path, columns=7, names="x y z dx dy dz id")
    require_finite(table, path=path)
    whole_numbers(table, 6, path=path, name="grain id")
    wrong = np.flatnonzero(np.any(table.values[:, 3:6] <= 0, axis=1))
    if len(wrong):
        raise ValueError(
            f"{path}, line {table.lines[wrong[0]]}: lengths {table.values[wrong[0], 3:6].tolist()}; all three must be "
            "positive"
        )
    cuboids = table.values.copy()
    cuboids[:, :6] *= length_in_micrometres(unit)
    cuboids[:, 2] *= sign_of_z(cuboids[:, 2], z=z, path=path)
    if lengths == "full":
        cuboids[:, 3:6] /= 2
    check_grain_size(2 * cuboids[:, 3:6].max(axis=1), remedy=unit_option(unit), path=path)
    try:
        return Grains.from_cuboids(cuboids, allow_overlap=allow_overlap)
    except ValueError as error:
        hint = ""
        if lengths == "half" and _apart(cuboids * [1, 1, 1, 0.5, 0.5, 0.5, 1]):
            hint = "; with lengths half as long nothing overlaps: if the file holds whole edges, pass lengths='full'"
        raise ValueError(f"{path}: {error}{hint}") from error


def _apart(cuboids: np.ndarray) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Grains.from_cuboids(cuboids)
        except ValueError:
            return False
    return True
