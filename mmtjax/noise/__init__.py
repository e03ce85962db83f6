"""Models of the noise of a map: its standard deviation at each sensor, and noise that sensors share."""

from mmtjax.noise.base import AbstractNoise as AbstractNoise
from mmtjax.noise.base import SensorWeights as SensorWeights
from mmtjax.noise.conversion import as_noise as as_noise
from mmtjax.noise.noise_map import NoiseMap as NoiseMap
from mmtjax.noise.residual import ResidualNoise as ResidualNoise
from mmtjax.noise.white import WhiteNoise as WhiteNoise
