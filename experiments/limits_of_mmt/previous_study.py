"""Estimate how uncertain a previous study is from its five parameters alone (Out et al. 2022, section 4.2).

    python -m experiments.limits_of_mmt.previous_study --tables DIR --out previous_study.md

De Groot et al. (2018) inverted scans without giving uncertainties. The models nearest to its parameters give them.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas

from experiments.limits_of_mmt.statements import share
from mmtjax.io.tables import read_table
from mmtjax.plot.study_style import rows_of
from mmtjax.study.config import PARAMETERS

#: De Groot et al. (2018): three areas of about 300 × 300 µm, 50 µm thick, about 2,500 grains/mm³, scanned every 1 µm
#: at much less than 5 nT; errors of position would add 100 nT in the worst case.
QUIET = {"side": 300.0, "thickness": 50.0, "density": 2500.0, "interval": 1.0, "noise": 5.0}
LOUD = QUIET | {"noise": 100.0}


def nearest(ratios: pandas.DataFrame, parameters: dict[str, float]) -> dict[str, float]:
    """Return the parameters of the model of a study that is nearest in decades, with the smaller side of two as near.

    Examples
    --------
    >>> table = pandas.DataFrame([QUIET | {"side": 200.0}, LOUD | {"side": 500.0}])
    >>> nearest(table, LOUD)["noise"], nearest(table, QUIET)["side"]
    (100.0, 200.0)
    """
    distance = sum(np.abs(np.log10(ratios[name] / value)) for name, value in parameters.items())
    order = np.lexsort([ratios["side"], distance.round(9)])
    return {name: float(ratios[name].iloc[order[0]]) for name in PARAMETERS}


def section(title: str, parameters: dict[str, float], ratios: pandas.DataFrame, thresholds: pandas.DataFrame) -> str:
    """Return the uncertainties of the nearest model, as Markdown."""
    model = nearest(ratios, parameters)
    ratio = rows_of(ratios, **model).iloc[0]
    parameters_of_model = ", ".join(f"{name} {value:g} {PARAMETERS[name]}" for name, value in model.items())
    lines = [
        f"## {title}",
        "",
        f"Nearest model: {parameters_of_model}; {ratio['grains']:.0f} grains of {ratio['repeats']:.0f} repeats.",
        "",
        f"Uncertainty ratio: a quarter of the grains are below {share(ratio['first_quartile'])}, half below "
        f"{share(ratio['median'])}, three quarters below {share(ratio['third_quartile'])}, all below "
        f"{share(ratio['maximum'])}. Within 1 % are {share(ratio['within_1'])} of the grains, within 10 % "
        f"{share(ratio['within_10'])}.",
        "",
        "| ratio up to | 99 % of the grains above SSR (1/µm) | share of all grains |",
        "| --- | --- | --- |",
    ]
    for _, row in rows_of(thresholds, purity=0.99, **model).sort_values("limit").iterrows():
        found = np.isfinite(row["ssr"])
        ssr = f"{row['ssr']:.2g}" if found else "none"
        lines.append(f"| {share(row['limit'])} | {ssr} | {share(row['selected'] / row['total'])} |")
    return "\n".join(lines)


def page(ratios: pandas.DataFrame, thresholds: pandas.DataFrame) -> str:
    """Return the worked example, as Markdown."""
    return (
        "\n\n".join(
            [
                "# The uncertainty of a previous study from its five parameters",
                "De Groot et al. (2018) inverted three areas of about 300 × 300 µm² of a synthetic sample: 50 µm "
                "thick, about 2,500 grains/mm³, scanned every 1 µm by a SQUID with noise far below 5 nT. They gave no "
                "uncertainties. Section 4.2 of Out et al. (2022) reads them off its models; so does this page, which "
                "`previous_study.py` writes from the tables of the study.",
                section("At 5 nT", QUIET, ratios, thresholds),
                section("At 100 nT, the very worst", LOUD, ratios, thresholds),
                "The sensor of that study was 1 to 2 µm above the sample; for other heights, areas and noise "
                "`mmtjax threshold` computes models of their own.",
            ]
        )
        + "\n"
    )


def main() -> None:
    """Read the tables, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True, help="directory that `mmtjax study table` made")
    parser.add_argument("--out", type=Path, required=True, help="previous_study.md")
    arguments = parser.parse_args()
    ratios, thresholds = (read_table(arguments.tables / f"{name}.csv") for name in ("ratios", "thresholds"))
    arguments.out.write_text(page(ratios, thresholds), encoding="utf-8")


if __name__ == "__main__":
    main()
