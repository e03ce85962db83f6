"""The scanning SQUID, whose sensor moves from point to point."""

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from mmtjax.design.instruments.base import AbstractInstrument, require_amounts
from mmtjax.design.setting import Scalar, Setting


class ScanningSquid(AbstractInstrument):
    """A sensor that is moved from point to point.

    Parameters
    ----------
    noise
        Noise of a dwell of one second, nT·√s; its variance falls with the dwell.
    floor
        Noise that no dwell lessens, as from errors of position, nT.
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

    kind: ClassVar[str] = "scanning-squid"
    averages_over_interval: ClassVar[bool] = False
    divides_dwell: ClassVar[bool] = True

    noise: float
    floor: float = 0.0
    overhead: float = 0.0
    step: float = 0.5

    def __check_init__(self) -> None:
        """Check all values."""
        require_amounts(self, positive=("noise", "step"), others=("floor", "overhead"))

    def noise_variance(self, setting: Setting) -> Scalar:
        """Return the variance of the noise of one value of the map, nT²."""
        return self.noise**2 / setting.dwell + self.floor**2

    def seconds(self, setting: Setting, *, area: float) -> Scalar:
        """Return the time that a map of an area in µm² takes, s."""
        return area / setting.interval**2 * (setting.dwell + self.overhead)

    def dwell_within(self, seconds: float, *, interval: Scalar, area: float) -> Scalar:
        """Return the dwell with which a map takes a time in s; not positive where the overhead alone takes longer."""
        return seconds * interval**2 / area - self.overhead

    def intervals(self, low: float, high: float) -> Float[np.ndarray, " interval"]:
        """Return the multiples of `step` from `low` to `high`."""
        first, last = np.ceil(low / self.step - 1e-9), np.floor(high / self.step + 1e-9)
        return self.step * np.arange(max(1.0, first), last + 1)
