"""Compare the tables of a study with the numbers that Out et al. (2022) print.

python -m experiments.limits_of_mmt.compare TARGETS.toml --tables DIR --out comparison.csv --readme README.md
"""

import argparse
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas

from experiments.limits_of_mmt.statements import CHECKS, Missing, models, share, verdict_of_check
from mmtjax.io.tables import read_table, write_table
from mmtjax.plot.study_style import rows_of
from mmtjax.study.convergence import mean_changes
from mmtjax.study.strengths import share_above

#: Tolerances of the comparison: shares of the SSR distribution, of resolved and of selected grains, decades of SSR.
DISTRIBUTION, RESOLVED, SELECTED, DECADES = 0.02, 0.02, 0.06, 0.25

#: Radii scale with the noise up to rounding; scans agree if 95 % of the grains agree to 5 %.
EXACT, ALIKE, MOST = 1e-9, 0.05, 0.95

#: Measurements of the run that are in no table of the study; the README says how they were made.
_MACHINE = "2 cores, 24 GB: the largest model in 56 s and 3.8 GiB, the whole study in 2.5 hours and 5.4 GiB"
_GOAL = (
    "so many placed in 22 s of one core; 16,000 inverted by windows in 24 minutes of one, 1e5 reckoned 6.1 to 6.5 hours"
)

_BEGIN, _END = "<!-- comparison: written by compare.py -->", "<!-- end of comparison -->"

Tables = Mapping[str, pandas.DataFrame]


class Row(NamedTuple):
    """A number or sentence of the paper and of the study; `holds` is None where nothing is claimed or known."""

    target: str
    paper: str
    ours: str
    tolerance: str
    holds: bool | None


def compare(targets: Mapping[str, Mapping[str, object]], tables: Tables) -> list[Row]:
    """Return one row for each number and sentence of the targets.

    Raises
    ------
    ValueError
        For a sentence without a check.
    """
    rows = [
        *_distribution(targets["ssr_distribution"], tables),
        *_fig6(targets["fig6"], tables),
        *_fig5(targets["fig5"], tables),
        *_sentences("fig4", targets["fig4"]["rows"], tables),
        *_sentences("previous_study", targets["previous_study"]["rows"], tables),
        *_convergence(targets["convergence"], tables),
        *_scaling(tables),
        *_limits(targets["limits"], tables),
    ]
    return rows


def near(value: float, target: float, tolerance: float) -> bool:
    """Return whether two numbers differ by `tolerance` at most, except for rounding."""
    return bool(abs(value - target) <= tolerance * (1 + 1e-9))


def decades(value: float, target: float) -> float:
    """Return the distance of two numbers in decades."""
    return float(abs(np.log10(value / target)))


def _distribution(targets: Mapping[str, Mapping[str, float]], tables: Tables) -> Iterator[Row]:
    for thickness, shares in targets.items():
        for ssr, stated in shares.items():
            name = f"fig3b: {thickness}, share with SSR >= {ssr}"
            try:
                ours = share_above(
                    tables["distribution"], thickness=float(thickness.removesuffix("um")), ssr=float(ssr)
                )
            except ValueError as error:
                yield Row(name, f"{stated:g}", str(error), f"{DISTRIBUTION:g}", None)
                continue
            yield Row(name, f"{stated:g}", f"{ours:.3f}", f"{DISTRIBUTION:g}", near(ours, stated, DISTRIBUTION))


def _fig6(targets: Mapping[str, object], tables: Tables) -> Iterator[Row]:
    model = {"side": 500, "thickness": 50, "interval": 1, "noise": 5, "density": 1e5}
    total, resolved = targets["grains"], targets["resolved"]
    try:
        found = models(rows_of(tables["thresholds"], limit=0.10), **model)
    except Missing as missing:
        yield Row("fig6", f"{total} grains, {resolved} resolved", str(missing), "", None)
        return
    pool = found.iloc[0]
    yield Row("fig6: grains", f"{total}", f"{pool['total']:.0f}", "0", bool(pool["total"] == total))
    ours, stated = pool["resolved"] / pool["total"], resolved / total
    name = f"fig6: resolved, {resolved} of {total}"
    yield Row(name, f"{stated:.3f}", f"{ours:.3f}", f"{RESOLVED:g}", near(ours, stated, RESOLVED))
    for row in targets["rows"]:
        mine = rows_of(found, purity=row["purity"]).iloc[0]
        at = f"fig6: purity {row['purity']:g}"
        close = bool(decades(mine["ssr"], row["ssr"]) <= DECADES)
        yield Row(f"{at}, SSR", f"{row['ssr']:.2g}", f"{mine['ssr']:.2g}", f"{DECADES:g} decade", close)
        selected, stated = mine["selected"] / mine["total"], row["selected"] / total
        yield Row(
            f"{at}, selected ({row['selected']})",
            f"{stated:.3f}",
            f"{selected:.3f} ({mine['selected']:.0f})",
            f"{SELECTED:g}",
            near(selected, stated, SELECTED),
        )
        yield Row(f"{at}, violators", f"{row['violators']}", f"{mine['violators']:.0f}", "", None)
        yield Row(f"{at}, recovered", f"{row['recovered']:g}", f"{mine['recovered']:.3f}", "", None)


