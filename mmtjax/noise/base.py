"""The abstract model of noise, and the weights of sensors that follow from it."""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from mmtjax.errors import require_type
from mmtjax.precision import AnyArray
from mmtjax.scan.scan import Scan


class SensorWeights(NamedTuple):
    """The weight of each sensor in the least-squares problem.

    Attributes
    ----------
    weight
        Relative weights, (ny, nx): 0 for sensors that are not used, otherwise proportional to 1 / standard deviation.
    variance
        Variance of the noise of a sensor of weight one, nT².
    """

    weight: Float[Array, "ny nx"]
    variance: Float[Array, ""]


class AbstractNoise(eqx.Module):
    """A model of the noise of a map: an independent error at each sensor, and patterns that sensors share.

    A map is ``φ = Q m + P a + e`` with independent errors e of the sensors, and with patterns P whose factors
    ``a ~ N(0, 1)`` are unknown. To solve for the factors together with m is the same as generalized least squares with
    the covariance ``σ²W⁻² + PPᵀ`` of the noise.
    """

    @property
    @abstractmethod
    def is_known(self) -> bool:
        """Whether the variance is given; otherwise it is estimated from the residual of the solution."""

    @abstractmethod
    def weights(self, scan: Scan) -> SensorWeights:
        """Return the weights of the sensors of a scan; if the variance is not given, it is a first guess.

        Parameters
        ----------
        scan
            The map that the noise belongs to.

        Raises
        ------
        ValueError
            If the noise does not fit the map.
        """

    @abstractmethod
    def patterns(self, scan: Scan) -> Float[AnyArray, "pattern ny nx"] | None:
        """Return the patterns that sensors share, nT, or None if there are none.

        The factors of the patterns are independent and standard normal.

        Parameters
        ----------
        scan
            The map that the noise belongs to.
        """

    @abstractmethod
    def standard_deviation(self, variance: Float[AnyArray, ""]) -> Float[AnyArray, "..."]:
        """Return the standard deviation of the noise, nT: one number, or one for each sensor.

        Parameters
        ----------
        variance
            Variance of the noise of a sensor of weight one, nT².
        """


def mask_weights(scan: Scan) -> Float[Array, "ny nx"]:
    """Return weights that are one for sensors in use and zero for others.

    Parameters
    ----------
    scan
        The map and its mask.

    Examples
    --------
    >>> from mmtjax.scan.grid import SensorGrid
    >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(1, 2))
    >>> mask_weights(Scan([[1.0, 1.0]], grid, mask=[[True, False]])).tolist()
    [[1.0, 0.0]]
    """
    require_type(scan, Scan, name="scan")
    return jnp.asarray(scan.mask, jnp.float64)
