"""Work without end is refused before it starts, with its size, and allowed by an option."""

import dataclasses
import re
from pathlib import Path

import jax
import pytest
from distributed import LocalCluster

from mmtjax import SampleSpec, cli, simulate
from mmtjax.simulation.feasibility import require_feasible
from mmtjax.study import StudyConfig, find_threshold, run_study
from mmtjax.study.run_options import RunOptions
from tests.study_process import SMALL


def test_a_sample_of_a_kilometre_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate", "--out", str(tmp_path / "out"), "--side", "1e9"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "a sample of 1250000000000000 grains below 1000000002000000001 sensors takes about" in error
    assert "GiB are free on this machine; make side or density smaller, or pass --memory-limit to allow more" in error
    limits = ["--memory-limit", "1e15", "--side", "1e6"]
    assert cli.main(["simulate", "--out", str(tmp_path / "out"), *limits]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "h, and 24 h are allowed; make side or density smaller, or pass --time-limit to allow more" in error
    assert list(tmp_path.iterdir()) == []


def test_limits_of_a_sample_are_lifted_by_options(tmp_path: Path) -> None:
    spec = SampleSpec(side=1e5)
    with pytest.raises(ValueError, match="h, and 5 h are allowed"):
        require_feasible(spec, sensors=10**10, memory_limit=2**60, time_limit=5)
    with pytest.raises(MemoryError, match="8 GiB are allowed by memory_limit"):
        require_feasible(spec, sensors=10**10, memory_limit=2**33)
    require_feasible(spec, sensors=10**10, memory_limit=2**60, time_limit=1e9)
    for limit in ("0", "nan", "-1"):
        assert cli.main(["simulate", "--out", str(tmp_path / "out"), "--side", "40", f"--time-limit={limit}"]) == 1
    assert list(tmp_path.iterdir()) == []


def test_sizes_beyond_all_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="side, thickness and density are too large"):
        SampleSpec(side=1e200)
    with pytest.raises(MemoryError, match="sensors takes about"):
        simulate(jax.random.key(0), side=1e9)


def test_a_study_without_end_is_refused_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"repeats of 8 models may be up to 250000, as a study has 1000000 cells at"):
        _study(repeats=300_000)
    for repeats, shown in ((10**9, "1000000000"), (10**5000, "a number above 1e12")):
        with pytest.raises(ValueError, match=rf"1000000 cells at most; got {shown}"):
            _study(repeats=repeats)
    with pytest.raises(ValueError, match=r"side may be up to 1e\+12 µm; got 1e\+200"):
        _study(side=(1e200,))
    long = _study(repeats=5000)
    message = r"the 20000 cells that are missing, with \d+ grains together, take on 2 cores about .* h, and 0\.5 h are"
    with pytest.raises(ValueError, match=message):
        run_study(long, tmp_path / "study.zarr", workers=2, time_limit=0.5)
    with pytest.raises(MemoryError, match=r"the sample of 100000 × 100000 × 50 µm .* free on this machine; leave it"):
        run_study(_study(side=(1e5,)), tmp_path / "study.zarr", workers=1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="time_limit must be a positive number of hours; got 0"):
        RunOptions(time_limit=0)


def test_the_command_names_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "long.toml"
    lists = "".join(f"{name} = {list(getattr(SMALL, name))}\n" for name in ("side", "thickness", "density", "interval"))
    text = f'[study]\nname = "long"\nseed = 1\nrepeats = 20000\n[parameters]\n{lists}noise = [5]\n'
    config.write_text(text)
    command = ["study", "run", str(config), "--out", str(tmp_path / "study.zarr"), "--workers", "1"]
    assert cli.main([*command, "--time-limit", "0.1"]) == 1
    assert "or pass --time-limit to allow more" in " ".join(capsys.readouterr().err.split())
    config.write_text(text.replace("20000", "1000000000"))
    assert cli.main(command) == 1
    assert "1000000 cells at most; got 1000000000" in " ".join(capsys.readouterr().err.split())
    assert [file.name for file in tmp_path.iterdir()] == ["long.toml"]


def test_a_study_on_a_cluster_is_estimated_by_its_workers(tmp_path: Path) -> None:
    """The scheduler is asked for the memory and the threads of its workers; nothing is made before."""
    store = tmp_path / "study.zarr"
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, memory_limit="1GiB") as cluster:
        message = r"takes about .* GiB, and 1 GiB are allowed by memory_limit; .* give each worker of the cluster more"
        with pytest.raises(MemoryError, match=message):
            run_study(_study(side=(2000,)), store, scheduler=cluster.scheduler_address)
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None, memory_limit=0) as cluster:
        with pytest.raises(ValueError, match=r"the 20000 cells .* take on 2 cores about .* h, and 0\.5 h are allowed"):
            run_study(_study(repeats=5000), store, scheduler=cluster.scheduler_address, time_limit=0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("maximum", "shown"), [(10**9, "1000000000"), (10**400, "more than 1e12")])
def test_thresholds_of_samples_without_end_are_refused(
    maximum: int, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    case = {"side": 200.0, "thickness": 50.0, "density": 2e4, "interval": 1.0, "noise": 5.0}
    with pytest.raises(ValueError, match=rf"up to {shown} samples, .* take about .* h, .* pass a smaller maximum="):
        find_threshold(jax.random.key(0), maximum=maximum, **case)
    options = [f"--{name}={value:g}" for name, value in case.items()]
    assert cli.main(["threshold", *options, "--maximum", str(maximum)]) == 1
    assert "720 h are allowed; pass a smaller --maximum, or" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("steps = 1000000000", r"4 starts of 1000000000 steps with 4 samples of 40 grains take about .* fewer starts"),
        ("starts = 1000000000", "1000000000 starts of 25 steps"),
        ("repeats = 1000000000", r"1000000000 fresh samples of \d+ grains, with a side of 100 µm, take about"),
        ("side = 1e7", r"15 fresh samples of \d+ grains, with a side of 1e\+07 µm, take about .* or a smaller side"),
        (f"steps = {10**18}", "starts of 1000000000000000000 steps"),
    ],
)
def test_designs_without_end_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], search: str, message: str
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[scan]\ndensity = 5e4\narea = 1e5\nhours = 1.0\n[instrument]\nkind = 'scanning-squid'\nnoise = 50.0\n"
        "overhead = 0.05\n[knobs]\ninterval = [2.0, 6.0]\nstandoff = 1\nthickness = 40.0\nsensor_side = 1.0\n"
        f"[search]\n{search}\n"
    )
    assert cli.main(["design", str(plan), "--out", str(tmp_path / "out")]) == 1
    assert re.search(message, " ".join(capsys.readouterr().err.split()))
    assert [file.name for file in tmp_path.iterdir()] == ["plan.toml"]


def _study(**changes: object) -> StudyConfig:
    """Return a study of four cells for each repeat."""
    small = StudyConfig(
        name="long", seed=1, side=(100,), thickness=(50,), density=(1e4, 2e4), interval=(1, 2), noise=(5, 20), repeats=1
    )
    return dataclasses.replace(small, **changes)
