"""How far an SSR threshold may be off: what it would have been of other samples (bootstrap over whole samples)."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

#: Draws of the bootstrap, and the seed that they come from, so that an answer is the same each time.
_DRAWS, _SEED = 400, 20220

#: Quantiles of a normal variable one standard deviation from the middle.
_LOW, _HIGH = 0.158655, 0.841345


def sample_counts(samples: int, *, stream: int = 0) -> Int[np.ndarray, "draw sample"]:
    """How often each sample is in each draw of as many samples, with replacement.

    Parameters
    ----------
    samples
        Number of samples.
    stream
        Number that tells apart draws that must not go together, as of samples of other densities.

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
    """The threshold of `mmtjax.ssr_threshold` of every draw, in which a grain is as often as its sample.

    Parameters
    ----------
    counts
        How often each sample is in each draw.
    strength, ratio, sample
        Signal strength ratio (1/µm), uncertainty ratio and number of the sample, from 0, of every grain.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purities
        Shares of the selected grains that must be resolved.

    Returns
    -------
    Array of shape (draw, purity)
        1/µm; infinite where no choice is pure enough.

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
        often = count[members]
        chosen, good = np.cumsum(often)[last], np.cumsum(often * resolved)[last]
        # A strength that the draw does not have is none of its thresholds.
        there = np.diff(chosen, prepend=0) > 0
        for column, share in enumerate(shares):
            pure = np.flatnonzero(there & (good * share.denominator >= chosen * share.numerator))
            if pure.size:
                found[draw, column] = falling[last[pure[-1]]]
    return found


def sampling_error(decades: Float[np.ndarray, "draw purity"], samples: int) -> Float[np.ndarray, " purity"]:
    """Standard error of thresholds from those of the draws: half the width of the middle 68 % of them.

    Parameters
    ----------
    decades
        Decimal logarithms of the thresholds, which may be infinite.
    samples
        Number of samples that were drawn from. The spread about their mean is too small by (samples - 1) / samples, in
        its square, and is corrected for that.

    Returns
    -------
    Array of shape (purity,)
        Decades; 0 where all draws are infinite, infinite where some of the middle ones are.

    Raises
    ------
    ValueError
        If there are fewer than two samples, which tell nothing of a spread.
    """
    if samples < 2:
        raise ValueError(f"the spread of samples cannot be told from {samples}; at least 2 are needed")
    low, high = np.quantile(decades, [_LOW, _HIGH], axis=0, method="inverted_cdf")
    width = np.subtract(high, low, out=np.zeros(high.shape), where=low != high)
    return width / 2 * np.sqrt(samples / (samples - 1))
