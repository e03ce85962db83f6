"""The sample, the scan and the selection for which a threshold is wanted."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from mmtjax.errors import InputError, InputTypeError
from mmtjax.selection import LIMIT, PURITIES, PURITY
from mmtjax.selection.thresholds import check_limit
from mmtjax.simulation import SampleFields, SampleSpec
from mmtjax.study.config import PARAMETERS
from mmtjax.study.stability import STABLE


class ThresholdFields(SampleFields, total=False):
    """The fields of `ThresholdCase` and its sample, for functions that take them by keyword."""

    interval: float
    noise: float
    level: float
    limit: float
    purities: Sequence[float]
    purity: float
    stable: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class ThresholdCase:
    """A sample and scan, and the selection of grains for which a threshold is wanted.

    Parameters
    ----------
    sample
        Description of the sample; for models that are run its side must be a whole number of intervals.
    interval
        Sampling interval of the map, µm, a whole number for models that are run; sensors have an edge of 1 µm.
    noise
        Standard deviation of the noise of a sensor, nT.
    level
        Probability of the confidence sphere.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved, one row of the table each.
    purity
        Share whose threshold must be stable.
    stable
        Decades within which that threshold is stable.

    Raises
    ------
    ValueError
        If a value is invalid; the message names it.

    Examples
    --------
    >>> case = ThresholdCase.from_fields(side=200, thickness=50, density=2.5e4, interval=2, noise=20)
    >>> case.sample.grain_count, case.limit
    (50, 0.1)
    """

    sample: SampleSpec
    interval: float
    noise: float
    level: float = 0.95
    limit: float = LIMIT
    purities: Sequence[float] = PURITIES
    purity: float = PURITY
    stable: float = STABLE

    def __post_init__(self) -> None:
        """Check all values."""
        if not 0 < self.interval < np.inf:
            msg = f"interval must be a sampling interval in µm, above 0; got {self.interval!r}"
            raise InputError(msg)
        if not 0 < self.noise < np.inf:
            msg = f"noise must be a standard deviation in nT, above 0; got {self.noise!r}"
            raise InputError(msg)
        if not 0 < self.level < 1:
            msg = f"level must be a probability, such as 0.95; got {self.level!r}"
            raise InputError(msg)
        check_limit(self.limit)
        purities = [*self.purities, self.purity]
        if not self.purities or not all(0 < share <= 1 for share in purities):
            msg = f"purities must be shares above 0 and up to 1, such as 0.99; got {purities}"
            raise InputError(msg)
        if not 0 < self.stable < np.inf:
            msg = f"stable must be a number of decades above 0, such as 0.25; got {self.stable!r}"
            raise InputError(msg)

    @classmethod
    def from_fields(cls, **fields: Unpack[ThresholdFields]) -> "ThresholdCase":
        """Return a case from the fields of its sample and its own, by keyword.

        Parameters
        ----------
        **fields
            Fields of `mmtjax.SampleSpec` and of `ThresholdCase`; ``side``, ``thickness``, ``density``, ``interval`` and
            ``noise`` have no default.

        Raises
        ------
        TypeError
            If one of these is missing.
        """
        values: dict[str, Any] = dict(fields)
        if missing := [name for name in PARAMETERS if name not in values]:
            msg = f"a threshold needs values for {', '.join(PARAMETERS)}; {', '.join(missing)} is missing"
            raise InputTypeError(msg)
        of_sample = [field.name for field in dataclasses.fields(SampleSpec) if field.name in values]
        sample = SampleSpec(**{name: values.pop(name) for name in of_sample})
        return cls(sample=sample, **values)

    def parameters(self) -> dict[str, float]:
        """Return the five parameters of the model, by their names in `mmtjax.study.config.PARAMETERS`."""
        return {
            "side": self.sample.side,
            "thickness": self.sample.thickness,
            "density": self.sample.density,
            "interval": self.interval,
            "noise": self.noise,
        }

    @property
    def description(self) -> str:
        """The sample and the scan in words, for messages."""
        return (
            f"{self.sample.side:g} × {self.sample.side:g} × {self.sample.thickness:g} µm with {self.sample.density:g} "
            f"grains per mm³, a sensor every {self.interval:g} µm, noise {self.noise:g} nT"
        )
