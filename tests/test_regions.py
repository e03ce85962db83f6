"""The dwell of a scan divided among regions, against a search without derivatives and the theorem of equivalence."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mmtjax import Grains, SensorGrid, greens_matrix
from mmtjax.design import DesignWarning, QuantumDiamondMicroscope, ScanningSquid, divide_dwell, regions
from mmtjax.design.chain import constants_of, median_magnetization, objective_on
from mmtjax.design.problem import DesignProblem
from mmtjax.design.setting import as_arrays
from mmtjax.greens.tiled import TiledGreen

GRAINS = Grains.from_cuboids([[6, 6, -6, 1, 1, 1, 1], [24, 7, -14, 2, 1, 2, 2], [26, 20, -20, 2, 2, 1, 3]])
GRID = SensorGrid(origin=(0, 0), spacing=2, shape=(14, 17), height=1, side=1)
KNOBS = {"interval": (1, 6), "standoff": 1, "thickness": 40, "sensor_side": 1, "dwell": 0.2}
PROBLEM = DesignProblem(ScanningSquid(noise=8.0, floor=0.0), density=2e4, area=1e4, knobs=KNOBS, objective="d")
CHOSEN = {"interval": 2.0}


def information(precision):
    """Of the three grains with a precision for each sensor, by the dense matrix."""
    matrix = np.asarray(greens_matrix(GRAINS, GRID, tolerance=PROBLEM.tolerance))
    return (matrix.T * (np.ravel(precision) / 8.0**2)) @ matrix + np.eye(9) / PROBLEM.prior**2


def test_d_optimal_division_satisfies_the_theorem_of_equivalence():
    """At a D-optimum no region is worth more than the time in use (Kiefer & Wolfowitz), by the dense matrix."""
    found = divide_dwell(PROBLEM, CHOSEN, GRAINS, GRID, regions=(2, 3), steps=400)
    assert found.converged
    assert found.dwell.shape == GRID.shape
    np.testing.assert_allclose(found.dwell.mean(), 0.2, rtol=1e-12)
    assert np.all(np.diff(found.values) < 1e-9)
    matrix = np.asarray(greens_matrix(GRAINS, GRID, tolerance=PROBLEM.tolerance))
    leverage = np.einsum("si,ij,sj->s", matrix, np.linalg.inv(information(found.dwell)), matrix).reshape(GRID.shape)
    by_region = [part.mean() for rows in np.split(leverage, [7]) for part in np.split(rows, [5, 11], axis=1)]
    used = (found.dwell * leverage).mean() / found.dwell.mean()
    assert max(by_region) / used - 1 < 0.011


def test_a_division_is_what_a_search_without_derivatives_finds(monkeypatch):
    monkeypatch.setattr(regions, "_CONVERGED", 1e-5)
    problem = dataclasses.replace(PROBLEM, objective="a", instrument=ScanningSquid(noise=8.0, floor=6.0))

    def trace(share):
        dwell = 0.2 * np.where(np.arange(17) < 8, share * 17 / 8, (1 - share) * 17 / 9)
        precision = 64 / (64 / np.maximum(dwell, 1e-9) + 36)
        return np.trace(np.linalg.inv(information(np.broadcast_to(precision, GRID.shape))))

    best = minimize(lambda share: np.log(trace(share[0])), [0.4], method="Nelder-Mead", options={"xatol": 1e-6}).x[0]
    found = divide_dwell(problem, CHOSEN, GRAINS, GRID, regions=(1, 2), steps=3000)
    np.testing.assert_allclose(found.dwell[0, 0] * 8 / (0.2 * 17), best, atol=1e-4)
    np.testing.assert_allclose(found.values[-1], trace(best), rtol=1e-6)
    np.testing.assert_allclose(found.values[0], float(even(problem)), rtol=1e-9)


def test_worth_of_regions_against_central_differences():
    """Derivatives of the trace of the covariance with respect to the dwell of six regions, by the dense matrix."""
    problem = dataclasses.replace(PROBLEM, objective="a", instrument=ScanningSquid(noise=8.0, floor=6.0))
    rows, columns = [slice(0, 7), slice(7, 14)], [slice(0, 5), slice(5, 11), slice(11, 17)]
    relative = np.array([[1.3, 0.4, 0.9], [0.2, 1.7, 1.1]])

    def trace(relative):
        dwell = 0.2 * np.repeat(np.repeat(relative, 7, axis=0), [5, 6, 6], axis=1)
        return np.trace(np.linalg.inv(information(64 / (64 / dwell + 36))))

    grams = [
        TiledGreen(GRAINS, GRID.window(row, column), tolerance=problem.tolerance).gram()
        for row in rows
        for column in columns
    ]
    setting = as_arrays(problem.setting(**CHOSEN))
    arguments = jnp.asarray(relative.ravel()), jnp.stack(grams), median_magnetization(GRAINS)
    value, slope = regions._value_and_gradient(constants_of(problem), setting, *arguments)
    np.testing.assert_allclose(value, trace(relative), rtol=1e-9)
    steps = 1e-4 * np.eye(6).reshape(6, 2, 3)
    expected = [(trace(relative + step) - trace(relative - step)) / 2e-4 for step in steps]
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def even(problem):
    return objective_on(problem, problem.setting(**CHOSEN), GRAINS, GRID)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"regions": (0, 2)}, "regions along y must be between 1 and the 14 sensors there; got 0"),
        ({"regions": (2, 18)}, "regions along x must be between 1 and the 17 sensors there; got 18"),
        ({"steps": 0}, "steps must be a whole number, 1 or more; got 0"),
    ],
)
def test_invalid_values_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        divide_dwell(PROBLEM, CHOSEN, GRAINS, GRID, **changed)


def test_an_objective_that_gains_nothing_from_dwell_is_refused():
    problem = dataclasses.replace(PROBLEM, objective=lambda outcome: -outcome.log_determinant())
    with pytest.raises(ValueError, match="the objective 'lambda' gains nothing from a longer dwell in any region"):
        divide_dwell(problem, CHOSEN, GRAINS, GRID, regions=(1, 2))


def test_a_camera_cannot_divide_its_dwell():
    knobs = {"interval": (1.2, 4.8), "standoff": 1, "thickness": 40, "dwell": 0.2}
    problem = DesignProblem(QuantumDiamondMicroscope(noise=8.0), density=2e4, area=1e4, knobs=knobs)
    with pytest.raises(ValueError, match="a quantum-diamond-microscope sees all regions at once"):
        divide_dwell(problem, {"interval": 2.4}, GRAINS, GRID)


def test_a_division_that_has_not_converged_says_so(monkeypatch):
    monkeypatch.setattr(regions, "_CONVERGED", 1e-12)
    reported = []
    with pytest.warns(DesignWarning, match="after 2 steps a second is still worth"):
        divide_dwell(
            PROBLEM, CHOSEN, GRAINS, GRID, regions=(1, 2), steps=2, progress=lambda *part: reported.append(part)
        )
    assert reported[:2] == [("regions", 1, 2), ("regions", 2, 2)]
    assert reported[-1] == ("dividing the dwell", 3, 3)
