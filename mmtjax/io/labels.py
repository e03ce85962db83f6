"""Load stacks of labels, ``.npy`` or ``.tif``, and refuse pictures in colours, masks and a labelled background."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from mmtjax.errors import InputError
from mmtjax.io.npy import load_npy
from mmtjax.io.plausible import check_choice
from mmtjax.io.text import AnyPath
from mmtjax.io.untrusted import read_untrusted
from mmtjax.lazy import ndimage

#: A picture of this many channels in its last axis, of bytes, and of more pixels than this in the others, has colours.
_CHANNELS, _PICTURE = (3, 4), 16

#: Edges of a voxel, µm, that a file may mean; coarser ones are the resolution of a printer, 1200 dpi or fewer.
_FINEST, _COARSEST = 1e-3, 20.0

#: Edges that differ by more than this part contradict each other.
_SAME_EDGE = 0.01


class LabelStack(NamedTuple):
    """An array of images as it is in the file, the letters of its axes, and the edges (x, y[, z]) of a voxel, µm.

    Axes are empty, and the edges None, where the file does not hold them.
    """

    values: np.ndarray
    axes: str
    scale: tuple[float, ...] | None


def load_labels(path: AnyPath) -> LabelStack:
    """Read the array of a ``.npy`` or ``.tif`` file.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is cut short, damaged or of another kind, holds several stacks, or a picture in colours.
    """
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        values, axes, scale = load_npy(path), "", None
    else:
        content = read_untrusted(path, reader="tiff", kind="a TIFF image")
        values, axes, scale = content.arrays["labels"], str(content.facts["axes"]), content.facts["scale"]
    picture = values.ndim > 2 and values.shape[-1] in _CHANNELS and min(values.shape[-3:-1]) >= _PICTURE
    if "S" in axes or (picture and values.dtype == np.uint8):
        msg = f"is a picture in colours (RGB), of shape {values.shape}, and not a stack of labels"
        raise InputError(msg, where=str(path), remedy="export the labels themselves, one whole number per voxel")
    if not isinstance(scale, list) or not all(_FINEST <= edge <= _COARSEST for edge in scale):
        return LabelStack(values, axes, None)
    return LabelStack(values, axes, tuple(scale))


def checked_labels(stack: LabelStack, labels: str | None, *, path: AnyPath) -> Integer[np.ndarray, "nz ny nx"]:
    """Return the grain ids of a stack, 0 where there is no grain.

    Parameters
    ----------
    stack
        As `load_labels` reads it.
    labels
        ``"ids"`` if values are grain ids, ``"mask"`` if every connected piece of the only value is a grain; needed for
        a stack with one value in several pieces, or with a value that may be the background.
    path
        The file, for the errors.

    Raises
    ------
    ValueError
        For a stack that is not three-dimensional, not of whole numbers, or without grain; for negative values, for a
        background that is not 0, for what may be a mask, and for a mask of several values.

    Examples
    --------
    >>> stack = LabelStack(np.array([[[255, 0, 255, 255]]], np.uint8), "ZYX", None)
    >>> checked_labels(stack, "mask", path="stack.tif").tolist()
    [[[1, 0, 2, 2]]]
    """
    if labels is not None:
        check_choice(labels, ("ids", "mask"), option="labels")
    values = stack.values
    if values.ndim != 3 or values.dtype.kind not in "biu":
        hint = "; is it a single slice, or was its copy cut short?" if values.ndim < 3 else ""
        msg = (
            f"{path}: a labelled stack is three-dimensional, [z, y, x], of whole numbers; got shape {values.shape}, "
            f"dtype {values.dtype}{hint}"
        )
        raise InputError(msg)
    values = values.astype(np.uint8) if values.dtype == bool else values
    if not values.any():
        msg = f"{path}: the stack of shape {values.shape} holds no grain, every voxel is 0"
        raise InputError(msg)
    _refuse_negative_labels(values, path=path)
    if labels is None:
        _refuse_background(values, path=path)
    value = values.max()
    if not np.all((values == 0) | (values == value)):
        if labels == "mask":
            msg = f"{path}: labels='mask' is for a stack of one value beside 0; this one has several, up to {value}"
            raise InputError(msg)
        return values
    if labels == "ids":
        return values
    pieces = np.empty(values.shape, np.int32)
    ndimage.label(values, output=pieces)
    count = int(pieces.max())
    if labels is None and count > 1:
        msg = (
            f"{path}: the only label is {value}, in {count} pieces that do not touch; is it a mask of all grains, and "
            "not a stack of labels? Pass labels='mask' to make every piece a grain, labels='ids' to make them one "
            "grain, or save a stack in which every grain has its own label"
        )
        raise InputError(msg)
    return pieces if labels == "mask" else values


def warn_of_metadata(stack: LabelStack, edge: Float[np.ndarray, "3"], *, path: AnyPath) -> None:
    """Warn if a file calls its slices channels, or gives other edges of a voxel than those that are used.

    Parameters
    ----------
    stack
        As `load_labels` reads it.
    edge
        Edges of a voxel that are used, (x, y, z) in µm.
    path
        The file, for the warning.
    """
    if "C" in stack.axes:
        # ImageJ and tifffile do so where slices are saved without the name of their axis.
        warnings.warn(f"{path}: the axes are {stack.axes}; the channels (C) are taken as slices", stacklevel=3)
    if stack.scale is not None and not np.allclose(stack.scale, edge[: len(stack.scale)], rtol=_SAME_EDGE, atol=0):
        spacing = f"{edge[0]:g}" if np.ptp(edge) == 0 else f"({', '.join(f'{each:g}' for each in edge)})"
        warnings.warn(
            f"{path}: the file says that a voxel is {voxel_text(stack.scale)}; spacing={spacing} is used instead",
            stacklevel=3,
        )


def voxel_text(scale: tuple[float, ...]) -> str:
    """Return the edges of a voxel, µm, as text.

    Examples
    --------
    >>> voxel_text((0.75, 0.75, 2.0))
    '0.75 × 0.75 × 2 µm (x, y, z)'
    """
    return f"{' × '.join(f'{edge:g}' for edge in scale)} µm ({', '.join('xyz'[: len(scale)])})"


def _refuse_negative_labels(values: Integer[np.ndarray, "nz ny nx"], *, path: AnyPath) -> None:
    """Raise ValueError for a negative label, and name the lowest."""
    lowest = values.min()
    if lowest < 0:
        share = np.mean(values == lowest)
        msg = f"{path}: the label {lowest} is negative and fills {share:.1%} of the voxels; the background must be 0"
        raise InputError(msg, remedy=f"save the stack anew, with 0 in place of {lowest} and positive labels for grains")


def _refuse_background(values: Integer[np.ndarray, "nz ny nx"], *, path: AnyPath) -> None:
    """Raise ValueError for a positive label that seems to be the background."""
    corners = values[np.ix_(*((0, -1) for _ in range(3)))]
    label = corners.flat[0]
    if label == 0 or np.any(corners != label) or np.all(values == label):
        return
    share = np.mean(values == label)
    if share > 0.5:
        msg = f"{path}: the label {label} fills all corners and {share:.1%} of the voxels, as a background does"
        raise InputError(
            msg, remedy=f"save the stack anew, with 0 in place of {label}; if it is a grain, pass labels='ids'"
        )
