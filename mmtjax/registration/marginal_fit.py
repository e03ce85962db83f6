"""The linear part of a fit of geometry: what magnetizations make of it at one geometry, and its derivatives."""

from collections.abc import Iterator

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import FieldPlan, plan_field, tile_count
from mmtjax.greens.tiled import block_tiles_for, sensors_of_tiles
from mmtjax.registration.alignment import motions, moved_grains, moved_grid
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains

#: Rows that are gathered before the triangular factor is updated, for each unknown.
_ROWS_PER_UNKNOWN = 2


class Block(eqx.Module):
    """Some weighted rows: columns (unknown, row), the map (row,), and the flat indices of their sensors."""

    columns: Float[np.ndarray, "unknown row"]
    field: Float[np.ndarray, " row"]
    weight: Float[np.ndarray, " row"]
    sensor: Int[np.ndarray, " row"]
    slopes: list[Float[np.ndarray, "unknown row"]]


class Survey(eqx.Module):
    """Map, weights and grains at the geometry that was given."""

    grains: Grains
    scan: Scan
    weight: Float[np.ndarray, "ny nx"]
    plan: FieldPlan

    def __init__(self, scan: Scan, grains: Grains, *, weight: object, tolerance: float) -> None:
        self.grains, self.scan, self.weight = grains, scan, np.asarray(weight)
        self.plan = plan_field(grains, scan.grid, tolerance=tolerance)

    def blocks(self, change: Float[np.ndarray, "4"], *, free: tuple[int, ...] = ()) -> Iterator[Block]:
        """The weighted rows at a changed geometry, a few tiles at a time, with their slopes along `free` parameters."""
        grains, grid = moved_grains(self.grains, self.scan.grid, change), moved_grid(self.scan.grid, change)
        plan, moving = self.plan.moved(grains, grid), motions(self.grains, grid, change)
        field = np.where(self.scan.mask, self.scan.field, 0.0).ravel()
        weight, total = self.weight.ravel(), tile_count(grid)
        step = block_tiles_for(len(grains), block_bytes=None, most=total)
        for start in range(0, total, step):
            tiles = np.arange(start, min(start + step, total))
            sensor = sensors_of_tiles(grid, tiles)
            inside = np.flatnonzero(sensor < grid.size)
            inside = inside[weight[sensor[inside]] > 0]
            sensor = sensor[inside]
            shared = weight[sensor]
            columns, *slopes = (
                np.asarray(columns_on_tiles(plan, grid, tiles=tiles, motion=motion))[:, inside] * shared
                for motion in (None, *(moving[number] for number in free))
            )
            yield Block(columns, shared * field[sensor], shared, sensor, slopes)

    def root(self, change: Float[np.ndarray, "4"]) -> Float[np.ndarray, "row column"]:
        """Triangular factor of the weighted columns and, last, the weighted map, at a changed geometry."""
        width = 3 * len(self.grains) + 1
        factor, waiting = np.zeros((0, width)), []
        for block in self.blocks(change):
            waiting.append(np.column_stack([block.columns.T, block.field]))
            if sum(map(len, waiting)) >= _ROWS_PER_UNKNOWN * width:
                factor, waiting = np.linalg.qr(np.concatenate([factor, *waiting]), mode="r"), []
        return np.linalg.qr(np.concatenate([factor, *waiting]), mode="r") if waiting else factor


