"""What scans by the instruments cost."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from mmtjax import Grains, SensorGrid
from mmtjax.design import DesignProblem, QuantumDiamondMicroscope, Setting, divide_dwell, evaluate
from mmtjax.design.config import read_design
from mmtjax.design.instruments import INSTRUMENTS, AbstractInstrument
from tests.design_problems import SQUID


class FluxgateArray(AbstractInstrument):
    """An instrument of a user: sensors side by side that read the whole map at once."""

    kind: ClassVar[str] = "fluxgate-array"
    averages_over_interval: ClassVar[bool] = True
    divides_dwell: ClassVar[bool] = False

    noise: float = 10.0

    def noise_variance(self, setting):
        return self.noise**2 / setting.dwell

    def seconds(self, setting, *, area):
        return setting.dwell

    def dwell_within(self, seconds, *, interval, area):
        return seconds + 0.0 * interval

    def intervals(self, low, high):
        return np.array([3.0])


def test_an_instrument_of_a_user_answers_for_itself(monkeypatch, tmp_path):
    monkeypatch.setitem(INSTRUMENTS, FluxgateArray.kind, FluxgateArray)
    (tmp_path / "plan.toml").write_text(
        "[scan]\ndensity = 2e4\narea = 1e4\nhours = 0.1\nsamples = 1\ngrains = 4\nobjective = 'share'\n"
        "[instrument]\nkind = 'fluxgate-array'\nnoise = 5.0\n"
        "[knobs]\ninterval = [2, 6]\nstandoff = 1\nthickness = 40\n"
    )
    problem = read_design(tmp_path / "plan.toml").problem
    assert problem.instrument == FluxgateArray(noise=5.0)
    setting = problem.setting(interval=3.0)
    assert (setting.sensor_side, setting.dwell) == (3.0, 360.0)
    assert 0 < evaluate(problem, {"interval": 3.0}).mean <= 1
    grid = SensorGrid(origin=(0, 0), spacing=3, shape=(4, 4), height=1)
    with pytest.raises(ValueError, match="a fluxgate-array sees all regions at once"):
        divide_dwell(problem, {"interval": 3.0}, Grains.from_cuboids([[5, 5, -5, 1, 1, 1, 1]]), grid)
    with pytest.raises(ValueError, match="sensor_side changes nothing"):
        DesignProblem(FluxgateArray(), 2e4, 1e4, {**problem.knobs, "sensor_side": 1.0}, budget=360.0)


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
