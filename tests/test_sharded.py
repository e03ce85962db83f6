"""Rows shared out over devices: one process with several, and several processes, against the tiled operator."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mmtjax.greens import TiledGreen
from mmtjax.greens.sharded import ShardedGreen
from tests.sharded_process import GRID, TOLERANCE, inputs, sample, solved

ROOT = Path(__file__).resolve().parents[1]
_SECONDS = 240


@pytest.fixture(scope="module")
def expected():
    green = TiledGreen(sample(), GRID, tolerance=TOLERANCE)
    magnetization, field, weight = map(jnp.asarray, inputs())
    solution, radius = solved(green)
    products = {"mv": green.mv(magnetization), "rmv": green.rmv(field), "gram": green.gram(weight)}
    return {**products, "solution": solution, "radius": radius}


def computed(folder: Path, *, processes: int, devices: int) -> list[dict[str, np.ndarray]]:
    """Results of so many processes over loopback, each with so many devices."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    files = [folder / f"{number}.npz" for number in range(processes)]
    started = []
    try:
        for number, file in enumerate(files):
            arguments = [str(file)] + ([coordinator, str(processes), str(number)] if processes > 1 else [])
            command = [sys.executable, "-m", "tests.sharded_process", *arguments]
            started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True))
        for process in started:
            _, messages = process.communicate(timeout=_SECONDS)
            assert process.returncode == 0, messages
    finally:
        for process in started:
            process.kill()
            process.wait()
    return [dict(np.load(file)) for file in files]


def check(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-13 * np.max(np.abs(value)), err_msg=name)
    root = found["root"]
    np.testing.assert_array_equal(root, np.triu(root))
    scale = np.max(expected["gram"])
    np.testing.assert_allclose(root.T @ root, expected["gram"], rtol=1e-10, atol=1e-13 * scale)


def test_four_devices_of_one_process(tmp_path, expected):
    (found,) = computed(tmp_path, processes=1, devices=4)
    assert found["devices"] == found["local"] == 4
    check(found, expected)


def test_two_processes(tmp_path, expected):
    results = computed(tmp_path, processes=2, devices=1)
    for found in results:
        assert (found["devices"], found["local"]) == (2, 1)
        check(found, expected)


@pytest.mark.slow
def test_two_processes_of_two_devices_each(tmp_path, expected):
    results = computed(tmp_path, processes=2, devices=2)
    for found in results:
        assert (found["devices"], found["local"]) == (4, 2)
        check(found, expected)


def test_progress_and_one_device():
    seen = []
    green = ShardedGreen(sample(), GRID, tolerance=TOLERANCE, devices=jax.devices()[:1], block_bytes=1)
    green.rmv(jnp.ones(GRID.shape), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert len(seen) == 15
    assert seen[-1] == (GRID.size, GRID.size)


def test_traced_values_are_refused():
    green = ShardedGreen(sample(), GRID, tolerance=TOLERANCE)
    with pytest.raises(ValueError, match="TiledGreen"):
        jax.jit(lambda field: green.rmv(field))(jnp.ones(GRID.shape))
