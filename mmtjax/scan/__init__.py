"""Sensor grids, and measured maps of the field."""

from mmtjax.scan.grid import SensorGrid as SensorGrid
from mmtjax.scan.scan import Scan as Scan
