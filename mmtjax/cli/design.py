"""The command ``mmtjax design``."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas
from cyclopts import Parameter
from rich.table import Table

from mmtjax.cli.screen import after_results, error_screen, say, screen
from mmtjax.cli.terminal import Stages, collect_warnings
from mmtjax.design.config import DesignConfig, read_design
from mmtjax.design.discrete import Trial, nearest_trials
from mmtjax.design.objectives import Objective
from mmtjax.design.optimize import Optimum, optimize, pareto_front, sensitivities
from mmtjax.design.profile import path_of, profiles, surface
from mmtjax.design.search_time import require_short_trials
from mmtjax.design.setting import UNITS
from mmtjax.io.output import output_directory, result_files
from mmtjax.io.provenance_record import provenance, write_provenance
from mmtjax.io.tables import write_table
from mmtjax.plot.design_figures import plot_pareto, plot_profiles, plot_surface
from mmtjax.plot.study_style import StudyFigure
from mmtjax.report.plain_text import plain

_DOTS_PER_INCH = 150


def design(
    config: Path,
    *,
    out: Path,
    overwrite: Annotated[bool, Parameter(show_default=False)] = False,
) -> None:
    """Find the best setting of a scan before it is made: interval, standoff, thickness, sensor size and dwell.

    The setting is found by gradients on made-up samples, then tried on fresh ones with the sensors of a real scan.

        mmtjax design experiments/design_a_scan/squid.toml --out plan

    Parameters
    ----------
    config
        TOML file of the rock, the instrument, what may be chosen and the objective.
    out
        Directory to make for tables and figures.
    overwrite
        Replace a directory of results; one that holds anything else is refused.
    """
    plan = read_design(config)
    # Before the search, which may take long itself.
    require_short_trials(plan.problem, side=plan.side, repeats=plan.repeats)
    with output_directory(out, overwrite=overwrite, inputs=[config]) as place:
        with collect_warnings() as messages, Stages(error_screen()) as stages:
            optimum = optimize(plan.problem, starts=plan.starts, steps=plan.steps, progress=stages)
            trials = nearest_trials(optimum, side=plan.side, repeats=plan.repeats, progress=stages)
            figures = _figures(plan, optimum, trials, stages)
        for name, figure in figures.items():
            for ending in ("png", "pdf"):
                figure.figure.savefig(place / f"{name}.{ending}", dpi=_DOTS_PER_INCH)
            write_table(place / f"{name}.csv", figure.data, comment=figure.caption)
        write_table(place / "starts.csv", path_of(optimum), comment=f"{plan.name}: every step of every start")
        settings, slopes = setting_table(optimum, trials), sensitivity_table(optimum)
        write_table(place / "settings.csv", settings, comment=f"{plan.name}: {plan.problem.criterion.meaning}")
        write_table(place / "sensitivities.csv", slopes, comment=f"{plan.name}: at the optimum, by one unit more")
        record = provenance([config], {"config": config, "out": out}) | {"warnings": messages}
        write_provenance(place, record)
    for message in messages:
        say(message, kind="warning")
    with after_results(str(out)):
        _show(plan, settings, slopes)
        screen().print(plain(f"In {out}: {', '.join(result_files(out))}"), soft_wrap=True)


def _figures(plan: DesignConfig, optimum: Optimum, trials: list[Trial], stages: Stages) -> dict[str, StudyFigure]:
    figures = {"profiles": plot_profiles(optimum, profiles(optimum, progress=stages), trials)}
    if len(plan.problem.free) > 1:
        figures["surface"] = plot_surface(optimum, surface(optimum, progress=stages), path_of(optimum))
    budget = plan.problem.budget
    if plan.pareto and budget is not None:
        others = [budget * factor for factor in plan.pareto if factor != 1]
        front = pareto_front(plan.problem, others, starts=plan.starts, steps=plan.steps, progress=stages)
        best = [nearest_trials(each, side=plan.side, repeats=plan.repeats, progress=stages)[0] for each in front]
        shorter = sum(other < budget for other in others)
        front.insert(shorter, optimum)
        best.insert(shorter, trials[0])
        figures["pareto"] = plot_pareto(front, best)
    return figures


def setting_table(optimum: Optimum, trials: list[Trial]) -> pandas.DataFrame:
    """Return the optimum of the smooth model, and the settings tried on fresh samples with their objectives."""
    chosen = optimum.chosen
    rows = [{"setting": "optimum", **chosen, "dwell": _dwell(optimum, chosen), "objective": optimum.value.mean}]
    for number, trial in enumerate(trials):
        rows.append(
            {
                "setting": "tried, best" if number == 0 else "tried, next",
                **trial.chosen,
                "dwell": _dwell(optimum, trial.chosen),
                "objective": trial.mean,
                "standard_error": trial.standard_error,
            }
        )
    table = pandas.DataFrame(rows)
    table.attrs["units"] = {**{name: UNITS[name] for name in optimum.problem.free}, "dwell": "s"}
    return table


def sensitivity_table(optimum: Optimum) -> pandas.DataFrame:
    """Return the change of the objective by one unit more of each knob, with its spread over the samples.

    Both are in per cent, or in the unit of an objective whose zero has no meaning.
    """
    factor = 100.0 if optimum.problem.criterion.relative else 1.0
    rows = [
        {
            "knob": name,
            "optimum": optimum.chosen[name],
            "change": factor * change,
            "spread": factor * spread,
            "at_bound": optimum.at_bound(name),
        }
        for name, (change, spread) in sensitivities(optimum).items()
    ]
    table = pandas.DataFrame(rows)
    unit = f"{change_unit(optimum.problem.criterion)} per µm, or s"
    table.attrs["units"] = {"change": unit, "spread": unit}
    return table


def change_unit(objective: Objective) -> str:
    """Return the unit in which changes of an objective are reported."""
    return "%" if objective.relative else objective.unit or "1"


def _dwell(optimum: Optimum, chosen: dict[str, float]) -> float:
    return float(optimum.problem.setting(**chosen).dwell)


def _show(plan: DesignConfig, settings: pandas.DataFrame, slopes: pandas.DataFrame) -> None:
    """Print settings and sensitivities."""
    console, objective = screen(), plan.problem.criterion
    table = Table(title=plain(f"{plan.name}: {objective.meaning or objective.name}"), title_justify="left")
    names = tuple(dict.fromkeys((*plan.problem.free, "dwell")))
    for heading in ("setting", *(f"{name.replace('_', ' ')} ({UNITS[name]})" for name in names)):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    table.add_column("smooth model or fresh samples", justify="right")
    for row in settings.to_dict("records"):
        error = row.get("standard_error", np.nan)
        value = f"{row['objective']:.4g}" + (f" ± {error:.2g}" if np.isfinite(error) else "")
        table.add_row(row["setting"], *(f"{row[name]:.3g}" for name in names), value)
    console.print(table)
    unit = f" {change_unit(objective)}" if objective.relative or objective.unit else ""
    for row in slopes.to_dict("records"):
        spread = f" ± {row['spread']:.1g}" if np.isfinite(row["spread"]) else ""
        end = "; the optimum lies at the end of its bounds" if row["at_bound"] else ""
        step = f"+1 {UNITS[row['knob']]} of {row['knob'].replace('_', ' ')}"
        change = f"{row['change']:+.2g}{spread}{unit}{end}"
        console.print(f"{step} changes it by {change}")
