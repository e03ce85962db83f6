"""Inversion of scans: values of the components of sources, their uncertainties, and warnings."""

from mmtjax.inversion.invert import invert as invert
from mmtjax.inversion.invert import invert_series as invert_series
from mmtjax.inversion.memory import estimate_memory as estimate_memory
from mmtjax.inversion.options import InversionOptions as InversionOptions
from mmtjax.inversion.solution import SetEstimate as SetEstimate
from mmtjax.inversion.solution import Solution as Solution
