"""The command ``mmtjax design``."""

import numpy as np

from mmtjax.cli import main
from mmtjax.io.tables import read_table


def test_command(tmp_path, capsys):
    config = tmp_path / "plan.toml"
    config.write_text(
        """
name = "small plan"
[scan]
density = 5e4
area = 1e5
hours = 1.0
objective = "median_ratio"
samples = 1
grains = 4
[instrument]
kind = "scanning-squid"
noise = 50.0
overhead = 0.05
[knobs]
interval = [2.0, 6.0]
standoff = [1.0, 5.0]
thickness = 40.0
sensor_side = 1.0
[search]
starts = 1
steps = 2
side = 50.0
repeats = 2
pareto = [2.0]
"""
    )
    assert main(["design", str(config), "--out", str(tmp_path / "plan")]) == 0
    names = {file.name for file in (tmp_path / "plan").iterdir()}
    assert {"settings.csv", "sensitivities.csv", "starts.csv", "provenance.json"} <= names
    assert {f"{name}.{end}" for name in ("profiles", "surface", "pareto") for end in ("png", "pdf", "csv")} <= names
    captured = capsys.readouterr()
    said = captured.out
    assert "+1 µm of standoff changes it by" in said
    assert "small plan" in said
    # One start did not converge in two steps, at either budget.
    for hours in (1, 2):
        assert f"converged in 2 steps within a budget of {hours} h;" in " ".join(captured.err.split())
    pareto = read_table(tmp_path / "plan" / "pareto.csv")
    assert pareto["hours"].tolist() == [1.0, 2.0]
    # A point of one hour has twice the dwell in two.
    dwell = pareto["hours"] * 3600 * pareto["tried_interval"] ** 2 / 1e5 - 0.05
    np.testing.assert_allclose(pareto["tried_dwell"], dwell, rtol=1e-4)
    assert np.all(pareto["tried_interval"] % 0.5 == 0)
    settings = read_table(tmp_path / "plan" / "settings.csv")
    assert pareto["tried_objective"][0] == settings["objective"][1]
    assert np.all(pareto["standard_error"] > 0)
    config.write_text(config.read_text().replace("hours = 1.0", "hours = 0.001"))
    assert main(["design", str(config), "--out", str(tmp_path / "other")]) == 1
    assert "is infeasible" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
