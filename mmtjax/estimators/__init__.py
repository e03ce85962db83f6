"""Estimators compute values of the unknowns from a factor and a map, and the uncertainties of these values."""

from mmtjax.estimators.base import AbstractEstimator as AbstractEstimator
from mmtjax.estimators.base import Estimate as Estimate
from mmtjax.estimators.base import FactoredProblem as FactoredProblem
from mmtjax.estimators.base import Uncertainty as Uncertainty
from mmtjax.estimators.bounded import BoundedLeastSquares as BoundedLeastSquares
from mmtjax.estimators.least_squares import LeastSquares as LeastSquares
