"""Read and write grains as cuboids in a text file with the columns ``x y z dx dy dz id``."""

import warnings

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.io.depth import sign_of_z
from mmtjax.io.plausible import check_choice, check_grain_size, unit_remedy
from mmtjax.io.text import AnyPath, read_numbers, require_finite, whole_numbers, with_lines
from mmtjax.sources.cuboids import merge_cuboids
from mmtjax.sources.grains import Grains
from mmtjax.units import length_in_micrometres

_HEADER = "x y z (centre, um, z up, surface at 0), half-lengths x y z (um), grain id"


def read_cuboids(
    path: AnyPath, *, z: str | None = None, lengths: str = "half", unit: str = "um", allow_overlap: bool = False
) -> Grains:
    """Read grains from a text file of axis-parallel cuboids.

    The seven columns are the centre x, y, z, the lengths along x, y, z, and the grain id.

    Parameters
    ----------
    path
        The file, with cells separated by white space, commas or semicolons.
    z
        ``"up"`` if z is a height and grains have negative ones, ``"down"`` if it is a depth. Needed where z is
        positive.
    lengths
        ``"half"`` for half-lengths, ``"full"`` for whole edges. The manual of mmt_dipole_cuboid_inversion says
        edges, but its code and its published files hold half-lengths.
    unit
        Unit of the coordinates and the lengths.
    allow_overlap
        Accept cuboids that share volume, see `Grains.from_cuboids`.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        For a line that does not have seven numbers, lengths that are not positive, ids that are not whole numbers,
        positive z without the option `z`, sizes that only a wrong unit gives, and cuboids whose overlap
        `Grains.from_cuboids` refuses; the message says so where nothing would overlap with lengths half as long.
    """
    check_choice(lengths, ("half", "full"), option="lengths")
    table = read_numbers(path, columns=7, names="x y z dx dy dz id")
    require_finite(table, path=path)
    whole_numbers(table, 6, path=path, name="grain id")
    wrong = np.flatnonzero(np.any(table.values[:, 3:6] <= 0, axis=1))
    if len(wrong):
        msg = (
            f"{path}, line {table.lines[wrong[0]]}: lengths {table.values[wrong[0], 3:6].tolist()}; all three must be "
            "positive"
        )
        raise InputError(msg)
    cuboids = table.values.copy()
    # The checks below refuse what becomes infinite.
    with np.errstate(over="ignore"):
        cuboids[:, :6] *= length_in_micrometres(unit)
        diameter = cuboids[:, 3:6].max(axis=1) * (1 if lengths == "full" else 2)
    cuboids[:, 2] *= sign_of_z(cuboids[:, 2], z=z, path=path)
    if lengths == "full":
        cuboids[:, 3:6] /= 2
    check_grain_size(diameter, remedy=unit_remedy(unit), path=path, lines=table.lines)
    try:
        return Grains.from_cuboids(cuboids, allow_overlap=allow_overlap)
    except ValueError as error:
        hint = ""
        if lengths == "half" and _are_valid(cuboids * [1, 1, 1, 0.5, 0.5, 0.5, 1]):
            hint = "; with lengths half as long nothing overlaps: if the file holds whole edges, pass lengths='full'"
        msg = f"{path}: {with_lines(str(error), table.lines)}{hint}"
        raise InputError(msg) from error


def write_cuboids(path: AnyPath, grains: Grains) -> None:
    """Write grains as a text file of cuboids that `read_cuboids` reads: half-lengths, µm, z up.

    Raises
    ------
    ValueError
        For grains that are not made of boxes, see `merge_cuboids`.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "grains.txt"
    ...     write_cuboids(file, Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 7]]))
    ...     read_cuboids(file).volume
    array([8.])
    """
    # With fewer than nine digits, rounding makes cuboids of one grain overlap by more than `read_cuboids` accepts.
    np.savetxt(path, merge_cuboids(grains, search=False), fmt=["%.9f"] * 6 + ["%d"], header=_HEADER, encoding="utf-8")


def _are_valid(cuboids: Float[np.ndarray, "cuboid 7"]) -> bool:
    """Whether `Grains.from_cuboids` accepts the cuboids."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Grains.from_cuboids(cuboids)
        except ValueError:
            return False
    return True
