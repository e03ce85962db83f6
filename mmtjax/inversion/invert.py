"""Invert one scan, or a series of scans of the same sources."""

from collections.abc import Sequence
from typing import Unpack

import numpy as np

from mmtjax.errors import InputError, require_type
from mmtjax.inversion.groups import group_by_sensors
from mmtjax.inversion.options import InversionFields, InversionOptions
from mmtjax.inversion.solution import Solution
from mmtjax.inversion.solve import first_strategy, solve_group
from mmtjax.inversion.stack import SourcesLike, as_stack
from mmtjax.noise.conversion import NoiseLike, as_noise
from mmtjax.options import value_or_fields
from mmtjax.precision import is_concrete, require_float64
from mmtjax.progress import StageProgress, check_progress
from mmtjax.scan.scan import Scan


def invert(
    scan: Scan,
    sources: SourcesLike,
    noise: NoiseLike = None,
    *,
    options: InversionOptions | None = None,
    progress: StageProgress | None = None,
    throw: bool = True,
    **fields: Unpack[InversionFields],
) -> Solution:
    """Invert a map for the components of every source and their covariances, by least squares (equations 5 and 11).

    Parameters
    ----------
    scan
        The map of Bz.
    sources
        The grains, or other sources; or a list of sources and patterns that are solved for together. The results refer
        to the first sources of the list.
    noise
        Standard deviation of the noise of the map in nT: a number, a map (ny, nx), ``"residual"`` to estimate it from
        the misfit of the solution, or an `AbstractNoise`. By default ``scan.noise``.
    options
        Options of the inversion; by default `InversionOptions` of the fields that are passed by keyword.
    progress
        Called as ``progress(stage, done, total)``, counted in sensors.
    throw
        Raise an error if the uncertainties are not reliable; otherwise return the solution with its `failure` set.
    **fields
        Fields of `InversionOptions`: ``prior``, ``method``, ``level``, ``tolerance``, ``memory_limit``, ``estimator``,
        ``background``, ``green``.

    Returns
    -------
    Solution
        With magnetizations, covariances, radii, ratios, residual, reduced χ² and condition.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For invalid options, noise or sources, for sources above the sensors, and for fewer sensors than unknowns
        without a prior.
    MemoryError
        If the problem does not fit into memory.
    InversionError
        If the condition number is too large for the method; the message says what to do.

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    >>> grid = mmtjax.SensorGrid(origin=(-20, -20), spacing=1, shape=(41, 41), height=2)
    >>> field = mmtjax.forward(grains, [[0, 0, 9e3], [4e3, 0, 0]], grid)
    >>> solution = invert(Scan(field, grid), grains, noise=5.0, method="cholesky")
    >>> [[round(float(x)) for x in grain] for grain in solution.magnetization]
    [[0, 0, 9000], [4000, 0, 0]]
    """
    chosen = value_or_fields(options, InversionOptions, fields=fields)
    return invert_series([scan], sources, [noise], options=chosen, progress=progress, throw=throw)[0]


def invert_series(
    scans: Sequence[Scan],
    sources: SourcesLike,
    noise: NoiseLike | Sequence[NoiseLike] = None,
    *,
    options: InversionOptions | None = None,
    progress: StageProgress | None = None,
    throw: bool = True,
    **fields: Unpack[InversionFields],
) -> list[Solution]:
    """Invert many maps of the same sources, such as demagnetization steps; maps of the same sensors share a factor.

    Parameters
    ----------
    scans
        The maps. Maps with the same grid and mask share columns and factorization. For sensors at other places both
        are computed again, from the same shapes and series of the grains, with the method and the tolerance that the
        previous maps needed.
    sources
        As for `invert`.
    noise
        As for `invert`: one for all scans, or a list with one for each. Scans whose noise is given by different numbers
        share a factorization, scans whose noise is given by different maps do not.
    options, progress, throw, **fields
        As for `invert`.

    Returns
    -------
    list of Solution
        One for each scan, the same as `invert` gives for it alone.

    Raises
    ------
    ValueError
        If there is no scan, if the list of noises has another length, and as `invert`.
    RuntimeError, MemoryError, InversionError
        As `invert`.

    Examples
    --------
    >>> import mmtjax
    >>> grains = mmtjax.Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [6, 0, -7, 2, 1, 1, 2]])
    >>> grid = mmtjax.SensorGrid(origin=(-20, -20), spacing=1, shape=(41, 41), height=2)
    >>> field = mmtjax.forward(grains, [[0, 0, 9e3], [4e3, 0, 0]], grid)
    >>> steps = [Scan(field, grid), Scan(0.5 * field, grid)]
    >>> [round(float(s.magnitude[0])) for s in invert_series(steps, grains, noise=5.0)]
    [9000, 4500]
    """
    require_float64()
    chosen = value_or_fields(options, InversionOptions, fields=fields)
    require_type(throw, bool | np.bool_, name="throw")
    check_progress(progress)
    require_type(scans, Sequence, name="scans")
    scans = list(scans)
    for scan in scans:
        require_type(scan, Scan, name="scan")
    stack = as_stack(sources, chosen.pattern)
    given = list(noise) if isinstance(noise, list | tuple) else [noise] * len(scans)
    if len(given) != len(scans):
        msg = f"noise has {len(given)} entries for {len(scans)} scans; give one for each, or one for all"
        raise InputError(msg)
    noises = [as_noise(value, scan) for scan, value in zip(scans, given, strict=True)]
    if not scans:
        msg = "scans is empty; pass at least one Scan"
        raise InputError(msg)
    if len(scans) > 1 and not is_concrete(scans, noises):
        msg = "a series of scans cannot be traced; trace one `invert` at a time"
        raise InputError(msg)
    groups = group_by_sensors(scans, noises, stack)
    for group in groups:
        group.check_counts(chosen.priors)
    strategy = first_strategy(groups, chosen)
    solutions: dict[int, Solution] = {}
    for group in groups:
        found, strategy = solve_group(group, chosen, strategy, progress=progress, throw=throw)
        solutions |= zip(group.numbers, found, strict=True)
    return [solutions[number] for number in range(len(scans))]
