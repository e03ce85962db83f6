"""Learn a formula for the signal strength of a grain from some samples of a study, and test it on others.

python -m experiments.design_a_scan.learn_a_formula STORE --out DIR
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
import pandas

from mmtjax.io.tables import write_table
from mmtjax.selection import LEARNED_FORMULA, LIMIT, PURITY, SMALLER_IS_BETTER, StrengthFormula, statistic_threshold
from mmtjax.selection.learned import SampleGrains, decades_of, learn_formula
from mmtjax.study import Study, open_study
from mmtjax.study.cell import Cell
from mmtjax.study.config import PARAMETERS
from mmtjax.study.pool import Pool, pooled, pooled_samples

#: The model of Fig. 6 of the paper.
CASE = {"side": 500.0, "thickness": 50.0, "density": 1e5, "interval": 1.0, "noise": 5.0}

#: Shares of the selected grains that must be resolved.
_PURITIES = (0.99, 0.95)

#: Number of draws of the bootstrap, its seed, and the quantiles that are reported.
_DRAWS, _SEED, _QUANTILES = 400, 5, (0.025, 0.975)

#: Least number of grains, resolved and not, for a regression of three exponents.
_LEAST = 20

Statistics = Mapping[str, np.ndarray]


def samples_of(study: Study, cells: Sequence[Cell], noise: float) -> dict[int, SampleGrains]:
    """Return the grains of cells at a noise level, by the number of the repeat, without failed inversions."""
    samples = {}
    for cell in cells:
        part = study.load(cell)
        if not part.attrs["failure"]:
            position = part["position"].to_numpy()
            samples[cell.repeat] = SampleGrains(
                position=position,
                depth=study.config.height - position[:, 2],
                volume=part["volume"].to_numpy(),
                resolved=(part["uncertainty_ratio"].sel(noise=noise).to_numpy() <= LIMIT).astype(float),
            )
    return samples


def learned(samples: Sequence[SampleGrains]) -> dict[str, StrengthFormula]:
    """Return formulas by the name of their loss."""
    return {
        "recovery": learn_formula(samples, purity=PURITY),
        "ranking": learn_formula(samples, purity=PURITY, loss="ranking"),
        "recovery, without neighbours": learn_formula(samples, purity=PURITY, crowded=False),
        "ranking, without neighbours": learn_formula(samples, purity=PURITY, loss="ranking", crowded=False),
    }


def recovered(values: np.ndarray, ratio: np.ndarray, purity: float, *, smaller: bool = False) -> float:
    """Return the share of the resolved grains that the best threshold on a statistic recovers."""
    return statistic_threshold(values, ratio, limit=LIMIT, purity=purity, smaller_is_better=smaller).recovered


def bootstrap(
    statistics: Statistics, ratio: np.ndarray, repeat: np.ndarray, *, purities: Sequence[float]
) -> dict[tuple[str, float], np.ndarray]:
    """Return the recovered shares for draws, with replacement, of repeats and of the grains of each."""
    rng = np.random.default_rng(_SEED)
    members = [np.flatnonzero(repeat == number) for number in np.unique(repeat)]
    draws: dict[tuple[str, float], list[float]] = {(name, purity): [] for name in statistics for purity in purities}
    for _ in range(_DRAWS):
        chosen = [members[number] for number in rng.integers(len(members), size=len(members))]
        grains = np.concatenate([rng.choice(part, len(part)) for part in chosen])
        for name, purity in draws:
            found = recovered(statistics[name][grains], ratio[grains], purity, smaller=_smaller(name))
            draws[name, purity].append(found)
    return {key: np.array(values) for key, values in draws.items()}


def tested(pool: Pool, level: int, formulas: Mapping[str, np.ndarray], unseen: np.ndarray) -> pandas.DataFrame:
    """Return what every statistic recovers of the grains of unseen repeats, and how much more than SSR, with intervals.

    ``carried_purity`` and ``carried_recovered`` are for the threshold of the repeats that were learned from.
    """
    statistics = pool.statistics(level) | dict(formulas)
    ratio, test = pool.uncertainty_ratio[level], np.isin(pool.repeat, unseen)
    of_test = {name: values[test] for name, values in statistics.items()}
    draws = bootstrap(of_test, ratio[test], pool.repeat[test], purities=_PURITIES)
    rows = []
    for (name, purity), drawn in draws.items():
        smaller = _smaller(name)
        known = statistic_threshold(
            statistics[name][~test], ratio[~test], limit=LIMIT, purity=purity, smaller_is_better=smaller
        )
        carried = of_test[name] <= known.value if smaller else of_test[name] >= known.value
        good = ratio[test] <= LIMIT
        own = recovered(of_test[name], ratio[test], purity, smaller=smaller)
        strength = recovered(of_test["signal_strength_ratio"], ratio[test], purity)
        low, high = np.quantile(drawn, _QUANTILES)
        less, more = np.quantile(drawn - draws["signal_strength_ratio", purity], _QUANTILES)
        rows.append(
            {
                "statistic": name,
                "purity": purity,
                "recovered": own,
                "recovered_low": low,
                "recovered_high": high,
                "more_than_ssr": own - strength,
                "more_low": less,
                "more_high": more,
                "carried_purity": float(good[carried].mean()) if carried.any() else np.nan,
                "carried_recovered": float(good[carried].sum() / good.sum()),
            }
        )
    return pandas.DataFrame(rows)


def regressed(pool: Pool, resolved: np.ndarray, train: np.ndarray) -> np.ndarray | None:
    """Return log strengths with exponents learned for the model by logistic regression; None for too few grains.

    The exponents of volume, depth and crowding are free, as the published formula is a product of powers of them; the
    reach is not.
    """
    if min(resolved[train].sum(), (~resolved[train]).sum()) < _LEAST:
        return None
    parts = [np.log(pool.volume), np.log(pool.depth), np.log(pool.crowded_signal_strength)]
    features = np.stack([(part - part.mean()) / max(part.std(), 1e-12) for part in parts], axis=1)
    design = np.column_stack([features, np.ones(len(features))])
    weights = np.zeros(4)
    # Where the two classes can be separated without error, a small ridge keeps the exponents finite.
    ridge = 1e-3 * np.diag([1.0, 1.0, 1.0, 0.0]) * train.sum()
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(design[train] @ weights, -500, 500)))
        slope = design[train].T @ (resolved[train] - chance) - ridge @ weights
        curvature = (design[train].T * (chance * (1 - chance))) @ design[train] + ridge + 1e-9 * np.eye(4)
        weights += np.linalg.solve(curvature, slope)
    return design @ weights


def carried_over(study: Study) -> pandas.DataFrame:
    """Return what the published formula recovers in every model at 99 %, beside SSR, own exponents and expected ratio.

    The exponents of each model are learned from the first half of its repeats. All are tested on the second half.
    """
    rows = []
    for pools in pooled_samples(study):
        for pool in pools.values():
            unseen = pool.repeats[len(pool.repeats) // 2 :]
            test = np.isin(pool.repeat, unseen)
            for level, model in pool.models():
                ratio = pool.uncertainty_ratio[level]
                own = None if test.all() else regressed(pool, ratio <= LIMIT, ~test)
                statistics = pool.statistics(level) | ({} if own is None else {"own_exponents": own})
                rows.append(
                    model
                    | {"repeats": len(unseen), "grains": int(test.sum()), "resolved": float(np.mean(ratio <= LIMIT))}
                    | {
                        name: recovered(values[test], ratio[test], PURITY, smaller=_smaller(name))
                        for name, values in statistics.items()
                    }
                )
    table = pandas.DataFrame(rows)
    table.attrs["units"] = {**PARAMETERS, **dict.fromkeys(["resolved", *SMALLER_IS_BETTER, "own_exponents"], "1")}
    return table


def summary(carried: pandas.DataFrame) -> pandas.DataFrame:
    """Return medians of the recovered share for each value of each parameter, and for all models."""
    shown = [name for name in (*SMALLER_IS_BETTER, "own_exponents") if name in carried]
    tellable = carried[(carried["resolved"] > 0) & (carried["resolved"] < 1)].copy()
    tellable["models"] = 1
    tellable["better_than_ssr"] = tellable["crowded_signal_strength"] > tellable["signal_strength_ratio"]
    tellable["worse_than_ssr"] = tellable["crowded_signal_strength"] < tellable["signal_strength_ratio"]
    how = dict.fromkeys(shown, "median") | {"models": "sum", "better_than_ssr": "sum", "worse_than_ssr": "sum"}
    parts = []
    for name in ("thickness", "density", "interval", "noise", "side"):
        part = tellable.groupby(name).agg(how).reset_index().rename(columns={name: "value"})
        part.insert(0, "parameter", name)
        parts.append(part)
    every = tellable.assign(parameter="all models").groupby("parameter").agg(how).reset_index()
    return pandas.concat([*parts, every], ignore_index=True)


def _smaller(name: str) -> bool:
    return SMALLER_IS_BETTER.get(name, False)


def main() -> None:
    """Learn formulas, test them, and apply the published one to all models of the store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="store of `mmtjax study run`")
    parser.add_argument("--out", type=Path, required=True, help="directory for the tables")
    parser.add_argument("--learn", type=int, default=5, help="repeats to learn from; all others are for the test")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    study = open_study(arguments.store)
    arguments.out.mkdir(parents=True, exist_ok=True)
    place = {name: value for name, value in CASE.items() if name != "noise"}
    cells = [cell for cell in study.cells() if all(getattr(cell, name) == value for name, value in place.items())]
    samples = samples_of(study, cells, CASE["noise"])
    if not 1 <= arguments.learn <= len(samples) - 2:
        raise SystemExit(
            f"--learn {arguments.learn}: {arguments.store} has {len(samples)} repeats of {CASE}; 1 or more are needed "
            "to learn from and 2 for the test, so let it run on"
        )
    seen = sorted(samples)[: arguments.learn]
    formulas = learned([samples[number] for number in seen])
    rows = [{"learned_by": name, **formula._asdict()} for name, formula in formulas.items()]
    rows.append({"learned_by": "published", **LEARNED_FORMULA._asdict()})
    comment = f"learned from repeats {seen} of {CASE}"
    write_table(arguments.out / "formulas.csv", pandas.DataFrame(rows), comment=comment)

    pool = pooled(study, [cell for cell in cells if cell.repeat in samples])[CASE["interval"]]
    level = int(np.flatnonzero(pool.noise == CASE["noise"])[0])
    everything = [samples[number] for number in sorted(samples)]
    decades = {name: np.asarray(decades_of(everything, formula)) for name, formula in formulas.items()}
    table = tested(pool, level, decades, np.array(sorted(set(samples) - set(seen))))
    write_table(arguments.out / "unseen_samples.csv", table, comment=f"{comment}, tested on the others")
    print(pandas.DataFrame(rows).to_string(), table.to_string(), sep="\n\n")

    carried = carried_over(study)
    write_table(arguments.out / "carried_over.csv", carried, comment=f"recovered at {PURITY:.0%}, limit {LIMIT:.0%}")
    write_table(arguments.out / "carried_over_summary.csv", summary(carried))
    print(summary(carried).to_string())


if __name__ == "__main__":
    main()
