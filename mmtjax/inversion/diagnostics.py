"""Diagnostics of a solution: whether it failed, why, what to do, and warnings."""

import dataclasses
import inspect
import warnings
from collections.abc import Iterator

import numpy as np

from mmtjax.errors import InversionWarning
from mmtjax.inversion.orientation import better_reading
from mmtjax.inversion.solution import Solution
from mmtjax.inversion.tolerance import is_too_coarse, tightened
from mmtjax.lazy import ndimage
from mmtjax.solvers.base import AbstractSolver
from mmtjax.units import MAGNETITE_SATURATION

#: A ratio of residual and noise this near to a power of ten, up to the largest power, is taken for a wrong unit.
_NEAR_A_POWER = 0.1
_LARGEST_POWER = 6

#: Packages whose functions are not shown as the origin of a warning: this package, and checkers of types that wrap it.
_OURS = ("mmtjax", "jaxtyping", "beartype")


def condition_failure(condition: float, solver: AbstractSolver, *, limit: float | None = None) -> str | None:
    """Return the reason why uncertainties are not reliable at a condition number; None if they are.

    Parameters
    ----------
    condition
        Condition number of the equilibrated Q.
    solver
        The solver that was used.
    limit
        Largest condition number; that of the solver by default.
    """
    most = solver.limit if limit is None else limit
    if condition <= most:
        return None
    return (
        f"the condition number {condition:.1e} is beyond {most:.0e}, up to which uncertainties by the {solver.name} "
        f"method are reliable: {solver.remedies()}"
    )


def diagnose(
    solution: Solution, solver: AbstractSolver, *, tolerance: float, throw: bool, limit: float | None = None
) -> Solution:
    """Return a solution with its failure and its warnings filled in, and issue the warnings.

    Parameters
    ----------
    solution, solver
        The solution, and the solver that was used.
    tolerance
        Error of the columns as a share of the peak of each source.
    throw
        Whether to raise an error for a failure.
    limit
        Largest condition number; that of the solver by default.

    Raises
    ------
    InversionError
        If the solution failed and `throw` is set.
    """
    solution = dataclasses.replace(solution, better_reading=better_reading(solution))
    failure = condition_failure(float(solution.condition), solver, limit=limit) or solution.failure
    if failure is not None:
        for concern in (_unseen(solution), _reading(solution)):
            failure += "" if concern is None else f". {concern}"
        solution = dataclasses.replace(solution, failure=failure, warnings=(failure,))
        if throw:
            solution.check()
        _warn(failure)
        return solution
    messages = tuple(_concerns(solution, tolerance))
    for message in messages:
        _warn(message)
    return dataclasses.replace(solution, warnings=messages)


def _warn(message: str) -> None:
    """Issue a warning that names the line of code that called mmtjax."""
    frame, level = inspect.currentframe(), 1
    while frame and frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, InversionWarning, stacklevel=level)


def _concerns(solution: Solution, tolerance: float) -> Iterator[str]:
    """Yield the warnings about a solution that did not fail."""
    condition = float(solution.condition)
    if is_too_coarse(tolerance, condition=condition):
        yield (
            f"the condition number {condition:.1e} multiplies the error of the Green's matrix, {tolerance:.0e} of the "
            "peak of a grain, to errors of magnetizations that are a share of their radii; pass "
            f"tolerance={tightened(tolerance, condition=condition):.0e}"
        )
    yield from _concerns_about_residual(solution)
    beyond = int(np.sum(solution.beyond_saturation))
    if beyond:
        yield (
            f"{beyond} of {len(solution.sources)} grains are magnetized beyond {MAGNETITE_SATURATION / 1e3:g} kA/m, "
            "the saturation of magnetite, which is impossible; do not use their magnetizations"
            + ("; prior=480e3 keeps magnetizations nearer to physical values" if solution.prior is None else "")
        )
    unseen = _unseen(solution)
    if unseen is not None:
        yield unseen


def _concerns_about_residual(solution: Solution) -> Iterator[str]:
    """Yield the warnings about a residual that the noise does not explain."""
    excess, found = float(solution.reduced_chi_square), solution.misfit
    noise, residual = float(np.median(solution.noise)), np.asarray(solution.residual)[solution.scan.mask]
    size = np.sqrt(np.mean(residual**2))
    if found.exceeds_noise:
        yield (
            f"noise of {noise:.4g} nT cannot explain the residual of {size:.4g} nT rms (reduced chi-square "
            f"{excess:.3g}): radii are too small by {np.sqrt(excess):.3g} times at least. Something is not modelled "
            "(standoff, shift, missing grains, grains that are not uniform); pass noise='residual' for radii that "
            "account for it"
        )
    if not found.is_explained:
        yield (
            f"the residual of {size:.4g} nT rms is {found.share:.0%} of the map, and "
            + (
                "far larger than the noise"
                if solution.noise_is_known
                else f"correlated between neighbours ({found.neighbours:.2f}), which white noise is not"
            )
            + ": the grains are not those of the map, or its axes or lengths are wrong; no grain is trusted"
        )
    reading = _reading(solution)
    if reading is not None:
        yield reading
    power = round(0.5 * np.log10(excess)) if excess > 0 else 0
    nearness = abs(np.sqrt(excess) / 10.0**power - 1)
    if 0 < abs(power) <= _LARGEST_POWER and nearness < _NEAR_A_POWER and not found.is_correlated and found.is_explained:
        yield (
            f"the residual is white noise of {size:.4g} nT, {10.0**power:g} times the noise of {noise:.4g} nT: is the "
            "unit of the map or of the noise wrong by that factor? Magnetizations then are, too"
        )


def _reading(solution: Solution) -> str | None:
    """Return a warning that names a reading of the map that fits far better; None if there is none."""
    if solution.better_reading is None:
        return None
    return (
        f"the map fits far better {solution.better_reading}: correct the map or the grains and invert again; no grain "
        "is trusted"
    )


def _unseen(solution: Solution) -> str | None:
    """Return a warning about grains beside the map or under its mask, of which it shows little; None if none are."""
    grid, position = solution.scan.grid, np.asarray(solution.sources.position)
    spacing = np.asarray(grid.spacing)
    place = (position[:, :2] - np.asarray(grid.origin)) / spacing
    size = np.array(grid.shape[::-1])
    beside = np.any((place < -0.5) | (place > size - 0.5), axis=1)
    if beside.any():
        return (
            f"{int(beside.sum())} grains lie beside the map, the first is grain {solution.sources.ids[beside][0]}; "
            "the map shows little of their field"
        )
    column, row = np.clip(np.rint(place), 0, size - 1).astype(int).T
    distances = ndimage.distance_transform_edt(~np.asarray(solution.scan.mask), sampling=spacing[::-1])
    away = np.asarray(distances)[row, column]
    masked = away > float(grid.height) - position[:, 2]
    if masked.any():
        return (
            f"{int(masked.sum())} grains lie under the mask, farther from any sensor in use than they are deep, the "
            f"first is grain {solution.sources.ids[masked][0]}; the map shows little of their field"
        )
    return None
