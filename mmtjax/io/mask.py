"""Read masks of sensors, in which True means bad in some programs and good in others."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mmtjax.errors import InputError, located
from mmtjax.io.npy import load_npy
from mmtjax.io.plausible import check_choice
from mmtjax.io.text import AnyPath
from mmtjax.scan.scan import Scan
from mmtjax.scan.sensor_mask import checked_mask


def read_mask(
    path: AnyPath, *, mask_true_is: str | None = None, shape: tuple[int, int] | None = None
) -> Bool[np.ndarray, "ny nx"]:
    """Read a mask and return it with True where a sensor is used.

    Parameters
    ----------
    path
        A ``.npy`` file of booleans, or of the numbers 0 and 1, [y, x].
    mask_true_is
        ``"bad"`` or ``"good"``: what True means in the file. Needed unless the file name says so, as
        ``1bin_outlier_mask_trueisbad.npy`` does.
    shape
        Shape (ny, nx) that the mask must have.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the meaning of True is not known or the file name contradicts `mask_true_is`; for another type or shape.
    """
    meaning = meaning_of_true(path, mask_true_is)
    content = load_npy(path)
    with located(str(path)):
        mask = checked_mask(content, numbers=True)
    if shape is not None and content.shape != shape:
        msg = f"{path}: the mask has shape {content.shape}, the whole map (before any crop) {shape}"
        raise InputError(msg)
    return ~mask if meaning == "bad" else mask


def meaning_of_true(path: AnyPath, mask_true_is: str | None) -> str:
    """Return ``"bad"`` or ``"good"``: what True means in the mask at `path`.

    Parameters
    ----------
    path
        The file, whose name may hold the meaning.
    mask_true_is
        The meaning that the user gives, if any.

    Raises
    ------
    ValueError
        If the meaning is not known, or the file name contradicts `mask_true_is`.

    Examples
    --------
    >>> meaning_of_true("1bin_outlier_mask_trueisbad.npy", None)
    'bad'
    """
    found = re.search(r"true_?is_?(bad|good)", Path(path).name, re.IGNORECASE)
    named = found.group(1).lower() if found else None
    if mask_true_is is None:
        if named is None:
            msg = (
                f"{path} does not say whether True marks sensors to leave out or to use; pass mask_true_is='bad' or "
                "mask_true_is='good'"
            )
            raise InputError(msg)
        return named
    check_choice(mask_true_is, ("bad", "good"), option="mask_true_is")
    if named not in (None, mask_true_is):
        msg = f"{path}: mask_true_is={mask_true_is!r}, but the file name says True is {named}; correct one of them"
        raise InputError(msg)
    return mask_true_is


def with_mask(scan: Scan, use: Bool[np.ndarray, "ny nx"]) -> Scan:
    """Return the scan with the sensors masked where `use` is False."""
    return Scan(scan.field, scan.grid, np.asarray(scan.mask) & use, noise=scan.noise)
