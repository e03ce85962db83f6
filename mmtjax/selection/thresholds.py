"""Thresholds on what is known of grains without a scan, from which on they are resolved (Out et al. 2022, 4.4)."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mmtjax.precision import float64_array, is_concrete


class SsrThreshold(NamedTuple):
    """The signal strength ratio above which grains are believed; ``float()`` of it is `ssr`.

    Attributes
    ----------
    ssr
        The threshold, 1/µm; infinite if no choice of grains is pure enough.
    selected, violators
        Number of grains at or above the threshold, and of those among them whose uncertainty ratio exceeds the limit.
    recovered
        Share of all grains within the limit that are selected; NaN if no grain is within the limit.
    purity
        Share of the selected grains that are within the limit; NaN if none is selected.
    resolved, total
        Number of all grains within the limit, and of all grains.
    """

    ssr: float
    selected: int
    violators: int
    recovered: float
    purity: float
    resolved: int
    total: int

    def __float__(self) -> float:
        return self.ssr


class StatisticThreshold(NamedTuple):
    """The value of a statistic from which grains are believed; ``float()`` of it is `value`.

    Attributes
    ----------
    value
        The threshold, in the unit of the statistic; where no choice of grains is pure enough, infinite, and negative
        where small values are the good ones.
    selected, violators
        Number of grains at the threshold or beyond it on the good side, and of those among them whose uncertainty ratio
        exceeds the limit.
    recovered
        Share of all grains within the limit that are selected; NaN if no grain is within the limit.
    purity
        Share of the selected grains that are within the limit; NaN if none is selected.
    resolved, total
        Number of all grains within the limit, and of all grains.
    """

    value: float
    selected: int
    violators: int
    recovered: float
    purity: float
    resolved: int
    total: int

    def __float__(self) -> float:
        return self.value


def ssr_threshold(ssr: object, ratio: object, limit: float | int = 0.10, purity: float | int = 0.99) -> SsrThreshold:
    """Smallest observed signal strength ratio above which grains are resolved (Out et al. 2022, section 4.4).

    The smallest t among `ssr` such that of the grains with SSR ≥ t at least the share `purity` have an uncertainty
    ratio of at most `limit`. A count, which is not differentiable.

    Parameters
    ----------
    ssr
        Signal strength ratios, (grain,).
    ratio
        Uncertainty ratios as fractions, (grain,); may be infinite.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved, up to 1; compared exactly, as the decimal number it prints
        as.

    Raises
    ------
    ValueError
        If the shapes differ or are empty, an SSR is not finite, a ratio is NaN or negative, or limit or purity are out
        of range.

    Examples
    --------
    >>> choice = ssr_threshold([4.0, 3.0, 2.0, 1.0], [0.01, 0.05, 0.2, 0.09], purity=0.75)
    >>> float(choice), choice.selected, choice.violators, choice.recovered
    (1.0, 4, 1, 1.0)
    """
    found = _threshold(ssr, ratio, limit, purity, name="ssr", smaller_is_better=False)
    return SsrThreshold(found.value, *found[1:])


def statistic_threshold(
    statistic: object,
    ratio: object,
    *,
    limit: float | int = 0.10,
    purity: float | int = 0.99,
    smaller_is_better: bool = False,
) -> StatisticThreshold:
    """Threshold on any statistic of the grains from which on they are resolved, as `ssr_threshold` on the SSR.

    Parameters
    ----------
    statistic
        One number for each grain, (grain,). With `smaller_is_better` infinite ones are never selected.
    ratio
        Uncertainty ratios as fractions, (grain,); may be infinite.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved, up to 1; compared exactly, as the decimal number it prints
        as.
    smaller_is_better
        Whether grains are selected up to the threshold, as by `expected_uncertainty_ratio`, rather than from it on.

    Raises
    ------
    ValueError
        As `ssr_threshold`.

    Examples
    --------
    >>> choice = statistic_threshold([0.02, 0.04, 0.3], [0.01, 0.09, 0.2], smaller_is_better=True)
    >>> float(choice), choice.selected, choice.recovered
    (0.04, 2, 1.0)
    """
    return _threshold(statistic, ratio, limit, purity, name="statistic", smaller_is_better=smaller_is_better)


def _threshold(
    statistic: object,
    ratio: object,
    limit: float | int,
    purity: float | int,
    *,
    name: str,
    smaller_is_better: bool,
) -> StatisticThreshold:
    if not is_concrete(statistic, ratio, limit, purity):
        raise ValueError("a count of grains cannot be traced; look for thresholds outside of jit and grad")
    strength = np.asarray(float64_array(statistic, name=name))
    uncertainty = np.asarray(float64_array(ratio, name="ratio"))
    if strength.ndim != 1 or strength.shape != uncertainty.shape or strength.size == 0:
        raise ValueError(f"{name} and ratio must both be (grain,); got shapes {strength.shape} and {uncertainty.shape}")
    known = np.isfinite(strength) | (smaller_is_better & (strength == np.inf))
    if not np.all(known):
        grain = int(np.argmin(known))
        raise ValueError(f"{name}[{grain}] is {strength[grain]}; it must be finite")
    strength = -strength if smaller_is_better else strength
    if not np.all(uncertainty >= 0):
        grain = int(np.argmin(uncertainty >= 0))
        raise ValueError(f"ratio[{grain}] is {uncertainty[grain]}; leave out grains whose uncertainty is not known")
    if not limit >= 0:
        raise ValueError(f"limit must be an uncertainty ratio as a fraction, such as 0.10; got {limit!r}")
    if not 0 < purity <= 1:
        raise ValueError(f"purity must be a share above 0 and up to 1, such as 0.99; got {purity!r}")
    order = np.argsort(-strength, kind="stable")
    good = np.cumsum(uncertainty[order] <= limit)
    falling = strength[order]
    # Grains of one SSR are selected together: a threshold lies at the last of each run of equal values.
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    share = Fraction(str(purity))
    pure = good[last].astype(object) * share.denominator >= (last + 1).astype(object) * share.numerator
    pure &= np.isfinite(falling[last])
    resolved, total = int(good[-1]), len(strength)
    if not np.any(pure):
        nothing, worst = 0.0 if resolved else np.nan, -np.inf if smaller_is_better else np.inf
        return StatisticThreshold(worst, 0, 0, recovered=nothing, purity=np.nan, resolved=resolved, total=total)
    end = int(last[pure][-1])
    selected, kept = end + 1, int(good[end])
    return StatisticThreshold(
        value=float(-falling[end] if smaller_is_better else falling[end]),
        selected=selected,
        violators=selected - kept,
        recovered=kept / resolved,
        purity=kept / selected,
        resolved=resolved,
        total=total,
    )
