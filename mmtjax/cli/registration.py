"""The option ``--fit`` of ``mmtjax invert``: fit the geometry of the map, and report what was fitted."""

import dataclasses
from typing import NamedTuple

import numpy as np

from mmtjax.cli.inputs import SolveInput
from mmtjax.inversion.options import InversionOptions
from mmtjax.io.text import JsonValue
from mmtjax.progress import StageProgress
from mmtjax.registration.registration import Registration, fit_registration
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.units import MAGNETITE_SATURATION


class FittedGeometry(NamedTuple):
    """Scan and grains to invert, the lines to print by name, and the record for the provenance."""

    scan: Scan
    grains: Grains
    lines: dict[str, str]
    record: dict[str, JsonValue]


def fitted_geometry(scan: Scan, grains: Grains, solve: SolveInput, *, progress: StageProgress) -> FittedGeometry:
    """Fit the geometry, then fit again only the parameters that the map determines.

    The second fit keeps parameters that are not determined from distorting those that are.

    Parameters
    ----------
    scan, grains
        The map and the grains as given.
    solve
        Options of the inversion; `SolveInput.fitted_parameters` are fitted.
    progress
        Called as ``progress(stage, done, total)``.

    Raises
    ------
    MemoryError
        Before the fit, if it or the inversion after it would take more than ``solve.memory_limit``, by default the
        free memory.
    """
    remaining, attempts = solve.fitted_parameters, []
    # The solver, the form of the matrix and a bound are those of the inversion; a fit has its own.
    given, default = solve.options(), InversionOptions(prior=MAGNETITE_SATURATION)
    options = dataclasses.replace(
        given,
        prior=default.prior if given.prior is None else given.prior,
        method=default.method,
        green=default.green,
        estimator=default.estimator,
    )
    while remaining:
        found = fit_registration(
            scan,
            grains,
            solve.noise,
            fit=remaining,
            options=options,
            progress=progress,
        )
        attempts.append(found)
        if set(found.determined) == set(remaining):
            scan, grains = found.aligned()
            break
        remaining = found.determined
    record: dict[str, JsonValue] = {"applied": list(remaining), "fits": [_record_of_fit(found) for found in attempts]}
    return FittedGeometry(scan, grains, _lines(attempts), record)


def _lines(attempts: list[Registration]) -> dict[str, str]:
    """Return one line for each parameter, from the last fit that included it."""
    lines = {}
    for found in attempts:
        for row in found.table().to_dict("records"):
            verdict = "determined" if row["determined"] else f"not determined: {row['why_not']}; left as given"
            value = f"{row['value']:+.4g} ± {row['half_width']:.2g} {row['unit']} ({found.level:.0%})"
            lines[row["parameter"]] = f"{value}, {verdict}"
    last = attempts[-1]
    lines["residual of the fit"] = (
        f"noise {last.noise:.4g} nT, reduced χ² {last.reduced_chi_square:.4g}, correlation of neighbours "
        f"{last.residual_correlation:.2f}"
    )
    before, after = last.log_evidence
    lines["log evidence"] = f"{before:.6g} as given, {after:.6g} as fitted"
    return lines


def _record_of_fit(found: Registration) -> dict[str, JsonValue]:
    """Return one fit as values of JSON."""
    # JSON has no infinity, which is the uncertainty of a parameter that the map does not constrain.
    table = found.table().astype(object).replace([np.inf, np.nan], None)
    return {
        "parameters": table.to_dict("records"),
        "noise": found.noise,
        "reduced_chi_square": found.reduced_chi_square,
        "residual_correlation": found.residual_correlation,
        "log_evidence": list(found.log_evidence),
        "converged": found.converged,
    }
