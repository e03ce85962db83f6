"""Read files of the programs used in micromagnetic tomography, in the units and axes of mmtjax, and write results."""

from mmtjax.io.cuboids import read_cuboids as read_cuboids
from mmtjax.io.description import describe as describe
from mmtjax.io.domainbounds import DomainBounds as DomainBounds
from mmtjax.io.domainbounds import crop_to_bounds as crop_to_bounds
from mmtjax.io.domainbounds import read_domainbounds as read_domainbounds
from mmtjax.io.dragonfly import read_dragonfly as read_dragonfly
from mmtjax.io.grains import read_grains as read_grains
from mmtjax.io.mask import read_mask as read_mask
from mmtjax.io.matrix import read_matrix as read_matrix
from mmtjax.io.multipole_moments import read_moments as read_moments
from mmtjax.io.netcdf import read_netcdf as read_netcdf
from mmtjax.io.output import output_directory as output_directory
from mmtjax.io.parameters import sensor_grid_from_dci as sensor_grid_from_dci
from mmtjax.io.parameters import sensor_grid_from_json as sensor_grid_from_json
from mmtjax.io.parameters import sensor_grid_from_metadict as sensor_grid_from_metadict
from mmtjax.io.positions import read_positions as read_positions
from mmtjax.io.provenance_record import provenance as provenance
from mmtjax.io.qdm import read_qdm as read_qdm
from mmtjax.io.qdmlab import read_qdmlab as read_qdmlab
from mmtjax.io.results import Results as Results
from mmtjax.io.results import fill_results as fill_results
from mmtjax.io.results import read_results as read_results
from mmtjax.io.results import write_results as write_results
from mmtjax.io.scans import read_scan as read_scan
from mmtjax.io.voxels import read_stack as read_stack
from mmtjax.io.voxels import read_voxels as read_voxels
