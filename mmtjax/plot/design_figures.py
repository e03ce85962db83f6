"""Draw a planned scan: the objective along each knob, over two of them, and against the time of the scan."""

import numpy as np
import pandas
from matplotlib.figure import Figure

from mmtjax.design.discrete import Trial
from mmtjax.design.optimize import Optimum
from mmtjax.design.problem import DesignProblem
from mmtjax.design.setting import SECONDS_PER_HOUR, UNITS
from mmtjax.errors import InputError
from mmtjax.plot.study_style import StudyFigure, letter
from mmtjax.plot.style import VERMILLION

_DARK = "#0b2a5b"


def plot_profiles(optimum: Optimum, table: pandas.DataFrame, trials: list[Trial]) -> StudyFigure:
    """Draw the objective along each free knob with its spread over samples, the optimum, and trials on fresh samples.

    Parameters
    ----------
    optimum
        The optimum.
    table
        Table of `mmtjax.design.profile.profiles`.
    trials
        Trials at the settings next to the optimum that the instrument can make.
    """
    free = optimum.problem.free
    figure = Figure(figsize=(3.4 * len(free), 3.2), layout="constrained")
    places = np.atleast_1d(figure.subplots(1, len(free), sharey=True))
    for number, (axes, knob) in enumerate(zip(places, free, strict=True)):
        along = (table["knob"] == knob).to_numpy()
        place, value = table["value"].to_numpy()[along], table["objective"].to_numpy()[along]
        spread = np.nan_to_num(table["spread"].to_numpy()[along])
        axes.fill_between(place, value - spread, value + spread, color=_DARK, alpha=0.15, linewidth=0)
        axes.plot(place, value, color=_DARK, label="mean of the samples, with their spread")
        axes.plot(optimum.chosen[knob], optimum.value.mean, "o", color=VERMILLION, label="optimum")
        for trial in trials if knob == "interval" else trials[:1]:
            axes.errorbar(
                trial.chosen[knob],
                trial.mean,
                yerr=trial.standard_error,
                fmt="s",
                color="black",
                markersize=4,
                capsize=3,
                label="fresh samples, standard error" if trial is trials[0] else None,
            )
        axes.set_xlabel(f"{knob.replace('_', ' ')} ({UNITS[knob]})")
        letter(axes, number, knob.replace("_", " "))
    places[0].set_ylabel(axis_label(optimum), parse_math=False)
    if _varies_much(table["objective"].to_numpy()):
        places[0].set_yscale("log")
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
    caption = f"{_meaning(optimum).capitalize()} along each knob, the others at the optimum."
    return StudyFigure(figure, table, caption)


def plot_surface(optimum: Optimum, table: pandas.DataFrame, path: pandas.DataFrame) -> StudyFigure:
    """Draw the objective over two knobs, with the steps of each start.

    Parameters
    ----------
    optimum
        The optimum.
    table
        Table of `mmtjax.design.profile.surface`.
    path
        Table of `mmtjax.design.profile.path_of`.
    """
    first, second = (name for name in table.columns if name != "objective")
    grid = table.pivot(index=second, columns=first, values="objective")
    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.subplots()
    norm = "log" if _varies_much(table["objective"].to_numpy()) else None
    shades = axes.pcolormesh(grid.columns, grid.index, grid.to_numpy(), cmap="cividis", norm=norm, shading="gouraud")
    figure.colorbar(shades, ax=axes).set_label(axis_label(optimum), parse_math=False)
    for number, steps in path.groupby("start"):
        axes.plot(steps[first], steps[second], "-", color="white", linewidth=2.4)
        label = "steps of each start" if number == 0 else None
        axes.plot(steps[first], steps[second], ".-", color=VERMILLION, linewidth=1, markersize=4, label=label)
        axes.plot(steps[first].iloc[0], steps[second].iloc[0], "o", color="white", markeredgecolor="black")
    axes.plot(optimum.chosen[first], optimum.chosen[second], "*", color="white", mec="black", ms=14, clip_on=False)
    for name, setter in ((first, axes.set_xlabel), (second, axes.set_ylabel)):
        setter(f"{name.replace('_', ' ')} ({UNITS[name]})")
    axes.legend(loc="upper right", fontsize="small")
    caption = (
        f"{_meaning(optimum).capitalize()} over {first.replace('_', ' ')} and {second.replace('_', ' ')}, with the "
        "steps of the starts (circles) to the optimum (star)."
    )
    return StudyFigure(figure, table, caption)


