"""Settings tried on fresh samples."""

import numpy as np
import pytest

from mmtjax.design import discrete, try_setting
from tests.design_problems import CHOSEN, PROBLEM


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
def test_invalid_trials_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        try_setting(PROBLEM, CHOSEN, **options)
