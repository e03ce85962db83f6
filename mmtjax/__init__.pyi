"""The public names of mmtjax: `__init__.py` imports each when it is first used."""

from . import design as design
from . import io as io
from . import plot as plot
from . import study as study
from .errors import InversionError as InversionError
from .errors import InversionWarning as InversionWarning
from .errors import MmtjaxError as MmtjaxError
from .estimators import BoundedLeastSquares as BoundedLeastSquares
from .estimators import LeastSquares as LeastSquares
from .greens.dense import greens_matrix as greens_matrix
from .greens.forward import forward as forward
from .inversion.invert import invert as invert
from .inversion.invert import invert_series as invert_series
from .inversion.memory import estimate_memory as estimate_memory
from .inversion.options import InversionOptions as InversionOptions
from .inversion.solution import Solution as Solution
from .noise import NoiseMap as NoiseMap
from .noise import ResidualNoise as ResidualNoise
from .noise import WhiteNoise as WhiteNoise
from .patterns import Background as Background
from .prior import Prior as Prior
from .registration.registration import Registration as Registration
from .registration.registration import fit_registration as fit_registration
from .scan.grid import SensorGrid as SensorGrid
from .scan.scan import Scan as Scan
from .selection import Threshold as Threshold
from .selection import crowded_signal_strength as crowded_signal_strength
from .selection import expected_uncertainty_ratio as expected_uncertainty_ratio
from .selection import probability_within_limit as probability_within_limit
from .selection import signal_strength_ratio as signal_strength_ratio
from .selection import ssr_threshold as ssr_threshold
from .selection import statistic_threshold as statistic_threshold
from .simulation import SampleSpec as SampleSpec
from .simulation import Simulation as Simulation
from .simulation import simulate as simulate
from .sources.grains import Grains as Grains
from .sources.multipoles import Multipoles as Multipoles
from .subdomains.invert import invert_subdomains as invert_subdomains
from .uncertainty.confidence import bootstrap_radius as bootstrap_radius
from .uncertainty.confidence import confidence_radius as confidence_radius
from .uncertainty.confidence import uncertainty_ratio as uncertainty_ratio

__version__: str
