"""Estimate the error of an SSR threshold by a bootstrap over whole samples."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from mmtjax.errors import InputError

#: Number of draws of the bootstrap, and their seed, so that an answer is the same each time.
_DRAWS, _SEED = 400, 20220

#: Quantiles of a normal variable one standard deviation from the middle.
_LOW, _HIGH = 0.158655, 0.841345


def sample_counts(samples: int, *, stream: int = 0) -> Int[np.ndarray, "draw sample"]:
    """Return how often each sample is drawn, in draws with replacement of as many samples as there are.

    Parameters
    ----------
    samples
        Number of samples.
    stream
        Number of an independent stream of draws, as for samples of other densities.

    Examples
    --------
    >>> counts = sample_counts(5)
    >>> counts.shape, set(counts.sum(axis=1).tolist())
    ((400, 5), {5})
    """
    rng = np.random.default_rng([_SEED, stream])
    return rng.multinomial(samples, np.full(samples, 1 / samples), size=_DRAWS)


def resampled_thresholds(
    counts: Int[np.ndarray, "draw sample"],
    strength: Float[np.ndarray, " grain"],
    ratio: Float[np.ndarray, " grain"],
    sample: Int[np.ndarray, " grain"],
    *,
    limit: float,
    purities: Sequence[float],
) -> Float[np.ndarray, "draw purity"]:
    """Return the threshold of `mmtjax.ssr_threshold` for every draw, where a grain counts as often as its sample.

    Parameters
    ----------
    counts
        How often each sample is drawn, for each draw.
    strength, ratio, sample
        Signal strength ratio (1/µm), uncertainty ratio and number of the sample, from 0, of every grain.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved.

    Returns
    -------
    Array of shape (draw, purity)
        Thresholds, 1/µm; infinite where no selection is pure enough.

    Examples
    --------
    >>> strength, ratio, sample = np.array([3.0, 2.0, 1.0]), np.array([0.01, 0.2, 0.01]), np.array([0, 1, 0])
    >>> counts = np.array([[1, 1], [2, 0], [0, 2]])
    >>> resampled_thresholds(counts, strength, ratio, sample, limit=0.1, purities=[0.9]).ravel().tolist()
    [3.0, 1.0, inf]
    """
    order = np.argsort(-strength, kind="stable")
    falling, resolved, members = strength[order], ratio[order] <= limit, sample[order]
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    shares = [Fraction(str(purity)) for purity in purities]
    found = np.full((len(counts), len(shares)), np.inf)
    for draw, count in enumerate(counts):
        weight = count[members]
        chosen, good = np.cumsum(weight)[last], np.cumsum(weight * resolved)[last]
        # A strength that is not in a draw cannot be its threshold.
        drawn = np.diff(chosen, prepend=0) > 0
        for column, share in enumerate(shares):
            pure = np.flatnonzero(drawn & (good * share.denominator >= chosen * share.numerator))
            if pure.size:
                found[draw, column] = falling[last[pure[-1]]]
    return found


def sampling_error(decades: Float[np.ndarray, "draw purity"], samples: int) -> Float[np.ndarray, " purity"]:
    """Return the standard error of thresholds from those of the draws: half the width of their middle 68 %.

    Parameters
    ----------
    decades
        Decimal logarithms of the thresholds, which may be infinite.
    samples
        Number of samples that were drawn from. The variance of draws is too small by (samples - 1) / samples, and is
        corrected for that.

    Returns
    -------
    Array of shape (purity,)
        Errors in decades; 0 where all draws are infinite, infinite where some of the middle ones are.

    Raises
    ------
    ValueError
        If there are fewer than two samples.
    """
    if samples < 2:
        msg = f"the spread of samples cannot be estimated from {samples}; at least 2 are needed"
        raise InputError(msg)
    low, high = np.quantile(decades, [_LOW, _HIGH], axis=0, method="inverted_cdf")
    width = np.subtract(high, low, out=np.zeros(high.shape), where=low != high)
    return width / 2 * np.sqrt(samples / (samples - 1))
