"""Decide whether an SSR threshold would still change with more samples (Out et al. 2022, section 4.3)."""

import math

import numpy as np
import pandas
from jaxtyping import Float, Int

from mmtjax.selection import PURITY, ssr_threshold
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error

#: Decades of SSR within which a threshold is stable: a quarter of a decade, as in section 4.3.
STABLE = 0.25

#: Number of the last samples that must each have changed a stable threshold by less.
_LAST = 3


class Stability:
    """The threshold of the first samples as their number grows, and whether it is stable.

    Attributes
    ----------
    purity, limit
        Purity and limit of the threshold.
    stable
        Decades within which it is stable: each of the last three samples changed it by less, and its standard error
        over samples is less.
    minimum
        Number of samples before which it does not count as stable; never fewer than four.
    strengths
        Threshold of the first sample, of the first two, and so on, 1/µm.
    """

    def __init__(self, *, purity: float, limit: float, stable: float, minimum: int) -> None:
        """Begin without samples."""
        self.purity, self.limit, self.stable, self.minimum = purity, limit, stable, minimum
        self.strengths: list[float] = []
        self._latest = (np.empty(0), np.empty(0), np.empty(0, int))
        self._error: float | None = None

    def add(self, strength: np.ndarray, ratio: np.ndarray, sample: np.ndarray) -> None:
        """Record the threshold of all samples so far.

        Parameters
        ----------
        strength, ratio, sample
            SSR (1/µm), uncertainty ratio and number of the sample, from 0, of every grain so far.
        """
        self.strengths.append(ssr_threshold(strength, ratio, self.limit, self.purity).value)
        self._latest, self._error = (strength, ratio, sample), None

    @property
    def error(self) -> float:
        """Standard error of the threshold, decades; infinite for one sample. It is computed when it is first read."""
        samples = len(self.strengths)
        if self._error is None:
            self._error = math.inf
            if samples > 1:
                drawn = resampled_thresholds(
                    sample_counts(samples), *self._latest, limit=self.limit, purities=[self.purity]
                )
                self._error = float(sampling_error(np.log10(drawn), samples)[0])
        return self._error

    @property
    def converged(self) -> bool:
        """Whether the threshold is stable."""
        enough = len(self.strengths) >= max(self.minimum, _LAST + 1)
        return enough and self.last_change < self.stable and self.error < self.stable

    @property
    def changes(self) -> list[float]:
        """Decades by which each sample changed the threshold; NaN for the first."""
        pairs = zip(self.strengths[:-1], self.strengths[1:], strict=True)
        return [np.nan, *(0.0 if old == new else abs(math.log10(new) - math.log10(old)) for old, new in pairs)]

    @property
    def last_change(self) -> float:
        """The largest change of the last samples, decades."""
        return max(self.changes[1:][-_LAST:], default=np.inf)

    def description(self) -> str:
        """Return in words whether the threshold is stable, and by how much."""
        found = (
            f"the threshold for {100 * self.purity:g} % is {'' if self.converged else 'NOT '}stable to "
            f"{self.stable:g} decades"
        )
        if not np.isfinite(self.strengths[-1]):
            return f"{found}: no selection of grains is pure enough"
        return (
            f"{found}: the last {min(_LAST, len(self.strengths) - 1)} samples changed it by up to "
            f"{self.last_change:.2g}, and its standard error is {self.error:.2g}"
        )

    def table(self) -> pandas.DataFrame:
        """Return the table ``convergence`` of a `mmtjax.study.threshold.ThresholdAnswer`."""
        table = pandas.DataFrame(
            {"models": np.arange(1, len(self.strengths) + 1), "ssr": self.strengths, "ssr_change": self.changes}
        )
        table.attrs["units"] = {"ssr": "1/µm", "ssr_change": "decades"}
        return table


def stability_of(
    strength: Float[np.ndarray, " grain"],
    ratio: Float[np.ndarray, " grain"],
    sample: Int[np.ndarray, " grain"],
    *,
    limit: float,
    purity: float = PURITY,
    stable: float = STABLE,
) -> Stability:
    """Return the stability of the threshold of given samples.

    Parameters
    ----------
    strength, ratio, sample
        SSR (1/µm), uncertainty ratio and number of the sample, from 0, of every grain.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved.
    stable
        Decades within which the threshold is stable.
    """
    record = Stability(purity=purity, limit=limit, stable=stable, minimum=2)
    for last in range(int(sample.max()) + 1):
        first = sample <= last
        record.add(strength[first], ratio[first], sample[first])
    return record
