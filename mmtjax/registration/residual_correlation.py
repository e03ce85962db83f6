"""The correlation of the residual between sensors, and its effect on the uncertainty of a fit."""

import equinox as eqx
import numpy as np
from jaxtyping import Float

#: Longest lag along an axis, as a share of the map.
_LONGEST_LAG = 0.25


class ResidualCorrelation(eqx.Module):
    """The correlation of the residual between sensors, and quantities that follow from it.

    Attributes
    ----------
    neighbours
        Correlation between adjacent sensors.
    independent
        Number of independent values with the same error of the mean.
    score_covariance
        Covariance of the derivatives of the log likelihood by the parameters.
    quarters
        Derivatives of the log likelihood of each quarter of the map at the optimum, where their sum is zero.
    """

    neighbours: float
    independent: float
    score_covariance: Float[np.ndarray, "param param"]
    quarters: Float[np.ndarray, "quarter param"]


def residual_correlation(
    maps: Float[np.ndarray, "map ny nx"], *, variance: float, used: int, effective_unknowns: float
) -> ResidualCorrelation:
    """Return the correlation of the weighted residual, with the covariance of the derivatives of the log likelihood.

    The derivatives are ``s_p = Σ_i u_pi r_i / σ²``, with patterns u. Their covariance is the sum over lags of the
    autocovariance c of the residual with the cross-correlation of the patterns, ``Σ_l k(l) c(l) (u_p ⋆ u_q)(l) / σ⁴``
    (Conley 1999), with the taper k of Bartlett, which keeps it positive. For white noise it is the information.

    Parameters
    ----------
    maps
        The weighted residual, then the weighted pattern of each parameter, see `marginal_fit.maps_of`.
    variance
        σ² of a sensor of weight one, nT².
    used
        Number of sensors in use.
    effective_unknowns
        Number of unknowns that the data determine.
    """
    residual, patterns = maps[0], maps[1:]
    shape = residual.shape
    spectra = np.fft.rfft2(maps, s=[2 * length for length in shape])

    def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the cross-correlation of two maps from their spectra."""
        return np.fft.irfft2(one * np.conj(other), s=[2 * length for length in shape])

    autocovariance = correlation(spectra[0], spectra[0]) / max(used - effective_unknowns, 1.0)
    tapers = []
    for length in shape:
        lag = np.minimum(np.arange(2 * length), 2 * length - np.arange(2 * length))
        tapers.append(np.maximum(0.0, 1 - lag / (1 + _LONGEST_LAG * length)))
    tapered = np.outer(*tapers) * autocovariance
    count = len(patterns)
    covariance = np.array([[np.vdot(tapered, correlation(a, b)) for b in spectra[1:]] for a in spectra[1:]])
    zero = max(autocovariance[0, 0], np.finfo(float).tiny)
    local = patterns * residual / variance
    rows, columns = (np.array_split(np.arange(length), 2) for length in shape)
    return ResidualCorrelation(
        neighbours=float((autocovariance[0, 1] + autocovariance[1, 0]) / (2 * zero)),
        independent=used / max(1.0, float(tapered.sum()) / zero),
        score_covariance=covariance.reshape(count, count) / variance**2,
        quarters=np.array([local[:, r][:, :, c].sum(axis=(1, 2)) for r in rows for c in columns]),
    )
