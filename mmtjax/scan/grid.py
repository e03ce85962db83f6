"""The regular grid of rectangular sensors above the sample."""

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError, require_type
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete


class SensorGrid(eqx.Module):
    """A regular grid of sensors in one plane, each measuring the mean of Bz over a rectangle.

    Maps on the grid are indexed [y, x]; row 0 has the lowest y. All arguments except `shape` may be traced, so that
    results can be differentiated with respect to them.

    Parameters
    ----------
    origin
        Centre (x, y) of sensor [0, 0], µm.
    spacing
        Sampling interval (dx, dy), or one number for both, µm.
    shape
        Number of sensors (ny, nx).
    height
        z of the scanning plane, µm; the surface of the sample lies at z = 0.
    side
        Edges (sx, sy) of a sensor, or one number for both, µm; by default the spacing, so that sensors adjoin.

    Raises
    ------
    ValueError
        For a shape that is not two positive integers, and for a spacing or side that is not positive and finite.

    Examples
    --------
    >>> grid = SensorGrid(origin=(0, 0), spacing=(1, 1), shape=(3, 4), height=2)
    >>> grid.x, grid.size
    (array([0., 1., 2., 3.]), 12)
    """

    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    shape: tuple[int, int] = eqx.field(static=True)
    height: Float[AnyArray, ""]
    separate_side: Float[AnyArray, "2"] | None

    def __init__(
        self,
        origin: ArrayLike,
        spacing: ArrayLike,
        shape: ArrayLike,
        height: ArrayLike = 0.0,
        side: ArrayLike | None = None,
    ) -> None:
        self.shape = _checked_shape(shape)
        self.origin = _pair(origin, name="origin", positive=False)
        self.spacing = _pair(spacing, name="spacing", positive=True)
        self.separate_side = None if side is None else _pair(side, name="side", positive=True)
        if is_concrete(self.spacing, self.separate_side) and np.array_equal(self.side, self.spacing):
            self.separate_side = None
        self.height = float64_array(height, name="height")
        if self.height.shape != ():
            msg = f"height must be one number, the z of the scanning plane in µm; got {height!r}"
            raise InputError(msg)
        if is_concrete(self.height) and not np.isfinite(self.height):
            msg = f"height must be finite, in µm; got {height!r}"
            raise InputError(msg)

    @property
    def size(self) -> int:
        """Number of sensors."""
        return self.shape[0] * self.shape[1]

    @property
    def x(self) -> Float[AnyArray, " nx"]:
        """Coordinates x of the columns, µm."""
        return self.origin[0] + self.spacing[0] * np.arange(self.shape[1])

    @property
    def y(self) -> Float[AnyArray, " ny"]:
        """Coordinates y of the rows, µm."""
        return self.origin[1] + self.spacing[1] * np.arange(self.shape[0])

    @property
    def side(self) -> Float[AnyArray, "2"]:
        """Edges (sx, sy) of a sensor, µm."""
        return self.spacing if self.separate_side is None else self.separate_side

    @property
    def sensors_adjoin(self) -> bool:
        """Whether the side of the sensors equals the spacing, so that neighbours share an edge."""
        return self.separate_side is None

    def window(self, rows: slice, columns: slice) -> "SensorGrid":
        """Return the grid of some rows and columns of sensors, whose side does not change.

        Parameters
        ----------
        rows, columns
            Slices of the rows (y) and columns (x), with or without a step.

        Raises
        ------
        ValueError
            If no sensor is in the slices, or a step is not positive.

        Examples
        --------
        >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(30, 40), height=2)
        >>> grid.window(slice(10, 20), slice(0, 40, 4)).shape
        (10, 10)
        """
        require_type(rows, slice, name="rows")
        require_type(columns, slice, name="columns")
        ranges = [range(*part.indices(count)) for part, count in zip((rows, columns), self.shape, strict=True)]
        if any(len(indices) == 0 or indices.step < 1 for indices in ranges):
            msg = f"rows {rows} and columns {columns} contain no sensor of a grid of shape {self.shape}"
            raise InputError(msg)
        first, step = ([getattr(indices, name) for indices in ranges[::-1]] for name in ("start", "step"))
        every_sensor = all(indices.step == 1 for indices in ranges)
        return SensorGrid(
            origin=self.origin + self.spacing * np.array(first),
            spacing=self.spacing * np.array(step),
            shape=tuple(len(indices) for indices in ranges),
            height=self.height,
            side=self.separate_side if every_sensor else self.side,
        )


def _pair(values: ArrayLike, *, name: str, positive: bool) -> Float[AnyArray, "2"]:
    """Check a pair (x, y) of numbers, or one number for both, and return it as an array."""
    array = float64_array(values, name=name)
    if array.shape == ():
        array = array * np.ones(2)
    if array.shape != (2,):
        msg = f"{name} must be one number or a pair (x, y) in µm; got {values!r}"
        raise InputError(msg)
    if is_concrete(array):
        if not np.all(np.isfinite(array)):
            msg = f"{name} must be finite, in µm; got {values!r}"
            raise InputError(msg)
        if positive and not np.all(array > 0):
            msg = f"{name} must be positive, in µm; got {values!r}"
            raise InputError(msg)
    return array


def _checked_shape(shape: ArrayLike) -> tuple[int, int]:
    """Check the shape of a grid and return it as two positive integers (ny, nx)."""
    numbers = np.asarray(float64_array(shape, name="shape"))
    if numbers.shape != (2,) or not np.all(np.isfinite(numbers) & (numbers == np.round(numbers)) & (numbers >= 1)):
        msg = f"shape must be two positive integers (ny, nx); got {shape!r}"
        raise InputError(msg)
    rows, columns = (int(number) for number in numbers)
    return rows, columns
