"""Plans that cannot be are refused, with the remedy."""

import dataclasses

import pytest

from mmtjax.design import DesignProblem, QuantumDiamondMicroscope
from mmtjax.design.problem import require_whole
from tests.design_problems import KNOBS, PROBLEM


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
        (
            {"instrument": QuantumDiamondMicroscope(noise=1.0)},
            "sensor_side changes nothing: each value",
        ),
    ],
)
def test_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PROBLEM, **changes)


@pytest.mark.parametrize("number", [2.5, 4.0, True, "4", -1])
def test_what_is_no_count_is_refused(number):
    with pytest.raises(ValueError, match=f"samples must be a whole number, 1 or more; got {number!r}"):
        require_whole(number, name="samples")
