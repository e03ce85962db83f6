"""The abstract noise: weights of sensors, the variance of one of weight one, and patterns that sensors share."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.precision import AnyArray
from mmtjax.scan.scan import Scan


class SensorWeights(NamedTuple):
    """How much each sensor counts in the least-squares problem.

    Attributes
    ----------
    weight
        Relative weights, (ny, nx): 0 for sensors that are not used, otherwise inverse to the standard deviation.
    variance
        Variance of a sensor of weight one, nT².
    """

    weight: Float[Array, "ny nx"]
    variance: Float[Array, ""]


class AbstractNoise(eqx.Module):
    """Noise of a map: independent at each sensor, and, where `patterns` has any, shared by sensors.

    A map is ``φ = Q m + P a + e`` with the patterns P, whose factors ``a ~ N(0, 1)`` are unknown, and an independent
    error e at each sensor. Solving for the factors beside m is the generalized least squares of the covariance
    ``σ²W⁻² + PPᵀ``.
    """

    @property
    @abstractmethod
    def is_known(self) -> bool:
        """Whether the variance is given; where it is not, it is taken from the residual of the solution."""

    @abstractmethod
    def weights(self, scan: Scan) -> SensorWeights:
        """Return the weights of the sensors of a scan; the variance is a first guess where it is not given.

        Raises
        ------
        ValueError
            If the noise does not fit the map.
        """

    @abstractmethod
    def patterns(self, scan: Scan) -> Float[AnyArray, "pattern ny nx"] | None:
        """Return patterns that sensors share, nT, whose factors are independent and standard normal; None for none."""

    @abstractmethod
    def standard_deviation(self, variance: Float[AnyArray, ""]) -> Float[AnyArray, "..."]:
        """Return the standard deviation of the noise, nT: one number, or one for each sensor.

        Parameters
        ----------
        variance
            Variance of a sensor of weight one, nT².
        """


def mask_weights(scan: Scan) -> Float[Array, "ny nx"]:
    """Return weights of one for sensors in use, and of zero for others.

    Examples
    --------
    >>> from mmtjax.scan.grid import SensorGrid
    >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(1, 2))
    >>> mask_weights(Scan(np.ones((1, 2)), grid, mask=[[True, False]])).tolist()
    [[1.0, 0.0]]
    """
    return jnp.asarray(scan.mask, jnp.float64)
