"""What an inversion refuses or warns of, with the remedy, and the memory that it asks for."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmtjax import (
    Grains,
    InversionError,
    InversionWarning,
    Scan,
    SensorGrid,
    estimate_memory,
    invert,
    invert_series,
)
from mmtjax.inversion import memory
from tests.inversions import GRID, deep_sample, noisy_scan
from tests.samples import small_sample


def test_failed_cholesky_is_refused_with_the_remedy():
    grains, grid = deep_sample()
    _, scan = noisy_scan(grains, grid, noise=1e-6)
    with pytest.raises(InversionError, match=r"prior=480e3 .*method='orthogonal'"):
        invert(scan, grains, noise=1e-6, method="cholesky")


def test_a_hopeless_problem_is_refused_or_returned_with_its_failure():
    """Two cubes at one place cannot be told from one."""
    grains = Grains.from_cuboids([[5, 5, -60, 0.5, 0.5, 0.5, 1], [5, 5, -60, 0.5, 0.5, 0.5, 2]], allow_overlap=True)
    _, scan = noisy_scan(grains, noise=1.0)
    with pytest.raises(InversionError, match="prior=480e3"):
        invert(scan, grains, noise=1.0)
    with pytest.warns(InversionWarning, match="condition number"):
        doubtful = invert(scan, grains, noise=1.0, throw=False)
    assert "cannot" in doubtful.failure or "beyond" in doubtful.failure
    assert np.all(np.isfinite(doubtful.magnetization))
    with pytest.raises(InversionError, match="condition number"):
        doubtful.check()
    with_prior = invert(scan, grains, noise=1.0, prior=480e3)
    assert with_prior.failure is None
    assert np.all(with_prior.confidence_radius < 3 * 480e3)


def test_unexplained_residual_and_saturation_warn():
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains, noise=20.0, scale=4e5)
    with pytest.warns(InversionWarning) as caught:
        solution = invert(scan, grains, noise=5.0)
    text = "\n".join(solution.warnings)
    assert len(caught) == len(solution.warnings) == 2
    assert "noise of 5 nT cannot explain the residual" in text
    assert "beyond 480 kA/m" in text
    table = solution.table()
    assert not np.any(table.trusted & table.beyond_saturation)
    assert table.beyond_saturation.sum() > 0


@pytest.mark.parametrize("use", [invert, lambda scan, *rest, **options: invert_series([scan], *rest, **options)])
def test_warnings_are_of_the_line_that_calls(use):
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains, noise=20.0)
    with pytest.warns(InversionWarning) as caught:
        use(scan, grains, noise=5.0)
    assert [entry.filename for entry in caught] == [__file__]


def test_grains_beside_the_map_warn():
    grains = Grains.from_cuboids([[10, 10, -5, 1, 1, 1, 1], [60, 10, -5, 1, 1, 1, 7]])
    _, scan = noisy_scan(grains)
    with pytest.warns(InversionWarning, match="1 grains lie beside the map, the first is grain 7"):
        invert(scan, grains, noise=5.0)


def test_grains_under_the_mask_are_named():
    grains = Grains.from_cuboids([[4, 4, -5, 1, 1, 1, 1], [20, 20, -5, 1, 1, 1, 7]])
    _, scan = noisy_scan(grains)
    mask = np.asarray(scan.mask).copy()
    mask[14:, 14:] = False
    with pytest.warns(InversionWarning, match="1 grains lie under the mask, .*the first is grain 7"):
        invert(Scan(scan.field, GRID, mask=mask), grains, noise=5.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": 0.0}, "noise must be positive and finite, in nT; got 0"),
        ({"noise": -3.0}, "got -3"),
        ({"noise": "auto"}, "'residual'; got 'auto'"),
        ({"noise": None}, "the noise is not known"),
        ({"noise": np.ones((2, 2))}, "one number or a map of shape"),
        ({"prior": -1.0}, "prior must be a positive"),
        ({"method": "svd"}, "'auto', 'cholesky', 'orthogonal', or an AbstractSolver; got 'svd'"),
        ({"level": 95.0}, "level must lie between 0 and 1, e.g. 0.95; got 95"),
        ({"tolerance": 0.5}, "tolerance must lie in"),
    ],
)
def test_options_that_cannot_be(change, message):
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    with pytest.raises(ValueError, match=message):
        invert(scan, grains, **{"noise": 5.0, **change})


def test_fewer_sensors_than_unknowns():
    grains = small_sample(grains=4)
    grid = SensorGrid(origin=(0, 0), spacing=8, shape=(3, 4), height=1)
    _, scan = noisy_scan(grains, grid)
    with pytest.raises(ValueError, match="12 sensors cannot determine 12 unknowns"):
        invert(scan, grains, noise=5.0)


def test_memory_is_asked_for_before_the_start(monkeypatch):
    grains = small_sample(grains=4)
    _, scan = noisy_scan(grains)
    remedies = "crop the scan and the grains, or bin the scan, or invert it window by window"
    with pytest.raises(MemoryError, match=remedies):
        invert(scan, grains, noise=5.0, memory_limit=100_000)
    # Held columns count too, once the plan has told how many there are.
    monkeypatch.setattr(memory, "DENSE_BYTES", 0)
    stages = []
    limit = estimate_memory(4, scan.grid.size, stored=0) + 1
    with pytest.raises(MemoryError, match=remedies):
        invert(scan, grains, noise=5.0, memory_limit=limit, progress=lambda stage, done, total: stages.append(stage))
    assert set(stages) == {"shapes of grains"}
    # The survey of the benchmarks, which was seen to take 7.8 GiB with 2.7 GiB of columns.
    assert 7.8 < estimate_memory(4347, 733_221, stored=int(2.7 * 2**30)) / 2**30 < 10


@pytest.mark.parametrize("limit", [0, -1, True])
def test_a_limit_of_memory_that_cannot_be(limit):
    grains = small_sample(grains=4)
    with pytest.raises(ValueError, match="memory_limit must be a positive number of bytes"):
        invert(noisy_scan(grains)[1], grains, noise=5.0, memory_limit=limit)


def test_a_limit_of_memory_in_another_unit():
    grains = small_sample(grains=4)
    with pytest.raises(ValueError, match=r"pass 8 \* 2\*\*30"):
        invert(noisy_scan(grains)[1], grains, noise=5.0, memory_limit=8)


_MEASURE = """
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
import mmtjax
from tests.samples import small_sample
grains = small_sample(grains=300, width=150.0, depth=20.0)
grid = mmtjax.SensorGrid(origin=(0, 0), spacing=1, shape=(151, 151), height=1)
field = np.asarray(mmtjax.forward(grains, np.full((300, 3), 1e4), grid))
mmtjax.invert(mmtjax.Scan(field + np.random.default_rng(0).normal(size=grid.shape), grid), grains, noise=1.0)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_the_estimate_of_memory_is_an_upper_bound():
    """The peak of the process itself: what `resource` tells starts from that of the process that started it."""
    root = Path(__file__).resolve().parent.parent
    run = subprocess.run([sys.executable, "-c", _MEASURE], cwd=root, capture_output=True, text=True, check=True)
    peak, bound = 1024 * int(run.stdout), estimate_memory(300, 151**2)
    assert 0.25 * bound < peak < bound
