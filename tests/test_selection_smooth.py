"""Thresholds by gradient: against the exact search, central differences and formulas that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import statistic_threshold
from mmtjax.selection import StrengthFormula
from mmtjax.selection.learned import SampleGrains, decades_of, learn_formula
from mmtjax.selection.smooth_thresholds import find_smooth_threshold, selection_loss, smooth_selection


def grains(seed: int, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Statistics over five decades and ratios that fall with them, with scatter."""
    rng = np.random.default_rng(seed)
    decades = rng.uniform(-5, 0, count)
    return 10**decades, 10 ** (-1 - 1.2 * (decades + 3) + rng.normal(0, 0.6, count))


@pytest.mark.parametrize("purity", [0.99, 0.95, 0.9])
@pytest.mark.parametrize("smaller", [False, True])
def test_the_smooth_threshold_is_the_exact_one(purity: float, smaller: bool) -> None:
    for seed in range(2):
        strength, ratio = grains(seed)
        statistic = 1 / strength if smaller else strength
        exact = statistic_threshold(statistic, ratio, purity=purity, smaller_is_better=smaller)
        smooth = find_smooth_threshold(statistic, ratio, purity=purity, smaller_is_better=smaller)
        assert abs(np.log10(smooth.value / exact.value)) < 0.02
        assert smooth.recovered == pytest.approx(exact.recovered, abs=0.005)
        assert smooth.purity >= purity - 2e-3


def test_soft_edges_become_a_count() -> None:
    strength, ratio = grains(3)
    decades, resolved = np.log10(strength), (ratio <= 0.1).astype(float)
    chosen = decades >= -3.003
    found = smooth_selection(-3.003, decades, resolved=resolved, smoothing=1e-6)
    assert float(found.purity) == pytest.approx(resolved[chosen].mean(), abs=1e-9)
    assert float(found.recovered) == pytest.approx(resolved[chosen].sum() / resolved.sum(), abs=1e-9)


@pytest.mark.parametrize("threshold", [-4.0, -3.0, -2.0, 30.0])
def test_derivatives_are_central_differences(threshold: float) -> None:
    strength, ratio = grains(4, 200)
    decades, resolved = np.log10(strength), 1 / (1 + (ratio / 0.1) ** 2)
    direction = np.random.default_rng(5).normal(size=(2, 200))

    def lost(step: float) -> jax.Array:
        return selection_loss(
            threshold + 0.7 * step,
            jnp.asarray(decades) + step * direction[0],
            resolved=jnp.asarray(resolved) + 0.1 * step * direction[1],
            purity=0.97,
            smoothing=0.3,
        )

    slope = float(jax.grad(lost)(0.0))
    assert np.isfinite(slope)
    assert slope == pytest.approx(float(lost(1e-5) - lost(-1e-5)) / 2e-5, rel=1e-5, abs=1e-6)


def test_what_cannot_be_selected_is_refused() -> None:
    for wrong, message in [
        ({"statistic": [1.0, -2.0]}, r"statistic\[1\] is -2.0"),
        ({"ratio": [0.1]}, r"got shapes \(2,\) and \(1,\)"),
        ({"ratio": [1.0, 2.0]}, "none of the 2 grains has an uncertainty ratio within 0.1"),
        ({"smoothing": 0.6}, "smoothing must be decades above 0 and below 0.5"),
    ]:
        requested = {"statistic": [1.0, 2.0], "ratio": [0.01, 0.2]} | wrong
        with pytest.raises(ValueError, match=message):
            find_smooth_threshold(**requested)


def known_sample(seed: int, formula: StrengthFormula, count: int = 500) -> SampleGrains:
    """Grains at random in 200 × 200 µm, of which half are resolved: those that a formula says, with scatter."""
    rng = np.random.default_rng(seed)
    position = np.stack([*rng.uniform(0, 200, (2, count)), -rng.uniform(5, 45, count)], axis=1)
    sample = SampleGrains(position, -position[:, 2], 10 ** rng.uniform(0, 3.5, count), np.zeros(count))
    strength = np.asarray(decades_of([sample], formula)) + rng.normal(0, 0.5, count)
    return sample._replace(resolved=(strength > np.median(strength)).astype(float))


@pytest.mark.parametrize("loss", ["recovery", "ranking"])
def test_a_known_formula_is_learned(loss: str) -> None:
    true = StrengthFormula(volume=1.0, depth=4.0, crowding=1.5, reach=0.4)
    samples = [known_sample(seed, true) for seed in range(3)]
    found = learn_formula(samples, loss=loss, purity=0.95)
    if loss == "ranking":
        # Which of the formulas that recover alike is found, the loss of a selection leaves open.
        assert found.depth / found.volume == pytest.approx(4.0, abs=0.4)
        assert found.crowding / found.volume == pytest.approx(1.5, abs=0.3)
        assert found.reach == pytest.approx(0.4, abs=0.05)
    unseen = known_sample(9, true)
    recovered = {
        name: statistic_threshold(values, 1 - unseen.resolved, limit=0.5, purity=0.95).recovered
        for name, values in {
            "found": np.asarray(decades_of([unseen], found)),
            "true": np.asarray(decades_of([unseen], true)),
            "without": np.asarray(decades_of([unseen], true._replace(crowding=0.0))),
        }.items()
    }
    assert recovered["found"] >= recovered["true"] - 0.03
    assert recovered["found"] > recovered["without"] + 0.1


def test_a_formula_needs_grains_of_both_kinds() -> None:
    true = StrengthFormula(volume=1.0, depth=4.0, crowding=1.5, reach=0.4)
    sample = known_sample(1, true)
    with pytest.raises(ValueError, match="500 of 500 grains are resolved"):
        learn_formula([sample._replace(resolved=np.ones(500))])
