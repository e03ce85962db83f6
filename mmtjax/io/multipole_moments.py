"""Read moments of grains from files that mmt_multipole_inversion and its protocol write."""

from pathlib import Path

import numpy as np

from mmtjax.errors import InputError
from mmtjax.io.npy import load_npz
from mmtjax.io.text import AnyPath, read_numbers, require_finite, whole_numbers
from mmtjax.lazy import pandas
from mmtjax.sources.grains import Grains
from mmtjax.sources.ids import exact_ids

_DIPOLE = [("mx", "A m²"), ("my", "A m²"), ("mz", "A m²")]
_COMPONENTS = [
    *_DIPOLE,
    *((f"quadrupole_{number}", "A m³") for number in range(1, 6)),
    *((f"octupole_{number}", "A m⁴") for number in range(1, 8)),
]
_ORDERS = (3, 8, 15)


def read_moments(path: AnyPath, *, grains: Grains | None = None) -> "pandas.DataFrame":
    """Read moments of grains by id; ``attrs["units"]`` has the unit of every column.

    Parameters
    ----------
    path
        An ``InvMagQuad_*.npz`` (moments of 3, 8 or 15 components per grain, ids, their standard deviations where they
        were saved), or a ``stable_moments.txt`` (mx, my, mz, volume, id). z is up.
    grains
        Grains to return a row each for, in their order, with NaN where the file has no moment. An archive without ids
        needs them, and must have a row per grain.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``mx``, ``my``, ``mz`` (A m²), in a text file ``volume`` (µm³), in an archive ``quadrupole_1`` … and
        ``octupole_1`` … where it has them, and ``mx_std`` ….

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short or of another kind, an id occurs twice or is not among those of `grains`, or an
        archive has no ids and not one row per grain.
    """
    table = _from_archive(path, grains) if Path(path).suffix.lower() == ".npz" else _from_text(path)
    ids = table["id"].to_numpy()
    repeated = ids[table.duplicated("id")]
    if len(repeated):
        msg = f"{path}: the grain id {repeated[0]} occurs more than once; keep one row of it"
        raise InputError(msg)
    return table if grains is None else _rows_of_grains(table, grains, path=path)


def _from_text(path: AnyPath) -> "pandas.DataFrame":
    """Read dipole moments and volumes from a text file of five columns."""
    rows = read_numbers(path, columns=5, names="mx my mz volume id")
    require_finite(rows, path=path)
    table = pandas.DataFrame({"id": whole_numbers(rows, 4, path=path, name="grain id")})
    for column, (name, _) in enumerate(_DIPOLE):
        table[name] = rows.values[:, column]
    table["volume"] = rows.values[:, 3] * 1e18
    table.attrs["units"] = dict(_DIPOLE) | {"volume": "µm³"}
    return table


def _from_archive(path: AnyPath, grains: Grains | None) -> "pandas.DataFrame":
    """Read multipole moments from an ``InvMagQuad_*.npz``."""
    arrays = load_npz(path)
    if "inv_multipole_moments" not in arrays:
        msg = (
            f"{path} has no array 'inv_multipole_moments'; it has {', '.join(arrays)}. Moments are in InvMagQuad_*.npz"
        )
        raise InputError(msg)
    moments = arrays["inv_multipole_moments"]
    if moments.ndim != 2 or moments.shape[1] not in _ORDERS or moments.dtype.kind not in "fiu":
        msg = (
            f"{path}: moments of dtype {moments.dtype} have shape {moments.shape}; expected (grain, 3), (grain, 8) or "
            "(grain, 15), of real numbers"
        )
        raise InputError(msg)
    if "identifier" in arrays:
        ids = arrays["identifier"].ravel()
        if len(ids) != len(moments):
            msg = (
                f"{path}: {len(ids)} identifiers, the first {ids[:3].tolist()}, for {len(moments)} rows of moments; "
                "expected one whole number per row"
            )
            raise InputError(msg)
        try:
            ids = exact_ids(ids, owner="row")
        except InputError as error:
            msg = f"'identifier': {error}"
            raise InputError(msg, where=str(path)) from error
    elif grains is not None and len(grains) == len(moments):
        ids = np.asarray(grains.ids)
    else:
        count = "no grains were given" if grains is None else f"there are {len(grains)} grains"
        msg = (
            f"{path} has no ids for its {len(moments)} rows, and {count}; pass grains=, those of the inversion in "
            "their order, or save it with save_identifier=True"
        )
        raise InputError(msg)
    table = pandas.DataFrame({"id": ids})
    units = dict(_COMPONENTS[: moments.shape[1]])
    table = table.join(pandas.DataFrame(moments, columns=list(units)))
    if "moments_std" in arrays:
        _check_spread(arrays["moments_std"], moments, path=path)
        spread = pandas.DataFrame(
            arrays["moments_std"].reshape(moments.shape), columns=[f"{name}_std" for name in units]
        )
        table = table.join(spread)
        units |= {f"{name}_std": unit for name, unit in units.items()}
    table.attrs["units"] = units
    return table


def _check_spread(spread: np.ndarray, moments: np.ndarray, *, path: AnyPath) -> None:
    """Raise ValueError unless standard deviations are real numbers, as many as moments."""
    if spread.size != moments.size or spread.dtype.kind not in "fiu":
        msg = (
            f"{path}: 'moments_std' has shape {spread.shape}, dtype {spread.dtype}; expected as many real numbers as "
            f"moments, {moments.shape}"
        )
        raise InputError(msg)


def _rows_of_grains(table: "pandas.DataFrame", grains: Grains, *, path: AnyPath) -> "pandas.DataFrame":
    """Return the rows in the order of the grains, with NaN for grains without a row."""
    ids = np.asarray(grains.ids)
    unknown = np.setdiff1d(table["id"].to_numpy(), ids)
    if len(unknown):
        msg = (
            f"{path}: {len(unknown)} of {len(table)} ids, the first {unknown[0]}, belong to none of the {len(ids)} "
            "grains; do both files come from one sample?"
        )
        raise InputError(msg)
    joined = table.set_index("id").reindex(pandas.Index(ids, name="id")).reset_index()
    joined.attrs["units"] = table.attrs["units"]
    return joined
