"""Maps for a page: the forward map and the residual, rounded to a small share of the residual."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mmtjax.errors import InputError
from mmtjax.lazy import xarray
from mmtjax.page.binary import BinaryPart, byte_planes

#: Sensors of the map that a page shows; of larger maps, it shows means over blocks.
_MOST_SENSORS = 1_000_000

#: The residual is rounded to its root mean square divided by this.
_STEPS = 16

#: Steps over the strongest field: more cannot be told apart in colours, and take room.
_LEVELS = 2**15

#: Share of the sensors within the range of colours of a map, as in the figures.
_RESOLVED = 0.99


class PageMaps(NamedTuple):
    """Facts about the maps of a page, beside the arrays.

    Attributes
    ----------
    shape
        Number of sensors along y and x, as shown.
    extent
        Ends of the map along x and y, µm.
    forward_step, residual_step
        What the stored whole numbers are multiplied by, nT.
    strongest
        Field at the ends of the colours, nT: of the maps, and of the residual.
    block
        Sensors along each axis over which the map is averaged.
    """

    shape: tuple[int, int]
    extent: tuple[float, float, float, float]
    forward_step: float
    residual_step: float
    strongest: tuple[float, float]
    block: int


def add_maps(part: BinaryPart, maps: "xarray.Dataset", *, where: str) -> PageMaps:
    """Add the forward map, the residual and the mask to the binary part of a page.

    Parameters
    ----------
    part
        The binary part.
    maps
        Contents of ``maps.nc``.
    where
        The file, for errors.

    Raises
    ------
    ValueError
        If the dataset does not hold the maps of an inversion.
    """
    measured, forward, residual, used, axes = _checked(maps, where=where)
    spacing = [float((axis[-1] - axis[0]) / (len(axis) - 1)) if len(axis) > 1 else 1.0 for axis in axes]
    block = int(np.ceil(np.sqrt(measured.size / _MOST_SENSORS)))
    forward, residual, used = (_block_mean(values, used, block) for values in (forward, residual, used.astype(float)))
    seen = used > 0
    forward, residual = np.where(seen, forward, 0.0), np.where(seen, residual, 0.0)
    rms = float(np.sqrt(np.mean(residual[seen] ** 2)))
    largest = float(np.abs(forward).max())
    residual_step = rms / _STEPS or 1.0
    forward_step = max(residual_step, largest / _LEVELS)
    whole = np.round(forward / forward_step).astype(np.int64)
    part.add("forward", byte_planes(np.diff(whole.ravel(), prepend=0)))
    limit = 2**30
    part.add("residual", byte_planes(np.clip(np.round(residual / residual_step), -limit, limit)))
    part.add("mask", np.packbits(seen.ravel(), bitorder="little"))
    ny, nx = seen.shape
    (x, y), (dx, dy) = axes, spacing
    return PageMaps(
        shape=(ny, nx),
        extent=(x[0] - dx / 2, x[0] + (nx * block - 0.5) * dx, y[0] - dy / 2, y[0] + (ny * block - 0.5) * dy),
        forward_step=forward_step,
        residual_step=residual_step,
        strongest=(_strongest((forward + residual)[seen]), _strongest(residual[seen])),
        block=block,
    )


def _checked(
    maps: "xarray.Dataset", *, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Bool[np.ndarray, "y x"], tuple[np.ndarray, np.ndarray]]:
    """Return measured, forward and residual map, the sensors that are used, and the coordinates x and y."""
    try:
        shown = [maps[name].transpose("y", "x") for name in ("bz", "forward", "residual")]
        values = [np.asarray(one, np.float64) for one in shown]
        axes = np.asarray(maps["x"], np.float64), np.asarray(maps["y"], np.float64)
        mask = np.asarray(maps["mask"].transpose("y", "x")) != 0 if "mask" in maps else np.ones(values[0].shape, bool)
    except (KeyError, ValueError, TypeError) as error:
        msg = f"it does not hold the maps bz, forward and residual on x and y ({error})"
        raise InputError(msg, where=where, remedy="invert again") from error
    for one in shown:
        if (unit := one.attrs.get("units", "nT")) != "nT":
            msg = f"its map {one.name} has the unit {unit!r}, not nT"
            raise InputError(msg, where=where)
    used = mask & np.all(np.isfinite(values), axis=0)
    if not used.any() or not all(np.all(np.isfinite(axis)) for axis in axes):
        msg = "no sensor has a finite field in all of its maps"
        raise InputError(msg, where=where)
    bz, forward, residual = values
    return bz, forward, residual, used, axes


def _block_mean(values: np.ndarray, used: Bool[np.ndarray, "y x"], block: int) -> Float[np.ndarray, "block_y block_x"]:
    """Return the means over the used sensors of square blocks, also of parts of blocks; 0 where there are none."""
    if block == 1:
        return np.where(used, values, 0.0)
    filled = [(0, -length % block) for length in values.shape]
    total, count = (
        np.pad(each, filled).reshape(-(-values.shape[0] // block), block, -1, block).sum(axis=(1, 3))
        for each in (np.where(used, values, 0.0), used.astype(np.float64))
    )
    return total / np.maximum(count, 1.0)


def _strongest(values: np.ndarray) -> float:
    """Return the field at the ends of the colours, nT; never zero."""
    strength = np.abs(values)
    return float(np.quantile(strength, _RESOLVED)) or float(strength.max()) or 1.0
