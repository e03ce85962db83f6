"""What the commands print: the summary of an inversion, and lists of names and values."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float
from rich.table import Table

from mmtjax.inversion.solution import Solution
from mmtjax.io.text import JsonValue
from mmtjax.prior import Prior
from mmtjax.report.plain_text import plain
from mmtjax.report.verdict import verdict
from mmtjax.selection import (
    LIMIT,
    PURITIES,
    SMALLER_IS_BETTER,
    Threshold,
    probability_within_limit,
    thresholds_by_purity,
    widening,
)
from mmtjax.units import percent

_LIMITS = (0.01, 0.05, 0.10, 0.20, 1.00)


def summary(solution: Solution, *, limit: float = LIMIT) -> dict[str, str]:
    """Return the summary of a solution, the verdict first: names and texts of at most a dozen lines.

    Parameters
    ----------
    solution
        The solution.
    limit
        Uncertainty ratio up to which a grain is trusted, as a fraction.
    """
    opinion = verdict(solution, limit=limit)
    grid, side = solution.scan.grid, np.asarray(solution.scan.grid.side)
    rows = {
        "verdict": opinion.statement,
        **opinion.obstacles,
        "next": opinion.next_step,
        "map": f"{grid.shape[1]} × {grid.shape[0]} sensors, side {side[0]:g} × {side[1]:g} µm, "
        f"{float(grid.height):g} µm above the surface",
        "fit": f"residual {_residual_rms(solution):.4g} nT rms, noise {float(np.median(solution.noise)):.4g} nT, "
        f"reduced χ² {float(solution.reduced_chi_square):.4g}",
    }
    for estimate in solution.estimates[1:]:
        rows[estimate.unknowns.name] = f"{estimate}, standard deviations"
    return rows


def details(solution: Solution, *, limit: float = LIMIT) -> dict[str, str]:
    """Return what `summary` leaves out: names and texts.

    Parameters
    ----------
    solution, limit
        As for `summary`.
    """
    ratio = np.asarray(solution.uncertainty_ratio)
    widened = ratio * float(widening(solution.reduced_chi_square))
    bounds = ", ".join(f"{100 * bound:g}" for bound in _LIMITS)
    rows = {
        "grains": f"{len(solution.grains)}, volumes {_range(np.asarray(solution.grains.volume))} µm³",
        "sensors in use": f"{solution.scan.used} of {solution.scan.mask.size}",
        "method": f"{solution.method}, condition number {float(solution.condition):.2g}"
        + ("" if solution.prior is None else f", prior {_of_prior(solution.prior)}"),
        f"ratio within {bounds} %": _counts(ratio) + " grains",
        "the same, widened by √χ²": _counts(widened) + " grains",
    }
    chance = probability_within_limit(solution.expected_uncertainty_ratio, limit)
    rows[f"expected within {percent(limit)} before the scan"] = f"{float(np.sum(chance)):.1f} grains, by equation 1"
    if not solution.is_gaussian:
        rows["confidence spheres"] = "by bootstrap, for errors are not normal at a bound"
    statistics = {name: np.asarray(getattr(solution, name)) for name in SMALLER_IS_BETTER}
    found = thresholds_by_purity(statistics, solution.trusted_ratio, limit=limit)
    for purity in reversed(PURITIES):
        trusted = f"{percent(purity)} are trusted"
        strength, crowded, expected = (found[name][purity] for name in SMALLER_IS_BETTER)
        rows[f"SSR above which {trusted}"] = _choice(strength, f"{strength.value:.3g} 1/µm")
        rows[f"crowded, above which {trusted}"] = _choice(crowded, f"{crowded.value:.3g}")
        rows[f"expected, below which {trusted}"] = _choice(expected, f"{expected.value:.3g}")
    rows["computed on"] = f"{jax.default_backend()}, float64"
    return rows


def for_programs(solution: Solution, *, limit: float = LIMIT) -> dict[str, JsonValue]:
    """Return the numbers and texts of `summary` as values that JSON can hold; numbers that are not finite are None.

    Parameters
    ----------
    solution, limit
        As for `summary`.
    """
    numbers = {
        "residual_nT": _residual_rms(solution),
        "noise_nT": np.median(solution.noise),
        "reduced_chi_square": solution.reduced_chi_square,
        "condition": solution.condition,
        "limit": limit,
        "level": solution.level,
    }
    return {
        "grains": len(solution.grains),
        "trusted": int(np.sum(solution.trusted(limit))),
        "beyond_saturation": int(np.sum(solution.beyond_saturation)),
        "is_explained": bool(solution.is_explained),
        "failure": solution.failure,
        "method": solution.method,
        **{name: float(value) if np.isfinite(value) else None for name, value in numbers.items()},
        "summary": dict(summary(solution, limit=limit)),
    }


def listing(rows: Mapping[str, str], *, title: str | None = None) -> Table:
    """Return a table of names and values in two columns that wrap long text."""
    table = Table(
        title=title if title is None else plain(title),
        show_header=False,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 1),
    )
    table.add_column(style="bold", overflow="fold", max_width=40)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(plain(name), plain(value))
    return table


def _residual_rms(solution: Solution) -> float:
    """Return the root mean square of the residual over the sensors in use, nT."""
    residual = np.asarray(solution.residual)[np.asarray(solution.scan.mask)]
    return float(np.sqrt(np.mean(residual**2)))


def _of_prior(prior: Prior | Mapping[str, Prior]) -> str:
    """Return the standard deviations of a prior in their unit, of priors of several sets with the names of these."""
    if isinstance(prior, Mapping):
        return ", ".join(f"of {name} {own}" for name, own in prior.items())
    return f"{prior} A/m"


def _choice(found: Threshold, value: str) -> str:
    if not found.selected:
        return "none"
    return f"{value}: {found.selected} grains, {percent(round(found.recovered, 3))} of the trusted"


def _counts(ratio: Float[np.ndarray, " grain"]) -> str:
    """Return the numbers of grains within each of the limits as text."""
    return ", ".join(str(int(np.sum(ratio <= bound))) for bound in _LIMITS)


def _range(values: Float[np.ndarray, " grain"]) -> str:
    return f"{values.min():.3g} to {values.max():.3g}"
