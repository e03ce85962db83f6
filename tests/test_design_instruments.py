"""What scans by the instruments cost."""

import dataclasses

import pytest

from mmtjax.design import QuantumDiamondMicroscope, Setting
from tests.design_problems import SQUID


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
