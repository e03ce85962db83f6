"""Plan a scan before it is made: find its best setting by gradients, and what every choice costs."""

from mmtjax.design.chain import Value as Value
from mmtjax.design.chain import evaluate as evaluate
from mmtjax.design.chain import evaluate_with_gradient as evaluate_with_gradient
from mmtjax.design.discrete import Trial as Trial
from mmtjax.design.discrete import nearest_trials as nearest_trials
from mmtjax.design.discrete import try_setting as try_setting
from mmtjax.design.instruments import QuantumDiamondMicroscope as QuantumDiamondMicroscope
from mmtjax.design.instruments import ScanningSquid as ScanningSquid
from mmtjax.design.objectives import OBJECTIVES as OBJECTIVES
from mmtjax.design.objectives import Objective as Objective
from mmtjax.design.objectives import c_criterion as c_criterion
from mmtjax.design.optimize import DesignWarning as DesignWarning
from mmtjax.design.optimize import Optimum as Optimum
from mmtjax.design.optimize import optimize as optimize
from mmtjax.design.optimize import pareto_front as pareto_front
from mmtjax.design.optimize import sensitivities as sensitivities
from mmtjax.design.outcome import Outcome as Outcome
from mmtjax.design.problem import DesignProblem as DesignProblem
from mmtjax.design.regions import DwellDivision as DwellDivision
from mmtjax.design.regions import divide_dwell as divide_dwell
from mmtjax.design.setting import Setting as Setting
