"""The signal strength ratio, and thresholds on it against a count by brute force."""

from fractions import Fraction

import jax
import numpy as np
import pytest

from mmtjax.selection import (
    LEARNED_FORMULA,
    crowded_signal_strength,
    crowding,
    expected_uncertainty_ratio,
    probability_within_limit,
    signal_strength_ratio,
    ssr_threshold,
    statistic_threshold,
)
from mmtjax.sources import Grains
from mmtjax.sources.magnetization import draw_magnetization, magnetization_of_volume
from mmtjax.sources.multipoles import Multipoles


def grains() -> Grains:
    return Grains.from_volumes([[0, 0, -25.0], [3, 1, -16], [9, 2, -7]], [10.0, 10.0, 10.0], ids=[4, 8, 6])


def test_signal_strength_ratio_is_that_of_the_examples_in_the_paper() -> None:
    np.testing.assert_allclose(signal_strength_ratio(grains(), 0.0), [2.3e-4, 9.8e-4, 1.0e-2], rtol=0.1)


def test_signal_strength_ratio_is_equation_13() -> None:
    expected = 10 / (np.array([27.0, 18, 9]) ** 3 * (60 / np.pi) ** (1 / 3))
    np.testing.assert_allclose(signal_strength_ratio(grains(), 2.0), expected, rtol=1e-14)


def test_signal_strength_ratio_is_differentiable() -> None:
    ratio = signal_strength_ratio(grains(), 2.0)
    slope = jax.jit(jax.jacobian(lambda height: signal_strength_ratio(grains(), height)))(2.0)
    np.testing.assert_allclose(slope, -3 * ratio / np.array([27.0, 18, 9]), rtol=1e-13)
    lift = jax.jacobian(lambda z: signal_strength_ratio(grains().translate(z * np.array([0.0, 0.0, 1.0])), 2.0))(0.0)
    np.testing.assert_allclose(lift, -slope, rtol=1e-13)


def test_a_plane_through_a_grain_is_refused() -> None:
    with pytest.raises(ValueError, match="grain 6 lies at z = -7 µm, not below the scanning plane at -7 µm"):
        signal_strength_ratio(grains(), -7.0)
    with pytest.raises(ValueError, match=r"height must be one number.*got \[1.0, 2.0\]"):
        signal_strength_ratio(grains(), [1.0, 2.0])
    with pytest.raises(ValueError, match="multipoles have no volume.*pass Grains"):
        signal_strength_ratio(Multipoles([[0, 0, -5]], degree=1), 2.0)


def brute_force(ssr: np.ndarray, ratio: np.ndarray, limit: float, purity: str) -> float:
    """Smallest SSR that is pure enough, by trying every one."""
    for threshold in np.unique(ssr):
        chosen = ratio[ssr >= threshold]
        if Fraction(int(np.sum(chosen <= limit)), len(chosen)) >= Fraction(purity):
            return float(threshold)
    return np.inf


@pytest.mark.parametrize("seed", range(40))
def test_threshold_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 120))
    ssr = np.round(10 ** rng.uniform(-2, 0, size), int(rng.integers(1, 5)))
    ratio = 0.05 / np.maximum(ssr, 1e-3) * 10 ** rng.normal(0, rng.uniform(0.05, 0.5), size)
    ratio[rng.random(size) < 0.05] = np.inf
    limit = float(rng.choice([0.1, 0.3, 1.0]))
    purity = str(rng.choice(["0.5", "0.9", "0.95", "0.99", "1.0"]))
    found = ssr_threshold(ssr, ratio, limit, float(purity))
    assert float(found) == found.value == brute_force(ssr, ratio, limit, purity)
    chosen, good = ssr >= found.value, ratio <= limit
    assert (found.selected, found.violators) == (np.sum(chosen), np.sum(chosen & ~good))
    assert (found.resolved, found.total) == (np.sum(good), size)
    if found.selected:
        assert found.purity == np.mean(good[chosen]) >= float(purity)
        assert found.recovered == np.sum(chosen & good) / np.sum(good)


