"""What a study would have found with more scatter of the magnetizations, or with all confidence radii smaller.

    python -m experiments.limits_of_mmt.what_if STORE --out what_if.csv

Neither needs an inversion: radii do not depend on the magnetization, so that ratios follow for any magnetization.
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

#: Standard deviations of log10 |M|: that of the study, and the root of 0.52, as the printed "0.5²" may be a misprint.
SPREADS = (MAGNETIZATION_SPREAD, 0.52**0.5)

#: Factors of the radius: 1, and the interval of one component (1.96 σ) instead of the sphere of three (2.80 σ).
FACTORS = (1.0, 1.96 / 2.80)

_BEST = {"side": 500.0, "thickness": 50.0, "density": 1e5, "interval": 1.0, "noise": 5.0}

#: Models for which the paper prints numbers, with the limit of the ratio and the purities.
CASES = [
    (_BEST, 0.10, (0.999, 0.99, 0.95, 0.90)),
    (_BEST | {"interval": 5.0, "noise": 100.0}, 0.10, (0.99,)),
    (_BEST | {"density": 1e4, "interval": 5.0, "noise": 100.0}, 0.10, (0.99,)),
    (_BEST | {"side": 200.0, "density": 2500.0, "noise": 100.0}, 0.01, (0.99,)),
]


def other_ratio(
    grains: pandas.DataFrame, *, spread: float = MAGNETIZATION_SPREAD, factor: float = 1.0
) -> Float[np.ndarray, " grain"]:
    """Return the uncertainty ratios of a study for another spread of log10 |M| about equation 1 and another radius.

    The error of a solved magnetization is scaled with it, which does not matter where a ratio is far below 1.

    Parameters
    ----------
    grains
        Records of the study.
    spread
        Standard deviation of log10 |M|.
    factor
        Factor of the radii.

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
    """Yield the numbers that the paper prints for some models, for each spread and factor."""
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
    """Read the store, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="store of the whole study")
    parser.add_argument("--out", type=Path, required=True, help="what_if.csv")
    arguments = parser.parse_args()
    table = pandas.DataFrame(rows(open_study(arguments.store)))
    table.attrs["units"] = dict(PARAMETERS) | {"ssr": "1/µm"}
    write_table(arguments.out, table, comment=__doc__.splitlines()[0], digits=4)


if __name__ == "__main__":
    main()
