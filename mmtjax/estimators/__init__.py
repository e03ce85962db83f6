"""Estimators turn a factor and a map into values of the unknowns, and say how uncertain these are."""

from mmtjax.estimators.base import AbstractEstimator as AbstractEstimator
from mmtjax.estimators.base import Estimate as Estimate
from mmtjax.estimators.base import FactoredProblem as FactoredProblem
from mmtjax.estimators.base import Uncertainty as Uncertainty
from mmtjax.estimators.bounded import BoundedLeastSquares as BoundedLeastSquares
from mmtjax.estimators.least_squares import LeastSquares as LeastSquares
