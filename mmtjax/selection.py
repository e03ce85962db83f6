"""Which grains to believe: the signal strength ratio and thresholds on it (Out et al. 2022, sections 2.3 and 4.4)."""

from fractions import Fraction
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from mmtjax.precision import float64_array, is_concrete
from mmtjax.rock import Grains

AnyArray = np.ndarray | jax.Array


def signal_strength_ratio(grains: Grains, height: object) -> Float[AnyArray, " grain"]:
    """Signal strength ratio ``SSR = V / (R³ d)`` of every grain (Out et al. 2022, equation 13).

    V is the volume, R the vertical distance of the centroid from the scanning plane, and d the diameter of the sphere
    with that volume. Differentiable with respect to the positions and the height.

    Parameters
    ----------
    grains
        The grains.
    height
        z of the scanning plane, µm.

    Returns
    -------
    Array of shape (grain,); 1/µm, with all lengths in µm as in the paper.

    Raises
    ------
    ValueError
        If the height is not one number, or the centroid of a grain does not lie below the scanning plane (unless the
        values are traced).

    Examples
    --------
    >>> grain = Grains.from_volumes([[0, 0, -25]], [10.0])
    >>> round(signal_strength_ratio(grain, 0.0)[0].item(), 6)
    0.000239
    """
    plane = float64_array(height, name="height")
    if plane.shape != ():
        raise ValueError(f"height must be one number, the z of the scanning plane in µm; got {height!r}")
    distance = plane - grains.position[:, 2]
    if is_concrete(distance) and not np.all(np.asarray(distance) > 0):
        grain = int(np.argmin(np.asarray(distance) > 0))
        raise ValueError(
            f"the centroid of grain {grains.ids[grain]} lies at z = {grains.position[grain, 2]:g} µm, not below the "
            f"scanning plane at {float(plane):g} µm; z points up and the surface of the sample is at z = 0"
        )
    return grains.volume / (distance**3 * grains.equivalent_diameter)


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
    if not is_concrete(ssr, ratio, limit, purity):
        raise ValueError("a count of grains cannot be traced; call ssr_threshold outside of jit and grad")
    strength = np.asarray(float64_array(ssr, name="ssr"))
    uncertainty = np.asarray(float64_array(ratio, name="ratio"))
    if strength.ndim != 1 or strength.shape != uncertainty.shape or strength.size == 0:
        raise ValueError(f"ssr and ratio must both be (grain,); got shapes {strength.shape} and {uncertainty.shape}")
    if not np.all(np.isfinite(strength)):
        grain = int(np.argmin(np.isfinite(strength)))
        raise ValueError(f"ssr[{grain}] is {strength[grain]}; signal strength ratios must be finite")
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
    resolved, total = int(good[-1]), len(strength)
    if not np.any(pure):
        nothing = 0.0 if resolved else np.nan
        return SsrThreshold(np.inf, 0, 0, recovered=nothing, purity=np.nan, resolved=resolved, total=total)
    end = int(last[pure][-1])
    selected, kept = end + 1, int(good[end])
    return SsrThreshold(
        ssr=float(falling[end]),
        selected=selected,
        violators=selected - kept,
        recovered=kept / resolved,
        purity=kept / selected,
        resolved=resolved,
        total=total,
    )
