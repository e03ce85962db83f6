"""Read ``domainbounds.txt``, the window to which the protocol of workflow_mmt crops a map."""

from typing import NamedTuple

import numpy as np

from mmtjax.errors import InputError
from mmtjax.io.plausible import check_choice
from mmtjax.io.text import AnyPath, read_numbers, require_finite
from mmtjax.precision import ArrayLike
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan


class DomainBounds(NamedTuple):
    """A window of a map, in the order of the file: y before x, starts in µm, sizes in pixels.

    Starts are measured from the centre of pixel [0, 0] and rounded to whole pixels. The pixel at the far end belongs to
    the window: ``y_pixels = 950`` is 951 rows.
    """

    y_start: float
    x_start: float
    y_pixels: int
    x_pixels: int

    def window(self, spacing: ArrayLike) -> tuple[slice, slice]:
        """Return the rows and columns of the window in a map with this `spacing` (one number, or x and y), µm.

        Examples
        --------
        >>> DomainBounds(250.0, 780.0, 950, 770).window(1.2)
        (slice(208, 1159, None), slice(650, 1421, None))
        """
        dx, dy = np.broadcast_to(np.asarray(spacing, np.float64), (2,))
        row, column = round(self.y_start / dy), round(self.x_start / dx)
        return slice(row, row + self.y_pixels + 1), slice(column, column + self.x_pixels + 1)

    def origin(self, spacing: ArrayLike) -> tuple[float, float]:
        """Return x and y (µm) of the lowest left sensor of the window, from the centre of pixel [0, 0] of the map.

        `spacing` is that of the map, µm: one number, or x and y.

        Examples
        --------
        >>> DomainBounds(250.0, 780.0, 950, 770).origin(1.2)
        (780.0, 249.6)
        """
        dx, dy = (float(step) for step in np.broadcast_to(np.asarray(spacing, np.float64), (2,)))
        rows, columns = self.window(spacing)
        return columns.start * dx, rows.start * dy


def read_domainbounds(path: AnyPath) -> DomainBounds:
    """Read a window from a text file of four numbers: ``y_ini x_ini y_pix x_pix``.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        Unless there are four numbers, none of them negative, the last two whole and positive.
    """
    table = read_numbers(path)
    require_finite(table, path=path)
    values = table.values.ravel()
    if len(values) != 4:
        msg = f"{path}: {len(values)} numbers; domain bounds are four: y_ini, x_ini (µm), y_pix, x_pix (pixels)"
        raise InputError(msg)
    if np.any(values < 0) or np.any(values[2:] != np.round(values[2:])) or np.any(values[2:] < 1):
        msg = (
            f"{path}: {values.tolist()} are not domain bounds y_ini, x_ini (µm), y_pix, x_pix (pixels): none may be "
            "negative, and the last two are positive whole numbers"
        )
        raise InputError(msg)
    return DomainBounds(float(values[0]), float(values[1]), int(values[2]), int(values[3]))


def crop_to_bounds(scan: Scan, bounds: DomainBounds, *, frame: str = "map") -> Scan:
    """Return the part of a scan in a window.

    Parameters
    ----------
    scan
        The whole map.
    bounds
        The window of the map.
    frame
        ``"map"`` leaves the sensors in the frame of the map, which ``grain_loc.csv`` uses; ``"crop"`` puts (0, 0) at
        the lowest left sensor of the window, which ``position_grains.txt`` and ``MetaDict_*.json`` use.

    Raises
    ------
    ValueError
        If the window does not lie in the map, and for another `frame`.

    Examples
    --------
    >>> whole = Scan(np.ones((5, 8)), SensorGrid(origin=(0, 0), spacing=2, shape=(5, 8), height=1))
    >>> crop_to_bounds(whole, DomainBounds(2.0, 6.0, 2, 3), frame="crop").field.shape
    (3, 4)
    """
    check_choice(frame, ("map", "crop"), option="frame")
    grid = scan.grid
    spacing = np.asarray(grid.spacing)
    rows, columns = bounds.window(spacing)
    if rows.stop > grid.shape[0] or columns.stop > grid.shape[1]:
        msg = (
            f"domain bounds {tuple(bounds)} reach to [y, x] = [{rows.stop}, {columns.stop}], outside of the map of "
            f"shape {grid.shape}; they are y_ini, x_ini (µm), y_pix, x_pix (pixels), y first: are x and y swapped, or "
            "does the map have another spacing?"
        )
        raise InputError(msg)
    corner = np.asarray(grid.origin) + spacing * [columns.start, rows.start]
    part = SensorGrid(
        origin=(0.0, 0.0) if frame == "crop" else corner,
        spacing=spacing,
        shape=(rows.stop - rows.start, columns.stop - columns.start),
        height=grid.height,
        side=grid.side,
    )
    noise = scan.noise
    if noise is not None and noise.shape != ():
        noise = noise[rows, columns]
    return Scan(scan.field[rows, columns], part, scan.mask[rows, columns], noise=noise)