#: Selected grains, violators and the recovered share of Fig. 6 of the paper, by purity. The paper prints 58.0 % for a
#: purity of 99 %, where its own counts give 60.4 %. Its choice for 90 % (1,629 of 16,289 violate, 10.0006 %) is one
#: violator above what "at least 90 %" allows, and is left out.
FIGURE_6 = {0.999: (6565, 6, 0.429), 0.99: (9342, 93, 0.604), 0.95: (13863, 693, 0.861)}


@pytest.mark.parametrize("purity", FIGURE_6)
def test_counts_of_figure_6(purity: float) -> None:
    selected, violators, recovered = FIGURE_6[purity]
    ssr = np.arange(18750, 0, -1) * 1e-6
    violates = np.zeros(18750, bool)
    violates[1 : 2 * violators : 2] = True
    # Past the chosen set every grain violates, until enough are left to make 15,301 that do not.
    rest = 18750 - 15301 - violators
    violates[selected : selected + rest] = True
    ratio = np.where(violates, np.inf, 0.10)
    found = ssr_threshold(np.random.default_rng(0).permutation(ssr), ratio, purity=purity)
    assert found.resolved == 15301
    assert found.total == 18750
    found = ssr_threshold(ssr, ratio, purity=purity)
    assert (found.selected, found.violators) == (selected, violators)
    assert found.value == ssr[selected - 1]
    assert found.recovered == pytest.approx(recovered, abs=5e-4)


def test_purity_is_compared_exactly() -> None:
    ssr = np.arange(100, 0, -1.0)
    one_in_hundred = np.where(ssr == 50, 0.5, 0.01)
    assert ssr_threshold(ssr, one_in_hundred, purity=0.99).selected == 100
    assert ssr_threshold(ssr, one_in_hundred, purity=np.float64(0.99)).selected == 100
    assert ssr_threshold(ssr, one_in_hundred, purity=0.9900000001).selected == 50
    assert ssr_threshold(ssr, one_in_hundred, purity=1).selected == 50
    assert ssr_threshold([3.0, 2.0, 1.0], [0.1, 0.1, 0.3], purity=2 / 3).selected == 3


def test_grains_of_one_ssr_stand_or_fall_together() -> None:
    found = ssr_threshold([2.0, 2.0, 3.0, 2.0], [0.01, 0.01, 0.01, 9.0], purity=0.8)
    assert (found.value, found.selected) == (3.0, 1)


def test_no_threshold_at_all() -> None:
    found = ssr_threshold([1.0, 2.0], [0.05, 0.5])
    assert found[:4] == (np.inf, 0, 0, 0.0)
    assert np.isnan(found.purity)
    assert (found.resolved, found.total) == (1, 2)
    assert np.isnan(ssr_threshold([1.0], [np.inf]).recovered)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ratio\[1\] is nan"):
        ssr_threshold([1.0, 2.0], [0.1, np.nan])
    with pytest.raises(ValueError, match=r"ratio\[0\] is -0.1"):
        ssr_threshold([1.0, 2.0], [-0.1, 0.1])
    with pytest.raises(ValueError, match=r"ssr\[1\] is inf"):
        ssr_threshold([1.0, np.inf], [0.1, 0.1])
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
        ssr_threshold([1.0, 2.0], [0.1, 0.1, 0.1])
    with pytest.raises(ValueError, match=r"got shapes \(0,\) and \(0,\)"):
        ssr_threshold([], [])
    with pytest.raises(ValueError, match="purity must be a share.*got 0.0"):
        ssr_threshold([1.0], [0.1], purity=0.0)
    with pytest.raises(ValueError, match="purity must be a share.*got 99.0"):
        ssr_threshold([1.0], [0.1], purity=99.0)
    with pytest.raises(ValueError, match="limit must be an uncertainty ratio.*got nan"):
        ssr_threshold([1.0], [0.1], limit=np.nan)
    with pytest.raises(ValueError, match="a count of grains cannot be traced"):
        jax.jit(lambda ssr: float(ssr_threshold(ssr, ssr)))(np.ones(3))


