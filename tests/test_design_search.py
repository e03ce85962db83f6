"""The search for the best setting: what it finds, and what it warns of."""

import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax.cli.design import sensitivity_table
from mmtjax.design import (
    OBJECTIVES,
    DesignProblem,
    DesignWarning,
    Objective,
    Optimum,
    ScanningSquid,
    evaluate,
    evaluate_with_gradient,
    nearest_trials,
    optimize,
    sensitivities,
)
from mmtjax.design.optimize import Start, knobs_with_steps
from mmtjax.design.outcome import Outcome
from mmtjax.design.profile import profiles
from tests.design_problems import CHOSEN, PROBLEM, SQUID, difference, with_objective


@pytest.mark.parametrize("scanned_settings", [12, pytest.param(40, marks=pytest.mark.slow)])
def test_search_finds_the_best_of_a_fine_scan(scanned_settings):
    knobs = {"interval": (1.5, 8.0), "standoff": 2.0, "thickness": 40.0, "sensor_side": 1.0}
    problem = DesignProblem(
        ScanningSquid(noise=100.0, overhead=0.2), 5e4, 1e5, knobs, budget=1500.0, samples=1, grains=5, objective="share"
    )
    optimum = optimize(problem, starts=2, steps=20)
    assert optimum.starts[0].converged
    low, high = problem.bounds["interval"]
    # Below, the overhead takes the whole budget.
    assert low == pytest.approx(np.sqrt(1e5 * 0.2 / 1500), rel=1e-2)
    scanned = [evaluate(problem, {"interval": value}).mean for value in np.geomspace(low, high, scanned_settings)]
    assert optimum.value.mean >= max(scanned) * (1 - 2e-3)
    change, _ = sensitivities(optimum)["interval"]
    assert abs(change) < 0.1
    table = profiles(optimum, points=4)
    assert table["objective"].max() <= optimum.value.mean * (1 + 1e-3)
    trials = nearest_trials(optimum, side=60.0, repeats=3)
    assert len(trials) == 2
    assert {trial.chosen["interval"] % 0.5 for trial in trials} == {0.0}
    assert trials[0].mean >= trials[1].mean


def seconds_of_a_scan(interval):
    """Of TIMED, a point takes 0.12 s."""
    return 1e5 / interval**2 * 0.12


TIMED = DesignProblem(
    SQUID,
    5e4,
    1e5,
    {"interval": (2.0, 6.0), "standoff": 1.0, "thickness": 40.0, "sensor_side": 1.0, "dwell": 0.1},
    samples=1,
    grains=5,
)


@pytest.mark.parametrize("size", [1.0, -1.0])
@pytest.mark.parametrize("relative", [True, False])
def test_sensitivities_keep_the_sign_of_the_change(size, relative):
    """Of an objective whose derivative is known, above and below zero."""
    objective = Objective("time", lambda outcome: size * outcome.seconds, maximize=False, relative=relative)
    problem, chosen = with_objective(objective, TIMED), {"interval": 3.0}
    change, _ = sensitivities(Optimum(problem, chosen, evaluate_with_gradient(problem, chosen), []))["interval"]
    # Seconds go with the interval to the power −2.
    expected = -2 / 3.0 * size * (1.0 if relative else seconds_of_a_scan(3.0))
    assert change == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("objective", "unit"), [("d", "nat"), ("share", "%")])
def test_sensitivities_are_reported_with_their_unit(objective, unit):
    problem, chosen = with_objective(objective, TIMED), {"interval": 3.0}
    table = sensitivity_table(Optimum(problem, chosen, evaluate_with_gradient(problem, chosen), []))
    assert table.attrs["units"]["change"] == f"{unit} per µm, or s"
    expected = difference(problem, chosen, "interval", 1e-3)
    if unit == "%":
        expected *= 100 / abs(evaluate(problem, chosen).mean)
    assert table["change"][0] == pytest.approx(expected, rel=1e-3)


