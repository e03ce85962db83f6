"""Select reliable grains: statistics that are known without a scan, and thresholds on them."""

from mmtjax.selection.statistics import LEARNED_FORMULA as LEARNED_FORMULA
from mmtjax.selection.statistics import StrengthFormula as StrengthFormula
from mmtjax.selection.statistics import crowded_signal_strength as crowded_signal_strength
from mmtjax.selection.statistics import crowding as crowding
from mmtjax.selection.statistics import expected_uncertainty_ratio as expected_uncertainty_ratio
from mmtjax.selection.statistics import log_crowded_strength as log_crowded_strength
from mmtjax.selection.statistics import probability_within_limit as probability_within_limit
from mmtjax.selection.statistics import signal_strength_ratio as signal_strength_ratio
from mmtjax.selection.thresholds import Threshold as Threshold
from mmtjax.selection.thresholds import ssr_threshold as ssr_threshold
from mmtjax.selection.thresholds import statistic_threshold as statistic_threshold
from mmtjax.selection.trust import LIMIT as LIMIT
from mmtjax.selection.trust import PURITIES as PURITIES
from mmtjax.selection.trust import PURITY as PURITY
from mmtjax.selection.trust import SMALLER_IS_BETTER as SMALLER_IS_BETTER
from mmtjax.selection.trust import thresholds_by_purity as thresholds_by_purity
from mmtjax.selection.trust import trusted_ratio as trusted_ratio
from mmtjax.selection.trust import widening as widening
