"""White noise whose size is taken from the residual of the solution."""

import jax.numpy as jnp
from jaxtyping import Float

from mmtjax.noise.base import AbstractNoise, SensorWeights, mask_weights
from mmtjax.precision import AnyArray
from mmtjax.scan.scan import Scan


class ResidualNoise(AbstractNoise):
    """Independent normal noise of one standard deviation, which the misfit of the solution tells.

    Examples
    --------
    >>> ResidualNoise().is_known
    False
    """

    @property
    def is_known(self) -> bool:
        """Never: the variance is taken from the residual."""
        return False

    def weights(self, scan: Scan) -> SensorWeights:
        """Return weights of one, and the mean square of the map as a first guess of the variance."""
        field = jnp.where(scan.mask, scan.field, 0.0)
        power = jnp.sum(field**2) / scan.used
        return SensorWeights(mask_weights(scan), jnp.maximum(power, jnp.finfo(field.dtype).tiny))

    def patterns(self, scan: Scan) -> None:
        """Return no pattern: sensors share nothing."""

    def standard_deviation(self, variance: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        """Return the root of the variance that the residual has shown, nT."""
        return jnp.sqrt(variance)
