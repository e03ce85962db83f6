"""The study of Out et al. (2022): invert many synthetic samples, and store how well their grains are resolved."""

from mmtjax.study.cell import Cell as Cell
from mmtjax.study.cell import Geometry as Geometry
from mmtjax.study.config import StudyConfig as StudyConfig
from mmtjax.study.config import read_config as read_config
from mmtjax.study.interpolation import NotCovered as NotCovered
from mmtjax.study.interpolation import interpolate_threshold as interpolate_threshold
from mmtjax.study.read import Study as Study
from mmtjax.study.read import StudyStatus as StudyStatus
from mmtjax.study.read import open_study as open_study
from mmtjax.study.run import StudyError as StudyError
from mmtjax.study.run import StudyProgress as StudyProgress
from mmtjax.study.run import run_study as run_study
from mmtjax.study.run_options import RunOptions as RunOptions
from mmtjax.study.threshold import ThresholdAnswer as ThresholdAnswer
from mmtjax.study.threshold import find_threshold as find_threshold
from mmtjax.study.threshold_case import ThresholdCase as ThresholdCase
