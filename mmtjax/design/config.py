"""Read the configuration of a scan to be planned from a TOML file."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmtjax.design.instruments import INSTRUMENTS, AbstractInstrument
from mmtjax.design.problem import DesignProblem
from mmtjax.design.setting import SECONDS_PER_HOUR
from mmtjax.errors import InputError
from mmtjax.files import read_toml

#: A table of a TOML file, whose values may be anything until they are checked.
Table = Mapping[str, Any]

#: Keys of the table [scan], which are arguments of `DesignProblem`.
_SCAN = (
    "density",
    "area",
    "objective",
    "limit",
    "level",
    "prior",
    "samples",
    "grains",
    "seed",
    "clearance",
    "tolerance",
)


@dataclasses.dataclass(frozen=True)
class DesignConfig:
    """The configuration of ``mmtjax design``.

    Attributes
    ----------
    name
        Name for headings.
    problem
        The scan to be planned.
    starts, steps
        Number of starts of the optimization, and of the steps of each.
    side, repeats
        Edge (µm) and number of the fresh samples on which the optimum is tried.
    pareto
        Factors of the budget for which the optimum is found as well.
    """

    name: str
    problem: DesignProblem
    starts: int = 4
    steps: int = 25
    side: float = 100.0
    repeats: int = 15
    pareto: tuple[float, ...] = ()


def read_design(path: str | Path) -> DesignConfig:
    """Read the configuration of a scan to be planned.

    Table ``[scan]`` holds ``density`` (grains per mm³), ``area`` (µm²), ``hours`` (the budget, unless there is a dwell)
    and other arguments of `DesignProblem`; ``[instrument]`` its ``kind`` and arguments; ``[knobs]`` a number or two
    ends for each; ``[search]``, which may be missing, fields of `DesignConfig`.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no TOML, a key is missing or unknown, or a value is invalid.

    Examples
    --------
    >>> read_design("experiments/design_a_scan/squid.toml").problem.free
    ('interval', 'standoff', 'thickness')
    """
    content = read_toml(path, kind="a scan to be planned")
    try:
        return _from_tables(content, Path(path).stem)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(str(error), where=str(path)) from error


def _from_tables(content: Table, stem: str) -> DesignConfig:
    tables = ("scan", "instrument", "knobs", "search")
    if unknown := sorted(set(content) - {*tables, "name"}):
        msg = f"unknown table or key {unknown[0]!r}; expected name and [{'], ['.join(tables)}]"
        raise InputError(msg)
    scan, instrument, knobs = (_table(content, name) for name in tables[:3])
    search = _table(content, "search") if "search" in content else {}
    _refuse_unknown(scan, (*_SCAN, "hours"), "scan")
    fields = [field.name for field in dataclasses.fields(DesignConfig)]
    _refuse_unknown(search, [name for name in fields if name not in ("name", "problem")], "search")
    budget = {} if "hours" not in scan else {"budget": float(scan.pop("hours")) * SECONDS_PER_HOUR}
    for needed in ("density", "area"):
        if needed not in scan:
            msg = f"{needed} is missing in [scan]"
            raise InputError(msg)
    ends = {name: tuple(value) if isinstance(value, list) else value for name, value in knobs.items()}
    problem = DesignProblem(instrument=_instrument(instrument), knobs=ends, **budget, **scan)
    if "pareto" in search:
        search["pareto"] = tuple(float(factor) for factor in search["pareto"])
    if search.get("pareto") and problem.budget is None:
        msg = "pareto takes factors of the budget; give hours in [scan]"
        raise InputError(msg)
    return DesignConfig(str(content.get("name", stem)), problem, **search)


def _instrument(values: dict[str, Any]) -> AbstractInstrument:
    kind = values.pop("kind", None)
    if kind not in INSTRUMENTS:
        msg = f"kind in [instrument] must be one of {', '.join(INSTRUMENTS)}; got {kind!r}"
        raise InputError(msg)
    instrument = INSTRUMENTS[kind]
    _refuse_unknown(values, [field.name for field in dataclasses.fields(instrument)], "instrument")
    return instrument(**values)


def _table(content: Table, name: str) -> dict[str, Any]:
    """Return a table of the file as a dictionary of its own."""
    entries = content.get(name)
    if not isinstance(entries, Mapping):
        msg = f"the table [{name}] is missing"
        raise InputError(msg)
    return dict(entries)


def _refuse_unknown(entries: Table, known: Sequence[str], table: str) -> None:
    if unknown := sorted(set(entries) - set(known)):
        msg = f"unknown key {unknown[0]!r} in [{table}]; it may have {', '.join(known)}"
        raise InputError(msg)
