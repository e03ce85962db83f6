"""Small samples side by side: where the grains and sensors of several are as many, `vmap` solves them at once."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from mmtjax.estimators.least_squares import Factored, Fit, factored, fit_map
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.inversion.diagnostics import diagnose
from mmtjax.inversion.options import check_counts, checked_options, group_by_sensors, same_sensors, weights_of
from mmtjax.inversion.solution import Solution, solution_of
from mmtjax.inversion.strategy import SOLVERS
from mmtjax.inversion.tolerance import tightened
from mmtjax.linalg.triangular import SMALL
from mmtjax.precision import require_float64
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.solvers.base import Reduced
from mmtjax.sources.grains import Grains

#: Unknowns of a sample at most: for more, blocks of the inverse are made by several solves at a time, see below.
MOST_UNKNOWNS = SMALL

_SOLVER = "cholesky"

#: Steps of conjugate gradients: at the largest condition number that is accepted each leaves about 2e-3 of a solution.
_STEPS = 5

#: Copies of the columns that live at once: in blocks, in the order of the sensors, and weighted.
_COPIES = 3


def batch_bytes(grains: int, sensors: int, *, maps: int) -> int:
    """Bytes of the memory of the device that one sample takes among others.

    Examples
    --------
    >>> round(batch_bytes(50, 201**2, maps=4) / 2**20)
    144
    """
    unknowns = 3 * grains
    return 8 * (_COPIES * unknowns * sensors + 4 * maps * sensors + 4 * unknowns**2)


def invert_batch(
    scans: Sequence[Sequence[Scan]],
    grains: Sequence[Grains],
    noise: Sequence[float],
    *,
    level: float = 0.95,
    tolerance: float = DEFAULT_TOLERANCE,
) -> list[list[Solution] | None]:
    """Invert the maps of many samples at once, for an accelerator that one small sample does not fill.

    Columns of all samples are made together and held whole. Normal equations, factors, covariances and solutions are
    those of `mmtjax.invert`, each for all samples and maps by one call of a compiled function.

    Parameters
    ----------
    scans
        The maps of each sample, of all as many. They have the same sensors, those of one sample the same mask.
    grains
        The grains of each sample, of all as many.
    noise
        Standard deviation of each map of a sample, nT.
    level, tolerance
        As for `mmtjax.invert`.

    Returns
    -------
    list
        For each sample one `Solution` for each of its maps; None for a sample that normal equations or columns of that
        tolerance cannot carry, for which there is `mmtjax.invert_series`.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        If samples differ in the number of grains or maps or in their sensors, and as `mmtjax.invert`.

    Examples
    --------
    >>> import mmtjax
    >>> samples = [mmtjax.simulate(jax.random.key(n), side=30, thickness=20, density=2e5) for n in range(3)]
    >>> found = invert_batch([[one.scan] for one in samples], [one.grains for one in samples], [5.0])
    >>> [solution.method for [solution] in found]
    ['cholesky', 'cholesky', 'cholesky']
    """
    require_float64()
    sigmas = _checked(scans, grains, noise, level=level)
    grid, limit = scans[0][0].grid, SOLVERS[_SOLVER].limit
    found: list[list[Solution] | None] = [None] * len(scans)
    green = DenseGreen.from_operator(TiledGreen(_together(grains), grid, tolerance=tolerance))
    weighted = [[weights_of(scan, sigma) for scan, sigma in zip(maps, sigmas, strict=True)] for maps in scans]
    fields = [[np.where(scan.mask, scan.field, 0.0) for scan in maps] for maps in scans]
    columns = green.transposed.reshape(len(scans), -1, grid.size)
    weight = jnp.stack([maps[0][0] for maps in weighted])
    used = jnp.array([float(maps[0].used) for maps in scans])
    # One after the other: XLA on few cores waits forever where it runs the solves of two of them at the same time.
    factors = _factored(jax.block_until_ready(_reduced(columns, weight, grid)))
    fits = _fits(columns, jax.block_until_ready(factors), jnp.asarray(np.array(fields)), weight, used, grid)
    for number, sources in enumerate(grains):
        mine, fit = _part((factors, fits), number)
        condition = float(mine.reduced.condition)
        if not condition <= limit or tightened(tolerance, condition=condition) != tolerance:
            continue
        found[number] = []
        for row, (scan, sigma) in enumerate(zip(scans[number], sigmas, strict=True)):
            solution = solution_of(
                sources,
                scan,
                mine,
                _part(fit, row),
                sigma=sigma,
                variance=weighted[number][row][1],
                solver=_SOLVER,
                level=level,
                prior=None,
            )
            found[number].append(diagnose(solution, limit=limit, solver=_SOLVER, tolerance=tolerance, throw=False))
    return found


@eqx.filter_jit
def _reduced(
    columns: Float[Array, "sample unknown sensor"], weight: Float[Array, "sample ny nx"], grid: SensorGrid
) -> Reduced:
    """Factors of the normal equations of all samples."""
    solver = SOLVERS[_SOLVER]
    return jax.vmap(lambda one, mine: solver.compute(solver.init(DenseGreen(one, grid), mine), None))(columns, weight)


@eqx.filter_jit
def _factored(reduced: Reduced) -> Factored:
    """Covariances of all samples."""
    return jax.vmap(lambda one: factored(one, None, solver=_SOLVER))(reduced)


@eqx.filter_jit
def _fits(
    columns: Float[Array, "sample unknown sensor"],
    factors: Factored,
    fields: Float[Array, "sample map ny nx"],
    weight: Float[Array, "sample ny nx"],
    used: Float[Array, " sample"],
    grid: SensorGrid,
) -> Fit:
    """Solutions of all maps of all samples."""

    def of_sample(one: Array, mine: Factored, maps: Array, weight: Array, used: Array) -> Fit:
        def of_map(field: Float[Array, "ny nx"]) -> Fit:
            options = {"field": field, "weight": weight, "used": used, "progress": None}
            return fit_map(DenseGreen(one, grid), mine, **options, traced_steps=_STEPS)

        return jax.vmap(of_map)(maps)

    return jax.vmap(of_sample)(columns, factors, fields, weight, used)


def _part(tree: PyTree, index: int) -> PyTree:
    """What belongs to one of the things that are stacked along the first axis."""
    return jax.tree.map(lambda values: values[index], tree)


def _checked(
    scans: Sequence[Sequence[Scan]], grains: Sequence[Grains], noise: Sequence[float], *, level: float
) -> list[np.ndarray]:
    """The noise as numbers, once all that cannot be is refused."""
    if not scans or len(scans) != len(grains):
        raise ValueError(
            f"there must be maps for each sample, and one sample at least; got {len(scans)} and {len(grains)}"
        )
    if (most := 3 * max(map(len, grains))) > MOST_UNKNOWNS:
        raise ValueError(
            f"samples of up to {MOST_UNKNOWNS // 3} grains are solved at once; got {most // 3}, for which there is "
            "invert_series"
        )
    if len(counts := sorted({len(sources) for sources in grains})) > 1:
        raise ValueError(f"samples that are solved at once have as many grains each; got {counts}")
    first = scans[0][0]
    for maps, sources in zip(scans, grains, strict=True):
        if len(maps) != len(noise):
            raise ValueError(f"each sample needs a map for each of {len(noise)} levels of noise; got {len(maps)}")
        check_counts(maps[0], sources, prior=None)
        if len(group_by_sensors(maps, [np.ones(())] * len(maps))) > 1 or not same_sensors(first.grid, maps[0].grid):
            raise ValueError("samples that are solved at once have the same sensors, and their maps the same mask")
    return [checked_options(first, float(sigma), prior=None, method=_SOLVER, level=level) for sigma in noise]


def _together(samples: Sequence[Grains]) -> Grains:
    """The grains of all samples, one sample after another."""
    parts = jax.tree.map(lambda *parts: np.concatenate([np.asarray(part) for part in parts]), *samples)
    corners = [len(sample.corner_grain) for sample in samples]
    shift = np.repeat(np.cumsum([0, *map(len, samples[:-1])]), corners)
    owner = (parts.corner_grain + shift).astype(np.int32)
    return eqx.tree_at(lambda all_: (all_.corner_grain, all_.ids), parts, (owner, np.arange(len(parts))))
