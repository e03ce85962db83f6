"""Planning a scan: derivatives, objectives, instruments, the search, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax import SensorGrid
from mmtjax.cli import main
from mmtjax.cli.design import sensitivity_table
from mmtjax.design import (
    OBJECTIVES,
    DesignProblem,
    DesignWarning,
    Objective,
    Optimum,
    QuantumDiamondMicroscope,
    ScanningSquid,
    Setting,
    c_criterion,
    discrete,
    evaluate,
    evaluate_with_gradient,
    nearest_trials,
    optimize,
    sensitivities,
    try_setting,
)
from mmtjax.design.chain import objective_on
from mmtjax.design.objectives import objective_of, value_of
from mmtjax.design.optimize import Start, knobs_with_steps
from mmtjax.design.outcome import Outcome, outcome_of
from mmtjax.design.population import draw_population
from mmtjax.design.problem import require_whole
from mmtjax.design.profile import profiles
from mmtjax.io.tables import read_table
from mmtjax.rock.shapes import synthetic_library

SQUID = ScanningSquid(noise=5.0, floor=1.0, overhead=0.02)
KNOBS = {"interval": (1.5, 6.0), "standoff": (0.5, 10.0), "thickness": (30.0, 70.0), "sensor_side": (0.5, 2.0)}
CHOSEN = {"interval": 2.3, "standoff": 1.7, "thickness": 44.0, "sensor_side": 1.1}
PROBLEM = DesignProblem(
    SQUID, density=5e4, area=1e5, knobs=KNOBS, budget=3 * 3600.0, samples=1, grains=5, tolerance=1e-10
)


def with_objective(objective, problem=PROBLEM):
    """The same problem, its samples included, with another objective."""
    changed = dataclasses.replace(problem, objective=objective)
    changed.__dict__["populations"] = problem.populations
    return changed


def difference(problem, chosen, name, step):
    """Fourth-order central difference of the objective."""
    values = [evaluate(problem, chosen | {name: chosen[name] + k * step}).mean for k in (-2, -1, 1, 2)]
    return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


def check_gradient(problem, chosen):
    found = evaluate_with_gradient(problem, chosen)
    for name in problem.free:
        # Short steps where sensors fade in, with a second derivative that jumps; elsewhere the longer ones that keep
        # the rounding of the values small beside a slope of less than one per cent.
        step = 2e-4 if name in ("interval", "thickness") else 4e-3
        expected = difference(problem, chosen, name, step * chosen[name])
        # A derivative that is nothing beside the value is lost in the rounding of the differences.
        slack = 1e-9 * abs(found.mean) / chosen[name]
        np.testing.assert_allclose(found.gradient[name], expected, rtol=1e-5, atol=slack, err_msg=f"{name} at {chosen}")


@pytest.mark.parametrize("objective", ["median_ratio", "grains_per_hour"])
def test_gradient(objective):
    check_gradient(with_objective(objective), CHOSEN)


@pytest.mark.slow
@pytest.mark.parametrize("objective", list(OBJECTIVES))
def test_gradient_at_random_settings(objective):
    """Twenty settings in all bounds, corners among them."""
    rng = np.random.default_rng(1)
    problem = with_objective(objective)
    places = np.concatenate([rng.random((16, 4)), [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 1, 0]]])
    for place in places:
        chosen = {
            name: float(low + share * (high - low))
            for (name, (low, high)), share in zip(problem.bounds.items(), place, strict=True)
        }
        check_gradient(problem, chosen)


@pytest.mark.parametrize("place", [(0.2, 0.5), (0.63, 0.08), (0.91, 0.97), (0.0, 1.0), (1.0, 0.0)])
def test_gradient_of_a_camera(place):
    """Settings drawn at random, and two corners."""
    camera = QuantumDiamondMicroscope(noise=400.0, floor=2.0, overhead=5.0)
    knobs = {"interval": (1.2, 9.6), "standoff": 2.0, "thickness": 40.0, "dwell": (1.0, 1e3)}
    problem = DesignProblem(camera, density=5e4, area=1e5, knobs=knobs, samples=1, grains=5, tolerance=1e-10)
    check_gradient(
        problem,
        {
            name: low * (high / low) ** share
            for share, (name, (low, high)) in zip(place, problem.bounds.items(), strict=True)
        },
    )


def test_where_the_interval_divides_the_cell_the_model_is_the_map():
    rock = draw_population(jax.random.key(3), synthetic_library(), count=6, density=5e4, thickness=40.0)
    edge = float(rock.edge(40.0))
    problem = dataclasses.replace(PROBLEM, knobs=KNOBS | {"thickness": 40.0}, objective="information")
    problem.__dict__["populations"] = [rock]
    chosen = {"interval": edge / 17, "standoff": 1.5, "sensor_side": 1.0}
    grid = SensorGrid(origin=(0, 0), spacing=edge / 17, shape=(18, 18), height=1.5, side=1.0)
    expected = objective_on(problem, problem.setting(**chosen), rock.grains, grid)
    assert evaluate(problem, chosen).mean == pytest.approx(float(expected), rel=1e-9)


def test_population_keeps_its_density_and_stays_inside():
    rock = draw_population(jax.random.key(3), synthetic_library(), count=30, density=5e4, thickness=45.0)
    np.testing.assert_allclose(rock.positions(45.0), rock.grains.position, rtol=1e-12)
    for thickness in (30.0, 70.0):
        edge = float(rock.edge(thickness))
        assert 30 / (edge**2 * thickness) * 1e9 == pytest.approx(5e4)
        moved = rock.at(np.asarray(rock.positions(thickness)))
        assert np.all(moved.top <= 1e-9)
        assert np.all(moved.top >= -thickness)
        bottom = np.array([(c[:, 2] + p[2]).min() for c, p in zip(_corners(moved), moved.position, strict=True)])
        assert np.all(bottom >= -thickness - 1e-9)
        assert np.all((moved.position[:, :2] > 0) & (moved.position[:, :2] < edge))


def _corners(grains):
    return [grains.corner_offset[grains.corner_grain == number] for number in range(len(grains))]


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
        prior=4.8e5,
        level=0.95,
        limit=0.1,
        seconds=1800.0,
        area=5e4,
        density=2e4,
        thickness=50.0,
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


def test_instruments():
    setting = Setting(interval=2.0, standoff=1.0, thickness=30.0, sensor_side=1.0, dwell=0.25)
    assert SQUID.noise_variance(setting) == 25 / 0.25 + 1
    assert SQUID.seconds(setting, area=4e4) == pytest.approx(1e4 * 0.27)
    assert SQUID.dwell_within(2700.0, interval=2.0, area=4e4) == pytest.approx(0.25)
    assert SQUID.intervals(1.2, 2.6).tolist() == [1.5, 2.0, 2.5]
    camera = QuantumDiamondMicroscope(noise=100.0, overhead=10.0, pixel=1.0, field_area=1e4)
    binned = dataclasses.replace(setting, interval=4.0, dwell=100.0)
    # Sixteen pixels of 100 nT for a hundred seconds.
    assert camera.noise_variance(binned) == pytest.approx(1e4 / 16 / 100)
    assert camera.seconds(binned, area=4e4) == pytest.approx(4 * 110)
    assert camera.sensor_side(binned) == 4.0


@pytest.mark.parametrize(
    ("area", "fields"), [(1e3, 1), (1e4, 1), (1.0001e4, 2), (1.5e4, 2), (0.3e4, 1), (0.1e4 * 30, 3), (3.3e4, 4)]
)
def test_a_camera_takes_whole_fields(area, fields):
    camera = QuantumDiamondMicroscope(noise=100.0, overhead=10.0, field_area=1e4)
    setting = Setting(interval=4.0, standoff=1.0, thickness=30.0, sensor_side=1.0, dwell=100.0)
    assert camera.seconds(setting, area=area) == 110 * fields
    assert camera.dwell_within(110.0 * fields, interval=4.0, area=area) == pytest.approx(100.0)


def test_a_number_of_fields_but_for_rounding_is_that_number():
    area, field = 0.3, 0.1
    assert area / field != 3
    camera = QuantumDiamondMicroscope(noise=100.0, field_area=field)
    setting = Setting(interval=4.0, standoff=1.0, thickness=30.0, sensor_side=1.0, dwell=1.0)
    assert camera.seconds(setting, area=0.1 + 0.2) == 3


def test_search_finds_the_best_of_a_fine_scan():
    knobs = {"interval": (1.5, 8.0), "standoff": 2.0, "thickness": 40.0, "sensor_side": 1.0}
    problem = DesignProblem(
        ScanningSquid(noise=100.0, overhead=0.2), 5e4, 1e5, knobs, budget=1500.0, samples=1, grains=5, objective="share"
    )
    optimum = optimize(problem, starts=2, steps=20)
    assert optimum.starts[0].converged
    low, high = problem.bounds["interval"]
    # Below, the overhead takes the whole budget.
    assert low == pytest.approx(np.sqrt(1e5 * 0.2 / 1500), rel=1e-2)
    scanned = [evaluate(problem, {"interval": value}).mean for value in np.geomspace(low, high, 40)]
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
def test_sensitivities_are_told_with_their_unit(objective, unit):
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


def test_trials_are_the_same_for_the_same_seed():
    one, two = (try_setting(PROBLEM, CHOSEN, side=50.0, repeats=2) for _ in range(2))
    assert one.values.tolist() == two.values.tolist()
    assert one.values[0] != one.values[1]


@pytest.mark.parametrize("interval", [0.7, 3.3, 4.5, 5.0])
def test_trials_scan_whole_samples(monkeypatch, interval):
    """The outermost sensors lie at the edges of the sample or beyond, equally far on all sides."""
    grids = []
    monkeypatch.setattr(discrete, "objective_on", lambda problem, setting, grains, grid: grids.append(grid) or 0.5)
    try_setting(PROBLEM, CHOSEN | {"interval": interval}, side=30.0, repeats=1)
    (grid,) = grids
    first = np.array(grid.origin)
    last = first + (np.array(grid.shape[::-1]) - 1) * interval
    np.testing.assert_array_equal(grid.spacing, interval)
    np.testing.assert_allclose(first + last, 30.0, rtol=1e-12)
    assert np.all((-interval / 2 < first) & (first <= 1e-9))
    if interval == 5.0:
        assert grid.shape == (7, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 4.0}, "side must be two or more intervals of 2.3 µm long; got 4.0"),
        ({"repeats": 0}, "repeats must be a whole number, 1 or more; got 0"),
    ],
)
def test_trials_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        try_setting(PROBLEM, CHOSEN, **options)


def test_infeasible_budget():
    message = (
        r"a budget of 10 s is infeasible: at the longest interval, 6 µm, it leaves a dwell of -0.0164 s after the "
        "overhead; allow more time or a longer interval or a smaller area$"
    )
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PROBLEM, budget=10.0)


@pytest.mark.parametrize(
    ("area", "remedy"), [(2.5e6, "more time or a smaller area"), (1e6, "more time"), (1e5, "more time")]
)
def test_an_infeasible_budget_of_a_camera_is_not_mended_by_longer_intervals(area, remedy):
    camera = QuantumDiamondMicroscope(noise=400.0, overhead=60.0)
    knobs = {"interval": (1.2, 9.6), "standoff": 2.0, "thickness": 40.0}
    with pytest.raises(ValueError, match=f"a budget of 50 s is infeasible: it leaves a dwell of .*; allow {remedy}$"):
        DesignProblem(camera, density=5e4, area=area, knobs=knobs, budget=50.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"knobs": KNOBS | {"interval": (6.0, 1.5)}}, "ends of interval are the wrong way round"),
        ({"knobs": KNOBS | {"interval": -1.0}}, "interval must be positive; got -1.0"),
        ({"knobs": KNOBS | {"pixel": 1.0}}, "knobs must be among interval, .*; got pixel"),
        ({"knobs": {"interval": (1.0, 2.0), "standoff": 1.0}}, "knobs lack sensor_side, thickness"),
        ({"knobs": KNOBS | {"dwell": 1.0}}, "give one of budget and dwell"),
        ({"knobs": KNOBS | {"thickness": (20.0, 50.0)}}, "a thickness of 20 µm leaves no room for grains up to 25"),
        ({"objective": "best"}, "objective must be one of a, d, e, c, .*got 'best'"),
        ({"density": -1.0}, "density must be positive; got -1.0"),
        ({"budget": None}, "knobs lack dwell"),
        ({"samples": 0}, "samples must be a whole number, 1 or more; got 0"),
        ({"grains": 0}, "grains must be a whole number, 1 or more; got 0"),
        ({"instrument": QuantumDiamondMicroscope(noise=1.0)}, "sensor_side changes nothing with a camera"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PROBLEM, **changes)


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


@pytest.mark.parametrize("number", [2.5, 4.0, True, "4", -1])
def test_what_is_no_count_is_refused(number):
    with pytest.raises(ValueError, match=f"samples must be a whole number, 1 or more; got {number!r}"):
        require_whole(number, name="samples")


def test_objective_with_steps_is_refused():
    def count_below(outcome):
        return jnp.sum(jnp.where(outcome.uncertainty_ratio() < 0.1, 1.0, 0.0))

    problem = with_objective(Objective("count", count_below, maximize=True))
    with pytest.raises(ValueError, match=r"objective 'count' does not change with .*make it smooth"):
        optimize(problem, starts=1, steps=1)


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
        (count_within, TypeError, "objective 'count_within' must give a real number, .*; got int64. A count has steps"),
        (with_numpy, TypeError, "objective 'with_numpy' asks JAX for the value .*: write it with jax.numpy"),
        (with_if, TypeError, "objective 'with_if' asks JAX for the value .*: write it with jax.numpy"),
        (ratio_of_each, ValueError, r"objective 'ratio_of_each' must give one number; got an array of shape \(4,\)"),
        (nothing, TypeError, "objective 'nothing' must give one real number, as an array of jax.numpy; got a NoneType"),
    ],
)
@pytest.mark.parametrize("use", [jax.jit, lambda value: jax.jit(jax.grad(value))])
def test_objectives_that_are_no_number_in_jax_are_told(outcome, use, objective, error, message):
    made = objective_of(objective)

    def value(factor):
        changed = {"seconds": factor * outcome.seconds, "magnetization": factor * jnp.asarray(MEDIAN)}
        return value_of(made, dataclasses.replace(outcome, **changed))

    with pytest.raises(error, match=message):
        use(value)(1.0)


def test_what_an_objective_gives_is_checked_in_the_search():
    with pytest.raises(TypeError, match="objective 'count_within' must give a real number"):
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


def test_steps_beside_something_smooth_are_told():
    """The time of the scan drives the interval to its end, 6 µm, next to a step at 5.9 µm."""
    median = evaluate(with_objective("median_ratio", TIMED), {"interval": 5.9}).mean
    problem = with_objective(count_below(median), TIMED)
    with pytest.warns(DesignWarning, match="'counted' changes with interval otherwise than its derivative says: the"):
        assert optimize(problem, starts=1, steps=1, first={"interval": 6.0}).chosen["interval"] == 6.0


def test_objective_without_a_finite_derivative_is_refused():
    def kinked(outcome):
        return jnp.sqrt(jnp.sum(outcome.covariance() * 0.0))

    with pytest.raises(FloatingPointError, match="derivative of the objective 'kinked' with respect to interval"):
        evaluate_with_gradient(with_objective(kinked), CHOSEN)


def test_knob_without_influence_warns():
    def from_time(outcome: Outcome):
        return -outcome.seconds

    knobs = {"interval": (2.0, 6.0), "standoff": (1.0, 2.0), "thickness": 40.0, "sensor_side": 1.0, "dwell": 0.1}
    problem = DesignProblem(SQUID, 5e4, 1e5, knobs, objective=from_time, samples=1, grains=5)
    with pytest.warns(DesignWarning, match="converged"), pytest.warns(DesignWarning, match="not depend on standoff"):
        optimum = optimize(problem, starts=1, steps=3)
    assert optimum.chosen["interval"] > 3.5


def test_command(tmp_path, capsys):
    config = tmp_path / "plan.toml"
    config.write_text(
        """
