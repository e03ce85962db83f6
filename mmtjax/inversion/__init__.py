"""From a scan to magnetizations with their uncertainties, and what to know before believing them."""

from mmtjax.inversion.invert import invert as invert
from mmtjax.inversion.invert import invert_series as invert_series
from mmtjax.inversion.memory import estimate_memory as estimate_memory
from mmtjax.inversion.solution import Solution as Solution
