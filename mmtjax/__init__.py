"""Differentiable micromagnetic tomography: the magnetization of every grain in a slice of rock, and its uncertainty."""

from mmtjax.errors import InversionError as InversionError
from mmtjax.errors import InversionWarning as InversionWarning
from mmtjax.errors import MmtjaxError as MmtjaxError
from mmtjax.estimators import BoundedLeastSquares as BoundedLeastSquares
from mmtjax.estimators import LeastSquares as LeastSquares
from mmtjax.greens.dense import greens_matrix as greens_matrix
from mmtjax.greens.forward import forward as forward
from mmtjax.inversion.invert import invert as invert
from mmtjax.inversion.invert import invert_series as invert_series
from mmtjax.inversion.memory import estimate_memory as estimate_memory
from mmtjax.inversion.options import InversionOptions as InversionOptions
from mmtjax.inversion.solution import Solution as Solution
from mmtjax.noise import NoiseMap as NoiseMap
from mmtjax.noise import ResidualNoise as ResidualNoise
from mmtjax.noise import WhiteNoise as WhiteNoise
from mmtjax.patterns import Background as Background
from mmtjax.prior import Prior as Prior
from mmtjax.registration.registration import Registration as Registration
from mmtjax.registration.registration import fit_registration as fit_registration
from mmtjax.scan.grid import SensorGrid as SensorGrid
from mmtjax.scan.scan import Scan as Scan
from mmtjax.selection import Threshold as Threshold
from mmtjax.selection import crowded_signal_strength as crowded_signal_strength
from mmtjax.selection import expected_uncertainty_ratio as expected_uncertainty_ratio
from mmtjax.selection import probability_within_limit as probability_within_limit
from mmtjax.selection import signal_strength_ratio as signal_strength_ratio
from mmtjax.selection import ssr_threshold as ssr_threshold
from mmtjax.selection import statistic_threshold as statistic_threshold
from mmtjax.simulation import SampleSpec as SampleSpec
from mmtjax.simulation import Simulation as Simulation
from mmtjax.simulation import simulate as simulate
from mmtjax.sources.grains import Grains as Grains
from mmtjax.sources.multipoles import Multipoles as Multipoles
from mmtjax.subdomains.invert import invert_subdomains as invert_subdomains
from mmtjax.uncertainty.confidence import bootstrap_radius as bootstrap_radius
from mmtjax.uncertainty.confidence import confidence_radius as confidence_radius
from mmtjax.uncertainty.confidence import uncertainty_ratio as uncertainty_ratio

__version__ = "0.1.0"
