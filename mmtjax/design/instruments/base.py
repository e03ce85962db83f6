"""Magnetometers: what their noise is, and how long a map takes."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.precision import is_concrete

Scalar = float | Float[Array, ""]


class Setting(eqx.Module):
    """What is chosen before a scan. Values may be traced.

    Attributes
    ----------
    interval
        Sampling interval, µm.
    standoff
        Height of the sensors above the surface of the sample, µm.
    thickness
        Of the sample, µm.
    sensor_side
        Edge of a sensor, µm.
    dwell
        Time for which a sensor, or a camera as a whole, collects signal, s.
    """

    interval: Scalar
    standoff: Scalar
    thickness: Scalar
    sensor_side: Scalar
    dwell: Scalar


KNOBS = ("interval", "standoff", "thickness", "sensor_side", "dwell")


class AbstractInstrument(eqx.Module):
    """A magnetometer. Noise is nT, time s, length µm."""

    @abstractmethod
    def noise_variance(self, setting: Setting) -> Scalar:
        """Variance of the noise of one value of the map, nT²."""

    @abstractmethod
    def seconds(self, setting: Setting, *, area: float) -> Scalar:
        """Time that a map of so many µm² takes."""

    @abstractmethod
    def dwell_within(self, seconds: float, *, interval: Scalar, area: float) -> Scalar:
        """The dwell with which a map takes so many seconds; not positive where the overhead takes longer."""

    @abstractmethod
    def sensor_side(self, setting: Setting) -> Scalar:
        """Edge of the square over which one value of the map is averaged."""

    @abstractmethod
    def intervals(self, low: float, high: float) -> Float[np.ndarray, " interval"]:
        """Sampling intervals that the instrument can do, from `low` to `high`."""


class ScanningSquid(AbstractInstrument):
    """A sensor that is moved from point to point.

    Parameters
    ----------
    noise
        Of a dwell of one second, nT·√s; its variance falls with the dwell.
    floor
        Noise that no dwell lessens, as of the position, nT.
    overhead
        Time to move and settle for each point, s.
    step
        Sampling intervals are multiples of this, µm.

    Examples
    --------
    >>> squid = ScanningSquid(noise=10.0, overhead=0.1)
    >>> setting = Setting(interval=2.0, standoff=1.0, thickness=30.0, sensor_side=1.0, dwell=0.4)
    >>> squid.seconds(setting, area=4e4), squid.noise_variance(setting)
    (5000.0, 250.0)
    """

    noise: float
    floor: float = 0.0
    overhead: float = 0.0
    step: float = 0.5

    def __check_init__(self) -> None:
        _require_amounts(self, positive=("noise", "step"), others=("floor", "overhead"))

    def noise_variance(self, setting: Setting) -> Scalar:
        return self.noise**2 / setting.dwell + self.floor**2

    def seconds(self, setting: Setting, *, area: float) -> Scalar:
        return area / setting.interval**2 * (setting.dwell + self.overhead)

    def dwell_within(self, seconds: float, *, interval: Scalar, area: float) -> Scalar:
        return seconds * interval**2 / area - self.overhead

    def sensor_side(self, setting: Setting) -> Scalar:
        return setting.sensor_side

    def intervals(self, low: float, high: float) -> Float[np.ndarray, " interval"]:
        first, last = np.ceil(low / self.step - 1e-9), np.floor(high / self.step + 1e-9)
        return self.step * np.arange(max(1.0, first), last + 1)


class QuantumDiamondMicroscope(AbstractInstrument):
    """A camera that sees a whole field at once, of which pixels are averaged in squares (binning).

    Between the binnings that it has, the interval is taken as if pixels could be divided, so that it has a derivative.

    Parameters
    ----------
    noise
        Of one pixel and a second of exposure, nT·√s; its variance falls with the dwell and the pixels averaged.
    floor
        Noise that neither lessens, nT.
    overhead
        Time between fields, s.
    pixel
        Edge of a pixel on the sample, µm.
    field_area
        Area of one field, µm². A map takes whole fields.
    binning
        Pixels along an edge of a square that are averaged.

    Examples
    --------
    >>> camera = QuantumDiamondMicroscope(noise=400.0, pixel=1.2, field_area=1e6)
    >>> camera.intervals(1.0, 5.0).tolist()
    [1.2, 2.4, 4.8]
    """

    noise: float
    floor: float = 0.0
    overhead: float = 0.0
    pixel: float = 1.2
    field_area: float = 1e6
    binning: tuple[int, ...] = (1, 2, 4, 8)

    def __check_init__(self) -> None:
        _require_amounts(self, positive=("noise", "pixel", "field_area"), others=("floor", "overhead"))
        if not self.binning or min(self.binning) < 1:
            raise ValueError(f"binning must be numbers of pixels, 1 or more, as (1, 2, 4, 8); got {self.binning!r}")

    def noise_variance(self, setting: Setting) -> Scalar:
        return (self.noise * self.pixel / setting.interval) ** 2 / setting.dwell + self.floor**2

    def seconds(self, setting: Setting, *, area: float) -> Scalar:
        return self._fields(area) * (setting.dwell + self.overhead)

    def dwell_within(self, seconds: float, *, interval: Scalar, area: float) -> Scalar:
        # A number of the kind of the interval, although it does not depend on it.
        return seconds / self._fields(area) - self.overhead + 0.0 * interval

    def sensor_side(self, setting: Setting) -> Scalar:
        return setting.interval

    def intervals(self, low: float, high: float) -> Float[np.ndarray, " interval"]:
        every = self.pixel * np.sort(np.asarray(self.binning, np.float64))
        return every[(every >= low * (1 - 1e-9)) & (every <= high * (1 + 1e-9))]

    def _fields(self, area: float) -> float:
        # An area that is a number of fields but for rounding is that number.
        return float(max(1.0, np.ceil(area / self.field_area - 1e-9)))


def _require_amounts(instrument: AbstractInstrument, *, positive: tuple[str, ...], others: tuple[str, ...]) -> None:
    for name in (*positive, *others):
        value = getattr(instrument, name)
        if not is_concrete(value):
            continue
        if not np.isfinite(value) or value < 0 or (name in positive and value == 0):
            wanted = "positive" if name in positive else "0 or more"
            raise ValueError(f"{name} of a {type(instrument).__name__} must be finite and {wanted}; got {value!r}")


def as_numbers(setting: Setting) -> Setting:
    """A setting of Python numbers."""
    return jax.tree.map(float, setting)


def as_arrays(setting: Setting) -> Setting:
    """A setting of JAX's numbers, with respect to which derivatives are taken."""
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float64), setting)
