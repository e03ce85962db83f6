"""Make up samples, and the maps that scans of them give."""

from mmtjax.simulation.sample import FINEST_SPACING as FINEST_SPACING
from mmtjax.simulation.sample import Simulation as Simulation
from mmtjax.simulation.sample import sample_field as sample_field
from mmtjax.simulation.sample import simulate as simulate
from mmtjax.simulation.spec import SampleFields as SampleFields
from mmtjax.simulation.spec import SampleSpec as SampleSpec
