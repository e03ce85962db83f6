"""What is in the slice of rock."""

from mmtjax.sources.cuboids import merge_cuboids as merge_cuboids
from mmtjax.sources.grains import Grains as Grains
