"""White noise: independent at each sensor, with one standard deviation."""

import jax.numpy as jnp
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.noise.base import AbstractNoise, SensorWeights, mask_weights
from mmtjax.precision import AnyArray, ArrayLike, float64_array
from mmtjax.scan.scan import Scan, check_noise


class WhiteNoise(AbstractNoise):
    """Independent normal noise with the same standard deviation at every sensor.

    Parameters
    ----------
    sigma
        Standard deviation, nT; may be traced.

    Raises
    ------
    ValueError
        If the standard deviation is not one positive number.

    Examples
    --------
    >>> float(WhiteNoise(20.0).sigma)
    20.0
    """

    sigma: Float[AnyArray, ""]

    def __init__(self, sigma: ArrayLike) -> None:
        self.sigma = float64_array(sigma, name="noise")
        if self.sigma.shape != ():
            msg = f"white noise has one standard deviation, in nT; got shape {self.sigma.shape}: use NoiseMap for a map"
            raise InputError(msg)
        check_noise(self.sigma, (1, 1))

    @property
    def is_known(self) -> bool:
        """True: the standard deviation is given."""
        return True

    def weights(self, scan: Scan) -> SensorWeights:
        """Return weights of one, and the variance of the noise."""
        return SensorWeights(mask_weights(scan), jnp.asarray(self.sigma) ** 2)

    def patterns(self, scan: Scan) -> None:
        """Return None: there are no patterns that sensors share."""

    def standard_deviation(self, variance: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        """Return the standard deviation that was given, nT."""
        return self.sigma
