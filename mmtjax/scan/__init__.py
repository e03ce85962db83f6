"""Sensor grids, and maps of the field measured on them."""

from mmtjax.scan.grid import SensorGrid as SensorGrid
from mmtjax.scan.scan import Scan as Scan
