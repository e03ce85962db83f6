"""Invert many small samples at once by `vmap`, if they have equal numbers of grains and sensors."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from mmtjax.errors import InputError
from mmtjax.estimators.base import Estimate, FactoredProblem
from mmtjax.estimators.least_squares import LeastSquares
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.frames import WholeFrame
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.diagnostics import diagnose
from mmtjax.inversion.groups import Group, group_by_sensors, masked_field, same_sensors
from mmtjax.inversion.options import InversionOptions
from mmtjax.inversion.solution import Solution
from mmtjax.inversion.solve import Fitted, solution_of
from mmtjax.inversion.stack import as_stack
from mmtjax.inversion.tolerance import tightened
from mmtjax.linalg.triangular import SMALL
from mmtjax.noise.white import WhiteNoise
from mmtjax.precision import require_float64
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.solvers.cholesky import Cholesky
from mmtjax.solvers.triangular_factor import TriangularFactor
from mmtjax.sources.grains import MAGNETIZATION, Grains
from mmtjax.unknowns import Unknowns, UnknownSet

#: Largest number of unknowns of a sample: with more, blocks of the inverse are computed by several solves, which must
#: not run at the same time, see `invert_batch`.
MOST_UNKNOWNS = SMALL

_SOLVER = Cholesky()

#: Each step of conjugate gradients leaves about 2e-3 of the error, at the largest accepted condition number.
_ESTIMATOR = LeastSquares(traced_steps=5)

#: Copies of the columns that are in memory at the same time: in blocks, in the order of the sensors, and weighted.
_COPIES = 3

_DOUBLE = np.dtype(np.float64).itemsize

#: Factors, and covariances for noise of variance one.
_Solved = tuple[TriangularFactor, tuple[Array, ...]]


def batch_bytes(grains: int, sensors: int, *, maps: int) -> int:
    """Return the number of bytes that one sample of a batch takes in the memory of the device.

    Parameters
    ----------
    grains, sensors, maps
        Numbers of grains, sensors and maps of the sample.

    Examples
    --------
    >>> round(batch_bytes(50, 201**2, maps=4) / 2**20)
    144
    """
    unknowns = len(MAGNETIZATION) * grains
    return _DOUBLE * (_COPIES * unknowns * sensors + 4 * maps * sensors + 4 * unknowns**2)


def invert_batch(
    scans: Sequence[Sequence[Scan]],
    grains: Sequence[Grains],
    noise: Sequence[float],
    *,
    level: float = 0.95,
    tolerance: float = DEFAULT_TOLERANCE,
) -> list[list[Solution] | None]:
    """Invert the maps of many samples at once, on an accelerator that one small sample does not keep busy.

    The whole columns of all samples are computed and stored together. Normal equations, factors, covariances and
    solutions are those of `mmtjax.invert`; each is computed for all samples and maps by one call of a compiled
    function.

    Parameters
    ----------
    scans
        The maps of each sample, the same number for each. All maps have the same sensors, and those of one sample the
        same mask.
    grains
        The grains of each sample, the same number for each.
    noise
        Standard deviation of the noise of each map of a sample, nT.
    level, tolerance
        As for `mmtjax.invert`.

    Returns
    -------
    list
        For each sample a list with one `Solution` for each of its maps; None for a sample whose condition number is too
        large for normal equations or for columns of that tolerance: use `mmtjax.invert_series` for it.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        If samples have different numbers of grains or maps, or different sensors, and as `mmtjax.invert`.

    Examples
    --------
    >>> import mmtjax
    >>> samples = [mmtjax.simulate(jax.random.key(n), side=30, thickness=20, density=2e5) for n in range(3)]
    >>> found = invert_batch([[one.scan] for one in samples], [one.grains for one in samples], [5.0])
    >>> [solution.method for [solution] in found]
    ['cholesky', 'cholesky', 'cholesky']
    """
    require_float64()
    options = InversionOptions(method=_SOLVER, level=level, tolerance=tolerance)
    groups = _groups(scans, grains, noise)
    grid = scans[0][0].grid
    green = DenseGreen.from_operator(TiledGreen(_concatenated(grains), grid, tolerance=tolerance))
    columns = jnp.asarray(green.transposed).reshape(len(scans), -1, grid.size)
    unknowns = Unknowns((grains[0].unknowns,))
    weight = jnp.stack([group.weight for group in groups])
    used = jnp.array([float(maps[0].used) for maps in scans])
    fields = jnp.asarray(np.array([[np.asarray(masked_field(scan)) for scan in maps] for maps in scans]))
    # Each result is waited for: on few cores XLA hangs when it runs triangular solves of two of them at the same time.
    factors = jax.block_until_ready(_reduced(columns, weight, grid, unknowns))
    solved = jax.block_until_ready(_with_covariances(factors, unknowns))
    fits = _fits(columns, solved, fields, weight, used, grid)
    found: list[list[Solution] | None] = [None] * len(scans)
    for number, group in enumerate(groups):
        factor, covariances = _part(solved, number)
        condition = float(factor.condition)
        if not condition <= _SOLVER.limit or tightened(tolerance, condition=condition) != tolerance:
            continue
        own = DenseGreen(columns[number], WholeFrame(grid), unknowns)
        problem = FactoredProblem(own, group.weight, _SOLVER, None, None, factor, covariances)
        found[number] = [
            _solution(group, row, problem, _part(fits, (number, row)), options) for row in range(len(group.scans))
        ]
    return found


def _solution(
    group: Group, row: int, problem: FactoredProblem, estimate: Estimate, options: InversionOptions
) -> Solution:
    variance = group.weights[row].variance
    uncertainty = _ESTIMATOR.uncertainty(problem, estimate, variance=variance, level=options.level)
    fitted = Fitted(problem, estimate, uncertainty, variance, _SOLVER)
    solution = solution_of(group.stack, group.scans[row], group.noises[row], fitted, options=options)
    return diagnose(solution, _SOLVER, tolerance=options.tolerance, throw=False)


@eqx.filter_jit
def _reduced(
    columns: Float[Array, "sample unknown sensor"],
    weight: Float[Array, "sample ny nx"],
    grid: SensorGrid,
    unknowns: Unknowns,
) -> TriangularFactor:
    """Return the factors of the normal equations of all samples."""

    def of_sample(own: Array, weight: Array) -> TriangularFactor:
        green = DenseGreen(own, WholeFrame(grid), unknowns)
        return _SOLVER.compute(_SOLVER.init(green, weight), None)

    return jax.vmap(of_sample)(columns, weight)


@eqx.filter_jit
def _with_covariances(factors: TriangularFactor, unknowns: Unknowns) -> _Solved:
    """Return the factors and the covariances of all samples."""
    return jax.vmap(lambda factor: (factor, factor.covariances(unknowns.blocks)))(factors)


@eqx.filter_jit
def _fits(
    columns: Float[Array, "sample unknown sensor"],
    solved: _Solved,
    fields: Float[Array, "sample map ny nx"],
    weight: Float[Array, "sample ny nx"],
    used: Float[Array, " sample"],
    grid: SensorGrid,
) -> Estimate:
    """Return the estimates for all maps of all samples."""
    grains = columns.shape[1] // len(MAGNETIZATION)
    unknowns = Unknowns((UnknownSet("grains", grains, MAGNETIZATION),))

    def of_sample(own: Array, solved: _Solved, maps: Array, weight: Array, used: Array) -> Estimate:
        green = DenseGreen(own, WholeFrame(grid), unknowns)
        problem = FactoredProblem(green, weight, _SOLVER, None, None, *solved)
        return jax.vmap(lambda field: _ESTIMATOR.estimate(problem, field, used=used))(maps)

    return jax.vmap(of_sample)(columns, solved, fields, weight, used)


def _part(tree: PyTree, index: int | tuple[int, ...]) -> PyTree:
    """Return one entry of arrays that are stacked along their first axes."""
    return jax.tree.map(lambda values: values[index], tree)


def _groups(scans: Sequence[Sequence[Scan]], grains: Sequence[Grains], noise: Sequence[float]) -> list[Group]:
    """Check that samples can be solved together, and return the maps of each sample as one group."""
    if not scans or len(scans) != len(grains):
        msg = (
            f"scans and grains must have one entry for each sample, and at least one; got {len(scans)} and "
            f"{len(grains)} entries"
        )
        raise InputError(msg)
    if (most := max(map(len, grains))) > MOST_UNKNOWNS // len(MAGNETIZATION):
        msg = (
            f"samples of up to {MOST_UNKNOWNS // len(MAGNETIZATION)} grains are solved at once; got {most}: use "
            "invert_series"
        )
        raise InputError(msg)
    if len(counts := sorted({len(sources) for sources in grains})) > 1:
        msg = f"samples that are solved at once must have equal numbers of grains; got {counts}"
        raise InputError(msg)
    noises, groups = [WhiteNoise(sigma) for sigma in noise], []
    for maps, sources in zip(scans, grains, strict=True):
        if len(maps) != len(noises):
            msg = f"each sample needs one map for each of {len(noises)} levels of noise; got {len(maps)} maps"
            raise InputError(msg)
        own = group_by_sensors(maps, noises, as_stack(sources))
        own[0].check_counts(None)
        if len(own) > 1 or not same_sensors(scans[0][0].grid, maps[0].grid):
            msg = "samples that are solved at once must have the same sensors, and their maps the same mask"
            raise InputError(msg)
        groups += own
    return groups


def _concatenated(samples: Sequence[Grains]) -> Grains:
    """Return the grains of all samples, one sample after another."""
    parts = jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *samples)
    corners = [len(sample.corner_grain) for sample in samples]
    shift = np.repeat(np.cumsum([0, *map(len, samples[:-1])]), corners)
    owner = (parts.corner_grain + shift).astype(np.int32)
    return eqx.tree_at(lambda all_: (all_.corner_grain, all_.ids), parts, (owner, np.arange(len(parts))))
