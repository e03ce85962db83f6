"""Find thresholds on statistics of grains that select the resolved grains (Out et al. 2022, section 4.4)."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from mmtjax.errors import InputError, require_type
from mmtjax.precision import float64_array, is_concrete, real_number

#: Anything that NumPy can convert to one number for each grain.
GrainValues = ArrayLike | Sequence[float]


class Threshold(NamedTuple):
    """A threshold on a statistic, and the grains that it selects; ``float()`` of it is `value`.

    Attributes
    ----------
    value
        The threshold, in the unit of the statistic (1/µm for the signal strength ratio). Infinite if no selection is
        pure enough, with a minus sign if small values stand for well resolved grains.
    selected, violators
        Number of selected grains, those at the threshold included, and the number of them whose uncertainty ratio
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
        """Return the threshold."""
        return self.value


def ssr_threshold(ssr: GrainValues, ratio: GrainValues, limit: float = 0.10, purity: float = 0.99) -> Threshold:
    """Find the smallest signal strength ratio (SSR) above which grains are resolved (Out et al. 2022, section 4.4).

    It is the smallest t among `ssr` for which at least the share `purity` of the grains with SSR ≥ t have an
    uncertainty ratio of at most `limit`. The result depends on counts of grains and has no derivative.

    Parameters
    ----------
    ssr
        Signal strength ratios, (grain,).
    ratio
        Uncertainty ratios as fractions, (grain,); may be infinite.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved, up to 1. It is compared exactly, as the decimal number
        that Python prints.

    Returns
    -------
    Threshold
        The threshold (1/µm) and the grains that it selects.

    Raises
    ------
    ValueError
        If the shapes differ or are empty, an SSR is not finite, a ratio is NaN or negative, or limit or purity are out
        of range.

    Examples
    --------
    >>> choice = ssr_threshold([4.0, 3.0, 2.0, 1.0], [0.01, 0.05, 0.2, 0.09], purity=0.75)
    >>> choice.value, choice.selected, choice.violators, choice.recovered
    (1.0, 4, 1, 1.0)
    """
    return _threshold("ssr", ssr, ratio, limit=limit, purity=purity)


def statistic_threshold(
    statistic: GrainValues,
    ratio: GrainValues,
    *,
    limit: float = 0.10,
    purity: float = 0.99,
    smaller_is_better: bool = False,
) -> Threshold:
    """Find the threshold on any statistic beyond which grains are resolved, as `ssr_threshold` does for the SSR.

    Parameters
    ----------
    statistic
        One number for each grain, (grain,). With `smaller_is_better`, grains with infinite values are never selected.
    ratio
        Uncertainty ratios as fractions, (grain,); may be infinite.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved, up to 1. It is compared exactly, as the decimal number
        that Python prints.
    smaller_is_better
        Whether grains up to the threshold are selected (as for `expected_uncertainty_ratio`), not grains from it on.

    Returns
    -------
    Threshold
        The threshold, in the unit of the statistic, and the grains that it selects.

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
    return _threshold("statistic", statistic, ratio, limit=limit, purity=purity, smaller_is_better=smaller_is_better)


def check_limit(limit: float) -> None:
    """Raise a ValueError unless a limit of the uncertainty ratio is positive and finite.

    Parameters
    ----------
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    """
    if not 0 < real_number(limit, name="limit") < np.inf:
        msg = f"limit must be an uncertainty ratio as a fraction, such as 0.10; got {limit!r}"
        raise InputError(msg)


def check_purity(purity: float) -> None:
    """Raise a ValueError unless a purity is a share above 0 and up to 1.

    Parameters
    ----------
    purity
        Share of the selected grains that must be resolved.
    """
    if not 0 < real_number(purity, name="purity") <= 1:
        msg = f"purity must be a share above 0 and up to 1, such as 0.99; got {purity!r}"
        raise InputError(msg)


def grain_arrays(
    statistic: GrainValues, ratio: GrainValues, *, name: str = "statistic"
) -> tuple[Float[np.ndarray, " grain"], Float[np.ndarray, " grain"]]:
    """Return a statistic and the uncertainty ratios as arrays of one shape.

    Parameters
    ----------
    statistic, ratio
        One number for each grain, (grain,).
    name
        Name of the statistic in messages.

    Raises
    ------
    ValueError
        If the values are traced, are not one number for each grain, or a ratio is NaN or negative.
    """
    if not is_concrete(statistic, ratio):
        msg = "a count of grains cannot be traced; look for thresholds outside of jit and grad"
        raise InputError(msg)
    values = np.asarray(float64_array(statistic, name=name))
    uncertainty = np.asarray(float64_array(ratio, name="ratio"))
    if values.ndim != 1 or values.shape != uncertainty.shape or values.size == 0:
        msg = f"{name} and ratio must both be (grain,); got shapes {values.shape} and {uncertainty.shape}"
        raise InputError(msg)
    if not np.all(uncertainty >= 0):
        grain = int(np.argmin(uncertainty >= 0))
        msg = f"ratio[{grain}] is {uncertainty[grain]}; leave out grains whose uncertainty is not known"
        raise InputError(msg)
    return values, uncertainty


def _threshold(
    name: str,
    statistic: GrainValues,
    ratio: GrainValues,
    *,
    limit: float,
    purity: float,
    smaller_is_better: bool = False,
) -> Threshold:
    require_type(smaller_is_better, bool | np.bool_, name="smaller_is_better")
    strength, uncertainty = grain_arrays(statistic, ratio, name=name)
    known = np.isfinite(strength) | (smaller_is_better & (strength == np.inf))
    if not np.all(known):
        grain = int(np.argmin(known))
        msg = f"{name}[{grain}] is {strength[grain]}; it must be finite"
        raise InputError(msg)
    check_limit(limit)
    check_purity(purity)
    strength = -strength if smaller_is_better else strength
    order = np.argsort(-strength, kind="stable")
    good = np.cumsum(uncertainty[order] <= limit)
    falling = strength[order]
    # Grains of equal strength are selected together: a threshold lies at the last of each run of equal values.
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    share = Fraction(str(purity))
    pure = good[last].astype(object) * share.denominator >= (last + 1).astype(object) * share.numerator
    pure &= np.isfinite(falling[last])
    resolved, total = int(good[-1]), len(strength)
    if not np.any(pure):
        recovered, value = 0.0 if resolved else np.nan, -np.inf if smaller_is_better else np.inf
        return Threshold(value, 0, 0, recovered=recovered, purity=np.nan, resolved=resolved, total=total)
    end = int(last[pure][-1])
    selected, within = end + 1, int(good[end])
    return Threshold(
        value=float(-falling[end] if smaller_is_better else falling[end]),
        selected=selected,
        violators=selected - within,
        recovered=within / resolved,
        purity=within / selected,
        resolved=resolved,
        total=total,
    )
