"""The Green's operator, the linear map from the unknowns of sources to the field, in several forms."""

from mmtjax.greens.base import AbstractGreen as AbstractGreen
from mmtjax.greens.blockwise import BlockwiseGreen as BlockwiseGreen
from mmtjax.greens.compressed import CompressedGreen as CompressedGreen
from mmtjax.greens.dense import DenseGreen as DenseGreen
from mmtjax.greens.dense import greens_matrix as greens_matrix
from mmtjax.greens.forward import forward as forward
from mmtjax.greens.sharded import ShardedGreen as ShardedGreen
from mmtjax.greens.stacked import StackedGreen as StackedGreen
from mmtjax.greens.tiled import TiledGreen as TiledGreen
