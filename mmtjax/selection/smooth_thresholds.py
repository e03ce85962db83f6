"""Thresholds by gradient: purity and recovery of a selection as smooth functions of the threshold and of the statistic.

The exact search is `mmtjax.statistic_threshold`. What is here agrees with it as the smoothing vanishes, and has
derivatives with respect to the threshold, to the statistic of every grain, and to how well each is resolved.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from mmtjax.precision import float64_array, require_float64

AnyArray = np.ndarray | jax.Array
Number = float | Float[AnyArray, ""]

#: Loss of a selection for each unit of purity that it lacks. A single grain beyond the limit, of a thousand, may be all
#: that keeps a tenth of the resolved ones out: only a heavier penalty than a hundred makes the purity a constraint.
PENALTY = 1000.0

#: Smoothing of the first and the last step of `find_smooth_threshold`, decades; its steps and its starts.
_FIRST, _LAST, _STEPS, _STARTS = 0.5, 2e-3, 300, 3

#: The same for its second descents, and how far about the result of the first ones they start, decades.
_NARROW, _AGAIN, _AROUND = 0.01, 80, np.linspace(-0.2, 0.2, 41)

#: Move of a step relative to the smoothing.
_STRIDE = 0.3


class SmoothSelection(NamedTuple):
    """What a selection with soft edges keeps.

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
        In the unit of the statistic.
    purity, recovered
        Of the selection with soft edges.
    smoothing
        Width of the edges, decades.
    """

    value: float
    purity: float
    recovered: float
    smoothing: float

    def __float__(self) -> float:
        return self.value


def smooth_selection(
    threshold: Number,
    statistic: Float[AnyArray, " grain"],
    *,
    resolved: Float[AnyArray, " grain"],
    smoothing: Number,
) -> SmoothSelection:
    """Purity and recovery of a selection in which a grain takes part by a sigmoid of its distance from the threshold.

    Parameters
    ----------
    threshold, statistic
        Decimal logarithms; large is good.
    resolved
        How far each grain counts as resolved: 1 or 0, or what lies between, as of `mmtjax.probability_within_limit`.
    smoothing
        Width of the sigmoid, decades.

    Examples
    --------
    >>> resolved = np.array([1.0, 1.0, 0.0])
    >>> found = smooth_selection(-1.5, np.array([0.0, -1.0, -2.0]), resolved=resolved, smoothing=0.01)
    >>> round(float(found.purity), 6), round(float(found.recovered), 6)
    (1.0, 1.0)
    """
    # The share of a sum of weights that all underflow is that of the largest ones: softmax keeps it finite.
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
    """Share of the resolved grains that a selection loses, plus a penalty for the purity that it lacks.

    Parameters
    ----------
    threshold, statistic, resolved, smoothing
        As for `smooth_selection`.
    purity
        Share of the selected grains that must be resolved.
    penalty
        Loss for each unit of purity that is lacking.

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
    statistic: object,
    ratio: object,
    *,
    limit: float | int = 0.10,
    purity: float | int = 0.99,
    smaller_is_better: bool = False,
    smoothing: float = _LAST,
) -> SmoothThreshold:
    """Threshold on a statistic by gradient descent of `selection_loss`, with ever sharper edges and many starts.

    With wide edges all starts lead to one threshold. With sharp ones the loss has a minimum wherever the purity is
    touched, so that a second round starts from all around.

    Agrees with the exact `mmtjax.statistic_threshold` to within a few times the smoothing where many grains lie within
    the smoothing of the threshold; the exact search looks for the last grain at which the purity is touched, and takes
    chances that a smooth one averages out. Where no threshold is pure enough the purest is found: see `purity`.

    Parameters
    ----------
    statistic
        Positive, (grain,); infinite ones allowed where small is good.
    ratio
        Uncertainty ratios as fractions, (grain,); may be infinite.
    limit
        Largest uncertainty ratio of a grain that counts as resolved.
    purity
        Share of the selected grains that must be resolved.
    smaller_is_better
        Whether grains are selected up to the threshold.
    smoothing
        Width of the edges in the end, decades, less than 0.5.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        If the shapes differ, a statistic is not positive, no grain is resolved, or the smoothing is out of range.

    Examples
    --------
    >>> strength = np.logspace(-4, 0, 401)
    >>> found = find_smooth_threshold(strength, np.where(strength > 1e-3, 0.01, 1.0), purity=0.99)
    >>> bool(abs(np.log10(found.value) + 3) < 0.05)
    True
    """
    require_float64()
    values = np.asarray(float64_array(statistic, name="statistic"))
    uncertainty = np.asarray(float64_array(ratio, name="ratio"))
    if values.ndim != 1 or values.shape != uncertainty.shape:
        raise ValueError(f"statistic and ratio must both be (grain,); got {values.shape} and {uncertainty.shape}")
    if not np.all(values > 0):
        grain = int(np.argmin(values > 0))
        raise ValueError(f"statistic[{grain}] is {values[grain]}; edges in decades need positive statistics")
    if not 0 < smoothing < _FIRST:
        raise ValueError(f"smoothing must be decades above 0 and below {_FIRST:g}, such as {_LAST:g}; got {smoothing}")
    sign = -1.0 if smaller_is_better else 1.0
    resolved = (uncertainty <= limit).astype(np.float64)
    if not resolved.any():
        raise ValueError(f"none of the {len(values)} grains has an uncertainty ratio within {limit:g}; raise the limit")
    decades = sign * np.log10(values)
    known = np.isfinite(decades)
    threshold = _descend(decades[known], resolved[known], float(purity), smoothing)
    found = smooth_selection(threshold, decades[known], resolved=resolved[known], smoothing=smoothing)
    # Grains that cannot be selected are lost by every threshold alike.
    recovered = float(found.recovered) * resolved[known].sum() / resolved.sum()
    return SmoothThreshold(float(10 ** (sign * threshold)), float(found.purity), float(recovered), smoothing)


@jax.jit
def _descend(
    statistic: Float[AnyArray, " grain"], resolved: Float[AnyArray, " grain"], purity: Number, smoothing: Number
) -> Float[Array, ""]:
    """The best of the thresholds that `selection_loss` leads to from quantiles of the statistic, decades."""

    def loss(threshold: Array, width: Array) -> Array:
        return selection_loss(threshold, statistic, resolved=resolved, purity=purity, smoothing=width)

    def descent(start: Array, first: Array, steps: int) -> Array:
        def width_of(step: Array) -> Array:
            return first * (smoothing / first) ** (step / (steps - 1))

        optimizer = optax.adam(lambda step: _STRIDE * width_of(step), b1=0.5, b2=0.9)

        def one_step(state: tuple[Array, optax.OptState], step: Array) -> tuple[tuple[Array, optax.OptState], None]:
            threshold, memory = state
            move, memory = optimizer.update(jax.grad(loss)(threshold, width_of(step)), memory)
            return (optax.apply_updates(threshold, move), memory), None

        (threshold, _), _ = jax.lax.scan(one_step, (start, optimizer.init(start)), jnp.arange(steps))
        return threshold

    def best_of(starts: Array, first: Array, steps: int) -> Array:
        thresholds = jax.lax.map(lambda start: descent(start, first, steps), starts)
        return thresholds[jnp.argmin(jax.lax.map(lambda one: loss(one, jnp.asarray(smoothing)), thresholds))]

    wide = best_of(jnp.quantile(statistic, jnp.linspace(0.0, 1.0, _STARTS)), jnp.asarray(_FIRST), _STEPS)
    around = jnp.append(wide + _AROUND, wide)
    return best_of(around, jnp.maximum(_NARROW, smoothing), _AGAIN)
