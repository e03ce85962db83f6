"""From a scan to magnetizations: the solvers, what they answer, and the choice between them."""

from mmtjax.inversion.cholesky import Cholesky as Cholesky
from mmtjax.inversion.invert import invert as invert
from mmtjax.inversion.invert import invert_series as invert_series
from mmtjax.inversion.memory import estimate_memory as estimate_memory
from mmtjax.inversion.orthogonal import Orthogonal as Orthogonal
from mmtjax.inversion.registration import Registration as Registration
from mmtjax.inversion.registration import fit_registration as fit_registration
from mmtjax.inversion.solution import InversionError as InversionError
from mmtjax.inversion.solution import InversionWarning as InversionWarning
from mmtjax.inversion.solution import Solution as Solution
