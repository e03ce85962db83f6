"""The linear map from magnetizations to the field, in several forms."""

from mmtjax.greens.compressed import CompressedGreen as CompressedGreen
from mmtjax.greens.dense import DenseGreen as DenseGreen
from mmtjax.greens.dense import greens_matrix as greens_matrix
from mmtjax.greens.forward import forward as forward
from mmtjax.greens.operator import AbstractGreen as AbstractGreen
from mmtjax.greens.tiled import TiledGreen as TiledGreen
