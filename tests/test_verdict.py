"""The summary of an inversion: short, the verdict first, and the same words in every place."""

import dataclasses
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import mmtjax.cli as cli
from mmtjax import Prior, Scan, SensorGrid, Solution, forward, invert
from mmtjax.io import read_results
from mmtjax.io.demo_sample import write_sample
from mmtjax.report.summary import for_programs, listing, summary
from mmtjax.report.verdict import verdict
from tests.test_orientation import scattered

WIDTH, MOST_LINES, LIMIT = 80, 15, 0.2


@pytest.fixture(scope="module")
def solution() -> Solution:
    """One where some grains are believed, and some not: they are deep and weak, or beyond saturation."""
    grains, grid = scattered(), SensorGrid(origin=(-6, -6), spacing=1.0, shape=(37, 37), height=1.0)
    strength = np.geomspace(100.0, 2e5, len(grains))
    strength[-1] = 6e5
    field = np.asarray(forward(grains, strength[:, None] * np.array([0.6, 0.0, 0.8]), grid))
    noise = jax.random.normal(jax.random.key(1), grid.shape) * 20.0
    with pytest.warns(UserWarning, match="beyond 480 kA/m"):
        return invert(Scan(field + np.asarray(noise), grid), grains, 20.0)


def test_the_counts_are_those_of_the_ratios(solution: Solution) -> None:
    size = np.linalg.norm(solution.magnetization, axis=1)
    ratio, beyond = np.asarray(solution.confidence_radius) / size, size > 480e3
    believed = (ratio * max(1.0, float(solution.reduced_chi_square)) ** 0.5 <= LIMIT) & ~beyond
    weak, would = ratio > LIMIT, (ratio > LIMIT) & (ratio <= 2 * LIMIT)
    found = verdict(solution, limit=LIMIT)
    assert 0 < believed.sum() < len(ratio)
    assert found.statement == f"Believe {believed.sum()} of 12 grains, to 20 % with a probability of 95 %."
    assert found.obstacles["saturation"].startswith(f"{beyond.sum()} grains beyond 480 kA/m")
    assert found.obstacles["noise"] == (
        f"{(weak & ~beyond).sum()} grains too weak for 20 nT; {(would & ~beyond).sum()} would do with 10 nT"
    )
    depth = 1.0 - np.asarray(solution.grains.position)[:, 2]
    assert (
        f"believed {np.median(depth[believed]):.3g} µm, others {np.median(depth[~believed]):.3g} µm"
        in (found.obstacles["depth"])
    )


def test_a_residual_beyond_the_noise_is_named_with_what_it_costs(solution: Solution) -> None:
    excess = 1.3**2
    found = verdict(dataclasses.replace(solution, reduced_chi_square=jnp.asarray(excess)), limit=LIMIT)
    ratio, beyond = np.asarray(solution.uncertainty_ratio), np.asarray(solution.beyond_saturation)
    lost = ((ratio <= LIMIT) & (ratio * 1.3 > LIMIT) & ~beyond).sum()
    assert found.obstacles.get("χ²", "0 grains lost").endswith(f"{lost} grains lost")
    assert "--fit standoff,shift" in found.next_step


def test_the_next_step_fits_the_obstacle(solution: Solution) -> None:
    assert "--prior 480e3" in verdict(solution).next_step
    turned = dataclasses.replace(solution, better_reading="with its rows in reverse order")
    assert "correct the map" in verdict(turned).next_step
    assert verdict(turned).statement.startswith("Believe 0 of 12")
    failed = dataclasses.replace(solution, failure="the condition number is beyond 1e7")
    assert "warning above" in verdict(failed).next_step
    usual = dataclasses.replace(solution, prior=Prior(480e3))
    assert "mmtjax design" in verdict(usual, limit=1e-9).next_step
    assert "column trusted" in verdict(usual, limit=1e3).next_step


def test_the_summary_is_short_whatever_is_wrong(solution: Solution) -> None:
    worst = dataclasses.replace(
        solution,
        reduced_chi_square=jnp.asarray(4.0),
        failure="the condition number is beyond 1e7",
        better_reading="as field[::-1, ::-1] (turned by 180°), with the same spacing",
    )
    for one in (solution, worst):
        stream = io.StringIO()
        rows = summary(one, limit=LIMIT)
        Console(file=stream, width=WIDTH).print(listing(rows))
        lines = stream.getvalue().splitlines()
        # The command adds a line with the place of the results.
        assert len(lines) < MOST_LINES, stream.getvalue()
        assert next(iter(rows)) == "verdict"


def test_json_holds_the_numbers_and_the_same_words(solution: Solution) -> None:
    content = json.loads(json.dumps(for_programs(solution, limit=LIMIT), allow_nan=False))
    assert content["summary"] == summary(solution, limit=LIMIT)
    assert content["trusted"] == np.sum(solution.trusted(LIMIT))
    assert content["noise_nT"] == 20.0
    endless = dataclasses.replace(solution, condition=jnp.asarray(jnp.inf))
    assert for_programs(endless)["condition"] is None


def test_the_command_prints_json_and_keeps_the_summary_with_the_results(tmp_path, capsys) -> None:
    files = write_sample(tmp_path)
    arguments = ["--scan", files.scan, "--grains", files.grains, "--noise", 20, "--out", tmp_path / "out"]
    assert cli.main(["invert", *map(str, arguments), "--no-figures", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["directory"] == str(tmp_path / "out")
    assert content["files"] == ["grains.csv", "grains.nc", "grains.parquet", "invert.toml", "maps.nc"]
    assert read_results(tmp_path / "out").provenance["summary"] == content["summary"]
    assert content["summary"]["verdict"] in (tmp_path / "out" / "grains.csv").read_text(encoding="utf-8")
