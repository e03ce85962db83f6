"""Which grains to believe: statistics that are known without a scan, and thresholds on them."""

from mmtjax.selection.statistics import LEARNED_FORMULA as LEARNED_FORMULA
from mmtjax.selection.statistics import StrengthFormula as StrengthFormula
from mmtjax.selection.statistics import crowded_signal_strength as crowded_signal_strength
from mmtjax.selection.statistics import crowding as crowding
from mmtjax.selection.statistics import expected_uncertainty_ratio as expected_uncertainty_ratio
from mmtjax.selection.statistics import log_crowded_strength as log_crowded_strength
from mmtjax.selection.statistics import probability_within_limit as probability_within_limit
from mmtjax.selection.statistics import signal_strength_ratio as signal_strength_ratio
from mmtjax.selection.thresholds import SsrThreshold as SsrThreshold
from mmtjax.selection.thresholds import StatisticThreshold as StatisticThreshold
from mmtjax.selection.thresholds import ssr_threshold as ssr_threshold
from mmtjax.selection.thresholds import statistic_threshold as statistic_threshold
