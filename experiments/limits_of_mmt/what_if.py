"""What a study would have found with more scatter of the magnetizations, or with all confidence radii smaller.

    python -m experiments.limits_of_mmt.what_if STORE --out what_if.csv

Neither needs an inversion: radii do not depend on the magnetization, so that ratios are known for any other.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.io.tables import write_table
from mmtjax.selection import ssr_threshold
from mmtjax.sources.magnetization import MAGNETIZATION_SPREAD, magnetization_of_volume
from mmtjax.study.config import PARAMETERS
from mmtjax.study.read import Study, open_study

#: Of log10 |M|: that of the study, and the root of 0.52, which "0.5²" may have been before its exponent was lost.
SPREADS = (MAGNETIZATION_SPREAD, 0.52**0.5)

#: Of the radius: as it is, and the interval of one component (1.96 σ) in place of the sphere of three (2.80 σ).
FACTORS = (1.0, 1.96 / 2.80)

_BEST = {"side": 500.0, "thickness": 50.0, "density": 1e5, "interval": 1.0, "noise": 5.0}

#: Models of which the paper prints numbers, with the limit of the ratio and the purities that they are for.
CASES = [
    (_BEST, 0.10, (0.999, 0.99, 0.95, 0.90)),
    (_BEST | {"interval": 5.0, "noise": 100.0}, 0.10, (0.99,)),
    (_BEST | {"density": 1e4, "interval": 5.0, "noise": 100.0}, 0.10, (0.99,)),
    (_BEST | {"side": 200.0, "density": 2500.0, "noise": 100.0}, 0.01, (0.99,)),
]


def other_ratio(
    grains: pandas.DataFrame, *, spread: float = MAGNETIZATION_SPREAD, factor: float = 1.0
) -> Float[np.ndarray, " grain"]:
    """Uncertainty ratios of the grains of a study, had log10 |M| that spread about equation 1, and radii that factor.

    The error of a solved magnetization is scaled with it, which does not matter where a ratio is far below 1.

    Examples
    --------
    >>> ten_times = 10 * magnetization_of_volume(8.0)
    >>> grains = {"volume": [8.0], "magnetization_true": [ten_times], "uncertainty_ratio": [0.2]}
    >>> print(other_ratio(pandas.DataFrame(grains), spread=2 * MAGNETIZATION_SPREAD, factor=0.5).round(9))
    [0.01]
    """
    usual = magnetization_of_volume(grains["volume"].to_numpy())
    deviation = np.log10(grains["magnetization_true"].to_numpy() / usual)
    more = deviation * (spread / MAGNETIZATION_SPREAD - 1)
    return factor * grains["uncertainty_ratio"].to_numpy() / 10**more


def rows(study: Study) -> Iterator[dict[str, float]]:
    """What the paper prints of some models, for each spread and factor."""
    for model, limit, purities in CASES:
        grains = study.records(**model)
        ssr = grains["signal_strength_ratio"].to_numpy()
        for spread, factor in itertools.product(SPREADS, FACTORS):
            ratio = other_ratio(grains, spread=spread, factor=factor)
            for purity in purities:
                found = ssr_threshold(ssr, ratio, limit, purity)
                yield {
                    "spread": spread,
                    "factor": factor,
                    **model,
                    "limit": limit,
                    "purity": purity,
                    "resolved": found.resolved / found.total,
                    "ssr": float(found),
                    "selected": found.selected / found.total,
                    "recovered": found.recovered,
                    "median": float(np.median(ratio)),
                }


def main() -> None:
    """Read the store, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="store of the whole study")
    parser.add_argument("--out", type=Path, required=True, help="what_if.csv")
    asked = parser.parse_args()
    table = pandas.DataFrame(rows(open_study(asked.store)))
    table.attrs["units"] = dict(PARAMETERS) | {"ssr": "1/µm"}
    write_table(asked.out, table, comment=__doc__.splitlines()[0], digits=4)


if __name__ == "__main__":
    main()
