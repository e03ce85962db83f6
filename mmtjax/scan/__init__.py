"""Where the field was measured and what was found there."""

from mmtjax.scan.grid import SensorGrid as SensorGrid
from mmtjax.scan.scan import Scan as Scan
