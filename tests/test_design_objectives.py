"""Objectives against their definitions, and what is said of those that are none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax.design import OBJECTIVES, c_criterion
from mmtjax.design.objectives import objective_of, value_of
from mmtjax.design.outcome import OutcomeConstants, outcome_of

#: Magnetizations of the four grains of `outcome`, A/m.
MEDIAN = np.array([2e4, 4e4, 1e4, 8e4])


@pytest.fixture(scope="module")
def outcome():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(40, 12)) * rng.uniform(1e-3, 1e-1, 12)
    return outcome_of(
        jnp.asarray(rows.T @ rows),
        1.6e5,
        magnetization=MEDIAN,
        seconds=1800.0,
        thickness=50.0,
        constants=OutcomeConstants(prior=4.8e5, level=0.95, limit=0.1, area=5e4, density=2e4),
    )


def test_criteria_against_their_definitions(outcome):
    covariance = np.linalg.inv(np.asarray(outcome.information))
    mean = np.tile(np.eye(3), (4, 1)) / 4
    expected = {
        "a": np.trace(covariance),
        "d": np.linalg.slogdet(covariance)[1],
        "e": np.linalg.eigvalsh(covariance)[-1],
        "c": np.trace(mean.T @ covariance @ mean),
        "information": (12 * np.log(4.8e5**2) - np.linalg.slogdet(covariance)[1]) / 2,
    }
    for name, value in expected.items():
        assert float(OBJECTIVES[name].value(outcome)) == pytest.approx(value, rel=1e-9), name


def test_c_criterion_is_the_variance_of_a_weighted_sum(outcome):
    contrast = np.random.default_rng(6).normal(size=12)
    variance = contrast @ np.linalg.inv(np.asarray(outcome.information)) @ contrast
    assert float(c_criterion(jnp.asarray(contrast)).value(outcome)) == pytest.approx(variance, rel=1e-9)
    with pytest.raises(ValueError, match=r"contrast must hold .* of 4 grains, \(12,\); got the shape \(9,\)"):
        c_criterion(jnp.ones(9)).value(outcome)


def test_expected_grains_against_drawn_ones(outcome):
    """The share within the limit, for magnetizations drawn with their scatter and radii by drawing errors."""
    rng = np.random.default_rng(4)
    covariance = np.linalg.inv(np.asarray(outcome.information))
    share = []
    for grain, magnetization in enumerate(np.asarray(outcome.magnetization)):
        block = covariance[3 * grain : 3 * grain + 3, 3 * grain : 3 * grain + 3]
        radius = np.quantile(np.linalg.norm(rng.multivariate_normal(np.zeros(3), block, 400_000), axis=1), 0.95)
        drawn = magnetization * 10 ** rng.normal(0, 0.5, 400_000)
        share.append(np.mean(radius / drawn <= 0.1))
    expected = np.mean(share)
    assert 0.05 < expected < 0.95
    assert float(OBJECTIVES["share"].value(outcome)) == pytest.approx(expected, abs=3e-3)
    # 2e4 grains per mm³, 50 µm thick, 5e4 µm²: 50 grains, in half an hour.
    assert float(OBJECTIVES["grains"].value(outcome)) == pytest.approx(50 * expected, abs=0.2)
    assert float(OBJECTIVES["grains_per_hour"].value(outcome)) == pytest.approx(100 * expected, abs=0.4)


def count_within(outcome):
    return jnp.sum(outcome.uncertainty_ratio() < 0.1)


def with_numpy(outcome):
    return np.median(outcome.uncertainty_ratio())


def with_if(outcome):
    return outcome.seconds if outcome.seconds > 1 else 1.0


def ratio_of_each(outcome):
    return outcome.uncertainty_ratio()


def nothing(outcome):
    return None


@pytest.mark.parametrize(
    ("objective", "error", "message"),
    [
        (
            count_within,
            TypeError,
            "objective 'count_within' must return a real number, .*; got int64. A count has",
        ),
        (with_numpy, TypeError, "objective 'with_numpy' needs the value .*: write it with jax.numpy"),
        (with_if, TypeError, "objective 'with_if' needs the value .*: write it with jax.numpy"),
        (ratio_of_each, ValueError, r"objective 'ratio_of_each' must return one number; got an array of shape \(4,\)"),
        (
            nothing,
            TypeError,
            "objective 'nothing' must return one real number, as an array .*; got a NoneType",
        ),
    ],
)
@pytest.mark.parametrize("use", [jax.jit, lambda value: jax.jit(jax.grad(value))])
def test_objectives_that_are_no_number_in_jax_are_refused(outcome, use, objective, error, message):
    made = objective_of(objective)

    def value(factor):
        changed = {"seconds": factor * outcome.seconds, "magnetization": factor * jnp.asarray(MEDIAN)}
        return value_of(made, dataclasses.replace(outcome, **changed))

    with pytest.raises(error, match=message):
        use(value)(1.0)
