"""The linear map from magnetizations to the field, in several forms."""

from mmtjax.greens.base import AbstractGreen as AbstractGreen
from mmtjax.greens.compressed.operator import CompressedGreen as CompressedGreen
from mmtjax.greens.dense import DenseGreen as DenseGreen
from mmtjax.greens.dense import greens_matrix as greens_matrix
from mmtjax.greens.forward import forward as forward
from mmtjax.greens.tiled import TiledGreen as TiledGreen
