"""The option ``--fit`` of ``mmtjax invert``: the geometry that the map determines, and what to say of it."""

from typing import NamedTuple

import numpy as np

from mmtjax.progress import StageProgress
from mmtjax.registration.alignment import PARAMETERS
from mmtjax.registration.registration import Registration, fit_registration
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.units import MAGNETITE_SATURATION


class Geometry(NamedTuple):
    """Scan and grains to invert, what to print by name, and what to record."""

    scan: Scan
    grains: Grains
    lines: dict[str, str]
    record: dict[str, object]


def chosen_fit(fit: str | None) -> tuple[str, ...]:
    """The names that ``--fit`` lists, none without it.

    Raises
    ------
    ValueError
        For a name that cannot be fitted.
    """
    names = tuple(part.strip() for part in fit.split(",")) if fit is not None else ()
    for name in names:
        if name not in PARAMETERS:
            raise ValueError(f"--fit takes {', '.join(PARAMETERS)}, with commas between them; got {name!r}")
    return names


def fitted_geometry(
    scan: Scan,
    grains: Grains,
    noise: object,
    *,
    fit: tuple[str, ...],
    prior: float | None,
    level: float,
    tolerance: float,
    memory_limit: int | None = None,
    progress: StageProgress,
) -> Geometry:
    """Fit, and fit again with what is determined alone, so that it is not bent by what is not.

    Raises
    ------
    MemoryError
        Before the fit, if it or the inversion after it would take more bytes than `memory_limit`, by default what is
        free.
    """
    left, attempts = fit, []
    while left:
        found = fit_registration(
            scan,
            grains,
            noise,
            fit=left,
            prior=MAGNETITE_SATURATION if prior is None else prior,
            level=level,
            tolerance=tolerance,
            memory_limit=memory_limit,
            progress=progress,
        )
        attempts.append(found)
        if set(found.determined) == set(left):
            scan, grains = found.aligned()
            break
        left = found.determined
    record: dict[str, object] = {"applied": list(left), "fits": [_as_record(found) for found in attempts]}
    return Geometry(scan, grains, _lines(attempts), record)


def _lines(attempts: list[Registration]) -> dict[str, str]:
    """One line for each parameter, of the last fit that it took part in."""
    lines = {}
    for found in attempts:
        for row in found.table().itertuples():
            verdict = "determined" if row.determined else f"not determined: {row.why_not}; left as given"
            lines[row.parameter] = f"{row.value:+.4g} ± {row.half_width:.2g} {row.unit} ({found.level:.0%}), {verdict}"
    last = attempts[-1]
    lines["residual of the fit"] = (
        f"noise {last.noise:.4g} nT, reduced χ² {last.reduced_chi_square:.4g}, correlation of neighbours "
        f"{last.residual_correlation:.2f}"
    )
    before, after = last.log_evidence
    lines["log evidence"] = f"{before:.6g} as given, {after:.6g} as fitted"
    return lines


def _as_record(found: Registration) -> dict[str, object]:
    # JSON knows no infinity, which is the uncertainty of what the map says nothing about.
    table = found.table().astype(object).replace([np.inf, np.nan], None)
    return {
        "parameters": table.to_dict("records"),
        "noise": found.noise,
        "reduced_chi_square": found.reduced_chi_square,
        "residual_correlation": found.residual_correlation,
        "log_evidence": list(found.log_evidence),
        "converged": found.converged,
    }