class MarginalFit(eqx.Module):
    """The magnetizations at one geometry under a prior N(0, s²), integrated out and at their most probable.

    Attributes
    ----------
    magnetization
        Most probable magnetization, (unknown,), A/m.
    covariance
        Its covariance, (unknown, unknown), (A/m)².
    misfit
        Least sum of squares of (residual / noise) and (magnetization / prior).
    residual_square
        Weighted sum of squares of the residual.
    effective_unknowns
        Number of unknowns that the data determine.
    log_determinant
        Of 1 + s² QᵀW²Q / σ².
    variance, prior
        σ² of a sensor of weight one, and s.
    """

    magnetization: Float[np.ndarray, " unknown"]
    covariance: Float[np.ndarray, "unknown unknown"]
    misfit: float
    residual_square: float
    effective_unknowns: float
    log_determinant: float
    variance: float
    prior: float

    @classmethod
    def from_root(cls, root: Float[np.ndarray, "row column"], *, variance: float, prior: float) -> "MarginalFit":
        """Solve by a second triangular factor, of the rows and those of the prior: nothing is squared."""
        unknowns = root.shape[1] - 1
        scale = np.append(np.full(unknowns, prior), 1.0) / np.sqrt(variance)
        rows = np.concatenate([np.eye(unknowns, unknowns + 1), root * scale])
        factor = np.linalg.qr(rows, mode="r")
        triangle, corner = factor[:unknowns, :unknowns], factor[unknowns:, unknowns]
        inverse = solve_triangular(triangle, np.eye(unknowns))
        magnetization = prior * solve_triangular(triangle, factor[:unknowns, unknowns])
        away = root @ np.append(magnetization, -1.0)
        return cls(
            magnetization=magnetization,
            covariance=prior**2 * inverse @ inverse.T,
            misfit=float(corner @ corner),
            residual_square=float(away @ away),
            effective_unknowns=unknowns - float(np.sum(inverse**2)),
            log_determinant=2 * float(np.sum(np.log(np.abs(np.diagonal(triangle))))),
            variance=variance,
            prior=prior,
        )

    @property
    def objective(self) -> float:
        """What a fit of geometry maximizes: minus half the sum of misfit and effective number of unknowns.

        The penalized log likelihood, ``-½ (|W(φ - QM)|²/σ² + |M|²/s²)`` at the best M, has a slope that noise pulls
        away from zero at the true geometry by half that of the effective number of unknowns: taking that off makes the
        slope unbiased (an adjusted profile likelihood, McCullagh & Tibshirani 1990). The evidence takes off half of the
        log determinant instead, which is unbiased only for magnetizations as large as the prior; for those of rock,
        which are far smaller, it prefers sensors that are too high.
        """
        return -0.5 * (self.misfit + self.effective_unknowns)

    def log_evidence(self, weight: Float[np.ndarray, "ny nx"]) -> float:
        """Logarithm of the density of the map, ``φ ~ N(0, σ²W⁻² + s² QQᵀ)``, per nT of every sensor in use."""
        used = weight[weight > 0]
        norm = len(used) * np.log(2 * np.pi * self.variance) - 2 * np.sum(np.log(used))
        return -0.5 * (self.misfit + self.log_determinant + float(norm))


def noise_of_residual(root: Float[np.ndarray, "row column"], *, used: int, prior: float, start: float) -> MarginalFit:
    """The linear part with the variance that its own residual shows, per degree of freedom."""
    part = MarginalFit.from_root(root, variance=start, prior=prior)
    for _ in range(_ROUNDS):
        variance = max(part.residual_square / max(used - part.effective_unknowns, 1.0), np.finfo(float).tiny)
        if abs(variance / part.variance - 1) < _CONVERGED:
            break
        part = MarginalFit.from_root(root, variance=variance, prior=prior)
    return part


_ROUNDS = 50
_CONVERGED = 1e-6


class Slopes(eqx.Module):
    """Derivatives of the objective along the free parameters.

    Attributes
    ----------
    gradient
        Of `MarginalFit.objective`.
    information
        Minus its second derivatives but for those that vanish with the residual (Gauss–Newton).
    response
        How the most probable magnetization follows the parameters in that approximation, (unknown, param).
    """

    gradient: Float[np.ndarray, " param"]
    information: Float[np.ndarray, "param param"]
    response: Float[np.ndarray, "unknown param"]


def slopes_of(survey: Survey, change: Float[np.ndarray, "4"], part: MarginalFit, *, free: tuple[int, ...]) -> Slopes:
    """Differentiate by a second pass over the rows: variable projection, with the columns' derivatives by JAX.

    At the best M the slope of the misfit is ``-2 rᵀW² (∂Q) M / σ²``, for M need not follow; that of the effective
    number of unknowns is ``2 tr(F⁻² QᵀW²∂Q) / (s²σ²)`` with ``F = QᵀW²Q/σ² + 1/s²``.
    """
    squared = part.covariance @ part.covariance / part.prior**2
    count = len(free)
    gradient, square = np.zeros(count), np.zeros((count, count))
    projected = np.zeros((len(part.magnetization), count))
    for block in survey.blocks(change, free=free):
        residual = block.field - part.magnetization @ block.columns
        moving = np.stack([part.magnetization @ slope for slope in block.slopes])
        narrowed = squared @ block.columns
        gradient += moving @ residual - [np.vdot(narrowed, slope) for slope in block.slopes]
        square += moving @ moving.T
        projected += block.columns @ moving.T
    response = -part.covariance @ projected / part.variance
    return Slopes(gradient / part.variance, (square + projected.T @ response) / part.variance, response)


def maps_of(
    survey: Survey, change: Float[np.ndarray, "4"], part: MarginalFit, slopes: Slopes, *, free: tuple[int, ...]
) -> Float[np.ndarray, "map ny nx"]:
    """Weighted residual, and for each parameter the weighted pattern by which the map tells it from magnetizations."""
    maps = np.zeros((1 + len(free), survey.scan.grid.size))
    for block in survey.blocks(change, free=free):
        maps[0, block.sensor] = block.field - part.magnetization @ block.columns
        for number, slope in enumerate(block.slopes):
            pattern = part.magnetization @ slope + slopes.response[:, number] @ block.columns
            maps[1 + number, block.sensor] = pattern
    return maps.reshape(-1, *survey.scan.grid.shape)
