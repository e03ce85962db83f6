"""Work without end is refused before it starts, with its size, and allowed by an option."""

import dataclasses
from pathlib import Path

import jax
import pytest

from mmtjax import SampleSpec, cli, simulate
from mmtjax.simulation.feasibility import require_feasible
from mmtjax.study import StudyConfig, run_study
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
    message = r"the 20000 cells that are missing, with \d+ grains together, take about .* h on 2 cores, and 0\.5 h are"
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


def _study(**changes: object) -> StudyConfig:
    """Return a study of four cells for each repeat."""
    small = StudyConfig(
        name="long", seed=1, side=(100,), thickness=(50,), density=(1e4, 2e4), interval=(1, 2), noise=(5, 20), repeats=1
    )
    return dataclasses.replace(small, **changes)
