"""Checks that refuse values that only a wrong unit gives, and options that are not among the choices."""

import numpy as np
from jaxtyping import Bool, Float, Int

from mmtjax.errors import InputError
from mmtjax.io.text import AnyPath
from mmtjax.precision import ArrayLike
from mmtjax.scan.pixels import measured_pixels, refuse_fill_values
from mmtjax.scan.scan import Scan

#: More than magnetite can give at its own surface (µ0 M_s = 0.6 T), in nT.
_STRONGEST_FIELD = 1e9

#: A thousandth of the noise of the best scanning SQUID at these distances, in nT.
_WEAKEST_FIELD = 1e-3

#: Bounds of a sampling interval and of a stand-off, µm.
_FINEST, _COARSEST = 1e-3, 1e3

#: Side of the widest sensor, in sampling intervals.
_WIDEST_SENSOR = 100.0

#: Bounds of the diameter of a grain, µm.
_SMALLEST_GRAIN, _LARGEST_GRAIN = 1e-3, 1e4


def check_scan(scan: Scan, *, unit: str, path: AnyPath) -> Scan:
    """Return `scan` if its field, height and side are plausible in the units that they were read in.

    Parameters
    ----------
    scan
        The scan as read.
    unit
        The unit that the field was taken to be in, for the error.
    path
        The file, for the error.

    Raises
    ------
    ValueError
        If the field exceeds 1 T or nowhere reaches 1e-3 nT, if the height is negative or over 1 mm, or if the side is
        not between 1 nm and 1 mm or is over 100 times the spacing; the message names the option that overrides it.
    """
    _check_side(scan, path=path)
    height = float(scan.grid.height)
    if not 0 <= height <= _COARSEST:
        msg = (
            f"{path}: the scanning plane would lie {height:g} µm above the surface of the sample; a height is from 0 "
            f"to {_COARSEST:g} µm. Pass the right one, in µm, as height="
        )
        raise InputError(msg)
    field = np.asarray(scan.field)[scan.mask]
    strongest = float(np.max(np.abs(field)))
    remedy = f"the values were read in {unit}; pass the unit of the file, 'T', 'mT', 'uT', 'nT' or 'gauss', as unit="
    if strongest > _STRONGEST_FIELD:
        check_fill_values(scan, path=path)
        msg = f"{path}: the field reaches {strongest:g} nT, more than 1 T, which no rock gives; {remedy}"
        raise InputError(msg)
    if strongest < _WEAKEST_FIELD:
        msg = f"{path}: the field nowhere exceeds {strongest:g} nT, which no magnetometer resolves; {remedy}"
        raise InputError(msg)
    return scan


def pixels_of_file(field: Float[np.ndarray, "ny nx"], *, path: AnyPath) -> Bool[np.ndarray, "ny nx"]:
    """Return where the map of a file has a value, as `measured_pixels` does; errors name the file and its options."""
    remedy = "write nan where nothing was measured, or pass the unit of the file as unit="
    return measured_pixels(field, name=str(path), remedy=remedy)


def check_fill_values(scan: Scan, *, path: AnyPath) -> Scan:
    """Return `scan` if no sensor that is used has a value that stands for a missing one, see `refuse_fill_values`."""
    noise = None if scan.noise is None else np.asarray(scan.noise)
    refuse_fill_values(np.asarray(scan.field), used=np.asarray(scan.mask), noise=noise, name=str(path))
    return scan


def check_spacing(spacing: ArrayLike, *, path: AnyPath, remedy: str = "Pass it in µm as spacing=") -> None:
    """Raise ValueError unless every number of `spacing` (µm) is between 1 nm and 1 mm.

    Parameters
    ----------
    spacing
        One number or more, µm.
    path
        The file, for the error.
    remedy
        What to do, for the error: the default where the reader of the file has the option.

    Examples
    --------
    >>> check_spacing(1.2e-6, path="map.npy")
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: map.npy: a spacing of 1.2e-06 µm is not between 0.001 and 1000 µm; ... spacing=
    """
    for step in np.atleast_1d(np.asarray(spacing, np.float64)):
        if not _FINEST <= step <= _COARSEST:
            msg = (
                f"{path}: a spacing of {step:g} µm is not between {_FINEST:g} and {_COARSEST:g} µm; is it in another "
                f"unit? {remedy}"
            )
            raise InputError(msg)


def _check_side(scan: Scan, *, path: AnyPath) -> None:
    """Raise ValueError unless the edges of a sensor are between 1 nm and 1 mm, and not far over the spacing."""
    for edge, spacing in zip(np.asarray(scan.grid.side), np.asarray(scan.grid.spacing), strict=True):
        highest = min(_COARSEST, _WIDEST_SENSOR * spacing)
        if not _FINEST <= edge <= highest:
            msg = (
                f"{path}: a sensor with a side of {edge:g} µm is not between {_FINEST:g} and {highest:g} µm, at a "
                f"spacing of {spacing:g} µm. Pass the right one, in µm, as side="
            )
            raise InputError(msg)


def check_grain_size(
    diameter: Float[np.ndarray, " grain"], *, remedy: str, path: AnyPath, lines: Int[np.ndarray, " grain"]
) -> None:
    """Raise ValueError unless every diameter (µm) is between 1 nm and 10 mm; the message ends with `remedy`."""
    wrong = np.flatnonzero(~((diameter >= _SMALLEST_GRAIN) & (diameter <= _LARGEST_GRAIN)))
    if len(wrong):
        msg = (
            f"{path}, line {lines[wrong[0]]}: a grain of {diameter[wrong[0]]:g} µm across is not between "
            f"{_SMALLEST_GRAIN:g} and {_LARGEST_GRAIN:g} µm; {remedy}"
        )
        raise InputError(msg)


def unit_remedy(unit: str) -> str:
    """Return the end of an error about lengths that were read in a wrong `unit`."""
    return f"lengths were read in {unit}, pass the unit of the file, 'm', 'mm', 'um' or 'nm', as unit="


def check_choice(value: str, choices: tuple[str, ...], *, option: str) -> None:
    """Raise ValueError unless `value`, passed as `option`, is one of `choices`.

    Examples
    --------
    >>> check_choice("sideways", ("up", "down"), option="z")
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: z='sideways' is not known; use 'up' or 'down'
    """
    if value not in choices:
        msg = f"{option}={value!r} is not known; use {' or '.join(map(repr, choices))}"
        raise InputError(msg)
