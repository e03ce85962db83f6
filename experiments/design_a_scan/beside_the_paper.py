"""Our best setting beside the thicknesses and intervals of Out et al. (2022), in the same time, for each of its rocks.

    python -m experiments.design_a_scan.beside_the_paper --out beside_the_paper.csv

What a table already holds is not computed again: a run that was ended goes on from there.
"""

import argparse
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pandas
from rich.console import Console

from mmtjax.design import DesignProblem, DesignWarning, Trial, nearest_trials, optimize, try_setting
from mmtjax.design.config import DesignConfig, read_design
from mmtjax.files import beside
from mmtjax.io.tables import read_table, write_table
from mmtjax.plot.study_style import rows_of
from mmtjax.terminal import Stages

#: Table 1 of the paper. Its noises are what a dwell leaves: within an hour, three and a day 5 nT·√s to 100 are spanned.
DENSITIES = (2.5e3, 5e3, 1e4, 2.5e4, 5e4, 7.5e4, 1e5)
THICKNESSES = (50.0, 75.0)
INTERVALS = (1.0, 2.0, 4.0, 5.0)
HOURS = (1.0, 3.0, 24.0)

#: Grains that a fresh sample of 50 µm has at least, and the seed of all of them.
_GRAINS, _SEED = 16, 7

#: Edge of the made-up samples of the search at most, µm, and what grains they have at least: where grains are few they
#: lie apart, and more of them only take time.
_CELL, _CELL_GRAINS = 150.0, 4

UNITS = {"density": "1/mm³", "hours": "h", "thickness": "µm", "interval": "µm", "standoff": "µm", "dwell": "s"}


def side_of(plan: DesignConfig, density: float) -> float:
    """Edge of the fresh samples, µm: that of the plan, or what holds `_GRAINS`.

    Examples
    --------
    >>> plan = read_design("experiments/design_a_scan/squid.toml")
    >>> side_of(plan, 1e5), side_of(plan, 2.5e3)
    (80.0, 358.0)
    """
    return max(plan.side, float(np.ceil(np.sqrt(_GRAINS * 1e9 / (density * min(THICKNESSES))))))


def made_up_grains(plan: DesignConfig, density: float) -> int:
    """Grains of each made-up sample of the search.

    Examples
    --------
    >>> plan = read_design("experiments/design_a_scan/squid.toml")
    >>> [made_up_grains(plan, density) for density in DENSITIES]
    [4, 6, 11, 28, 30, 30, 30]
    """
    in_cell = round(density * 1e-9 * min(THICKNESSES) * _CELL**2)
    return max(_CELL_GRAINS, min(plan.problem.grains, in_cell))


def paper_settings(problem: DesignProblem, standoff: float) -> Iterator[dict[str, float]]:
    """The thicknesses and intervals of the paper that leave a dwell, at a standoff."""
    shortest, _ = problem.bounds["interval"]
    for thickness in THICKNESSES:
        for interval in INTERVALS:
            if interval >= shortest:
                yield {"interval": interval, "standoff": standoff, "thickness": thickness}


def trials_of(plan: DesignConfig, problem: DesignProblem, progress: Stages) -> Iterator[tuple[str, Trial]]:
    """Trials of our best setting, and of those of the paper with the same standoff, on fresh samples."""
    options = {"side": side_of(plan, problem.density), "repeats": plan.repeats, "seed": _SEED, "progress": progress}
    optimum = optimize(problem, starts=plan.starts, steps=plan.steps, progress=progress)
    yield "ours", nearest_trials(optimum, **options)[0]
    for chosen in paper_settings(problem, optimum.chosen["standoff"]):
        yield "the paper's", try_setting(problem, chosen, **options)


def row_of(problem: DesignProblem, setting: str, trial: Trial) -> dict[str, object]:
    """A trial as a row of the table."""
    return {
        "density": problem.density,
        "hours": problem.budget / 3600,
        "setting": setting,
        **trial.chosen,
        "dwell": float(problem.setting(**trial.chosen).dwell),
        problem.objective.name: trial.mean,
        "standard_error": trial.standard_error,
    }


def summary(table: pandas.DataFrame, objective: str, *, maximize: bool) -> pandas.DataFrame:
    """For each rock and time, ours beside the best of the paper's, and the gain with its standard error.

    Examples
    --------
    >>> rows = [("ours", 3.0, 0.3), ("the paper's", 1.0, 0.1), ("the paper's", 2.0, 0.4)]
    >>> table = pandas.DataFrame(rows, columns=["setting", "grains", "standard_error"]).assign(density=1e4, hours=3.0)
    >>> summary(table, "grains", maximize=True)[["gain", "gain_error"]].to_numpy().tolist()
    [[1.0, 0.5]]
    """
    rows = []
    for (density, hours), group in table.groupby(["density", "hours"], sort=True):
        ours = group[group["setting"] == "ours"].iloc[0]
        others = group[group["setting"] != "ours"]
        best = others.loc[others[objective].idxmax() if maximize else others[objective].idxmin()]
        rows.append(
            {
                "density": density,
                "hours": hours,
                **{f"our_{name}": ours.get(name) for name in ("thickness", "interval", objective)},
                **{f"best_{name}": best.get(name) for name in ("thickness", "interval", objective)},
                "gain": ours[objective] - best[objective],
                "gain_error": np.hypot(ours["standard_error"], best["standard_error"]),
            }
        )
    return pandas.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "squid.toml", help="TOML file of a plan")
    parser.add_argument("--out", type=Path, required=True, help="CSV file of all trials, which is gone on with")
    parser.add_argument("--density", type=float, nargs="+", default=DENSITIES, help="grains per mm³")
    parser.add_argument("--hours", type=float, nargs="+", default=HOURS, help="time of the scan")
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    plan = read_design(asked.config)
    table = read_table(asked.out) if asked.out.exists() else pandas.DataFrame()
    comment = f"{plan.name}: ours and the settings of Out et al. (2022), on {plan.repeats} fresh samples each"
    objective = plan.problem.objective
    with Stages(Console(stderr=True)) as stages:
        for density in asked.density:
            for hours in asked.hours:
                if len(table) and len(rows_of(table, density=density, hours=hours)):
                    continue
                grains = made_up_grains(plan, density)
                problem = dataclasses.replace(plan.problem, density=density, budget=hours * 3600, grains=grains)
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", DesignWarning)
                    rows = [row_of(problem, name, trial) for name, trial in trials_of(plan, problem, stages)]
                for warning in caught:
                    print(f"{density:g} grains/mm³, {hours:g} h: {warning.message}")
                table = pandas.concat([table, pandas.DataFrame(rows)], ignore_index=True)
                table.attrs["units"] = UNITS
                with beside(asked.out) as partial:
                    write_table(partial, table, comment=comment)
    print(summary(table, objective.name, maximize=objective.maximize).to_string(index=False))


if __name__ == "__main__":
    main()
