"""The comparison with the paper: sentences come out true and false, numbers within and beyond their tolerance."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest

from experiments.limits_of_mmt.compare import Row, compare, filled, table_of
from experiments.limits_of_mmt.previous_study import LOUD, QUIET, nearest, page
from experiments.limits_of_mmt.statements import CHECKS, verdict_of_check
from experiments.limits_of_mmt.what_if import other_ratio
from experiments.limits_of_mmt.what_if import rows as what_if_rows
from mmtjax.io.tables import read_table, write_table
from mmtjax.selection import ssr_threshold
from mmtjax.sources.magnetization import magnetization_of_volume
from mmtjax.study.report_tables import StudyTables, study_tables
from mmtjax.study.strengths import distribution_table
from tests.study_samples import made_up_samples

TABLE_1 = [
    {"side": side, "thickness": thickness, "density": density, "interval": interval, "noise": noise}
    for side in (200.0, 500.0)
    for thickness in (50.0, 75.0)
    for density in (2.5e3, 5e3, 1e4, 2.5e4, 5e4, 7.5e4, 1e5)
    for interval in (1.0, 2.0, 4.0, 5.0)
    for noise in (5.0, 20.0, 50.0, 100.0)
]


def agreeing() -> pandas.DataFrame:
    """Ratios of all 448 models for which every sentence of the paper is true."""
    table = pandas.DataFrame(TABLE_1)
    dense, thick = table["density"] > 2.5e4, table["thickness"] == 75
    best = (table["noise"] == 5) & (table["interval"] == 1)
    loud = table["noise"] == 100
    table["repeats"], table["grains"] = 15, 15 * 1875
    table["within_1"] = np.where(best, 0.96, 0.3)
    table["within_10"] = np.where(thick, np.where(dense, 0.4, 0.6), np.where(dense, 0.7, 0.9))
    table["within_100"] = np.where(thick & dense & loud, 0.45, np.where(dense, 0.75, 0.98))
    table["median"] = 0.02
    for density, noise, median in ((1e5, 5, 0.005), (1e5, 100, 0.10), (2.5e3, 5, 1e-4), (2.5e3, 100, 0.01)):
        chosen = (table["density"] == density) & (table["noise"] == noise) & (table["interval"] == 1)
        table.loc[chosen, "median"] = median
    table.loc[(table["density"] == 1e5) & loud & (table["interval"] == 5), "median"] = 0.3
    table.loc[thick, "median"] *= 20
    table["first_quartile"] = np.where(thick & loud, 0.2, 0.005)
    table["third_quartile"], table["maximum"] = 0.9, 30.0
    return table


def at(table: pandas.DataFrame, column: str, value: float, **values: float) -> pandas.DataFrame:
    """The table with another value in the models that have these parameters."""
    changed = table.copy()
    changed.loc[np.logical_and.reduce([table[name] == key for name, key in values.items()]), column] = value
    return changed


Change = Callable[[pandas.DataFrame], pandas.DataFrame]

#: For a part of each sentence, a change of one model or one thickness that makes it false.
FALSE: list[tuple[str, Change]] = [
    (
        "density <= 1e4: at least 75 %",
        lambda t: at(t, "within_10", 0.74, side=500, thickness=50, density=1e4, noise=100, interval=5),
    ),
    ("about 25 % of grains above 100 %", lambda t: at(t, "within_100", 0.9, side=500, thickness=50, density=5e4)),
    (
        "5 nT, 1 um: more than half",
        lambda t: at(t, "within_1", 0.5, side=500, thickness=50, density=7.5e4, noise=5, interval=1),
    ),
    (
        "1e5, 1 um: median 0.5 %",
        lambda t: at(t, "median", 0.011, side=500, thickness=50, density=1e5, noise=5, interval=1),
    ),
    (
        "2.5e3, 1 um: median 0.01 %",
        lambda t: at(t, "median", 0.002, side=500, thickness=50, density=2.5e3, noise=100, interval=1),
    ),
    (
        "100 nT, 5 um: median above 10 %",
        lambda t: at(t, "median", 0.10, side=500, thickness=50, density=1e5, noise=100, interval=5),
    ),
    ("75 against 50 um", lambda t: t.assign(median=t["median"] / np.where(t["thickness"] == 75, 2.1, 1))),
    (
        "2.5e4: first quartile below 10 %",
        lambda t: at(t, "first_quartile", 0.11, side=500, thickness=50, density=2.5e4, noise=5, interval=1),
    ),
    ("2.5e4: first quartile below 10 %", lambda t: at(t, "first_quartile", 0.09, side=500, thickness=75)),
    (
        "more than half of the grains at or above 10 %",
        lambda t: at(t, "within_10", 0.5, side=500, thickness=75, density=1e5, noise=5, interval=1),
    ),
    (
        "at least half above 100 %",
        lambda t: at(t, "within_100", 0.51, side=500, thickness=75, density=1e5, noise=100, interval=1),
    ),
    (
        "density < 2.5e4: a majority",
        lambda t: at(t, "within_10", 0.5, side=500, thickness=75, density=5e3, noise=100, interval=5),
    ),
    (
        "200 against 500",
        lambda t: t.assign(
            **{name: t[name] * np.where(t["side"] == 200, 2, 1) for name in ("first_quartile", "third_quartile")}
        ),
    ),
    (
        "5 nT: ratios much smaller",
        lambda t: at(t, "within_1", 0.94, side=200, thickness=50, density=2.5e3, noise=5, interval=1),
    ),
]


def sentence_with(part: str) -> str:
    """The one sentence that holds these words."""
    (sentence,) = (text for text in CHECKS if part in text)
    return sentence


@pytest.mark.parametrize("sentence", [text for text, check in CHECKS.items() if check.table == "ratios"])
def test_sentences_hold_where_they_are_true(sentence: str) -> None:
    verdict = verdict_of_check(CHECKS[sentence].verdict_of, agreeing())
    assert verdict.holds is True, verdict.ours


@pytest.mark.parametrize(("part", "change"), FALSE)
def test_a_sentence_fails_where_it_is_false_and_no_other_does(part: str, change: Change) -> None:
    table = change(agreeing())
    failed = {text for text, check in CHECKS.items() if check.table == "ratios" and not check.verdict_of(table).holds}
    assert failed == {sentence_with(part)}


def test_every_sentence_has_a_case_that_is_false() -> None:
    tried = {sentence_with(part) for part, _ in FALSE}
    assert tried == {text for text, check in CHECKS.items() if check.table == "ratios"}


@pytest.mark.parametrize(
    ("ssr", "selected", "holds"), [(9.7e-4, 70, True), (1.7e-3, 61, True), (1.8e-3, 70, False), (9.7e-4, 59, False)]
)
def test_the_threshold_of_the_previous_study(ssr: float, selected: int, holds: bool) -> None:
    model = {"side": 200.0, "thickness": 50.0, "density": 2.5e3, "interval": 1.0, "noise": 100.0}
    table = pandas.DataFrame([model | {"limit": 0.01, "purity": 0.99, "ssr": ssr, "selected": selected, "total": 100}])
    assert verdict_of_check(CHECKS[sentence_with("SSR > 9.7e-4")].verdict_of, table).holds is holds


def test_a_study_without_the_models_does_not_judge() -> None:
    small = agreeing()
    small = small[small["side"] == 200].reset_index(drop=True)
    verdict = verdict_of_check(CHECKS[sentence_with("density < 2.5e4")].verdict_of, small)
    assert verdict.holds is None
    assert "no model with side 500, thickness 75" in verdict.ours


@pytest.fixture(scope="module")
def tables() -> StudyTables:
    return study_tables(made_up_samples(repeats=2))


def targets_of(tables: StudyTables) -> dict[str, dict[str, object]]:
    """Targets that a study meets exactly."""
    chosen = tables.thresholds.query(
        "side == 500 and thickness == 50 and density == 1e5 and interval == 1 and noise == 5"
    )
    chosen = chosen[chosen["limit"] == 0.10]
    distribution = tables.distribution[tables.distribution["thickness"] == 50].iloc[100]
    names = ["purity", "ssr", "selected", "violators", "recovered"]
    return {
        "ssr_distribution": {"50um": {f"{distribution['ssr']:.15g}": distribution["share"]}},
        "fig6": {
            "grains": int(chosen["total"].iloc[0]),
            "resolved": int(chosen["resolved"].iloc[0]),
            "rows": chosen[names].to_dict("records"),
        },
        "fig5": {
            "rows": [
                {name: row[name] for name in ("thickness", "density", "noise", "interval", "limit", "ssr")}
                for row in chosen[chosen["purity"] == 0.99].to_dict("records")
            ]
        },
        "fig4": {"rows": [sentence_with("5 nT, 1 um: more than half")]},
        "previous_study": {"rows": [sentence_with("5 nT: ratios much smaller")]},
        "convergence": {"median_change_after_2": 0.5, "median_change_after_15": 0.05, "ssr_spread_decades": 0.25},
        "limits": {
            "model": "500x500x75 um, 1e5 grains/mm3: 1,875 grains, 5,625 unknowns, 251,001 sensors at 1 um",
            "machine": "52 cores",
            "goal_of_the_field": "1e5 grains",
        },
    }


def judged_rows(targets: dict[str, dict[str, object]], tables: StudyTables) -> dict[str, bool | None]:
    return {row.target: row.holds for row in compare(targets, tables._asdict())}


def test_a_study_agrees_with_its_own_numbers(tables: StudyTables) -> None:
    rows = judged_rows(targets_of(tables), tables)
    numbers = {name: holds for name, holds in rows.items() if name.startswith(("fig3b", "fig5", "fig6"))}
    assert set(numbers.values()) == {True, None}
    reported = {name for name, holds in numbers.items() if holds is None}
    assert all(name.endswith(("violators", "recovered")) for name in reported)
    assert len(reported) == 2 * 4
    assert len(numbers) == 1 + 2 + 4 * 4 + 1
    assert rows["section 3.1.2: radius"] is True
    assert rows["section 3.1.3: 4 scans at 2 um"] is True
    assert rows["limits: largest model"] is True
    assert rows["convergence: mean change of the median after 15"] is None


def test_numbers_beyond_their_tolerance_do_not_hold(tables: StudyTables) -> None:
    targets = targets_of(tables)
    ((ssr, share),) = targets["ssr_distribution"]["50um"].items()
    targets["ssr_distribution"]["50um"] = {ssr: share - 0.021}
    targets["fig6"] |= {"grains": targets["fig6"]["grains"] + 1, "resolved": round(0.97 * targets["fig6"]["resolved"])}
    for row in targets["fig6"]["rows"]:
        row["ssr"] *= 10**0.26
        row["selected"] -= 0.061 * targets["fig6"]["grains"]
    targets["fig5"]["rows"][0]["ssr"] /= 10**0.26
    targets["limits"]["model"] = "1,876 grains"
    rows = judged_rows(targets, tables)
    numbers = {name: holds for name, holds in rows.items() if name.startswith(("fig3b", "fig5", "fig6", "limits: la"))}
    assert set(numbers.values()) == {False, None}


def test_scaling_is_judged_by_the_grains(tables: StudyTables) -> None:
    off = tables.noise_scaling.copy()
    off.loc[3, "radius_deviation"] = 1e-6
    scans = tables.coarse_scans.assign(within_5=0.9)
    rows = judged_rows(targets_of(tables), tables._replace(noise_scaling=off, coarse_scans=scans))
    assert rows["section 3.1.2: radius"] is False
    assert rows["section 3.1.3: 4 scans at 2 um"] is False


def test_convergence_is_judged_after_fifteen_repeats(tables: StudyTables) -> None:
    repeats = np.arange(1, 16)
    slow = pandas.DataFrame(
        {"repeats": repeats, "median_change": 1.2 / repeats, "ssr_change": np.where(repeats == 15, 0.2, 0.5)}
    )
    slow.loc[0, ["median_change", "ssr_change"]] = np.nan
    rows = judged_rows(targets_of(tables), tables._replace(convergence=slow))
    assert rows["convergence: mean change of the median after 2"] is True
    assert rows["convergence: mean change of the median after 15"] is False
    assert rows["convergence: mean change of the SSR threshold after 15"] is True


def test_a_sentence_without_a_check_is_an_error(tables: StudyTables) -> None:
    targets = targets_of(tables)
    targets["fig4"]["rows"].append("grains are blue")
    with pytest.raises(ValueError, match="has a sentence without a check: 'grains are blue'"):
        compare(targets, tables._asdict())


def test_the_comparison_goes_into_the_readme_and_into_a_file(tmp_path: Path) -> None:
    rows = [Row("a", "1|2", "3", "0.1", True), Row("b", "1", "9", "0.1", False), Row("c", "x", "y", "", None)]
    readme = "before\n<!-- comparison: written by compare.py -->\nformer rows\n<!-- end of comparison -->\nafter\n"
    new = filled(readme, rows)
    assert new.startswith("before\n")
    assert new.endswith("\nafter\n")
    assert "former rows" not in new
    assert r"| a | 1\|2 | 3 | 0.1 | yes |" in new
    assert "| b | 1 | 9 | 0.1 | **no** |" in new
    assert "1 of 2 rows hold; 1 are reported without a claim." in new
    assert filled(new, rows) == new
    with pytest.raises(ValueError, match="needs the lines"):
        filled("nothing", rows)
    back = read_table(write_table(tmp_path / "comparison.csv", table_of(rows)))
    assert [str(value).lower() for value in back["holds"]] == ["true", "false", "nan"]


def test_the_readme_of_the_experiment_has_a_place_for_it() -> None:
    readme = Path(__file__).resolve().parents[1] / "experiments" / "limits_of_mmt" / "README.md"
    assert "| new | " in filled(readme.read_text(encoding="utf-8"), [Row("new", "1", "1", "0", True)])


def test_the_previous_study_is_read_off_the_nearest_models() -> None:
    table = agreeing()
    assert nearest(table, QUIET) == QUIET | {"side": 200.0}
    assert nearest(table, LOUD | {"noise": 1e3, "density": 3e3})["noise"] == 100.0
    thresholds = pandas.DataFrame(
        [
            QUIET
            | {"side": 200.0, "noise": noise, "limit": limit, "purity": 0.99, "ssr": ssr, "selected": 70, "total": 100}
            for noise in (5.0, 100.0)
            for limit, ssr in ((0.01, 9.7e-4), (0.10, np.inf))
        ]
    )
    text = page(table, thresholds)
    assert "side 200 µm, thickness 50 µm, density 2500 1/mm³, interval 1 µm, noise 5 nT" in text
    assert "half below 0.01 %" in text
    assert "| 1 % | 0.00097 | 70 % |" in text
    assert "| 10 % | none | " in text


def test_the_distribution_answers_for_thicknesses_that_are_there(tables: StudyTables) -> None:
    only = distribution_table({60.0: np.array([1e-3, 1e-2])})
    rows = judged_rows(targets_of(tables), tables._replace(distribution=only))
    assert [holds for name, holds in rows.items() if name.startswith("fig3b")] == [None]


class _Grains:
    """A study of which every model has the same 200 grains."""

    rng = np.random.default_rng(5)
    table = pandas.DataFrame(
        {
            "signal_strength_ratio": 10 ** rng.uniform(-4, -1, 200),
            "volume": rng.uniform(1, 900, 200),
            "magnetization_true": 10 ** rng.uniform(3, 6, 200),
            "uncertainty_ratio": 10 ** rng.uniform(-4, 0, 200),
        }
    )

    def records(self, **_: float) -> pandas.DataFrame:
        return self.table


def test_what_if_begins_with_what_the_study_found() -> None:
    found = pandas.DataFrame(what_if_rows(_Grains()))
    ssr, ratio = _Grains.table["signal_strength_ratio"], _Grains.table["uncertainty_ratio"]
    for _, row in found[(found["spread"] == 0.5) & (found["factor"] == 1)].iterrows():
        assert row["ssr"] == float(ssr_threshold(ssr, ratio, row["limit"], row["purity"]))
        assert row["resolved"] == np.mean(ratio <= row["limit"])
    smaller = found[(found["spread"] == 0.5) & (found["factor"] < 1)]
    for _, row in smaller.iterrows():
        assert row["resolved"] == np.mean(ratio <= row["limit"] / row["factor"])
    assert len(found) == 4 * 7


def test_what_if_more_scatter_moves_each_grain_away_from_equation_1() -> None:
    grains = _Grains.table
    moment = np.log10(grains["magnetization_true"] / magnetization_of_volume(grains["volume"].to_numpy()))
    change = np.log10(other_ratio(grains, spread=0.75) / grains["uncertainty_ratio"])
    np.testing.assert_allclose(change, -0.5 * moment, atol=1e-12)
