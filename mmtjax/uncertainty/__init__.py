"""Covariances, confidence spheres and uncertainty ratios, computed from arrays."""

from mmtjax.uncertainty.confidence import bootstrap_radius as bootstrap_radius
from mmtjax.uncertainty.confidence import confidence_radius as confidence_radius
from mmtjax.uncertainty.confidence import joint_bootstrap_radius as joint_bootstrap_radius
from mmtjax.uncertainty.confidence import uncertainty_ratio as uncertainty_ratio
from mmtjax.uncertainty.covariance import correlation as correlation
from mmtjax.uncertainty.covariance import covariance_blocks as covariance_blocks
from mmtjax.uncertainty.covariance import covariance_matrix as covariance_matrix
from mmtjax.uncertainty.covariance import grain_correlation as grain_correlation
from mmtjax.uncertainty.covariance import standard_deviation as standard_deviation
