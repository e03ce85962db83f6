"""Independent noise with a standard deviation for each sensor."""

import jax.numpy as jnp
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.noise.base import AbstractNoise, SensorWeights, mask_weights
from mmtjax.precision import AnyArray, ArrayLike, float64_array
from mmtjax.scan.scan import Scan, check_noise


class NoiseMap(AbstractNoise):
    """Independent normal noise with a standard deviation for each sensor.

    Parameters
    ----------
    sigma
        Standard deviations, (ny, nx), nT; may be traced.

    Raises
    ------
    ValueError
        If the standard deviations are not a map, or not positive and finite everywhere.

    Examples
    --------
    >>> NoiseMap([[5.0, 6.0, 5.0], [4.0, 5.0, 6.0]]).sigma.shape
    (2, 3)
    """

    sigma: Float[AnyArray, "ny nx"]

    def __init__(self, sigma: ArrayLike) -> None:
        self.sigma = float64_array(sigma, name="noise")
        if self.sigma.ndim != 2:
            msg = f"a map of noise must be (ny, nx), in nT; got shape {self.sigma.shape}"
            raise InputError(msg)
        check_noise(self.sigma, self.sigma.shape)

    @property
    def is_known(self) -> bool:
        """True: the standard deviations are given."""
        return True

    def weights(self, scan: Scan) -> SensorWeights:
        """Return 1 / standard deviation as weights, and a variance of one.

        Raises
        ------
        ValueError
            If the scan has another shape.
        """
        used = mask_weights(scan)
        check_noise(self.sigma, scan.grid.shape)
        return SensorWeights(used / self.sigma, jnp.ones(()))

    def patterns(self, scan: Scan) -> None:
        """Return None: there are no patterns that sensors share."""

    def standard_deviation(self, variance: Float[AnyArray, ""]) -> Float[AnyArray, "ny nx"]:
        """Return the standard deviations that were given, nT."""
        return self.sigma
