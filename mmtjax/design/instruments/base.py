"""The abstract magnetometer: its noise, how long a map takes, and what can be chosen."""

from abc import abstractmethod
from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.design.setting import Scalar, Setting
from mmtjax.errors import InputError
from mmtjax.precision import is_concrete


class AbstractInstrument(eqx.Module):
    """A magnetometer. Noise is nT, time s, length µm.

    Attributes
    ----------
    kind
        Name of the instrument in the configuration of a design.
    averages_over_interval
        Whether one value of the map is the mean over a square of the sampling interval, so that the side of a sensor
        cannot be chosen.
    divides_dwell
        Whether some regions of a map may be given a longer dwell than others.
    """

    kind: ClassVar[str]
    averages_over_interval: ClassVar[bool]
    divides_dwell: ClassVar[bool]

    @abstractmethod
    def noise_variance(self, setting: Setting) -> Scalar:
        """Return the variance of the noise of one value of the map, nT²."""

    @abstractmethod
    def seconds(self, setting: Setting, *, area: float) -> Scalar:
        """Return the time that a map of an area in µm² takes, s."""

    @abstractmethod
    def dwell_within(self, seconds: float, *, interval: Scalar, area: float) -> Scalar:
        """Return the dwell with which a map takes a time in s; not positive where the overhead alone takes longer."""

    @abstractmethod
    def intervals(self, low: float, high: float) -> Float[np.ndarray, " interval"]:
        """Return the sampling intervals from `low` to `high` that the instrument can make, in ascending order."""

    def sensor_side(self, setting: Setting) -> Scalar:
        """Return the edge of the square over which one value of the map is averaged."""
        return setting.interval if self.averages_over_interval else setting.sensor_side


def require_amounts(instrument: AbstractInstrument, *, positive: tuple[str, ...], others: tuple[str, ...]) -> None:
    """Raise a ValueError unless fields of an instrument are finite, and positive or, for `others`, 0 or more."""
    for name in (*positive, *others):
        value = getattr(instrument, name)
        if not is_concrete(value):
            continue
        if not np.isfinite(value) or value < 0 or (name in positive and value == 0):
            expected = "positive" if name in positive else "0 or more"
            msg = f"{name} of a {type(instrument).__name__} must be finite and {expected}; got {value!r}"
            raise InputError(msg)
