"""The compressed Green's operator: columns of distant sources are polynomials on a tree of squares of sensors."""

from mmtjax.greens.compressed.frame import TreeFrame as TreeFrame
from mmtjax.greens.compressed.operator import CompressedGreen as CompressedGreen
from mmtjax.greens.compressed.operator import stored_bytes as stored_bytes
