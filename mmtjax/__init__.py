"""Differentiable micromagnetic tomography."""

from mmtjax.rock.grains import Grains as Grains
from mmtjax.scan.grid import SensorGrid as SensorGrid
from mmtjax.scan.scan import Scan as Scan
from mmtjax.greens.dense import forward as forward
from mmtjax.greens.dense import greens_matrix as greens_matrix