def test_search_converges_where_the_best_value_is_zero():
    """The largest value of −(log of seconds over 1000)² is zero; no share of it could be small."""
    problem = with_objective(lambda outcome: -(jnp.log(outcome.seconds / 1000.0) ** 2), TIMED)
    optimum = optimize(problem, starts=1, steps=25)
    assert optimum.starts[0].converged
    assert seconds_of_a_scan(optimum.chosen["interval"]) == pytest.approx(1000.0, rel=0.02)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (CHOSEN | {"pixel": 1.0}, "a value for pixel would change nothing: give values for the free knobs, interval, "),
        (CHOSEN | {"dwell": 1.0}, "a value for dwell would change nothing"),
        ({"interval": 2.0, "standoff": 1.0}, "values must be given for all .*; thickness, sensor_side has none"),
    ],
)
@pytest.mark.parametrize("use", [evaluate, lambda problem, chosen: optimize(problem, first=chosen)])
def test_values_for_other_knobs_than_the_free_ones_are_refused(use, chosen, message):
    with pytest.raises(ValueError, match=message):
        use(PROBLEM, chosen)


@pytest.mark.parametrize("name", ["starts", "steps"])
def test_numbers_of_starts_and_steps_must_be_whole(name):
    with pytest.raises(ValueError, match=f"{name} must be a whole number, 1 or more; got 0"):
        optimize(PROBLEM, **{name: 0})


def test_objective_with_steps_is_refused():
    def count_below(outcome):
        return jnp.sum(jnp.where(outcome.uncertainty_ratio() < 0.1, 1.0, 0.0))

    problem = with_objective(Objective("count", count_below, maximize=True))
    with pytest.raises(ValueError, match=r"objective 'count' does not change with .*make it smooth"):
        optimize(problem, starts=1, steps=1)


def test_what_an_objective_gives_is_checked_in_the_search():
    def count_within(outcome):
        return jnp.sum(outcome.uncertainty_ratio() < 0.1)

    with pytest.raises(TypeError, match="objective 'count_within' must return a real number"):
        optimize(with_objective(count_within), starts=1, steps=1)


def optimum_at(problem, chosen):
    """As if a search had ended there, with no span of values to forgive anything."""
    value = evaluate(problem, chosen)
    return Optimum(problem, chosen, value, [Start([chosen], [value.mean], converged=True)])


def count_below(ratio):
    """A count with a step where one of the grains has a ratio, times something smooth."""

    def counted(outcome):
        return jnp.sum(jnp.where(outcome.uncertainty_ratio() < ratio, 1.0, 0.0)) / outcome.seconds**0.1

    return counted


@pytest.mark.parametrize(
    "objective",
    [name if name in ("d", "median_ratio") else pytest.param(name, marks=pytest.mark.slow) for name in OBJECTIVES],
)
def test_smooth_objectives_have_no_steps(objective):
    """In the middle and in two corners of the bounds."""
    problem = with_objective(objective)
    for place in (0.0, 0.5, 1.0):
        chosen = {name: low + place * (high - low) for name, (low, high) in problem.bounds.items()}
        assert knobs_with_steps(optimum_at(problem, chosen)) == [], chosen


def test_steps_are_found_along_every_knob():
    median = evaluate(with_objective("median_ratio"), CHOSEN).mean
    assert knobs_with_steps(optimum_at(with_objective(count_below(median)), CHOSEN)) == list(PROBLEM.free)


def test_steps_beside_something_smooth_are_reported():
    """The time of the scan drives the interval to its end, 6 µm, next to a step at 5.83 µm."""
    median = evaluate(with_objective("median_ratio", TIMED), {"interval": 5.83}).mean
    problem = with_objective(count_below(median), TIMED)
    with pytest.warns(DesignWarning, match="'counted' changes with interval otherwise than its derivative says: the"):
        assert optimize(problem, starts=1, steps=1, first={"interval": 6.0}).chosen["interval"] == 6.0


def test_knob_without_influence_warns():
    def from_time(outcome: Outcome):
        return -outcome.seconds

    knobs = {"interval": (2.0, 6.0), "standoff": (1.0, 2.0), "thickness": 40.0, "sensor_side": 1.0, "dwell": 0.1}
    problem = DesignProblem(SQUID, 5e4, 1e5, knobs, objective=from_time, samples=1, grains=5)
    with pytest.warns(DesignWarning, match="converged"), pytest.warns(DesignWarning, match="not depend on standoff"):
        optimum = optimize(problem, starts=1, steps=3)
    assert optimum.chosen["interval"] > 3.5
