"""Sources of the field: uniform bodies (`Grains`), point multipoles, and the abstract source that both implement."""

from mmtjax.sources.base import AbstractSource as AbstractSource
from mmtjax.sources.base import DegreeGroup as DegreeGroup
from mmtjax.sources.base import Parts as Parts
from mmtjax.sources.base import point_parts as point_parts
from mmtjax.sources.cuboids import merge_cuboids as merge_cuboids
from mmtjax.sources.grains import Grains as Grains
from mmtjax.sources.multipoles import Multipoles as Multipoles