def plot_pareto(front: list[Optimum], trials: list[Trial]) -> StudyFigure:
    """Draw the best objective against the time of the scan, with the knobs of each optimum, and its trial.

    Parameters
    ----------
    front
        Optima by budget, from `mmtjax.design.optimize.pareto_front`.
    trials
        For each optimum, the trial on fresh samples of the best setting next to it that the instrument can make.
    """
    table = pareto_table(front, trials)
    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(table["hours"], table["objective"], "o-", color=_DARK, label="optimum of the smooth model")
    axes.errorbar(
        table["hours"],
        table["tried_objective"],
        yerr=table["standard_error"],
        fmt="s",
        color="black",
        markersize=4,
        capsize=3,
        label="next setting of the instrument, fresh samples, standard error",
    )
    free = front[0].problem.free
    for _, row in table.iterrows():
        text = "\n".join(f"{row[name]:.3g} {UNITS[name]}" for name in free)
        axes.annotate(
            text, (row["hours"], row["objective"]), xytext=(6, -4), textcoords="offset points", fontsize=7, va="top"
        )
    axes.set_xscale("log")
    axes.margins(x=0.15, y=0.2)
    axes.set_xlabel("time of the scan (h)")
    axes.set_ylabel(axis_label(front[0]), parse_math=False)
    axes.set_title(f"by each point: {', '.join(name.replace('_', ' ') for name in free)}", loc="left", fontsize="small")
    figure.legend(loc="outside lower center", fontsize="small")
    caption = (
        f"Best {_meaning(front[0])} for each time of the scan; neither can be improved without loss of the other "
        "(Pareto front). Columns that begin with tried are from fresh samples."
    )
    return StudyFigure(figure, table, caption)


def pareto_table(front: list[Optimum], trials: list[Trial]) -> pandas.DataFrame:
    """Return hours, free knobs, dwell and objective of each optimum, and interval, dwell and objective of its trial."""
    rows = []
    for optimum, trial in zip(front, trials, strict=True):
        tried = optimum.problem.setting(**trial.chosen)
        rows.append(
            {
                "hours": _hours(optimum.problem),
                **optimum.chosen,
                "dwell": float(optimum.problem.setting(**optimum.chosen).dwell),
                "objective": optimum.value.mean,
                "tried_interval": float(tried.interval),
                "tried_dwell": float(tried.dwell),
                "tried_objective": trial.mean,
                "standard_error": trial.standard_error,
            }
        )
    table = pandas.DataFrame(rows)
    knobs = {name: UNITS[name] for name in front[0].problem.free}
    table.attrs["units"] = {"hours": "h", "dwell": "s", **knobs, "tried_interval": "µm", "tried_dwell": "s"}
    return table


def axis_label(optimum: Optimum) -> str:
    """Return the short name of the objective, with its unit."""
    objective = optimum.problem.criterion
    name = objective.name.replace("_", " ")
    return f"{name} ({objective.unit})" if objective.unit and objective.unit != name else name


def _hours(problem: DesignProblem) -> float:
    if problem.budget is None:
        msg = "a Pareto front is drawn against the time of the scan, but a problem has no budget; give one"
        raise InputError(msg)
    return problem.budget / SECONDS_PER_HOUR


def _varies_much(values: np.ndarray) -> bool:
    """Return whether small values would vanish beside large ones on a linear axis."""
    return bool(0 < 5 * values.min() < values.max())


def _meaning(optimum: Optimum) -> str:
    return optimum.problem.criterion.meaning or optimum.problem.criterion.name
