"""From knobs to an objective: derivatives, and the model beside the map and the population."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import betainc

from mmtjax import SampleSpec, SensorGrid, greens_matrix
from mmtjax.design import OBJECTIVES, DesignProblem, QuantumDiamondMicroscope, evaluate, evaluate_with_gradient
from mmtjax.design.population import Population, cell_edge, draw_population
from tests.design_problems import CHOSEN, KNOBS, PROBLEM, difference, with_objective

#: Steps of differences, as shares of a knob, and their orders. Long steps are wrong where sensors fade in, whose third
#: derivatives jump; short ones where a slope is small beside the value, whose rounding is up to 1e-10 of it.
DIFFERENCES = ((2e-4, 4), (4e-3, 4), (1e-3, 4), (2e-3, 8))


def check_gradient(problem, chosen):
    """One of the differences is the derivative to 1e-5, which none could be by chance."""
    found = evaluate_with_gradient(problem, chosen)
    for name in problem.free:
        # A derivative that is nothing beside the value is lost in the rounding of the differences.
        slack, tried = 1e-9 * abs(found.mean) / chosen[name], []
        for step, order in DIFFERENCES if name in ("interval", "thickness") else DIFFERENCES[1:]:
            tried.append(difference(problem, chosen, name, step * chosen[name], order=order))
            if np.isclose(found.gradient[name], tried[-1], rtol=1e-5, atol=slack):
                break
        else:
            pytest.fail(f"{name} at {chosen}: the derivative is {found.gradient[name]}, differences are {tried}")


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


def rock_of(count: int, thickness: float) -> Population:
    """A cell with so many grains at 5e4 per mm³."""
    edge = cell_edge(count, density=5e4, thickness=thickness)
    return draw_population(jax.random.key(3), SampleSpec(side=edge, thickness=thickness, density=5e4))


def test_the_model_is_a_map_whose_far_edges_fade():
    """The regularized incomplete beta function is the fade, over four of the longest intervals about the edge."""
    rock = rock_of(count=6, thickness=40.0)
    edge, frame = float(rock.edge(40.0)), 4 * 6.0
    problem = dataclasses.replace(PROBLEM, knobs=KNOBS | {"thickness": 40.0}, objective="information")
    problem.__dict__["populations"] = [rock]
    chosen = {"interval": 2.9, "standoff": 1.5, "sensor_side": 1.0}
    grid = SensorGrid(origin=(0, 0), spacing=2.9, shape=(25, 25), height=1.5, side=1.0)
    line = betainc(3, 3, np.clip((edge - np.asarray(grid.x)) / frame + 0.5, 0, 1))
    assert line[-1] == 0
    assert line[0] == 1
    rows = np.asarray(greens_matrix(rock.grains, grid)) * np.sqrt(np.outer(line, line)).reshape(-1, 1)
    variance = float(problem.instrument.noise_variance(problem.setting(**chosen)))
    expected = np.linalg.slogdet(np.eye(18) + rows.T @ rows * problem.prior**2 / variance)[1] / 2
    assert evaluate(problem, chosen).mean == pytest.approx(expected, rel=1e-9)


def test_derivatives_by_the_interval_are_those_of_its_trend():
    """At settings a little apart they are alike, and their mean is the change: no step in which a sensor comes in."""
    problem = with_objective("d")
    intervals = np.linspace(2.2, 2.4, 7)
    slopes = [evaluate_with_gradient(problem, CHOSEN | {"interval": x}).gradient["interval"] for x in intervals]
    first, last = (evaluate(problem, CHOSEN | {"interval": x}).mean for x in intervals[[0, -1]])
    np.testing.assert_allclose(slopes, (last - first) / 0.2, rtol=0.3)


def test_population_keeps_its_density_and_stays_inside():
    rock = rock_of(count=30, thickness=45.0)
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


def test_objective_without_a_finite_derivative_is_refused():
    def kinked(outcome):
        return jnp.sqrt(jnp.sum(outcome.covariance() * 0.0))

    with pytest.raises(FloatingPointError, match="derivative of the objective 'kinked' with respect to interval"):
        evaluate_with_gradient(with_objective(kinked), CHOSEN)
