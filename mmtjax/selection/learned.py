"""Exponents of a formula for the signal strength of a grain among its neighbours, learned by gradient from samples."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from mmtjax.precision import require_float64
from mmtjax.selection import StrengthFormula, crowding, log_crowded_strength
from mmtjax.selection.smooth_thresholds import selection_loss

AnyArray = np.ndarray | jax.Array

#: What to make small: the share of the resolved grains that a pure selection loses, or the error of a logistic
#: regression of whether a grain is resolved.
Loss = Literal["recovery", "ranking"]

#: Where the learning starts: about the exponents of volume and depth that a dipole among others has.
_START = StrengthFormula(volume=0.7, depth=5.0, crowding=1.0, reach=0.5)

#: First step, and the widths of the edges of the selection at the first and the last step, decades.
_STEP, _FIRST, _LAST = 0.05, 0.4, 0.04

#: Loss for each unit of purity that is lacking: smaller than that for a threshold alone, whose descent may jump.
_PENALTY = 20.0


class SampleGrains(NamedTuple):
    """What a formula is learned from: the grains of one sample.

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


class _Knobs(NamedTuple):
    """What is varied: the exponents, the logarithm of the reach, and the threshold in decades."""

    volume: Array
    depth: Array
    crowding: Array
    log_reach: Array
    threshold: Array


def decades_of(samples: Sequence[SampleGrains], formula: StrengthFormula) -> Float[Array, " pooled"]:
    """Decimal logarithms of the strengths of all grains by a formula, each among those of its own sample.

    Examples
    --------
    >>> sample = SampleGrains(np.array([[0.0, 0.0, -10.0]]), np.array([10.0]), np.array([1.0]), np.array([1.0]))
    >>> decades_of([sample], StrengthFormula(volume=1.0, depth=3.0, crowding=1.0, reach=0.5)).round(9).tolist()
    [-3.0]
    """
    neighbours = [crowding(sample.position, sample.depth, reach=formula.reach) for sample in samples]
    return _decades(samples, neighbours, formula)


def _decades(
    samples: Sequence[SampleGrains], neighbours: Sequence[AnyArray], formula: StrengthFormula
) -> Float[Array, " pooled"]:
    strengths = [
        log_crowded_strength(sample.volume, sample.depth, neighbours=beside, formula=formula)
        for sample, beside in zip(samples, neighbours, strict=True)
    ]
    return jnp.concatenate(strengths) / jnp.log(10.0)


def learn_formula(
    samples: Sequence[SampleGrains],
    *,
    purity: float = 0.99,
    loss: Loss = "recovery",
    crowded: bool = True,
    steps: int = 200,
) -> StrengthFormula:
    """Exponents of ``V^a / (R^b (1 + N)^c)`` by which a threshold selects resolved grains best.

    Parameters
    ----------
    samples
        Samples of one model, whose grains are pooled.
    purity
        Share of the selected grains that must be resolved.
    loss
        ``"recovery"`` makes `mmtjax.selection.smooth_thresholds.selection_loss` small, over exponents and threshold
        together and with ever sharper edges; ``"ranking"`` is logistic regression.
    crowded
        Whether neighbours count; without, c is 0.
    steps
        Steps of optax's Adam.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        If no grain is resolved, or all are: there is nothing to learn.

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
        raise ValueError(
            f"{int(resolved.sum())} of {resolved.size} grains are resolved; there must be some and not all to learn "
            "from: choose another limit, or a model of other noise"
        )
    start = _START if crowded else _START._replace(crowding=0.0)
    # Half of the grains are selected at first, so that the threshold has a slope.
    threshold = jnp.median(decades_of(samples, start))
    # Strong types: an update of a weak one would change what is compiled.
    knobs = _Knobs(*(jnp.asarray(value, jnp.float64) for value in (*start[:3], np.log(start.reach), threshold)))
    optimizer = optax.adam(optax.cosine_decay_schedule(_STEP, steps))
    memory = optimizer.init(knobs)
    for step in range(steps):
        width = _FIRST * (_LAST / _FIRST) ** (step / steps)
        slope = _slope(knobs, list(samples), resolved, jnp.asarray(purity), jnp.asarray(width), loss, crowded)
        move, memory = optimizer.update(slope, memory)
        knobs = optax.apply_updates(knobs, move)
    return StrengthFormula(*(float(value) for value in _formula(knobs)))


@eqx.filter_jit
def _slope(
    knobs: _Knobs,
    samples: list[SampleGrains],
    resolved: Float[Array, " pooled"],
    purity: Float[Array, ""],
    width: Float[Array, ""],
    loss: str,
    crowded: bool,
) -> _Knobs:
    def lost(knobs: _Knobs) -> Array:
        formula = _formula(knobs)
        if crowded:
            decades = decades_of(samples, formula)
        else:
            decades = _decades(samples, [jnp.zeros(len(sample.depth)) for sample in samples], formula)
        if loss == "ranking":
            above = (decades - knobs.threshold) * jnp.log(10.0)
            return jnp.mean(jax.nn.softplus(jnp.where(resolved > 0, -above, above)))
        return selection_loss(
            knobs.threshold, decades, resolved=resolved, purity=purity, smoothing=width, penalty=_PENALTY
        )

    return jax.grad(lost)(knobs)


def _formula(knobs: _Knobs) -> StrengthFormula:
    return StrengthFormula(knobs.volume, knobs.depth, knobs.crowding, jnp.exp(knobs.log_reach))
