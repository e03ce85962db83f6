"""Statistics that predict, without a scan, how well a grain will be resolved."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from mmtjax.errors import InputError, require_type
from mmtjax.precision import AnyArray, float64_array, is_concrete, refuse_masked, require_float64
from mmtjax.selection.thresholds import check_limit
from mmtjax.sources.base import AbstractSource
from mmtjax.sources.magnetization import MAGNETIZATION_SPREAD, magnetization_of_volume

#: One number, which may be traced.
Number = float | Float[AnyArray, ""]

#: Number of grains whose distances to all others are in memory at once.
_BATCH = 256


class StrengthFormula(NamedTuple):
    """Exponents of the formula of `crowded_signal_strength`.

    Attributes
    ----------
    volume, depth, crowding
        The exponents a, b and c of ``V^a / (R^b (1 + N)^c)``.
    reach
        The factor λ in the count N of neighbours, see `crowding`.
    """

    volume: Number
    depth: Number
    crowding: Number
    reach: Number


#: Exponents learned from the case of Fig. 6 of Out et al. (2022): 500 × 500 × 50 µm, 10⁵ grains/mm³, 1 µm, 5 nT, limit
#: 10 %, purity 99 %, by ``experiments/design_a_scan/learn_a_formula.py``. A common factor of all exponents changes no
#: selection.
LEARNED_FORMULA = StrengthFormula(volume=0.93, depth=4.94, crowding=1.68, reach=0.41)


def signal_strength_ratio(grains: AbstractSource, height: ArrayLike) -> Float[AnyArray, " grain"]:
    """Return the signal strength ratio ``SSR = V / (R³ d)`` of every grain (Out et al. 2022, equation 13).

    V is the volume, R the vertical distance of the centroid from the scanning plane, and d the diameter of the sphere
    with that volume. The ratio is differentiable with respect to the positions and the height.

    Parameters
    ----------
    grains
        The grains, or other sources that have volumes.
    height
        z of the scanning plane, µm.

    Returns
    -------
    Array of shape (grain,)
        1/µm, with all lengths in µm as in the paper.

    Raises
    ------
    ValueError
        If the height is not one number, if the sources have no volume, or if the centroid of a grain does not lie below
        the scanning plane (unless the values are traced).

    Examples
    --------
    >>> from mmtjax.sources import Grains
    >>> grain = Grains.from_volumes([[0, 0, -25]], [10.0])
    >>> round(signal_strength_ratio(grain, 0.0)[0].item(), 6)
    0.000239
    """
    distance = _distance(grains, height)
    return grains.known_volume / (distance**3 * grains.equivalent_diameter)


@jax.jit
def crowding(
    position: Float[AnyArray, "grain 3"],
    depth: Float[AnyArray, " grain"],
    *,
    reach: Number = LEARNED_FORMULA.reach,
) -> Float[Array, " grain"]:
    """Count the other grains near each grain, with weights that fall with distance: ``N = Σ exp(-h² / 2(λR)²)``.

    h is the horizontal distance of another grain, R the depth of the grain itself: the deeper a grain is, the wider is
    the part of the map that it shares with others. The count is differentiable.

    Parameters
    ----------
    position
        Centroids, µm; z does not matter.
    depth
        Vertical distances R from the scanning plane, µm.
    reach
        The factor λ. A grain directly above or below another counts as 1, one farther than 3 λR as almost 0.

    Examples
    --------
    >>> position = np.array([[0.0, 0.0, -5.0], [0.0, 0.0, -9.0], [90.0, 0.0, -5.0]])
    >>> crowding(position, -position[:, 2]).round(6).tolist()
    [1.0, 1.0, 0.0]
    """
    x, y = jnp.asarray(position[:, 0]), jnp.asarray(position[:, 1])

    def neighbours(grain: tuple[Array, Array, Array]) -> Array:
        square = (x - grain[0]) ** 2 + (y - grain[1]) ** 2
        # The sum includes the grain itself, which is subtracted.
        return jnp.sum(jnp.exp(-square / (2 * (reach * grain[2]) ** 2))) - 1.0

    return jax.lax.map(neighbours, (x, y, jnp.asarray(depth)), batch_size=_BATCH)


def log_crowded_strength(
    volume: Float[AnyArray, " grain"],
    depth: Float[AnyArray, " grain"],
    *,
    neighbours: Float[AnyArray, " grain"],
    formula: StrengthFormula = LEARNED_FORMULA,
) -> Float[AnyArray, " grain"]:
    """Return the natural logarithm of the crowded signal strength, ``V^a / (R^b (1 + N)^c)``.

    Parameters
    ----------
    volume, depth
        Volumes V, µm³, and vertical distances R from the scanning plane, µm.
    neighbours
        The counts N of neighbours, from `crowding`.
    formula
        The exponents.

    Examples
    --------
    >>> formula = StrengthFormula(volume=1.0, depth=3.0, crowding=0.0, reach=1.0)
    >>> one = np.ones(1)
    >>> np.exp(log_crowded_strength(8 * one, 2 * one, neighbours=5 * one, formula=formula)).round(12).tolist()
    [1.0]
    """
    for name, values in (("volume", volume), ("depth", depth), ("neighbours", neighbours)):
        refuse_masked(values, name=name)
    a, b, c, _ = formula
    return a * jnp.log(volume) - b * jnp.log(depth) - c * jnp.log1p(neighbours)


def crowded_signal_strength(
    grains: AbstractSource, height: ArrayLike, *, formula: StrengthFormula = LEARNED_FORMULA
) -> Float[AnyArray, " grain"]:
    """Return the signal strength of every grain among its neighbours, which selects better than the SSR.

    It is ``V^a / (R^b (1 + N)^c)``: V is the volume, R the vertical distance of the centroid from the scanning plane,
    and ``N = Σ exp(-h² / 2(λR)²)`` the weighted number of other grains at horizontal distances h. It is known before
    any scan and needs no inversion. Only the order of the grains has a meaning; thresholds apply to one kind of sample
    and scan, as those on the SSR do.

    Parameters
    ----------
    grains
        All grains of the sample, or other sources that have volumes.
    height
        z of the scanning plane, µm.
    formula
        The exponents; `LEARNED_FORMULA` by default.

    Returns
    -------
    Array of shape (grain,)
        The strengths, computed with all lengths in µm.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        As `signal_strength_ratio`.

    Examples
    --------
    >>> from mmtjax.sources import Grains
    >>> beside = Grains.from_volumes([[0, 0, -25], [9, 0, -25]], [10.0, 10.0])
    >>> alone = Grains.from_volumes([[0, 0, -25], [90, 0, -25]], [10.0, 10.0])
    >>> bool((crowded_signal_strength(beside, 0.0) < crowded_signal_strength(alone, 0.0)).all())
    True
    """
    require_float64()
    depth, volume = _distance(grains, height), grains.known_volume
    neighbours = crowding(grains.position, depth, reach=formula.reach)
    return jnp.exp(log_crowded_strength(volume, depth, neighbours=neighbours, formula=formula))


def expected_uncertainty_ratio(
    volume: Float[AnyArray, " grain"], confidence_radius: Float[AnyArray, "... grain"]
) -> Float[AnyArray, "... grain"]:
    """Return the uncertainty ratio that is expected before the scan: radius over the typical magnetization.

    The radius of the confidence sphere follows from grains, sensors and noise without a map. The typical magnetization
    is the median of equation 1 of Out et al. (2022) for the volume of the grain. Natural grains scatter about it, see
    `probability_within_limit`.

    Parameters
    ----------
    volume
        Volumes, µm³.
    confidence_radius
        Radii of the confidence spheres, A/m.

    Returns
    -------
    Array of the shape of `confidence_radius`
        Ratios as fractions.

    Raises
    ------
    ValueError
        For other shapes.

    Examples
    --------
    >>> expected_uncertainty_ratio(np.array([np.pi / 6]), np.array([465.0])).round(12).tolist()
    [0.01]
    """
    radius, size = float64_array(confidence_radius, name="confidence_radius"), float64_array(volume, name="volume")
    if size.ndim != 1 or radius.shape[-1:] != size.shape:
        msg = f"volume and confidence_radius must be (grain,) and (..., grain); got {size.shape} and {radius.shape}"
        raise InputError(msg)
    return radius / magnetization_of_volume(size)


def probability_within_limit(expected_ratio: Float[AnyArray, "..."], limit: float = 0.10) -> Float[Array, "..."]:
    """Return the probability ``Φ(2 log₁₀(limit / expected))`` that a grain is resolved.

    The decimal logarithm of the magnetization of a grain is normal about equation 1 with a standard deviation of 0.5,
    and so is that of its uncertainty ratio. The error of the solved magnetization, a tenth of it at a limit of 10 %, is
    neglected.

    Parameters
    ----------
    expected_ratio
        The result of `expected_uncertainty_ratio`, a fraction; for 0 and infinity the probabilities are 1 and 0.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.

    Raises
    ------
    ValueError
        For a limit that is not positive.

    Examples
    --------
    >>> probability_within_limit(np.array([0.0, 0.1, np.inf])).tolist()
    [1.0, 0.5, 0.0]
    """
    check_limit(limit)
    expected = float64_array(expected_ratio, name="expected_ratio")
    return ndtr((jnp.log10(limit) - jnp.log10(expected)) / MAGNETIZATION_SPREAD)


def _distance(grains: AbstractSource, height: ArrayLike) -> Float[AnyArray, " grain"]:
    """Return the distances of the centroids below the scanning plane, µm, after a check that they are positive."""
    require_type(grains, AbstractSource, name="grains")
    plane = float64_array(height, name="height")
    if plane.shape != ():
        msg = f"height must be one number, the z of the scanning plane in µm; got {height!r}"
        raise InputError(msg)
    distance = plane - grains.position[:, 2]
    if is_concrete(distance) and not np.all(np.asarray(distance) > 0):
        grain = int(np.argmin(np.asarray(distance) > 0))
        msg = (
            f"the centroid of grain {grains.ids[grain]} lies at z = {grains.position[grain, 2]:g} µm, not below the "
            f"scanning plane at {float(plane):g} µm; z points up and the surface of the sample is at z = 0"
        )
        raise InputError(msg)
    return distance
