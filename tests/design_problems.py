"""Small scans to be planned, for the tests of the design."""

import dataclasses

from mmtjax.design import DesignProblem, ScanningSquid, evaluate

SQUID = ScanningSquid(noise=5.0, floor=1.0, overhead=0.02)
KNOBS = {"interval": (1.5, 6.0), "standoff": (0.5, 10.0), "thickness": (30.0, 70.0), "sensor_side": (0.5, 2.0)}
CHOSEN = {"interval": 2.3, "standoff": 1.7, "thickness": 44.0, "sensor_side": 1.1}
PROBLEM = DesignProblem(
    SQUID, density=5e4, area=1e5, knobs=KNOBS, budget=3 * 3600.0, samples=1, grains=5, tolerance=1e-10
)


def with_objective(objective, problem=PROBLEM):
    """Return the same problem, with the same samples, for another objective."""
    changed = dataclasses.replace(problem, objective=objective)
    changed.__dict__["populations"] = problem.populations
    return changed


#: Weights of the differences at one, two and more steps to both sides, by their order.
CENTRAL = {4: (2 / 3, -1 / 12), 8: (4 / 5, -1 / 5, 4 / 105, -1 / 280)}


def difference(problem, chosen, name, step, *, order=4):
    """Return a central difference of the objective."""

    def at(steps):
        return evaluate(problem, chosen | {name: chosen[name] + steps * step}).mean

    return sum(weight * (at(k) - at(-k)) for k, weight in enumerate(CENTRAL[order], 1)) / step
