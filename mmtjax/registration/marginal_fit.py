"""Magnetizations at one geometry, integrated out under a prior, and the derivatives of the objective of a fit."""

from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from mmtjax.field.columns import columns_on_tiles
from mmtjax.field.plan import FieldPlan, plan_field
from mmtjax.greens.dense import DenseGreen
from mmtjax.greens.stacked import StackedGreen
from mmtjax.greens.tiled import TiledGreen
from mmtjax.linalg.triangular import solve
from mmtjax.precision import AnyArray, ArrayLike
from mmtjax.registration.alignment import motions, moved_grains, moved_grid
from mmtjax.scan.scan import Scan
from mmtjax.solvers.orthogonal import equilibrated_root, with_prior
from mmtjax.solvers.triangular_factor import TriangularFactor
from mmtjax.sources.grains import Grains
from mmtjax.unknowns import Component, Unknowns, UnknownSet

#: The map as one more column, the last.
_MAP = Unknowns((UnknownSet("map", 1, (Component("field", "nT"),)),))


class Block(eqx.Module):
    """Some weighted rows: columns (unknown, row), the map (row,), and the flat indices of their sensors."""

    columns: Float[np.ndarray, "unknown row"]
    field: Float[np.ndarray, " row"]
    sensor: Int[np.ndarray, " row"]
    slopes: list[Float[np.ndarray, "unknown row"]]


class Survey(eqx.Module):
    """Map, weights and grains at the geometry that was given."""

    grains: Grains
    scan: Scan
    weight: Float[np.ndarray, "ny nx"]
    plan: FieldPlan

    def __init__(self, scan: Scan, grains: Grains, *, weight: ArrayLike, tolerance: float) -> None:
        self.grains, self.scan, self.weight = grains, scan, np.asarray(weight)
        self.plan = plan_field(grains, scan.grid, tolerance=tolerance)

    @property
    def field(self) -> Float[np.ndarray, "ny nx"]:
        """The map with zeros where sensors are not used, nT."""
        return np.where(self.scan.mask, np.asarray(self.scan.field), 0.0)

    def green(self, change: Float[np.ndarray, "4"]) -> TiledGreen:
        """Return the operator at a changed geometry."""
        grains, grid = moved_grains(self.grains, self.scan.grid, change), moved_grid(self.scan.grid, change)
        plan = self.plan.moved(grains, grid)
        return TiledGreen(grains, grid, tolerance=plan.tolerance, reuse_plan=plan)

    def blocks(self, change: Float[np.ndarray, "4"], *, free: tuple[int, ...] = ()) -> Iterator[Block]:
        """Yield the weighted rows at a changed geometry, some tiles at a time, with slopes along `free` parameters."""
        green = self.green(change)
        moving = motions(self.grains, green.grid, change)
        field, weight = self.field.ravel(), self.weight.ravel()
        for tiles, sensors in green.frame.blocks():
            inside = np.flatnonzero(sensors < green.grid.size)
            inside = inside[weight[sensors[inside]] > 0]
            sensor = sensors[inside]
            shared = weight[sensor]
            columns, *slopes = (
                np.asarray(columns_on_tiles(green.plan, green.grid, tiles=tiles, motion=motion))[:, inside] * shared
                for motion in (None, *(moving[number] for number in free))
            )
            yield Block(columns, shared * field[sensor], sensor, slopes)

    def root(self, change: Float[np.ndarray, "4"]) -> Float[np.ndarray, "column column"]:
        """Return the triangular factor of the weighted columns and, last, the weighted map, at a changed geometry."""
        green = self.green(change)
        measured = DenseGreen(self.field.reshape(1, -1), green.frame, _MAP)
        return np.asarray(StackedGreen((green, measured)).root(self.weight))


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
    def from_root(cls, root: Float[AnyArray, "column column"], *, variance: float, prior: float) -> "MarginalFit":
        """Solve by a second triangular factor, of the rows and those of the prior: nothing is squared.

        Parameters
        ----------
        root
            Triangular factor of the weighted columns and, last, the weighted map.
        variance
            σ² of a sensor of weight one, nT².
        prior
            Standard deviation s of every component, A/m.
        """
        unknowns = root.shape[1] - 1
        precision = variance / prior**2
        # The map has no prior, so that the last column of the factor solves for it.
        ridge = jnp.append(jnp.full(unknowns, precision), 0.0)
        triangle, scale = with_prior(equilibrated_root(jnp.asarray(root)), ridge)
        factor = TriangularFactor.of(triangle[:unknowns, :unknowns], scale[:unknowns])
        covariance = variance * np.asarray(factor.inverse_columns(np.eye(unknowns)))
        magnetization = np.asarray(_back_substituted(factor, triangle[:unknowns, -1] * scale[-1]))
        away = np.asarray(root) @ np.append(magnetization, -1.0)
        return cls(
            magnetization=magnetization,
            covariance=covariance,
            misfit=float((triangle[-1, -1] * scale[-1]) ** 2) / variance,
            residual_square=float(away @ away),
            effective_unknowns=unknowns - float(np.trace(covariance)) / prior**2,
            log_determinant=float(factor.log_determinant()) - unknowns * float(np.log(precision)),
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
        """Return the logarithm of the density of the map, ``φ ~ N(0, σ²W⁻² + s² QQᵀ)``, per nT of each sensor used."""
        used = weight[weight > 0]
        norm = len(used) * np.log(2 * np.pi * self.variance) - 2 * np.sum(np.log(used))
        return -0.5 * (self.misfit + self.log_determinant + float(norm))


def _back_substituted(factor: TriangularFactor, values: AnyArray) -> AnyArray:
    """Return ``diag(1/s) R⁻¹ v``."""
    return solve(factor.factor, values) / factor.scale


def noise_of_residual(root: Float[np.ndarray, "row column"], *, used: int, prior: float, start: float) -> MarginalFit:
    """Return the fit with the variance that its own residual shows, per degree of freedom."""
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
    """Return derivatives of the objective by a second pass over the rows (variable projection).

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
    """Return the weighted residual, and for each parameter the pattern by which it differs from magnetizations."""
    maps = np.zeros((1 + len(free), survey.scan.grid.size))
    for block in survey.blocks(change, free=free):
        maps[0, block.sensor] = block.field - part.magnetization @ block.columns
        for number, slope in enumerate(block.slopes):
            pattern = part.magnetization @ slope + slopes.response[:, number] @ block.columns
            maps[1 + number, block.sensor] = pattern
    return maps.reshape(-1, *survey.scan.grid.shape)
