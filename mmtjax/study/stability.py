"""Whether an SSR threshold would still change with more samples (Out et al. 2022, section 4.3)."""

import math

import numpy as np
import pandas
from jaxtyping import Float, Int

from mmtjax.selection import PURITY, ssr_threshold
from mmtjax.study.resampling import resampled_thresholds, sample_counts, sampling_error

#: Decades of SSR within which a threshold is stable: the quarter of a log scale of section 4.3.
STABLE = 0.25

#: Last samples of which each must leave a stable threshold where it was.
_LAST = 3


class Stability:
    """The threshold of the first samples as their number grows, and whether it is stable.

    Attributes
    ----------
    purity, limit
        What the threshold is for.
    stable
        Decades within which it is stable: each of the last three samples changed it by less, and its standard error
        over samples is less.
    minimum
        Samples before which it does not count as stable; never fewer than four.
    strengths
        Threshold of the first sample, of the first two, and so on, 1/µm.
    """

    def __init__(self, *, purity: float, limit: float, stable: float, minimum: int) -> None:
        self.purity, self.limit, self.stable, self.minimum = purity, limit, stable, minimum
        self.strengths: list[float] = []
        self._latest = (np.empty(0), np.empty(0), np.empty(0, int))
        self._error: float | None = None

    def add(self, strength: np.ndarray, ratio: np.ndarray, sample: np.ndarray) -> None:
        """Take note of the threshold of all samples so far, whose numbers count from 0."""
        self.strengths.append(ssr_threshold(strength, ratio, self.limit, self.purity).value)
        self._latest, self._error = (strength, ratio, sample), None

    @property
    def error(self) -> float:
        """Standard error of the threshold, decades; infinite for one sample. Computed where it is asked for."""
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

    def words(self) -> str:
        """Whether the threshold is stable, and how far."""
        found = (
            f"the threshold for {100 * self.purity:g} % is {'' if self.converged else 'NOT '}stable to "
            f"{self.stable:g} decades"
        )
        if not np.isfinite(self.strengths[-1]):
            return f"{found}: no choice of grains is pure enough"
        return (
            f"{found}: the last {min(_LAST, len(self.strengths) - 1)} samples changed it by up to "
            f"{self.last_change:.2g}, and its standard error is {self.error:.2g}"
        )

    def table(self) -> pandas.DataFrame:
        """The table ``convergence`` of a `mmtjax.study.threshold.ThresholdAnswer`."""
        table = pandas.DataFrame(
            {"models": np.arange(1, len(self.strengths) + 1), "ssr": self.strengths, "ssr_change": self.changes}
        )
        table.attrs["units"] = {"ssr": "1/µm", "ssr_change": "decades"}
        return table


def judged(
    strength: Float[np.ndarray, " grain"],
    ratio: Float[np.ndarray, " grain"],
    sample: Int[np.ndarray, " grain"],
    *,
    limit: float,
    purity: float = PURITY,
    stable: float = STABLE,
) -> tuple[bool, str, pandas.DataFrame]:
    """Whether the threshold of samples that are all there is stable, in words, and what each of them changed."""
    record = Stability(purity=purity, limit=limit, stable=stable, minimum=2)
    for last in range(int(sample.max()) + 1):
        first = sample <= last
        record.add(strength[first], ratio[first], sample[first])
    return record.converged, record.words(), record.table()
