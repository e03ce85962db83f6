"""The public names of `mmtjax.plot`: `__init__.py` imports each, and matplotlib, when it is first used."""

from .maps import plot_maps as plot_maps
from .moments import plot_moment_volume as plot_moment_volume
from .ratio_strength import plot_ratio_ssr as plot_ratio_ssr
from .save import save_figures as save_figures
from .stereonet import directions as directions
from .stereonet import equal_area as equal_area
from .stereonet import plot_stereonet as plot_stereonet
