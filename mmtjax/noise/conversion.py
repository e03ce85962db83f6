"""Convert what a user passes as noise to a model of noise."""

from mmtjax.errors import InputError
from mmtjax.noise.base import AbstractNoise
from mmtjax.noise.noise_map import NoiseMap
from mmtjax.noise.residual import ResidualNoise
from mmtjax.noise.white import WhiteNoise
from mmtjax.precision import ArrayLike, float64_array
from mmtjax.scan.scan import Scan, check_noise

#: What a user may pass as the noise of a map.
NoiseLike = AbstractNoise | ArrayLike | None


def as_noise(noise: NoiseLike, scan: Scan) -> AbstractNoise:
    """Return the model of noise of a scan from what a user passes.

    Parameters
    ----------
    noise
        A model of noise, a standard deviation in nT, a map (ny, nx) of them, ``"residual"``, or None for the noise of
        the scan.
    scan
        The map that the noise belongs to.

    Raises
    ------
    ValueError
        For another word, for numbers that are not positive or do not fit the map, and if neither `noise` nor the scan
        give the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from mmtjax.scan.grid import SensorGrid
    >>> scan = Scan(np.zeros((1, 2)), SensorGrid(origin=(0, 0), spacing=1, shape=(1, 2)), noise=5.0)
    >>> [type(as_noise(noise, scan)).__name__ for noise in (None, 3.0, [[1.0, 2.0]], "residual")]
    ['WhiteNoise', 'WhiteNoise', 'NoiseMap', 'ResidualNoise']
    """
    if isinstance(noise, AbstractNoise):
        return noise
    if isinstance(noise, str):
        if noise != "residual":
            msg = f"noise must be a number or a map in nT, or 'residual'; got {noise!r}"
            raise InputError(msg)
        return ResidualNoise()
    sigma = scan.noise if noise is None else float64_array(noise, name="noise")
    if sigma is None:
        msg = "the noise is not known: pass noise= in nT, or noise='residual' to take it from the misfit"
        raise InputError(msg)
    check_noise(sigma, scan.grid.shape)
    return WhiteNoise(sigma) if sigma.shape == () else NoiseMap(sigma)