def _fig5(targets: Mapping[str, object], tables: Tables) -> Iterator[Row]:
    for row in targets["rows"]:
        name = (
            f"fig5: SSR at 99 %, {row['thickness']} um, {row['density']:g}, {row['noise']} nT, {row['interval']} um, "
            f"{100 * row['limit']:g} %"
        )
        stated = row["ssr"]
        try:
            at = models(
                rows_of(tables["thresholds"], limit=row["limit"], purity=0.99),
                side=500,
                thickness=row["thickness"],
                noise=row["noise"],
                interval=row["interval"],
                density=row["density"],
            )
        except Missing as missing:
            yield Row(name, f"{stated:.2g}", str(missing), f"{DECADES:g} decade", None)
            continue
        ours, every = float(at["ssr"].iloc[0]), bool((at["selected"] == at["total"]).iloc[0])
        found = f"{ours:.2g}" + (", the smallest SSR of all grains: all are selected" if every else "")
        yield Row(name, f"{stated:.2g}", found, f"{DECADES:g} decade", decades(ours, stated) <= DECADES)


def _sentences(section: str, sentences: list[str], tables: Tables) -> Iterator[Row]:
    for sentence in sentences:
        if sentence not in CHECKS:
            raise ValueError(f"[{section}] has a sentence without a check: {sentence!r}")
        check = CHECKS[sentence]
        verdict = verdict_of_check(check.verdict_of, tables[check.table])
        yield Row(section, sentence, verdict.ours, check.rule, verdict.holds)


def _convergence(targets: Mapping[str, float], tables: Tables) -> Iterator[Row]:
    changes = mean_changes(tables["convergence"])
    if changes.empty:
        yield Row("convergence", "", "the study has one repeat", "", None)
        return
    first, last = changes.iloc[0], changes.iloc[-1]
    after = f"after {int(last['repeats'])} repeats"
    stated = targets["median_change_after_2"]
    yield Row(
        "convergence: mean change of the median after 2",
        f"{stated:g}",
        f"{first['median_change']:.3f}",
        "factor 2",
        bool(stated / 2 <= first["median_change"] <= stated * 2),
    )
    for name, column, unit in (
        ("median_change_after_15", "median_change", ""),
        ("ssr_spread_decades", "ssr_change", " decades"),
    ):
        ours = f"{last[column]:.3f}{unit} {after}"
        holds = bool(last[column] <= targets[name]) if last["repeats"] >= 15 else None
        what = "median" if column == "median_change" else "SSR threshold"
        yield Row(
            f"convergence: mean change of the {what} after 15", f"{targets[name]:g}{unit}", ours, "at most", holds
        )


