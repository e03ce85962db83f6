"""Decide which grains to trust, and find the thresholds on the statistics that select them without a scan."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mmtjax.precision import AnyArray, float64_array, refuse_masked
from mmtjax.selection.statistics import Number
from mmtjax.selection.thresholds import Threshold, statistic_threshold

#: Statistics of grains that are known without a scan, and whether small values stand for well resolved grains.
SMALLER_IS_BETTER: Mapping[str, bool] = {
    "signal_strength_ratio": False,
    "crowded_signal_strength": False,
    "expected_uncertainty_ratio": True,
}

#: Largest uncertainty ratio of a grain that counts as resolved, and share of the selected grains that must be resolved:
#: the values that section 4.4 of Out et al. (2022) uses.
LIMIT, PURITY = 0.10, 0.99

#: Shares of the selected grains for which tables and figures give thresholds, the strictest first (Fig. 6).
PURITIES = (0.999, 0.99, 0.95, 0.90)


def trusted_ratio(
    ratio: Float[AnyArray, " grain"],
    *,
    reduced_chi_square: Number,
    beyond_saturation: Bool[AnyArray, " grain"],
    is_explained: bool | Bool[AnyArray, ""],
) -> Float[Array, " grain"]:
    """Return the uncertainty ratios that decide which grains are trusted: those whose ratio is within a limit.

    Where the residual is larger than the noise explains (reduced χ² > 1), ratios are multiplied by √χ², because
    whatever causes the excess changes the solution, too. Grains beyond saturation are never trusted: their ratio is
    infinite. So is that of all grains if the map is not explained, for then the model is another one than that of the
    map, and ratios say nothing.

    Parameters
    ----------
    ratio
        Uncertainty ratios as fractions.
    reduced_chi_square
        Sum of squares of residual over noise, per degree of freedom.
    beyond_saturation
        Whether a grain is magnetized beyond the saturation of magnetite.
    is_explained
        Whether the residual is a small share of the map, or noise explains it.

    Raises
    ------
    ValueError
        If an argument is a masked array, or the ratios are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> ratio, beyond = np.array([0.1, 0.1]), np.array([False, True])
    >>> trusted_ratio(ratio, reduced_chi_square=4.0, beyond_saturation=beyond, is_explained=True).tolist()
    [0.2, inf]
    """
    refuse_masked(beyond_saturation, name="beyond_saturation")
    refuse_masked(is_explained, name="is_explained")
    refused = beyond_saturation | ~jnp.asarray(is_explained)
    return jnp.where(refused, jnp.inf, float64_array(ratio, name="ratio") * widening(reduced_chi_square))


def widening(reduced_chi_square: Number) -> Float[Array, ""]:
    """Return the factor by which ratios are multiplied where the residual exceeds the noise: √χ², and at least one.

    Parameters
    ----------
    reduced_chi_square
        Sum of squares of residual over noise, per degree of freedom.

    Examples
    --------
    >>> float(widening(4.0)), float(widening(0.9))
    (2.0, 1.0)
    """
    return jnp.sqrt(jnp.maximum(float64_array(reduced_chi_square, name="reduced_chi_square"), 1.0))


def thresholds_by_purity(
    statistics: Mapping[str, Float[AnyArray, " grain"]],
    ratio: Float[AnyArray, " grain"],
    *,
    limit: float = LIMIT,
    purities: Sequence[float] = PURITIES,
) -> dict[str, dict[float, Threshold]]:
    """Return the threshold on each statistic for each purity.

    Parameters
    ----------
    statistics
        Values for all grains, by the names in `SMALLER_IS_BETTER`.
    ratio
        Uncertainty ratios as fractions; infinite where they are not known.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved.

    Examples
    --------
    >>> import numpy as np
    >>> strength = {"signal_strength_ratio": np.array([3.0, 2.0, 1.0])}
    >>> found = thresholds_by_purity(strength, np.array([0.01, 0.2, 0.02]), purities=(0.9, 0.6))
    >>> [found["signal_strength_ratio"][purity].value for purity in (0.9, 0.6)]
    [3.0, 1.0]
    """
    return {
        name: {
            purity: statistic_threshold(
                values,
                ratio,
                limit=limit,
                purity=purity,
                smaller_is_better=SMALLER_IS_BETTER[name],
            )
            for purity in purities
        }
        for name, values in statistics.items()
    }
