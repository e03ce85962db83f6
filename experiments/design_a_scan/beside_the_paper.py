"""Compare our best setting with the thicknesses and intervals of Out et al. (2022), in the same time, for each rock.

    python -m experiments.design_a_scan.beside_the_paper --out beside_the_paper.csv

Our setting and the best of the paper's are then tried once more, on four times as many other samples, because a setting
looks too good on the samples that it was chosen by. Rows that are already in the table are not computed again, so that
a run that was ended continues.
"""

import argparse
import dataclasses
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pandas
from rich.console import Console

from mmtjax.cli.terminal import Stages, collect_warnings
from mmtjax.design import DesignProblem, Objective, Trial, nearest_trials, optimize, try_setting
from mmtjax.design.config import DesignConfig, read_design
from mmtjax.files import replace_when_complete
from mmtjax.io.tables import read_table, write_table
from mmtjax.plot.study_style import rows_of
from mmtjax.units import UM3_PER_MM3

#: Table 1 of the paper; the time of the scan takes the place of its noises.
DENSITIES = (2.5e3, 5e3, 1e4, 2.5e4, 5e4, 7.5e4, 1e5)
THICKNESSES = (50.0, 75.0)
INTERVALS = (1.0, 2.0, 4.0, 5.0)
HOURS = (1.0, 3.0, 24.0)

#: Least number of grains of a fresh sample of 50 µm; seeds of the first and of the last trials, and how many times as
#: many samples the last trials have.
_GRAINS = 16
_SEEDS, _MORE = (7, 8), 4

OURS, PAPERS, AGAIN = "ours", "the paper's", " again"

#: Largest edge of the made-up samples of the search, µm, and their least number of grains: in sparse rocks grains do
#: not disturb each other, and more of them only take time.
_CELL, _CELL_GRAINS = 150.0, 4

UNITS = {"density": "1/mm³", "hours": "h", "thickness": "µm", "interval": "µm", "standoff": "µm", "dwell": "s"}


def side_of(plan: DesignConfig, density: float) -> float:
    """Return the edge of the fresh samples, µm: that of the plan, or the edge for `_GRAINS` grains.

    Examples
    --------
    >>> plan = read_design("experiments/design_a_scan/squid.toml")
    >>> side_of(plan, 1e5), side_of(plan, 2.5e3)
    (80.0, 358.0)
    """
    return max(plan.side, float(np.ceil(np.sqrt(_GRAINS * UM3_PER_MM3 / (density * min(THICKNESSES))))))


def made_up_grains(plan: DesignConfig, density: float) -> int:
    """Return the number of grains of each made-up sample of the search.

    Examples
    --------
    >>> plan = read_design("experiments/design_a_scan/squid.toml")
    >>> [made_up_grains(plan, density) for density in DENSITIES]
    [4, 6, 11, 28, 30, 30, 30]
    """
    in_cell = round(density * min(THICKNESSES) * _CELL**2 / UM3_PER_MM3)
    return max(_CELL_GRAINS, min(plan.problem.grains, in_cell))


def paper_settings(problem: DesignProblem, standoff: float) -> Iterator[dict[str, float]]:
    """Yield the thicknesses and intervals of the paper for which the budget leaves a dwell, at a standoff."""
    shortest, _ = problem.bounds["interval"]
    for thickness in THICKNESSES:
        for interval in INTERVALS:
            if interval >= shortest:
                yield {"interval": interval, "standoff": standoff, "thickness": thickness}


def first_trials(plan: DesignConfig, problem: DesignProblem, progress: Stages) -> Iterator[tuple[str, Trial]]:
    """Yield trials of our best setting, and of those of the paper with the same standoff, on fresh samples."""
    options = options_of(plan, problem, progress)
    optimum = optimize(problem, starts=plan.starts, steps=plan.steps, progress=progress)
    yield OURS, nearest_trials(optimum, **options)[0]
    for chosen in paper_settings(problem, optimum.chosen["standoff"]):
        yield PAPERS, try_setting(problem, chosen, **options)


def last_trials(
    plan: DesignConfig, problem: DesignProblem, table: pandas.DataFrame, progress: Stages
) -> Iterator[tuple[str, Trial]]:
    """Yield trials of our setting and of the best of the paper's in a table, on other samples."""
    options = options_of(plan, problem, progress) | {"repeats": _MORE * plan.repeats, "seed": _SEEDS[1]}
    for setting in (OURS, PAPERS):
        best = best_of(table, setting, problem.criterion)
        chosen = {name: float(best[name]) for name in problem.free}
        yield setting + AGAIN, try_setting(problem, chosen, **options)


def options_of(plan: DesignConfig, problem: DesignProblem, progress: Stages) -> dict[str, object]:
    """How the first trials are made."""
    side = side_of(plan, problem.density)
    return {"side": side, "repeats": plan.repeats, "seed": _SEEDS[0], "progress": progress}


