"""How much of a map its solution leaves unexplained, and whether noise may be the reason."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from mmtjax.precision import AnyArray

#: Residual as a share of the map beyond which no source is trusted, unless noise explains it. It is 0.1 for a published
#: scan; of maps that were turned or mirrored it is 0.07 to 0.97, the larger the fewer sources there are.
MOST_UNEXPLAINED = 0.2

#: Number of standard deviations by which χ², and the correlation of neighbours, may exceed their expectations.
_SPREAD = 5.0


class MapMisfit(NamedTuple):
    """The residual of a solution in relation to the map and to its noise.

    Attributes
    ----------
    share
        Root mean square of the residual as a share of that of the map without its patterns, in units of the noise.
    exceeds_noise
        Whether the reduced χ² is larger than the given noise explains.
    neighbours
        Correlation of the residual between adjacent sensors.
    is_correlated
        Whether that correlation is larger than white noise explains.
    is_explained
        Whether the residual is a small share of the map, or noise explains it.
    """

    share: Float[Array, ""]
    exceeds_noise: Bool[Array, ""]
    neighbours: Float[Array, ""]
    is_correlated: Bool[Array, ""]
    is_explained: Bool[Array, ""]


def misfit(
    residual: Float[AnyArray, "ny nx"],
    signal: Float[AnyArray, "ny nx"],
    mask: Bool[AnyArray, "ny nx"],
    *,
    reduced_chi_square: Float[AnyArray, ""],
    freedom: Float[AnyArray, ""],
    noise_is_known: bool,
) -> MapMisfit:
    """Return the misfit of a solution.

    Parameters
    ----------
    residual, signal
        Residual, and the map without its patterns, both divided by the standard deviation of the noise.
    mask
        Whether a sensor is used.
    reduced_chi_square, freedom
        Reduced χ², and the number of sensors in use less that of the unknowns that they determine.
    noise_is_known
        Whether the noise was given. If it was estimated from the residual, χ² is 1 and the correlation of neighbours
        decides whether white noise explains the residual.

    Examples
    --------
    >>> smooth = np.add.outer(np.arange(9.0), np.arange(9.0)) - 8
    >>> used = np.ones((9, 9), bool)
    >>> noise = {"reduced_chi_square": np.array(24.0), "freedom": np.array(78.0), "noise_is_known": True}
    >>> found = misfit(smooth, smooth, used, **noise)
    >>> bool(found.exceeds_noise), bool(found.is_correlated), bool(found.is_explained)
    (True, True, False)
    """
    left, power = (jnp.where(mask, values, 0.0) for values in (residual, signal))
    used, chi_square = np.sum(mask), jnp.asarray(reduced_chi_square)
    share = jnp.sqrt(chi_square * used / jnp.maximum(jnp.sum(power**2), jnp.finfo(power.dtype).tiny))
    exceeds = chi_square > 1 + _SPREAD * jnp.sqrt(2 / jnp.maximum(jnp.asarray(freedom), 1.0))
    pairs = np.sum(mask[1:] & mask[:-1]) + np.sum(mask[:, 1:] & mask[:, :-1])
    products = jnp.sum(left[1:] * left[:-1]) + jnp.sum(left[:, 1:] * left[:, :-1])
    mean_square = jnp.maximum(jnp.sum(left**2) / used, jnp.finfo(left.dtype).tiny)
    neighbours = products / np.maximum(pairs, 1) / mean_square
    correlated = neighbours * np.sqrt(np.maximum(pairs, 1)) > _SPREAD
    beyond = exceeds if noise_is_known else correlated
    return MapMisfit(share, exceeds, neighbours, correlated, ~(beyond & (share > MOST_UNEXPLAINED)))