def _scaling(tables: Tables) -> Iterator[Row]:
    noise = tables["noise_scaling"]
    if noise.empty:
        yield Row("section 3.1.2: noise", "ratios scale with the noise", "the study has one noise level", "", None)
    else:
        worst = float(noise["radius_deviation"].max())
        yield Row(
            "section 3.1.2: radius",
            "scales with the noise exactly (equation 11)",
            f"largest deviation {worst:.1e}",
            f"{EXACT:g}",
            worst <= EXACT,
        )
        factor = noise["median_factor"]
        yield Row(
            "section 3.1.2: median ratio",
            "scales with the noise, as far as the solution in its denominator does not change",
            f"median ratio over noise, relative to the least noise: {factor.min():.3g} to {factor.max():.3g}, "
            f"typically {factor.median():.3g}",
            "",
            None,
        )
    scans = tables["coarse_scans"]
    whole = scans[(scans["depth_from"] == 0) & np.isinf(scans["depth_to"])]
    for (fine, coarse), group in whole.groupby(["fine_interval", "interval"]):
        alike = float(np.average(group["within_5"], weights=group["grains"]))
        number = (coarse / fine) ** 2
        deep = scans[(scans["interval"] == coarse) & (scans["depth_from"] >= 10)]
        of_deep = float(np.average(deep["within_5"], weights=deep["grains"])) if len(deep) else np.nan
        yield Row(
            f"section 3.1.3: {number:g} scans at {coarse:g} um",
            f"the same ratio as once at {fine:g} um" if coarse == 2 else "(not stated)",
            f"radii alike to {share(ALIKE)} for {share(alike)} of the grains, of those deeper than 10 µm for "
            f"{share(of_deep)}; median factor of the models {group['median'].min():.3g} to "
            f"{group['median'].max():.3g}, of a grain up to {group['maximum'].max():.3g}",
            f"{share(MOST)} of the grains to {share(ALIKE)}",
            alike >= MOST if coarse == 2 else None,
        )


def _limits(targets: Mapping[str, str], tables: Tables) -> Iterator[Row]:
    try:
        at = models(tables["ratios"], side=500, thickness=75, interval=1, density=1e5).iloc[0]
    except Missing as missing:
        ours, holds = str(missing), None
    else:
        grains, sensors = int(at["grains"] / at["repeats"]), int(at["side"] / at["interval"] + 1) ** 2
        ours = f"{grains:,} grains, {3 * grains:,} unknowns, {sensors:,} sensors at 1 um"
        holds = ours in targets["model"]
    yield Row("limits: largest model", targets["model"], ours, "0", holds)
    yield Row("limits: machine", targets["machine"], _MACHINE, "", None)
    yield Row("limits: goal", targets["goal_of_the_field"], _GOAL, "", None)


def table_of(rows: list[Row]) -> pandas.DataFrame:
    """Return the rows as a table; `holds` is ``true``, ``false`` or empty."""
    words = {True: "true", False: "false", None: ""}
    return pandas.DataFrame([row._replace(holds=words[row.holds]) for row in rows])


def filled(readme: str, rows: list[Row]) -> str:
    """Return the text of a README with the comparison between its two marks.

    Raises
    ------
    ValueError
        If a mark is missing.
    """
    if _BEGIN not in readme or _END not in readme:
        raise ValueError(f"the README needs the lines {_BEGIN!r} and {_END!r}, between which the comparison goes")
    table = table_of(rows).replace({"holds": {"true": "yes", "false": "**no**"}})
    cells = [[str(value).replace("|", r"\|") for value in row] for row in table.itertuples(index=False)]
    lines = [f"| {' | '.join(row)} |" for row in [list(table.columns), ["---"] * len(table.columns), *cells]]
    claims = [row.holds for row in rows if row.holds is not None]
    head = f"{sum(claims)} of {len(claims)} rows hold; {len(rows) - len(claims)} are reported without a claim."
    text = "\n".join([_BEGIN, "", head, "", *lines, "", _END])
    return re.sub(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _: text, readme, flags=re.DOTALL)


def main() -> None:
    """Read the targets and the tables, and write the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", type=Path, help="TOML file of the numbers of the paper")
    parser.add_argument("--tables", type=Path, required=True, help="directory that `mmtjax study table` made")
    parser.add_argument("--out", type=Path, required=True, help="comparison.csv")
    parser.add_argument("--readme", type=Path, help="README to fill in")
    arguments = parser.parse_args()
    names = ("ratios", "thresholds", "distribution", "convergence", "noise_scaling", "coarse_scans")
    tables = {name: read_table(arguments.tables / f"{name}.csv") for name in names}
    rows = compare(tomllib.loads(arguments.targets.read_text(encoding="utf-8")), tables)
    write_table(arguments.out, table_of(rows))
    if arguments.readme is not None:
        arguments.readme.write_text(filled(arguments.readme.read_text(encoding="utf-8"), rows), encoding="utf-8")
    holding, failing = (sum(row.holds is value for row in rows) for value in (True, False))
    print(f"{arguments.out}: {holding} hold, {failing} do not")


if __name__ == "__main__":
    main()
