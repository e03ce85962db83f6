"""Masks of sensors, which one program keeps as True = bad and another as True = good."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mmtjax.io.arrays import load_npy
from mmtjax.io.plausible import check_choice
from mmtjax.io.text import AnyPath
from mmtjax.scan.scan import Scan


def read_mask(
    path: AnyPath, *, mask_true_is: str | None = None, shape: tuple[int, int] | None = None
) -> Bool[np.ndarray, "ny nx"]:
    """Mask in the sense of this package, True = use this sensor.

    Parameters
    ----------
    path
        A ``.npy`` of booleans, or of the numbers 0 and 1, [y, x].
    mask_true_is
        ``"bad"`` or ``"good"``: what True means in the file. Needed unless the file name tells, as
        ``1bin_outlier_mask_trueisbad.npy`` does.
    shape
        The shape (ny, nx) that it must have.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If nothing tells what True means or the file name denies `mask_true_is`; for another type or shape.
    """
    sense = mask_sense(path, mask_true_is)
    content = load_npy(path)
    if content.ndim != 2 or not (content.dtype == bool or np.all((content == 0) | (content == 1))):
        raise ValueError(
            f"{path}: a mask is two-dimensional, of booleans; got shape {content.shape}, dtype {content.dtype}"
        )
    if shape is not None and content.shape != shape:
        raise ValueError(f"{path}: the mask has shape {content.shape}, the whole map (before any crop) {shape}")
    truth = content.astype(bool)
    return ~truth if sense == "bad" else truth


def mask_sense(path: AnyPath, mask_true_is: str | None) -> str:
    """``"bad"`` or ``"good"``: what True means in the mask at `path`.

    Raises
    ------
    ValueError
        If nothing tells, or the file name denies `mask_true_is`.

    Examples
    --------
    >>> mask_sense("1bin_outlier_mask_trueisbad.npy", None)
    'bad'
    """
    named = re.search(r"true_?is_?(bad|good)", Path(path).name, re.IGNORECASE)
    told = named.group(1).lower() if named else None
    if mask_true_is is None:
        if told is None:
            raise ValueError(
                f"{path} does not tell whether True marks sensors to leave out or to use; pass mask_true_is='bad' or "
                "mask_true_is='good'"
            )
        return told
    check_choice(mask_true_is, ("bad", "good"), option="mask_true_is")
    if told not in (None, mask_true_is):
        raise ValueError(
            f"{path}: mask_true_is={mask_true_is!r}, but the file name says True is {told}; rename one of them"
        )
    return mask_true_is


def with_mask(scan: Scan, use: Bool[np.ndarray, "ny nx"]) -> Scan:
    """`scan` without the sensors where `use` is False."""
    return Scan(scan.field, scan.grid, np.asarray(scan.mask) & use, noise=scan.noise)
