"""A measured map of Bz with its mask and noise."""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from mmtjax.errors import InputError, require_type
from mmtjax.lazy import xarray
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete
from mmtjax.scan.dataset import SENSOR_IS_USED, DatasetOptions, map_of_dataset
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.pixels import refuse_fill_values
from mmtjax.scan.sensor_mask import checked_mask

#: Smallest noise that is accepted, nT, and its inverse the largest: far beyond those of any instrument, and within
#: those whose fourth powers are numbers of double precision.
_LEAST_NOISE = 1e-60


class Scan(eqx.Module):
    """A map of Bz on a sensor grid.

    Parameters
    ----------
    field
        Bz, (ny, nx), nT; row 0 has the lowest y. May be traced. Masked values of a masked array of NumPy are sensors
        that are not used.
    grid
        The sensors.
    mask
        True for sensors that are used, (ny, nx); by default all are used. The field of other sensors is ignored and may
        be NaN.
    noise
        Standard deviation of the noise, nT: one number or (ny, nx). `mmtjax.invert` uses it by default.

    Raises
    ------
    ValueError
        If shapes differ, the field of a used sensor is not finite, no sensor is used, or the noise is not positive.

    Examples
    --------
    >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(2, 2), height=1)
    >>> scan = Scan(np.array([[1.0, np.nan], [2.0, 3.0]]), grid, mask=[[True, False], [True, True]])
    >>> scan.used
    3
    """

    field: Float[AnyArray, "ny nx"]
    grid: SensorGrid
    mask: Bool[AnyArray, "ny nx"]
    noise: Float[AnyArray, "..."] | None

    def __init__(
        self, field: ArrayLike, grid: SensorGrid, mask: ArrayLike | None = None, noise: ArrayLike | None = None
    ) -> None:
        require_type(grid, SensorGrid, name="grid")
        hidden = np.ma.getmaskarray(field) if isinstance(field, np.ma.MaskedArray) else None
        self.field = float64_array(field if hidden is None else np.ma.getdata(field), name="field")
        self.grid = grid
        self.noise = None if noise is None else float64_array(noise, name="noise")
        if self.field.shape != grid.shape:
            hint = "; is the map transposed? rows are y" if self.field.shape == grid.shape[::-1] else ""
            msg = f"the field has shape {self.field.shape}, the grid (ny, nx) = {grid.shape}{hint}"
            raise InputError(msg)
        self.mask = np.ones(grid.shape, bool) if mask is None else checked_mask(mask, shape=grid.shape)
        if hidden is not None:
            self.field, self.mask = np.where(hidden, np.nan, self.field), self.mask & ~hidden
        if not self.mask.any():
            msg = "the mask leaves no sensor; True means use this sensor, so the mask may be inverted"
            raise InputError(msg)
        if is_concrete(self.field):
            _check_pixels(np.asarray(self.field), self.mask)
        if self.noise is not None:
            check_noise(self.noise, grid.shape)

    @property
    def used(self) -> int:
        """Number of sensors that are used."""
        return int(np.sum(self.mask))

    def crop(self, *, x: tuple[float, float], y: tuple[float, float]) -> "Scan":
        """Return the part of the scan whose sensor centres lie within given ranges.

        Parameters
        ----------
        x, y
            Smallest and largest coordinate of the centres, both included, µm.

        Raises
        ------
        ValueError
            If no sensor lies there; the message states the ranges of the scan.
        """
        grid, x, y = self.grid, _ends(x, name="x"), _ends(y, name="y")
        columns = np.flatnonzero((np.asarray(grid.x) >= x[0]) & (np.asarray(grid.x) <= x[1]))
        rows = np.flatnonzero((np.asarray(grid.y) >= y[0]) & (np.asarray(grid.y) <= y[1]))
        if len(columns) == 0 or len(rows) == 0:
            msg = (
                f"no sensor lies in x {x}, y {y} µm; the scan covers x {grid.x[0]:g} to {grid.x[-1]:g}, "
                f"y {grid.y[0]:g} to {grid.y[-1]:g}"
            )
            raise InputError(msg)
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        part = grid.window(*window)
        return Scan(self.field[window], part, self.mask[window], noise=_window_of_noise(self.noise, window))

    def bin(self, factor: int) -> "Scan":
        """Return the scan averaged over blocks of `factor` × `factor` sensors.

        The mean over adjoining sensors is what one sensor of `factor` times the side would measure. A block is used
        only if all of its sensors are used; incomplete blocks at the ends of rows and columns are left out. The noise
        is divided by `factor`.

        Parameters
        ----------
        factor
            Number of sensors along an edge of a block.

        Raises
        ------
        ValueError
            If `factor` is not a positive integer or exceeds the map, or the sensors do not adjoin (side ≠ spacing).
        """
        if not isinstance(factor, (int, np.integer)) or factor < 1 or factor > min(self.grid.shape):
            msg = f"the binning factor must be an integer from 1 to {min(self.grid.shape)}; got {factor!r}"
            raise InputError(msg)
        grid = self.grid
        if factor == 1:
            return self
        if not grid.sensors_adjoin:
            msg = (
                f"sensors of side {np.asarray(grid.side).tolist()} µm at spacing "
                f"{np.asarray(grid.spacing).tolist()} µm do not adjoin, so their mean is not a sensor; bin only scans "
                "whose side equals the spacing"
            )
            raise InputError(msg)
        rows, columns = (length // factor for length in grid.shape)

        def blocks(values: AnyArray) -> AnyArray:
            return values[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)

        mask = blocks(self.mask).all(axis=(1, 3))
        binned = SensorGrid(
            origin=grid.origin + grid.spacing * (factor - 1) / 2,
            spacing=grid.spacing * factor,
            shape=(rows, columns),
            height=grid.height,
        )
        noise = self.noise
        if noise is not None:
            noise = noise / factor if noise.shape == () else (blocks(noise**2).sum(axis=(1, 3)) ** 0.5) / factor**2
        return Scan(blocks(self.field).mean(axis=(1, 3)), binned, mask, noise=noise)

    def to_xarray(self) -> "xarray.Dataset":
        """Return the scan as a dataset: ``bz`` (nT) and ``mask`` on x and y (µm); attributes describe the sensors."""
        grid = self.grid
        micrometres = {"units": "µm"}
        variables = {
            "bz": (("y", "x"), np.asarray(self.field), {"units": "nT", "long_name": "Bz, mean over a sensor"}),
            "mask": (("y", "x"), self.mask, {"long_name": SENSOR_IS_USED}),
        }
        if self.noise is not None:
            spread = np.broadcast_to(self.noise, grid.shape)
            variables["noise"] = (("y", "x"), spread, {"units": "nT", "long_name": "standard deviation of the noise"})
        return xarray.Dataset(
            variables,
            coords={"y": ("y", np.asarray(grid.y), micrometres), "x": ("x", np.asarray(grid.x), micrometres)},
            attrs={
                "sensor_height": float(grid.height),
                "sensor_side": np.asarray(grid.side).tolist(),
                "sensor_units": "µm",
            },
        )

    @classmethod
    def from_xarray(
        cls,
        data: "xarray.Dataset | xarray.DataArray",
        *,
        height: ArrayLike | None = None,
        unit: str | None = None,
        spacing: ArrayLike | None = None,
        origin: ArrayLike | None = None,
        side: ArrayLike | None = None,
        mask_true_is: str | None = None,
    ) -> "Scan":
        """Make a scan from a dataset of `to_xarray` or of another program, or from a data array of Bz.

        Variables are read by name and coordinate, in any order and direction of their axes. Pixels that are NaN are
        masked.

        Parameters
        ----------
        data
            A dataset with the variable ``bz``, or a data array, on y and x or northing and easting; with units on Bz, x
            and y and the attribute ``sensor_height``, in µm or the unit of the attribute ``sensor_units``. The
            variables ``mask`` and ``noise`` and the attribute ``sensor_side`` are used if the dataset has them.
        height
            z of the scanning plane, µm, in place of ``sensor_height``.
        unit
            Unit of Bz, in place of its attribute ``units``.
        spacing, origin
            Sampling interval and centre (x, y) of the sensor [0, 0], µm, of a map whose coordinates are missing or have
            no unit; the attribute ``pixel_spacing`` (m) also gives the former, and the latter is (0, 0) by default.
        side
            Edge of a sensor, µm, in place of ``sensor_side``; by default the spacing.
        mask_true_is
            ``"bad"`` or ``"good"``: what True means in ``mask``. Needed unless the mask is that of `to_xarray`.

        Raises
        ------
        ValueError
            If units, ``bz`` or the sensor height are missing, the steps of x or y are not equal, the meaning of a mask
            is not known, or a mask or noise does not fit the map; for options beside coordinates that give the same.

        Examples
        --------
        >>> field = xarray.DataArray([[1.0, 2.0], [3.0, 4.0]], dims=("y", "x"), attrs={"units": "uT"})
        >>> Scan.from_xarray(field, spacing=1.2, height=5).field
        array([[1000., 2000.],
               [3000., 4000.]])
        """
        require_type(data, xarray.Dataset | xarray.DataArray, name="data")
        dataset = data.to_dataset(name="bz") if isinstance(data, xarray.DataArray) else data
        if isinstance(data, xarray.DataArray):
            dataset.attrs.update(data.attrs)
        if "bz" not in dataset:
            msg = f"the dataset has no variable 'bz'; it has {', '.join(map(str, dataset.data_vars))}"
            raise InputError(msg)
        options = DatasetOptions(
            height=height, unit=unit, spacing=spacing, origin=origin, side=side, mask_true_is=mask_true_is
        )
        found = map_of_dataset(dataset, variable="bz", options=options)
        noise = None if found.noise is None else np.asarray(found.noise)
        refuse_fill_values(found.field, used=found.mask, noise=noise, name="'bz'")
        return cls(found.field, found.grid, found.mask, noise=found.noise)


def check_noise(noise: AnyArray, shape: tuple[int, ...]) -> None:
    """Raise an error unless a standard deviation of the noise is valid.

    Parameters
    ----------
    noise
        One number or a map of them, nT; the values are not checked if they are traced.
    shape
        Shape (ny, nx) of the map.

    Raises
    ------
    ValueError
        If the shape is neither () nor that of the map, or a value is not positive and finite.
    """
    if noise.shape not in ((), shape):
        msg = f"noise must be one number or a map of shape {shape}, in nT; got shape {noise.shape}"
        raise InputError(msg)
    if not is_concrete(noise):
        return
    values = np.asarray(noise)
    wrong = ~((values > 0) & np.isfinite(values))
    if np.any(wrong):
        first = tuple(np.argwhere(wrong)[0].tolist())
        where = f" at [y, x] = {list(first)}" if values.ndim else ""
        msg = f"noise must be positive and finite, in nT; got {values[first]:g}{where}"
        raise InputError(msg)
    # Variances and weights are squares of the noise and of its inverse.
    extreme = (values < _LEAST_NOISE) | (values > 1 / _LEAST_NOISE)
    if np.any(extreme):
        first = tuple(np.argwhere(extreme)[0].tolist())
        where = f" at [y, x] = {list(first)}" if values.ndim else ""
        msg = f"noise must lie between {_LEAST_NOISE:g} and {1 / _LEAST_NOISE:g} nT; got {values[first]:g}{where}"
        raise InputError(msg)


def _check_pixels(field: Float[np.ndarray, "ny nx"], mask: Bool[np.ndarray, "ny nx"]) -> None:
    """Raise a ValueError if the field of a used sensor is not finite."""
    wrong = mask & ~np.isfinite(field)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        msg = (
            f"{wrong.sum()} used pixels are not finite, the first is {field[row, column]} at [y, x] = "
            f"[{row}, {column}]; leave them out by the mask, such as np.isfinite(field)"
        )
        raise InputError(msg)


def _ends(values: tuple[float, float], *, name: str) -> tuple[float, float]:
    """Return the smallest and the largest coordinate of a range."""
    ends = np.asarray(float64_array(values, name=name))
    if ends.shape != (2,):
        msg = f"{name} must be the smallest and the largest coordinate, in µm; got {values!r:.60}"
        raise InputError(msg)
    return float(ends[0]), float(ends[1])


def _window_of_noise(noise: AnyArray | None, window: tuple[slice, slice]) -> AnyArray | None:
    """Return the noise of some sensors: one number is the noise of each."""
    return noise if noise is None or noise.shape == () else noise[window]
