"""Our best setting beside the paper's: a run that was ended goes on, and a table of another plan is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.design_a_scan import beside_the_paper
from mmtjax.design import Trial
from mmtjax.io.tables import read_table


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is tried, which gives a number of grains that is that of the interval."""
    done: list[str] = []

    def first(plan: object, problem: object, progress: object) -> object:
        done.append(f"first {problem.density:g}")
        for setting, interval in (("ours", 3.0), ("the paper's", 1.0), ("the paper's", 2.0)):
            chosen = {"interval": interval, "standoff": 1.0, "thickness": 50.0}
            yield setting, Trial(chosen, interval + np.array([-0.1, 0.1]))

    def try_setting(problem: object, chosen: dict[str, float], **options: object) -> Trial:
        done.append(f"last {problem.density:g}, {chosen['interval']:g} µm, {options['repeats']} samples")
        return Trial(chosen, chosen["interval"] + np.array([-0.1, 0.1]))

    monkeypatch.setattr(beside_the_paper, "first_trials", first)
    monkeypatch.setattr(beside_the_paper, "try_setting", try_setting)
    return done


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str) -> None:
    """The command."""
    monkeypatch.setattr(sys, "argv", ["beside_the_paper", "--out", str(out), "--hours", "3", *arguments])
    beside_the_paper.main()


def test_a_run_goes_on_where_it_ended(
    tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.csv"
    run(monkeypatch, out, "--density", "1e4")
    again = [f"last 10000, {interval} µm, 60 samples" for interval in (3, 2)]
    assert tried == ["first 10000", *again]
    table = out.read_text().splitlines(keepends=True)
    out.write_text("".join(table[:-2]))
    run(monkeypatch, out, "--density", "1e4", "2e4")
    assert tried[3:] == [*again, "first 20000", *(line.replace("10000", "20000") for line in again)]
    assert len(read_table(out)) == 10
    # Gain and its error: standard errors are 0.1 each.
    assert capsys.readouterr().out.splitlines()[-1].split()[-2:] == ["1.0", "0.141421"]


def test_a_table_of_another_plan_is_refused(tried: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, config = tmp_path / "table.csv", tmp_path / "squid.toml"
    run(monkeypatch, out, "--density", "1e4")
    before = out.read_text()
    squid = Path(beside_the_paper.__file__).with_name("squid.toml").read_text()
    config.write_text(squid.replace("noise = 20.0", "noise = 30.0"))
    with pytest.raises(SystemExit, match="is of another configuration"):
        run(monkeypatch, out, "--density", "2e4", "--config", str(config))
    assert out.read_text() == before
