"""Progress where the output is not a terminal."""

import io

from rich.console import Console

from mmtjax.cli import terminal
from mmtjax.cli.terminal import Stages


def printed_lines(monkeypatch, *, every):
    monkeypatch.setattr(terminal, "_LINE_SECONDS", every)
    written = io.StringIO()
    with Stages(Console(file=written, force_terminal=False)) as stages:
        for _ in range(2):
            for done in range(1, 4):
                stages("optimizing", done, 3)
        stages("fresh samples", 1, 1)
    return [line.rpartition(",")[0] for line in written.getvalue().splitlines()]


def test_a_file_gets_a_line_where_a_stage_first_ends(monkeypatch):
    assert printed_lines(monkeypatch, every=1e9) == ["optimizing: 3 of 3", "fresh samples: 1 of 1"]


def test_a_file_gets_lines_at_intervals(monkeypatch):
    lines = printed_lines(monkeypatch, every=0.0)
    assert lines[:3] == ["optimizing: 1 of 3", "optimizing: 2 of 3", "optimizing: 3 of 3"]
    assert len(lines) == 7