def best_of(table: pandas.DataFrame, setting: str, objective: Objective) -> pandas.Series:
    """Return the best row of a setting."""
    rows = table[table["setting"] == setting]
    values = rows[objective.name]
    return rows.loc[values.idxmax() if objective.maximize else values.idxmin()]


def row_of(problem: DesignProblem, setting: str, trial: Trial) -> dict[str, object]:
    """Return a trial as a row of the table."""
    return {
        "density": problem.density,
        "hours": problem.budget / 3600,
        "setting": setting,
        **trial.chosen,
        "dwell": float(problem.setting(**trial.chosen).dwell),
        problem.criterion.name: trial.mean,
        "standard_error": trial.standard_error,
        "samples": len(trial.values),
    }


def summary(table: pandas.DataFrame, objective: Objective) -> pandas.DataFrame:
    """Return our setting, the best of the paper's, and the gain with its standard error for each rock and time.

    Examples
    --------
    >>> from mmtjax.design import OBJECTIVES
    >>> rows = [("ours again", 3.0, 0.3), ("the paper's", 1.0, 0.1), ("the paper's again", 2.0, 0.4)]
    >>> table = pandas.DataFrame(rows, columns=["setting", "grains", "standard_error"]).assign(density=1e4, hours=3.0)
    >>> summary(table, OBJECTIVES["grains"])[["gain", "gain_error"]].to_numpy().tolist()
    [[1.0, 0.5]]
    """
    rows = []
    for (density, hours), group in table.groupby(["density", "hours"], sort=True):
        if OURS + AGAIN not in set(group["setting"]):
            # A run that was ended has rows without the last trials.
            continue
        ours, best = (best_of(group, setting + AGAIN, objective) for setting in (OURS, PAPERS))
        difference = ours[objective.name] - best[objective.name]
        rows.append(
            {
                "density": density,
                "hours": hours,
                **{f"our_{name}": ours.get(name) for name in ("thickness", "interval", objective.name)},
                **{f"best_{name}": best.get(name) for name in ("thickness", "interval", objective.name)},
                "gain": difference if objective.maximize else -difference,
                "gain_error": np.hypot(ours["standard_error"], best["standard_error"]),
            }
        )
    return pandas.DataFrame(rows)


def comment_of(plan: DesignConfig, config: Path) -> str:
    """Return the first line of a table, which names its configuration."""
    digest = hashlib.sha256(config.read_bytes()).hexdigest()[:12]
    return f"{plan.name}, ours and the settings of Out et al. (2022), on fresh samples; {config.name} {digest}"


def earlier_table(out: Path, comment: str) -> pandas.DataFrame:
    """Return the table of an earlier run, which may be empty; raise a SystemExit for another configuration."""
    if not out.exists():
        return pandas.DataFrame()
    first = out.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    if first != comment:
        raise SystemExit(f"{out} is of another configuration ({first!r}, not {comment!r}); give another --out")
    return read_table(out)


def holds(table: pandas.DataFrame, problem: DesignProblem, setting: str) -> bool:
    """Return whether a table has a setting for a rock and a time."""
    if table.empty:
        return False
    return setting in set(rows_of(table, density=problem.density, hours=problem.budget / 3600)["setting"])


def main() -> None:
    """Try all settings, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "squid.toml", help="TOML file of a plan")
    parser.add_argument("--out", type=Path, required=True, help="CSV file of all trials, to make or to continue")
    parser.add_argument("--density", type=float, nargs="+", default=DENSITIES, help="grains per mm³")
    parser.add_argument("--hours", type=float, nargs="+", default=HOURS, help="time of the scan")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    plan = read_design(arguments.config)
    comment = comment_of(plan, arguments.config)
    table = earlier_table(arguments.out, comment)

    def add(problem: DesignProblem, trials: Iterator[tuple[str, Trial]]) -> None:
        nonlocal table
        with collect_warnings() as messages:
            rows = [row_of(problem, name, trial) for name, trial in trials]
        for message in messages:
            print(f"{problem.density:g} grains/mm³, {problem.budget / 3600:g} h: {message}")
        table = pandas.concat([table, pandas.DataFrame(rows)], ignore_index=True)
        table.attrs["units"] = UNITS
        with replace_when_complete(arguments.out) as partial:
            write_table(partial, table, comment=comment)

    with Stages(Console(stderr=True)) as stages:
        for density, hours in itertools.product(arguments.density, arguments.hours):
            grains = made_up_grains(plan, density)
            problem = dataclasses.replace(plan.problem, density=density, budget=hours * 3600, grains=grains)
            if not holds(table, problem, OURS):
                add(problem, first_trials(plan, problem, stages))
            if not holds(table, problem, OURS + AGAIN):
                known = rows_of(table, density=density, hours=hours)
                add(problem, last_trials(plan, problem, known, stages))
    print(summary(table, plan.problem.criterion).to_string(index=False))


if __name__ == "__main__":
    main()
