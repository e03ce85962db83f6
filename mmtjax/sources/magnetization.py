"""How strongly natural grains are magnetized (Out et al. 2022, section 2.1.2)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtri

from mmtjax.precision import float64_array, require_float64

#: |M| = M0 (V/V0)^α of eq. 1: M0 in A/m, V0 the volume of a sphere of 1 µm, µm³.
_MAGNETIZATION_OF_1_UM, _EXPONENT, _VOLUME_OF_1_UM = 46.5e3, -0.355, np.pi / 6

#: Standard deviation of the decimal logarithm of |M| about eq. 1: the "0.5²" that the paper gives for the variance.
MAGNETIZATION_SPREAD = 0.5


def magnetization_of_volume(
    volume: float | Float[np.ndarray | Array, "..."], quantile: float = 0.5
) -> float | Float[np.ndarray | Array, "..."]:
    """Magnetization (A/m) of natural grains of a volume in µm³ (equation 1 of Out et al. 2022).

    Equation 1 is the median. About it the decimal logarithm is normal with a standard deviation of 0.5.

    Parameters
    ----------
    volume
        Volume, µm³.
    quantile
        Share of the grains of that volume that are magnetized less.

    Returns
    -------
    Magnetization, A/m, of the shape of `volume`.

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
        raise ValueError(f"quantile must be a share between 0 and 1, such as 0.5 for the median; got {quantile!r}")
    scatter = 10 ** (MAGNETIZATION_SPREAD * ndtri(quantile))
    return _MAGNETIZATION_OF_1_UM * (volume / _VOLUME_OF_1_UM) ** _EXPONENT * scatter


def draw_magnetization(key: jax.Array, volume: object, *, directions: str = "printed") -> Float[Array, "grain 3"]:
    """Random magnetizations of grains: equation 1 with its scatter, in random directions (section 2.1.2).

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
    Array of shape (grain, 3), A/m.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For volumes that are not positive or another word for the directions.

    Examples
    --------
    >>> draw_magnetization(jax.random.key(1), [1.0, 8.0]).shape
    (2, 3)
    """
    require_float64()
    size = np.atleast_1d(np.asarray(float64_array(volume, name="volume")))
    if size.ndim != 1 or not np.all(size > 0):
        raise ValueError(f"volume must be (grain,), positive, in µm³; got shape {size.shape}, smallest {size.min():g}")
    if directions not in ("printed", "isotropic"):
        raise ValueError(f"directions must be 'printed' or 'isotropic'; got {directions!r}")
    for_size, for_azimuth, for_polar = jax.random.split(key, 3)
    scatter = MAGNETIZATION_SPREAD * jax.random.normal(for_size, size.shape, jnp.float64)
    norm = magnetization_of_volume(size) * 10**scatter
    azimuth = jax.random.uniform(for_azimuth, size.shape, jnp.float64, 0, 2 * np.pi)
    if directions == "printed":
        polar = jax.random.uniform(for_polar, size.shape, jnp.float64, 0, np.pi)
        rise, reach = jnp.cos(polar), jnp.sin(polar)
    else:
        rise = jax.random.uniform(for_polar, size.shape, jnp.float64, -1, 1)
        reach = jnp.sqrt(1 - rise**2)
    return norm[:, None] * jnp.stack([reach * jnp.cos(azimuth), reach * jnp.sin(azimuth), rise], axis=1)
