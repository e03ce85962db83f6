"""White noise whose standard deviation is estimated from the residual of the solution."""

import jax.numpy as jnp
from jaxtyping import Float

from mmtjax.noise.base import AbstractNoise, SensorWeights, mask_weights
from mmtjax.precision import AnyArray
from mmtjax.scan.scan import Scan


class ResidualNoise(AbstractNoise):
    """Independent normal noise with one standard deviation, which is estimated from the residual of the solution.

    Examples
    --------
    >>> ResidualNoise().is_known
    False
    """

    @property
    def is_known(self) -> bool:
        """False: the variance is estimated from the residual."""
        return False

    def weights(self, scan: Scan) -> SensorWeights:
        """Return weights of one, and the mean square of the map as a first guess of the variance."""
        used = mask_weights(scan)
        field = jnp.where(scan.mask, scan.field, 0.0)
        power = jnp.sum(field**2) / scan.used
        return SensorWeights(used, jnp.maximum(power, jnp.finfo(field.dtype).tiny))

    def patterns(self, scan: Scan) -> None:
        """Return None: there are no patterns that sensors share."""

    def standard_deviation(self, variance: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        """Return the square root of the variance that was estimated from the residual, nT."""
        return jnp.sqrt(variance)
