"""Find pixels of a map without a value, and refuse values that stand for a missing one and do not say so."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Shaped

from mmtjax.errors import InputError

#: Units of the field in which a file may hold a value that stands for a missing one, in nT.
_UNITS = {"nT": 1.0, "µT": 1e3, "mT": 1e6, "T": 1e9, "gauss": 1e5}

#: Values that programs write where nothing was measured: nines, limits of integers, and numbers of this size or more.
_FILL_VALUES = np.array(
    [-999, *(sign * float(digits) for sign in (-1, 1) for digits in ("9999", "99999", "999999", "9999999"))]
    + [-32768, -32767, 32767, 65535, -2147483648, -2147483647, 2147483647, 4294967295]
)
_NEVER_MEASURED = 1e20

#: Distances from all other values, in ranges of these: of a fill value that occurs twice, and of any value that does.
_APART, _ABSURDLY_FAR = 0.1, 100.0

#: How much more often than any other value a fill value within their range must occur.
_OUT_OF_PROPORTION = 10


class _Candidate(NamedTuple):
    """A value in nT that may stand for a missing one, how often it occurs, and how it is written in another unit."""

    value: float
    occurrences: int
    written: str | None


def measured_pixels(field: Float[np.ndarray, "ny nx"], *, name: str, remedy: str) -> Bool[np.ndarray, "ny nx"]:
    """Return where a map has a value: True for pixels that are not NaN.

    Parameters
    ----------
    field
        The map, nT.
    name, remedy
        The file or the variable of the map, and what helps against infinite values, for the errors.

    Raises
    ------
    ValueError
        If a pixel is infinite, or all are NaN.

    Examples
    --------
    >>> measured_pixels(np.array([[1.0, np.nan]]), name="map.npy", remedy="write nan")
    array([[ True, False]])
    """
    infinite = np.isinf(field)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        msg = f"{infinite.sum()} pixels are infinite in nT, the first at [y, x] = [{row}, {column}]"
        raise InputError(msg, where=name, remedy=remedy)
    measured = ~np.isnan(field)
    if not measured.any():
        msg = f"all {field.size} pixels are NaN or declared as missing; is it the right variable or file?"
        raise InputError(msg, where=name)
    return measured


def refuse_fill_values(
    field: Float[np.ndarray, "ny nx"],
    *,
    used: Bool[np.ndarray, "ny nx"],
    noise: Float[np.ndarray, "..."] | None,
    name: str,
) -> None:
    """Raise ValueError if sensors that are used have a value that stands for a missing one.

    Such a value is repeated and lies absurdly far from all others; or it is one that programs write where nothing was
    measured, and lies apart from the others or occurs out of proportion. A saturated sensor gives neither, because its
    value is next to those of its neighbours. Of the noise only the latter counts, since a huge one may be meant.

    Parameters
    ----------
    field, noise
        The map, and the standard deviation of its noise, nT.
    used
        True for sensors that are used.
    name
        The file or the data, for the error.

    Examples
    --------
    >>> field = np.array([[3.5, -9999.0, 1.2, -9999.0]])
    >>> refuse_fill_values(field, used=np.ones((1, 4), bool), noise=None, name="map.npy")
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: map.npy: 2 pixels are -9999 nT, which seems to stand for a missing value; write nan ...
    """
    found, what = _fill_value(field[used]), "pixels"
    if found is None and noise is not None and noise.shape == field.shape:
        found, what = _fill_value(noise[used], only_known=True), "values of the noise"
    if found is None:
        return
    written = "" if found.written in (None, f"{found.value:.10g} nT") else f" ({found.written})"
    msg = f"{found.occurrences} {what} are {found.value:.10g} nT{written}, which seems to stand for a missing value"
    remedy = "write nan there, or declare it in NetCDF as the attribute '_FillValue' of the variable"
    raise InputError(msg, where=name, remedy=remedy)


def _fill_value(values: Shaped[np.ndarray, " used"], *, only_known: bool = False) -> _Candidate | None:
    """Return the value that stands for a missing one, if there is one; `only_known` if programs write it for one."""
    different, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    if len(different) < 3:
        return None
    for index in (0, len(different) - 1, int(np.argmax(counts))):
        candidate = _Candidate(float(different[index]), int(counts[index]), _written(float(different[index])))
        others = np.delete(different, index)
        span = others[-1] - others[0]
        apart = np.min(np.abs(others - candidate.value)) / span
        known = candidate.written is not None
        if only_known and not known:
            continue
        proportion = candidate.occurrences / np.max(np.delete(counts, index))
        if (
            (known or candidate.occurrences > 1)
            and apart > _ABSURDLY_FAR
            or (known and candidate.occurrences > 1 and (apart > _APART or proportion >= _OUT_OF_PROPORTION))
        ):
            return candidate
    return None


def _written(value: float) -> str | None:
    """Return a value in nT as a file may hold it, if it is a value that programs write for a missing one."""
    for unit, size in _UNITS.items():
        number = value / size
        near = np.isclose(number, _FILL_VALUES, rtol=1e-7, atol=0)
        if near.any() or abs(number) >= _NEVER_MEASURED:
            return f"{number:.10g} {unit}"
    return None
