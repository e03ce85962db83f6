"""What is in the slice of rock."""

from mmtjax.rock.cuboids import merge_cuboids as merge_cuboids
from mmtjax.rock.grains import Grains as Grains
