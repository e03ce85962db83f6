"""Find thresholds by gradient, with purity and recovery as smooth functions of the threshold and of the statistic.

The exact search is `mmtjax.statistic_threshold`. The functions of this module agree with it in the limit of no
smoothing, and have derivatives with respect to the threshold, the statistic of every grain, and how far each grain
counts as resolved.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.precision import AnyArray, require_float64
from mmtjax.selection.statistics import Number
from mmtjax.selection.thresholds import GrainValues, check_limit, check_purity, grain_arrays

#: Loss for each unit of purity that a selection lacks. One grain of a thousand that is beyond the limit may exclude a
#: tenth of the resolved grains from a pure selection: only a penalty above a hundred makes the purity a constraint.
PENALTY = 1000.0

#: Smoothing at the first and the last step of `find_smooth_threshold`, decades; numbers of its steps and its starts.
_FIRST, _LAST, _STEPS, _STARTS = 0.5, 2e-3, 300, 3

#: Smoothing and number of steps of the second descents, and their starts relative to the result of the first descents,
#: decades.
_NARROW, _AGAIN, _AROUND = 0.01, 80, np.linspace(-0.2, 0.2, 41)

#: Length of a step relative to the smoothing.
_STRIDE = 0.3


class SmoothSelection(NamedTuple):
    """Purity and recovery of a selection with smooth edges.

    Attributes
    ----------
    purity
        Share of the selected grains that are resolved.
    recovered
        Share of the resolved grains that are selected.
    """

    purity: Float[Array, ""]
    recovered: Float[Array, ""]


class SmoothThreshold(NamedTuple):
    """The threshold that minimizes `selection_loss`; ``float()`` of it is `value`.

    Attributes
    ----------
    value
        The threshold, in the unit of the statistic.
    purity, recovered
        Purity and recovery of the selection with smooth edges.
    smoothing
        Width of the edges, decades.
    """

    value: float
    purity: float
    recovered: float
    smoothing: float

    def __float__(self) -> float:
        """Return the threshold."""
        return self.value


def smooth_selection(
    threshold: Number,
    statistic: Float[AnyArray, " grain"],
    *,
    resolved: Float[AnyArray, " grain"],
    smoothing: Number,
) -> SmoothSelection:
    """Return purity and recovery of a selection whose weights are sigmoids of the distance from the threshold.

    Parameters
    ----------
    threshold, statistic
        Decimal logarithms; large values of the statistic stand for well resolved grains.
    resolved
        How far each grain counts as resolved: 0, 1 or a probability, such as `mmtjax.probability_within_limit`.
    smoothing
        Width of the sigmoid, decades.

    Examples
    --------
    >>> resolved = np.array([1.0, 1.0, 0.0])
    >>> found = smooth_selection(-1.5, np.array([0.0, -1.0, -2.0]), resolved=resolved, smoothing=0.01)
    >>> round(float(found.purity), 6), round(float(found.recovered), 6)
    (1.0, 1.0)
    """
    # If all weights underflow, softmax still gives the share among the largest weights.
    log_weight = jax.nn.log_sigmoid((statistic - threshold) / smoothing)
    purity = jnp.sum(jax.nn.softmax(log_weight) * resolved)
    return SmoothSelection(purity, jnp.sum(jnp.exp(log_weight) * resolved) / jnp.sum(resolved))


def selection_loss(
    threshold: Number,
    statistic: Float[AnyArray, " grain"],
    *,
    resolved: Float[AnyArray, " grain"],
    purity: Number,
    smoothing: Number,
    penalty: Number = PENALTY,
) -> Float[Array, ""]:
    """Return the loss of a selection: the share of the resolved grains that it misses, plus a penalty for low purity.

    Parameters
    ----------
    threshold, statistic, resolved, smoothing
        As for `smooth_selection`.
    purity
        Share of the selected grains that must be resolved.
    penalty
        Loss for each unit of missing purity.

    Examples
    --------
    >>> resolved = np.array([1.0, 1.0, 0.0])
    >>> statistic = np.array([0.0, -1.0, -2.0])
    >>> round(float(selection_loss(-0.5, statistic, resolved=resolved, purity=0.9, smoothing=0.01)), 6)
    0.5
    """
    found = smooth_selection(threshold, statistic, resolved=resolved, smoothing=smoothing)
    return 1.0 - found.recovered + penalty * jax.nn.relu(purity - found.purity)


def find_smooth_threshold(
    statistic: GrainValues,
    ratio: GrainValues,
    *,
    limit: float = 0.10,
    purity: float = 0.99,
    smaller_is_better: bool = False,
    smoothing: float = _LAST,
) -> SmoothThreshold:
    """Find the threshold on a statistic by gradient descent of `selection_loss`, with edges that become sharper.

    With wide edges all starts lead to one threshold. With sharp edges the loss has a local minimum wherever the purity
    is just sufficient, so that a second round starts from many thresholds around the first result.

    The result agrees with the exact `mmtjax.statistic_threshold` to within a few times the smoothing if many grains lie
    within the smoothing of the threshold. The exact threshold depends on single grains, whose chance the smooth search
    averages out. If no threshold is pure enough, the purest one is found: compare the `purity` of the result.

    Parameters
    ----------
    statistic
        Positive, (grain,); infinite values are allowed if small values stand for well resolved grains.
    ratio
        Uncertainty ratios as fractions, (grain,); may be infinite.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved.
    smaller_is_better
        Whether grains up to the threshold are selected, not grains from it on.
    smoothing
        Final width of the edges, decades, less than 0.5.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        If the shapes differ, a statistic is not positive, no grain is resolved, or limit, purity or smoothing are out
        of range.

    Examples
    --------
    >>> strength = np.logspace(-4, 0, 401)
    >>> found = find_smooth_threshold(strength, np.where(strength > 1e-3, 0.01, 1.0), purity=0.99)
    >>> bool(abs(np.log10(found.value) + 3) < 0.05)
    True
    """
    require_float64()
    values, uncertainty = grain_arrays(statistic, ratio)
    if not np.all(values > 0):
        grain = int(np.argmin(values > 0))
        msg = f"statistic[{grain}] is {values[grain]}; edges in decades need positive statistics"
        raise InputError(msg)
    check_limit(limit)
    check_purity(purity)
    if not 0 < smoothing < _FIRST:
        msg = f"smoothing must be decades above 0 and below {_FIRST:g}, such as {_LAST:g}; got {smoothing}"
        raise InputError(msg)
    sign = -1.0 if smaller_is_better else 1.0
    resolved = (uncertainty <= limit).astype(np.float64)
    if not resolved.any():
        msg = f"none of the {len(values)} grains has an uncertainty ratio within {limit:g}; raise the limit"
        raise InputError(msg)
    decades = sign * np.log10(values)
    known = np.isfinite(decades)
    threshold = _descend(decades[known], resolved[known], float(purity), smoothing)
    found = smooth_selection(threshold, decades[known], resolved=resolved[known], smoothing=smoothing)
    # Grains with an infinite statistic are never selected, whatever the threshold.
    recovered = float(found.recovered) * resolved[known].sum() / resolved.sum()
    return SmoothThreshold(float(10 ** (sign * threshold)), float(found.purity), float(recovered), smoothing)


@jax.jit
def _descend(
    statistic: Float[AnyArray, " grain"], resolved: Float[AnyArray, " grain"], purity: Number, smoothing: Number
) -> Float[Array, ""]:
    """Return the best threshold, in decades, of gradient descents that start at quantiles of the statistic."""

    def loss(threshold: Array, width: Array) -> Array:
        return selection_loss(threshold, statistic, resolved=resolved, purity=purity, smoothing=width)

    def descent(start: Array, first: Array, steps: int) -> Array:
        def width_of(step: Array) -> Array:
            return first * (smoothing / first) ** (step / (steps - 1))

        optimizer = optax.adam(lambda step: _STRIDE * width_of(jnp.asarray(step)), b1=0.5, b2=0.9)

        def one_step(state: tuple[Array, optax.OptState], step: Array) -> tuple[tuple[Array, optax.OptState], None]:
            threshold, memory = state
            move, memory = optimizer.update(jax.grad(loss)(threshold, width_of(step)), memory)
            return (eqx.apply_updates(threshold, move), memory), None

        (threshold, _), _ = jax.lax.scan(one_step, (start, optimizer.init(start)), jnp.arange(steps))
        return threshold

    def best_of(starts: Array, first: Array, steps: int) -> Array:
        thresholds = jax.lax.map(lambda start: descent(start, first, steps), starts)
        return thresholds[jnp.argmin(jax.lax.map(lambda one: loss(one, jnp.asarray(smoothing)), thresholds))]

    wide = best_of(jnp.quantile(statistic, jnp.linspace(0.0, 1.0, _STARTS)), jnp.asarray(_FIRST), _STEPS)
    around = jnp.append(wide + _AROUND, wide)
    return best_of(around, jnp.maximum(_NARROW, smoothing), _AGAIN)
