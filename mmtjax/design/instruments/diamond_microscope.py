"""The quantum diamond microscope, whose camera sees a whole field at once."""

from typing import ClassVar

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.design.instruments.base import AbstractInstrument, require_amounts
from mmtjax.design.setting import Scalar, Setting
from mmtjax.errors import InputError


class QuantumDiamondMicroscope(AbstractInstrument):
    """A camera that sees a whole field at once and averages its pixels in squares (binning).

    Between the binnings that it has, the interval is treated as if pixels could be divided, so that it has a
    derivative.

    Parameters
    ----------
    noise
        Noise of one pixel for an exposure of one second, nT·√s; its variance falls with the dwell and the number of
        pixels averaged.
    floor
        Noise that neither of these lessens, nT.
    overhead
        Time between fields, s.
    pixel
        Edge of a pixel on the sample, µm.
    field_area
        Area of one field, µm². A map takes whole fields.
    binning
        Numbers of pixels along the edge of an averaged square that the camera can make.

    Examples
    --------
    >>> camera = QuantumDiamondMicroscope(noise=400.0, pixel=1.2, field_area=1e6)
    >>> camera.intervals(1.0, 5.0).tolist()
    [1.2, 2.4, 4.8]
    """

    kind: ClassVar[str] = "quantum-diamond-microscope"
    averages_over_interval: ClassVar[bool] = True
    divides_dwell: ClassVar[bool] = False

    noise: float
    floor: float = 0.0
    overhead: float = 0.0
    pixel: float = 1.2
    field_area: float = 1e6
    binning: tuple[int, ...] = eqx.field(converter=tuple, default=(1, 2, 4, 8))

    def __check_init__(self) -> None:
        """Check all values."""
        require_amounts(self, positive=("noise", "pixel", "field_area"), others=("floor", "overhead"))
        if not self.binning or min(self.binning) < 1:
            msg = f"binning must be numbers of pixels, 1 or more, as (1, 2, 4, 8); got {self.binning!r}"
            raise InputError(msg)

    def noise_variance(self, setting: Setting) -> Scalar:
        """Return the variance of the noise of one value of the map, nT²."""
        return (self.noise * self.pixel / setting.interval) ** 2 / setting.dwell + self.floor**2

    def seconds(self, setting: Setting, *, area: float) -> Scalar:
        """Return the time that a map of an area in µm² takes, s."""
        return self._fields(area) * (setting.dwell + self.overhead)

    def dwell_within(self, seconds: float, *, interval: Scalar, area: float) -> Scalar:
        """Return the dwell with which a map takes a time in s; not positive where the overhead alone takes longer."""
        # The dwell does not depend on the interval; this makes it a number of the same kind.
        return seconds / self._fields(area) - self.overhead + 0.0 * interval

    def intervals(self, low: float, high: float) -> Float[np.ndarray, " interval"]:
        """Return the edges from `low` to `high` of the squares that are averaged."""
        edges = self.pixel * np.sort(np.asarray(self.binning, np.float64))
        return edges[(edges >= low * (1 - 1e-9)) & (edges <= high * (1 + 1e-9))]

    def _fields(self, area: float) -> float:
        # Rounding must not add a field to an area that is a whole number of fields.
        return float(max(1.0, np.ceil(area / self.field_area - 1e-9)))
