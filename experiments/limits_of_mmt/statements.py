"""Check the sentences of Out et al. (2022) on uncertainty ratios with the tables of a study.

A check takes a table and returns whether the sentence holds, with the numbers of the study. The keys of the checks are
the sentences in the file of targets.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas

from mmtjax.plot.study_style import rows_of

#: Meaning of "about" and "the same": a factor of two for numbers from a figure with a logarithmic axis, the spread of a
#: quarter of a decade that the paper gives for quartiles, and ten percentage points for shares of grains.
FACTOR, DECADES, POINTS = 2.0, 0.25, 0.10


class Verdict(NamedTuple):
    """Whether a sentence holds (None if the study lacks its models), and the numbers of the study."""

    holds: bool | None
    ours: str


class Missing(LookupError):
    """A study without the models that a sentence is about."""


def models(table: pandas.DataFrame, *, low: float = 0.0, high: float = np.inf, **values: float) -> pandas.DataFrame:
    """Return the models with given parameters and a density above `low` and up to `high`."""
    found = rows_of(table, **values)
    found = found[(found["density"] > low) & (found["density"] <= high)]
    if found.empty:
        parameters = ", ".join(f"{name} {value:g}" for name, value in values.items())
        raise Missing(f"the study has no model with {parameters}" + (f", density above {low:g}" if low else ""))
    return found


def name_of(model: pandas.Series) -> str:
    """Return the parameters of a model that vary within a figure, in words."""
    return f"{model['density']:g}/mm³, {model['noise']:g} nT, {model['interval']:g} µm"


def share(value: float) -> str:
    """Return a share in percent, with three digits."""
    return f"{100 * value:.3g} %"


def verdict_of_check(check: Callable[[pandas.DataFrame], Verdict], table: pandas.DataFrame) -> Verdict:
    """Return the verdict of a check, or that the study lacks its models."""
    try:
        return check(table)
    except Missing as missing:
        return Verdict(None, str(missing))


def _sparse_resolved(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=500, thickness=50, high=1e4)
    worst = chosen.loc[chosen["within_10"].idxmin()]
    good = int((chosen["within_10"] >= 0.75).sum())
    return Verdict(
        good == len(chosen),
        f"{good} of {len(chosen)} models; lowest share {share(worst['within_10'])} ({name_of(worst)})",
    )


def _quarter_unresolved(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=500, thickness=50, low=2.5e4)
    above = 1 - chosen["within_100"]
    about = chosen[np.abs(above - 0.25) <= POINTS]
    holds = set(about["density"]) == set(chosen["density"])
    places = "; ".join(name_of(model) for _, model in about.iterrows()) or "none"
    return Verdict(
        holds,
        f"{share(above.min())} to {share(above.max())}; {share(0.25 - POINTS)} to {share(0.25 + POINTS)} at: {places}",
    )


def _half_below_one(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=500, thickness=50, noise=5, interval=1)
    shares = ", ".join(f"{share(row.within_1)} at {row.density:g}" for row in chosen.itertuples())
    return Verdict(bool((chosen["within_1"] > 0.5).all()), shares)


def _medians(ratios: pandas.DataFrame, density: float, stated: Mapping[float, float]) -> Verdict:
    found = {
        noise: float(models(ratios, side=500, thickness=50, interval=1, density=density, noise=noise)["median"].iloc[0])
        for noise in stated
    }
    holds = all(1 / FACTOR <= found[noise] / stated[noise] <= FACTOR for noise in stated)
    return Verdict(holds, ", ".join(f"{share(value)} at {noise:g} nT" for noise, value in found.items()))


def _worst_median(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=500, thickness=50, noise=100, interval=5, density=1e5)
    median = float(chosen["median"].iloc[0])
    return Verdict(median > 0.10, f"median {share(median)}")


def _thickness(ratios: pandas.DataFrame) -> Verdict:
    keys = ["density", "interval", "noise"]
    thin, thick = (models(ratios, side=500, thickness=value).set_index(keys)["median"] for value in (50, 75))
    factor = (thick / thin).dropna()
    pairs = factor.groupby(["interval", "noise"]).median()
    by_density = factor.groupby("density").median()
    ours = (
        f"median over densities above 10 in {int((pairs > 10).sum())} of {len(pairs)} pairs; "
        f"{int((factor > 10).sum())} of {len(factor)} models; typical factor "
        + ", ".join(f"{value:.3g} at {density:g}" for density, value in by_density.items())
    )
    return Verdict(bool((pairs > 10).mean() > 0.5), ours)


def _first_quartile(ratios: pandas.DataFrame) -> Verdict:
    thin, thick = (models(ratios, side=500, thickness=value, density=2.5e4) for value in (50, 75))
    over = thick[thick["first_quartile"] > 0.10]
    holds = bool((thin["first_quartile"] < 0.10).all()) and len(over) > 0
    # "This range" may also mean the box of Fig. 4.
    box = (thick["first_quartile"] <= 0.10) & (thick["third_quartile"] > 0.10)
    ours = f"50 µm: up to {share(thin['first_quartile'].max())}; 75 µm: {share(thick['first_quartile'].min())} to "
    return Verdict(
        holds,
        ours + f"{share(thick['first_quartile'].max())}, above 10 % in {len(over)} of {len(thick)} models "
        f"(intervals {sorted(set(over['interval']))} µm); the box from first to third quartile lies partly above 10 % "
        f"in {int(box.sum())} of {len(thick)}",
    )


def _thick_dense(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=500, thickness=75, low=2.5e4)
    loud = models(ratios, side=500, thickness=75, low=2.5e4, noise=100)
    half, most = chosen["within_10"] < 0.5, 1 - loud["within_100"] >= 0.5
    ours = (
        f"at or above 10 %: {share(1 - chosen['within_10'].max())} to {share(1 - chosen['within_10'].min())} of the "
        f"grains, more than half in {int(half.sum())} of {len(chosen)} models; above 100 % at 100 nT: "
        f"{share(1 - loud['within_100'].max())} to {share(1 - loud['within_100'].min())}, at least half in "
        f"{int(most.sum())} of {len(loud)}"
    )
    return Verdict(bool(half.all() and most.all()), ours)


def _thick_sparse(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=500, thickness=75, high=2.4999e4)
    worst = chosen.loc[chosen["within_10"].idxmin()]
    good = int((chosen["within_10"] > 0.5).sum())
    return Verdict(
        good == len(chosen),
        f"{good} of {len(chosen)} models; lowest share {share(worst['within_10'])} ({name_of(worst)})",
    )


def _side(ratios: pandas.DataFrame) -> Verdict:
    keys = ["thickness", "density", "interval", "noise"]
    small, large = (models(ratios, side=value).set_index(keys) for value in (200, 500))
    shift = np.concatenate(
        [np.log10((small[name] / large[name]).dropna()) for name in ("first_quartile", "third_quartile")]
    )
    if not shift.size:
        raise Missing("the study has no model with both sides")
    within = np.abs(shift) <= DECADES
    ours = (
        f"{share(within.mean())} of the quartiles within {DECADES:g} decade; median shift from 500 to 200 µm "
        f"{np.median(shift):+.2f} decades, {np.min(shift):+.2f} to {np.max(shift):+.2f}"
    )
    return Verdict(bool(within.mean() > 0.5), ours)


def _previous_quiet(ratios: pandas.DataFrame) -> Verdict:
    chosen = models(ratios, side=200, thickness=50, noise=5, interval=1, density=2.5e3).iloc[0]
    holds = chosen["within_1"] >= 0.95 and chosen["median"] < 1e-3
    return Verdict(
        bool(holds),
        f"median {share(chosen['median'])}, third quartile {share(chosen['third_quartile'])}, largest "
        f"{share(chosen['maximum'])}; {share(chosen['within_1'])} of the grains within 1 %",
    )


def _previous_loud(thresholds: pandas.DataFrame) -> Verdict:
    at_limit = rows_of(thresholds, limit=0.01, purity=0.99)
    chosen = models(at_limit, side=200, thickness=50, noise=100, interval=1, density=2.5e3).iloc[0]
    selected = chosen["selected"] / chosen["total"]
    holds = abs(np.log10(chosen["ssr"] / 9.7e-4)) <= DECADES and abs(selected - 0.70) <= POINTS
    return Verdict(bool(holds), f"SSR > {chosen['ssr']:.2g}, {share(selected)} of the grains")


class Check(NamedTuple):
    """A check of a sentence.

    Attributes
    ----------
    rule
        The rule in words.
    table
        Name of the table that it needs.
    verdict_of
        Function that checks the table.
    """

    rule: str
    table: str
    verdict_of: Callable[[pandas.DataFrame], Verdict]


#: Sentences of [fig4] and of [previous_study].
CHECKS: Mapping[str, Check] = {
    "50 um, density <= 1e4: at least 75 % of grains below 10 %": Check("in every model", "ratios", _sparse_resolved),
    "50 um, density > 2.5e4: about 25 % of grains above 100 % "
    "(as printed; see which noise and interval give it)": Check(
        "15 to 35 % at some noise and interval of every density", "ratios", _quarter_unresolved
    ),
    "50 um, 5 nT, 1 um: more than half of the grains below 1 % at every density": Check(
        "in every model", "ratios", _half_below_one
    ),
    "50 um, 1e5, 1 um: median 0.5 % at 5 nT, 10 % at 100 nT": Check(
        "factor 2", "ratios", lambda ratios: _medians(ratios, 1e5, {5: 0.005, 100: 0.10})
    ),
    "50 um, 2.5e3, 1 um: median 0.01 % at 5 nT, about 1 % at 100 nT "
    "(as printed; ratios scale with the noise exactly, so 20x)": Check(
        "factor 2", "ratios", lambda ratios: _medians(ratios, 2.5e3, {5: 1e-4, 100: 0.01})
    ),
    "50 um, 1e5, 100 nT, 5 um: median above 10 %": Check("in the model", "ratios", _worst_median),
    "75 against 50 um: median more than ten times higher for most noise and interval pairs": Check(
        "the middle density of more than half of the pairs", "ratios", _thickness
    ),
    "2.5e4: first quartile below 10 % at 50 um; at 75 um partly above 10 %": Check(
        "in every model of 50 um, in some of 75 um", "ratios", _first_quartile
    ),
    "75 um, density > 2.5e4: more than half of the grains at or above 10 %; at 100 nT at least half above 100 %": Check(
        "in every model", "ratios", _thick_dense
    ),
    "75 um, density < 2.5e4: a majority below 10 % for every noise and interval": Check(
        "in every model", "ratios", _thick_sparse
    ),
    "200 against 500 um side: first and third quartiles about the same": Check(
        "0.25 decade for more than half of the quartiles", "ratios", _side
    ),
    "5 nT: ratios much smaller than 1 %": Check(
        "95 % of the grains below 1 %, half below 0.1 %", "ratios", _previous_quiet
    ),
    "100 nT: SSR > 9.7e-4 resolved at 1 %, about 70 % of the grains": Check(
        "0.25 decade, 10 points", "thresholds", _previous_loud
    ),
}
