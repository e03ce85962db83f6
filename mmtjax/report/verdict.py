"""The verdict on a solution: how many grains to believe, what stands in the way of the others, and what to do next."""

from typing import NamedTuple

import numpy as np

from mmtjax.inversion.solution import Solution
from mmtjax.selection import LIMIT
from mmtjax.units import MAGNETITE_SATURATION, percent

#: Share of the grains from which on further scans, rather than the grains at hand, are the next step.
_FEW = 0.5


class Verdict(NamedTuple):
    """What a reader must know of a solution before anything else.

    Attributes
    ----------
    statement
        How many grains to believe, and to what limit.
    obstacles
        What stands in the way of the other grains, by a name and a text for each reason.
    next_step
        What to do, with the option or the page.
    """

    statement: str
    obstacles: dict[str, str]
    next_step: str


class _Counts(NamedTuple):
    """Numbers of grains: all, trusted, and those that are not, by the first reason that applies."""

    all: int
    trusted: int
    saturated: int
    widened: int
    noisy: int


def verdict(solution: Solution, *, limit: float = LIMIT) -> Verdict:
    """Return the verdict on a solution for grains.

    Parameters
    ----------
    solution
        The solution.
    limit
        Uncertainty ratio up to which a grain is trusted, as a fraction.
    """
    counts = _count(solution, limit)
    statement = (
        f"Believe {counts.trusted} of {counts.all} grains, to {percent(limit)} with a probability of "
        f"{percent(solution.level)}."
    )
    return Verdict(statement, _obstacles(solution, limit, counts), _next_step(solution, counts))


def _count(solution: Solution, limit: float) -> _Counts:
    trusted, beyond = np.asarray(solution.trusted(limit)), np.asarray(solution.beyond_saturation)
    within = np.asarray(solution.uncertainty_ratio) <= limit
    return _Counts(
        all=len(solution.grains),
        trusted=int(trusted.sum()),
        saturated=int(beyond.sum()),
        widened=int((within & ~beyond & ~trusted).sum()),
        noisy=int((~within & ~beyond).sum()),
    )


def _obstacles(solution: Solution, limit: float, counts: _Counts) -> dict[str, str]:
    """Return what stands in the way of the grains that are not trusted, the most serious first."""
    found: dict[str, str] = {}
    excess = float(solution.reduced_chi_square)
    if solution.failure is not None:
        found["condition"] = f"{float(solution.condition):.1e}, too large for reliable uncertainties"
    if not solution.is_explained:
        share = percent(round(float(solution.misfit.share), 2))
        found["model"] = f"{share} of the map is not explained; no grain is believed"
        if solution.better_reading is not None:
            found["model"] += f". It fits far better {solution.better_reading}"
    elif counts.widened:
        times = f"{np.sqrt(excess):.3g} times"
        found["χ²"] = f"{excess:.3g} instead of 1 widens radii {times}: {counts.widened} grains lost"
    if counts.saturated:
        most = f"{MAGNETITE_SATURATION / 1e3:g} kA/m"
        found["saturation"] = f"{counts.saturated} grains beyond {most}, which is impossible"
    if counts.noisy:
        noise = float(np.median(solution.noise))
        possible = ~np.asarray(solution.beyond_saturation)
        halved = int(((np.asarray(solution.uncertainty_ratio) <= 2 * limit) & possible).sum())
        more = halved - (counts.all - counts.saturated - counts.noisy)
        found["noise"] = f"{counts.noisy} grains too weak for {noise:.3g} nT; {more} would do with {noise / 2:.3g} nT"
    if counts.trusted < counts.all:
        found["depth"] = _depths(solution, limit)
    return found


def _depths(solution: Solution, limit: float) -> str:
    """Return the median depths of the grains that are believed and of those that are not."""
    depth = float(solution.scan.grid.height) - np.asarray(solution.grains.position)[:, 2]
    trusted = np.asarray(solution.trusted(limit))
    others = f"{np.median(depth[~trusted]):.3g} µm below the sensors (medians)"
    return f"others {others}" if not trusted.any() else f"believed {np.median(depth[trusted]):.3g} µm, others {others}"


def _next_step(solution: Solution, counts: _Counts) -> str:
    """Return the most useful thing to do."""
    page = "docs/howto/which-grains-to-believe"
    if solution.failure is not None:
        return f"read the warning above; {page}"
    if solution.better_reading is not None:
        return "correct the map or the grains, and invert again; docs/howto/map-formats"
    if not solution.is_explained:
        return f"check axes, units and heights of map and grains with mmtjax info FILE; {page}"
    if solution.noise_is_known and bool(solution.misfit.exceeds_noise):
        return f"--fit standoff,shift for a geometry that is not known well, or --noise residual; {page}"
    if counts.saturated and solution.prior is None:
        return f"--prior 480e3, which keeps deep grains physical; {page}"
    if counts.trusted < _FEW * counts.all:
        return "plan a scan that resolves more: mmtjax design; docs/howto/design-a-scan"
    return f"select by the column trusted of grains.csv; {page}"
