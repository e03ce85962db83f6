"""Learn the exponents of the crowded signal strength from samples whose resolved grains are known, by gradient."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.precision import AnyArray, require_float64
from mmtjax.selection.smooth_thresholds import selection_loss
from mmtjax.selection.statistics import StrengthFormula, crowding, log_crowded_strength

#: The loss that is minimized: the share of the resolved grains that a pure selection loses, or the error of a logistic
#: regression of whether a grain is resolved.
Loss = Literal["recovery", "ranking"]

#: First values of the exponents: about those of volume and depth for a dipole among others.
_START = StrengthFormula(volume=0.7, depth=5.0, crowding=1.0, reach=0.5)

#: Size of the first step, and width of the smooth edge of the selection at the first and the last step, decades.
_STEP, _FIRST, _LAST = 0.05, 0.4, 0.04

#: Loss for each unit of missing purity: smaller than in a search for a threshold alone, for the exponents follow the
#: gradient at every step.
_PENALTY = 20.0


class SampleGrains(NamedTuple):
    """The grains of one sample from which a formula is learned.

    Attributes
    ----------
    position
        Centroids, (grain, 3), µm.
    depth, volume
        Vertical distance from the scanning plane, µm, and volume, µm³, (grain,).
    resolved
        1 for a grain whose uncertainty ratio is within the limit and 0 for others, (grain,).
    """

    position: Float[AnyArray, "grain 3"]
    depth: Float[AnyArray, " grain"]
    volume: Float[AnyArray, " grain"]
    resolved: Float[AnyArray, " grain"]


class _Variables(NamedTuple):
    """The variables of the optimization: exponents, logarithm of the reach, and the threshold in decades."""

    volume: Array
    depth: Array
    crowding: Array
    log_reach: Array
    threshold: Array


def decades_of(
    samples: Sequence[SampleGrains], formula: StrengthFormula, *, crowded: bool = True
) -> Float[Array, " pooled"]:
    """Return the decimal logarithms of the strengths of the grains of all samples by a formula.

    Parameters
    ----------
    samples
        The samples; the neighbours of a grain are those in its own sample.
    formula
        The exponents.
    crowded
        Whether neighbours are counted.

    Examples
    --------
    >>> sample = SampleGrains(np.array([[0.0, 0.0, -10.0]]), np.array([10.0]), np.array([1.0]), np.array([1.0]))
    >>> decades_of([sample], StrengthFormula(volume=1.0, depth=3.0, crowding=1.0, reach=0.5)).round(9).tolist()
    [-3.0]
    """
    strengths = []
    for sample in samples:
        near = crowding(sample.position, sample.depth, reach=formula.reach) if crowded else jnp.zeros(len(sample.depth))
        strengths.append(log_crowded_strength(sample.volume, sample.depth, neighbours=near, formula=formula))
    return jnp.concatenate(strengths) / jnp.log(10.0)


def learn_formula(
    samples: Sequence[SampleGrains],
    *,
    purity: float = 0.99,
    loss: Loss = "recovery",
    crowded: bool = True,
    steps: int = 200,
) -> StrengthFormula:
    """Learn the exponents of ``V^a / (R^b (1 + N)^c)`` by which a threshold selects resolved grains best.

    Parameters
    ----------
    samples
        Samples of one model, whose grains are pooled.
    purity
        Share of the selected grains that must be resolved.
    loss
        ``"recovery"`` minimizes `mmtjax.selection.smooth_thresholds.selection_loss` over exponents and threshold
        together, with edges that become sharper at every step; ``"ranking"`` is logistic regression.
    crowded
        Whether neighbours are counted; if not, c is 0.
    steps
        Number of steps of optax's Adam.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        If no grain is resolved, or all grains are.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> depth, volume = rng.uniform(5, 40, 400), 10 ** rng.uniform(0, 3, 400)
    >>> position = np.stack([1e5 * np.arange(400.0), np.zeros(400), -depth], axis=1)
    >>> strength = volume / depth**3 * 10 ** rng.normal(0, 0.4, 400)
    >>> resolved = (strength > 1e-2).astype(float)
    >>> found = learn_formula([SampleGrains(position, depth, volume, resolved)], loss="ranking", crowded=False)
    >>> abs(found.depth / found.volume - 3) < 0.5
    True
    """
    require_float64()
    resolved = jnp.concatenate([jnp.asarray(sample.resolved) for sample in samples])
    if not 0 < float(resolved.mean()) < 1:
        msg = (
            f"{int(resolved.sum())} of {resolved.size} grains are resolved, but a formula is learned from grains of "
            "both kinds: choose another limit, or a model of other noise"
        )
        raise InputError(msg)
    start = _START if crowded else _START._replace(crowding=0.0)
    # At first half of the grains are selected, so that the loss depends on the threshold.
    threshold = jnp.median(decades_of(samples, start, crowded=crowded))
    # With a weakly typed variable the first update would change the type, and JAX would compile again.
    variables = _Variables(*(jnp.asarray(value, jnp.float64) for value in (*start[:3], np.log(start.reach), threshold)))
    optimizer = optax.adam(optax.cosine_decay_schedule(_STEP, steps))
    state = optimizer.init(variables)
    for step in range(steps):
        width = _FIRST * (_LAST / _FIRST) ** (step / steps)
        slope = _gradient(variables, list(samples), resolved, jnp.asarray(purity), jnp.asarray(width), loss, crowded)
        update, state = optimizer.update(slope, state)
        variables = eqx.apply_updates(variables, update)
    return StrengthFormula(*(float(value) for value in _formula(variables)))


@eqx.filter_jit
def _gradient(
    variables: _Variables,
    samples: list[SampleGrains],
    resolved: Float[Array, " pooled"],
    purity: Float[Array, ""],
    width: Float[Array, ""],
    loss: Loss,
    crowded: bool,
) -> _Variables:
    def loss_of(variables: _Variables) -> Float[Array, ""]:
        decades = decades_of(samples, _formula(variables), crowded=crowded)
        if loss == "ranking":
            above = (decades - variables.threshold) * jnp.log(10.0)
            return jnp.mean(jax.nn.softplus(jnp.where(resolved > 0, -above, above)))
        return selection_loss(
            variables.threshold, decades, resolved=resolved, purity=purity, smoothing=width, penalty=_PENALTY
        )

    return jax.grad(loss_of)(variables)


def _formula(variables: _Variables) -> StrengthFormula:
    return StrengthFormula(variables.volume, variables.depth, variables.crowding, jnp.exp(variables.log_reach))
