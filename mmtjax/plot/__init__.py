"""Draw a solution as matplotlib figures without global state, with SI prefixes and units on every axis."""

from mmtjax.plot.maps import plot_maps as plot_maps
from mmtjax.plot.moments import plot_moment_volume as plot_moment_volume
from mmtjax.plot.ratio_strength import plot_ratio_ssr as plot_ratio_ssr
from mmtjax.plot.save import save_figures as save_figures
from mmtjax.plot.stereonet import directions as directions
from mmtjax.plot.stereonet import equal_area as equal_area
from mmtjax.plot.stereonet import plot_stereonet as plot_stereonet