name = "small plan"
[scan]
density = 5e4
area = 1e5
hours = 1.0
objective = "median_ratio"
samples = 1
grains = 4
[instrument]
kind = "scanning-squid"
noise = 50.0
overhead = 0.05
[knobs]
interval = [2.0, 6.0]
standoff = [1.0, 5.0]
thickness = 40.0
sensor_side = 1.0
[search]
starts = 1
steps = 2
side = 50.0
repeats = 2
pareto = [2.0]
"""
    )
    assert main(["design", str(config), "--out", str(tmp_path / "plan")]) == 0
    names = {file.name for file in (tmp_path / "plan").iterdir()}
    assert {"settings.csv", "sensitivities.csv", "starts.csv", "provenance.json"} <= names
    assert {f"{name}.{end}" for name in ("profiles", "surface", "pareto") for end in ("png", "pdf", "csv")} <= names
    said = capsys.readouterr().out
    assert "+1 µm of standoff changes it by" in said
    assert "small plan" in said
    # One start did not converge in two steps, at either budget.
    for hours in (1, 2):
        assert f"converged in 2 steps within a budget of {hours} h;" in " ".join(said.split())
    pareto = read_table(tmp_path / "plan" / "pareto.csv")
    assert pareto["hours"].tolist() == [1.0, 2.0]
    # A point of one hour has twice the dwell in two.
    dwell = pareto["hours"] * 3600 * pareto["tried_interval"] ** 2 / 1e5 - 0.05
    np.testing.assert_allclose(pareto["tried_dwell"], dwell, rtol=1e-4)
    assert np.all(pareto["tried_interval"] % 0.5 == 0)
    settings = read_table(tmp_path / "plan" / "settings.csv")
    assert pareto["tried_objective"][0] == settings["objective"][1]
    assert np.all(pareto["standard_error"] > 0)
    config.write_text(config.read_text().replace("hours = 1.0", "hours = 0.001"))
    assert main(["design", str(config), "--out", str(tmp_path / "other")]) == 1
    assert "is infeasible" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
