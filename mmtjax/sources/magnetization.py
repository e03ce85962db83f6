"""Draw magnetizations of natural grains (Out et al. 2022, section 2.1.2)."""

from collections.abc import Sequence
from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike
from scipy.special import ndtri

from mmtjax.errors import InputError
from mmtjax.precision import AnyArray, float64_array, require_float64

#: |M| = M0 (V/V0)^α of eq. 1: M0 in A/m, α, and V0, the volume of a sphere of 1 µm, in µm³.
_MAGNETIZATION_OF_1_UM, _EXPONENT, _VOLUME_OF_1_UM = 46.5e3, -0.355, np.pi / 6

#: Standard deviation of the decimal logarithm of |M| about eq. 1; the paper gives the variance, "0.5²".
MAGNETIZATION_SPREAD = 0.5

#: Distributions of directions that `draw_magnetization` draws from.
DIRECTIONS = ("printed", "isotropic")


@overload
def magnetization_of_volume(volume: float, quantile: float = 0.5) -> float: ...
@overload
def magnetization_of_volume(volume: Float[AnyArray, "..."], quantile: float = 0.5) -> Float[AnyArray, "..."]: ...


def magnetization_of_volume(
    volume: float | Float[AnyArray, "..."], quantile: float = 0.5
) -> float | Float[AnyArray, "..."]:
    """Return the magnetization of natural grains of a volume (equation 1 of Out et al. 2022).

    Equation 1 is the median. The decimal logarithm is normal about it with a standard deviation of 0.5.

    Parameters
    ----------
    volume
        Volume, µm³.
    quantile
        Share of the grains of that volume that are magnetized less.

    Returns
    -------
    Number or array of the shape of `volume`
        Magnetization, A/m.

    Raises
    ------
    ValueError
        For a quantile that is not between 0 and 1.

    Examples
    --------
    >>> float(magnetization_of_volume(np.pi / 6))
    46500.0
    >>> print(f"{magnetization_of_volume(np.pi / 6, 0.025):.0f} to {magnetization_of_volume(np.pi / 6, 0.975):.0f}")
    4869 to 444053
    """
    if not 0 < quantile < 1:
        msg = f"quantile must be a share between 0 and 1, such as 0.5 for the median; got {quantile!r}"
        raise InputError(msg)
    scatter = 10 ** (MAGNETIZATION_SPREAD * ndtri(quantile))
    return _MAGNETIZATION_OF_1_UM * (volume / _VOLUME_OF_1_UM) ** _EXPONENT * scatter


def check_directions(directions: str) -> None:
    """Raise a ValueError unless a distribution of directions is one of `DIRECTIONS`."""
    if not isinstance(directions, str) or directions not in DIRECTIONS:
        msg = f"directions must be {' or '.join(map(repr, DIRECTIONS))}; got {directions!r}"
        raise InputError(msg)


def draw_magnetization(
    key: jax.Array, volume: ArrayLike | Sequence[float], *, directions: str = "printed"
) -> Float[Array, "grain 3"]:
    """Draw magnetizations of grains by equation 1 with its scatter, in random directions (section 2.1.2).

    Parameters
    ----------
    key
        Random key of JAX.
    volume
        Volumes, (grain,), µm³.
    directions
        ``"printed"`` draws the angle from z uniformly between 0 and π, as the paper says, which makes directions near
        the vertical too frequent; ``"isotropic"`` favours no direction.

    Returns
    -------
    Array of shape (grain, 3)
        Magnetizations, A/m.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For volumes that are not positive, or unknown directions.

    Examples
    --------
    >>> draw_magnetization(jax.random.key(1), [1.0, 8.0]).shape
    (2, 3)
    """
    require_float64()
    size = np.atleast_1d(np.asarray(float64_array(volume, name="volume")))
    if size.ndim != 1 or not np.all(size > 0):
        msg = f"volume must be (grain,), positive, in µm³; got shape {size.shape}, smallest {size.min():g}"
        raise InputError(msg)
    check_directions(directions)
    for_size, for_azimuth, for_polar = jax.random.split(key, 3)
    scatter = MAGNETIZATION_SPREAD * jax.random.normal(for_size, size.shape, jnp.float64)
    norm = jnp.asarray(magnetization_of_volume(size)) * 10**scatter
    azimuth = jax.random.uniform(for_azimuth, size.shape, jnp.float64, 0, 2 * np.pi)
    if directions == "printed":
        polar = jax.random.uniform(for_polar, size.shape, jnp.float64, 0, np.pi)
        rise, reach = jnp.cos(polar), jnp.sin(polar)
    else:
        rise = jax.random.uniform(for_polar, size.shape, jnp.float64, -1, 1)
        reach = jnp.sqrt(1 - rise**2)
    return norm[:, None] * jnp.stack([reach * jnp.cos(azimuth), reach * jnp.sin(azimuth), rise], axis=1)