def test_thresholds_on_other_statistics_are_those_on_the_ssr() -> None:
    rng = np.random.default_rng(7)
    ssr, ratio = 10 ** rng.uniform(-4, 0, 500), 10 ** rng.uniform(-3, 1, 500)
    expected = ssr_threshold(ssr, ratio, 0.5, 0.75)
    larger = statistic_threshold(ssr, ratio, limit=0.5, purity=0.75)
    smaller = statistic_threshold(1 / ssr, ratio, limit=0.5, purity=0.75, smaller_is_better=True)
    assert larger == tuple(expected)
    assert smaller[1:] == expected[1:]
    assert smaller.value == 1 / expected.value


def test_grains_of_no_known_statistic_are_never_selected() -> None:
    found = statistic_threshold([0.1, 0.2, np.inf], [0.01, 0.01, 0.01], purity=0.5, smaller_is_better=True)
    assert (found.value, found.selected, found.recovered) == (0.2, 2, 2 / 3)
    none = statistic_threshold([0.1, np.inf], [1.0, 0.01], purity=0.9, smaller_is_better=True)
    assert (none.value, none.selected) == (-np.inf, 0)
    with pytest.raises(ValueError, match=r"statistic\[1\] is inf"):
        statistic_threshold([0.1, np.inf], [1.0, 0.01])


def test_crowding_is_a_sum_over_the_others() -> None:
    rng = np.random.default_rng(8)
    # More grains than are taken at once.
    position = np.stack([*rng.uniform(0, 100, (2, 300)), -rng.uniform(5, 40, 300)], axis=1)
    depth, reach = 2.0 - position[:, 2], 0.6
    expected = [
        sum(
            np.exp(-((x - position[i, 0]) ** 2 + (y - position[i, 1]) ** 2) / (2 * (reach * depth[i]) ** 2))
            for j, (x, y, _) in enumerate(position)
            if j != i
        )
        for i in range(300)
    ]
    np.testing.assert_allclose(crowding(position, depth, reach=reach), expected, rtol=1e-11)
    a, b, c, reach = LEARNED_FORMULA
    volume = rng.uniform(1, 1000, 300)
    strength = crowded_signal_strength(Grains.from_volumes(position, volume), 2.0)
    around = np.asarray(crowding(position, depth, reach=reach))
    np.testing.assert_allclose(strength, volume**a / (depth**b * (1 + around) ** c), rtol=1e-11)


def test_crowded_strength_is_differentiable() -> None:
    def strength(height: float) -> jax.Array:
        return crowded_signal_strength(grains(), height)

    slope = jax.jacobian(strength)(2.0)
    np.testing.assert_allclose(slope, (strength(2.0 + 1e-5) - strength(2.0 - 1e-5)) / 2e-5, rtol=1e-7)


@pytest.mark.parametrize("expected", [0.003, 0.05, 0.1, 0.4])
def test_probability_is_the_share_of_drawn_magnetizations(expected: float) -> None:
    volume = np.full(200_000, 30.0)
    norm = np.linalg.norm(draw_magnetization(jax.random.key(3), volume), axis=1)
    radius = expected * float(magnetization_of_volume(30.0))
    assert expected_uncertainty_ratio(volume[:1], np.array([radius]))[0] == pytest.approx(expected, rel=1e-12)
    share = float(np.mean(radius / norm <= 0.1))
    assert float(probability_within_limit(np.array(expected), 0.1)) == pytest.approx(share, abs=4e-3)
    with pytest.raises(ValueError, match="limit must be an uncertainty ratio"):
        probability_within_limit(np.array(expected), 0.0)
