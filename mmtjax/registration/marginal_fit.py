"""The most probable unknowns at one geometry, and the derivatives of the objective that a fit of geometry maximizes."""

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
from mmtjax.patterns.base import AbstractPattern
from mmtjax.precision import AnyArray, ArrayLike
from mmtjax.registration.alignment import motions, moved_grains, moved_grid
from mmtjax.scan.scan import Scan
from mmtjax.solvers.orthogonal import equilibrated_root, with_prior
from mmtjax.solvers.triangular_factor import TriangularFactor
from mmtjax.sources.grains import Grains
from mmtjax.unknowns import Component, Unknowns, UnknownSet

#: The map as one more column, the last.
_MAP = Unknowns((UnknownSet("map", 1, (Component("field", "nT"),)),))

#: Iterations of the noise with the fit at most, and the relative change of the variance at which they stop.
_ROUNDS = 50
_CONVERGED = 1e-6


class Block(eqx.Module):
    """Some weighted rows of the least-squares problem, with their derivatives.

    Attributes
    ----------
    columns
        Columns of all unknowns, those of the grains first.
    field
        The weighted map, nT.
    sensor
        Index of the sensor of each row in the flattened map.
    slopes
        Derivatives of the columns of the grains along each free parameter; other columns do not depend on these.
    """

    columns: Float[np.ndarray, "unknown row"]
    field: Float[np.ndarray, " row"]
    sensor: Int[np.ndarray, " row"]
    slopes: list[Float[np.ndarray, "moving row"]]


class Survey(eqx.Module):
    """A map with its weights, the grains at the geometry that was given, and a background.

    Parameters
    ----------
    scan, grains
        The map and its grains.
    weight
        The weight of each sensor; zero for sensors that are not used.
    tolerance
        Largest error of a coefficient as a share of the peak of its grain.
    background
        A pattern that is solved for together with the grains, or None.
    """

    grains: Grains
    scan: Scan
    weight: Float[np.ndarray, "ny nx"]
    plan: FieldPlan
    background: AbstractPattern | None

    def __init__(
        self,
        scan: Scan,
        grains: Grains,
        *,
        weight: ArrayLike,
        tolerance: float,
        background: AbstractPattern | None = None,
    ) -> None:
        self.grains, self.scan, self.weight = grains, scan, np.asarray(weight)
        self.plan = plan_field(grains, scan.grid, tolerance=tolerance)
        self.background = background

    @property
    def field(self) -> Float[np.ndarray, "ny nx"]:
        """The map with zeros where sensors are not used, nT."""
        return np.where(self.scan.mask, np.asarray(self.scan.field), 0.0)

    def green(self, change: Float[np.ndarray, "4"]) -> TiledGreen:
        """Return the operator of the grains at a changed geometry."""
        grains, grid = moved_grains(self.grains, self.scan.grid, change), moved_grid(self.scan.grid, change)
        plan = self.plan.moved(grains, grid)
        return TiledGreen(grains, grid, tolerance=plan.tolerance, reuse_plan=plan)

    def blocks(self, change: Float[np.ndarray, "4"], *, free: tuple[int, ...] = ()) -> Iterator[Block]:
        """Yield the weighted rows at a changed geometry, with derivatives along the `free` parameters.

        Parameters
        ----------
        change
            Change of the four parameters.
        free
            Indices of the parameters to differentiate by.
        """
        green = self.green(change)
        moving = motions(self.grains, green.grid, change)
        field, weight = self.field.ravel(), self.weight.ravel()
        background = self._background_columns()
        for tiles, sensors in green.frame.blocks():
            inside = np.flatnonzero(sensors < green.grid.size)
            inside = inside[weight[sensors[inside]] > 0]
            sensor = sensors[inside]
            shared = weight[sensor]
            columns, *slopes = (
                np.asarray(columns_on_tiles(green.plan, green.grid, tiles=tiles, motion=motion))[:, inside] * shared
                for motion in (None, *(moving[number] for number in free))
            )
            if background is not None:
                columns = np.concatenate([columns, background[:, sensor] * shared])
            yield Block(columns, shared * field[sensor], sensor, slopes)

    def root(self, change: Float[np.ndarray, "4"]) -> Float[np.ndarray, "column column"]:
        """Return the triangular factor of the weighted columns and, last, the weighted map, at a changed geometry."""
        green = self.green(change)
        patterns = [] if self.background is None else [DenseGreen.from_pattern(self.background, green.frame)]
        field = DenseGreen(self.field.reshape(1, -1), green.frame, _MAP)
        return np.asarray(StackedGreen((green, *patterns, field)).root(self.weight))

    def misfit_without_grains(self, precision: Float[np.ndarray, " unknown"], *, variance: float) -> float:
        """Return the misfit of a fit of the background alone; without a background, the weighted square of the map.

        Parameters
        ----------
        precision
            Precision that priors give to each unknown.
        variance
            σ² of a sensor of weight one, nT².
        """
        field, columns = (self.weight * self.field).ravel(), self._background_columns()
        if columns is None:
            return float(np.sum(field**2)) / variance
        ridge = variance * precision[len(precision) - len(columns) :]
        rows = np.concatenate([(columns * self.weight.ravel()).T, np.diag(np.sqrt(ridge))])
        rows /= np.linalg.norm(rows, axis=0)
        right = np.append(field, np.zeros(len(ridge)))
        coefficients, *_ = np.linalg.lstsq(rows, right)
        return float(np.sum((right - rows @ coefficients) ** 2)) / variance

    def _background_columns(self) -> Float[np.ndarray, "component sensor"] | None:
        """Return the maps of the background, flattened; they do not depend on the parameters that are fitted."""
        if self.background is None:
            return None
        grid = self.scan.grid
        return np.asarray(self.background.columns(grid)).reshape(-1, grid.size)


class MarginalFit(eqx.Module):
    """The most probable unknowns at one geometry under normal priors, with what integrating over them gives.

    Attributes
    ----------
    values
        Most probable unknowns: magnetizations, A/m, and then the coefficients of a background.
    covariance
        Their covariance.
    misfit
        Least sum of squares of (residual / noise) and (unknown / standard deviation of its prior).
    residual_square
        Weighted sum of squares of the residual, nT².
    effective_unknowns
        Number of unknowns that the data determine.
    log_determinant
        Logarithm of the determinant of 1 + S QᵀW²Q S / σ², with S the standard deviations of the priors; an unknown
        without a prior has S = 1 and no 1.
    variance
        σ² of a sensor of weight one, nT².
    precision
        Precision (1/variance) of the prior of each unknown; zero for no prior.
    """

    values: Float[np.ndarray, " unknown"]
    covariance: Float[np.ndarray, "unknown unknown"]
    misfit: float
    residual_square: float
    effective_unknowns: float
    log_determinant: float
    variance: float
    precision: Float[np.ndarray, " unknown"]

    @classmethod
    def from_root(
        cls, root: Float[AnyArray, "column column"], *, variance: float, precision: Float[np.ndarray, " unknown"]
    ) -> "MarginalFit":
        """Solve with a second triangular factor, of the rows and those of the prior, so that nothing is squared.

        Parameters
        ----------
        root
            Triangular factor of the weighted columns and, last, the weighted map.
        variance
            σ² of a sensor of weight one, nT².
        precision
            Precision of the prior of each unknown; zero for no prior.
        """
        unknowns, ridge = len(precision), variance * precision
        # The map has no prior, so that the last column of the factor solves for it.
        triangle, scale = with_prior(equilibrated_root(jnp.asarray(root)), jnp.asarray(np.append(ridge, 0.0)))
        factor = TriangularFactor.of(triangle[:unknowns, :unknowns], scale[:unknowns])
        covariance = variance * np.asarray(factor.inverse_columns(np.eye(unknowns)))
        values = np.asarray(_back_substituted(factor, triangle[:unknowns, -1] * scale[-1]))
        away = np.asarray(root) @ np.append(values, -1.0)
        proper = ridge > 0
        free = np.count_nonzero(~proper) * np.log(variance)
        return cls(
            values=values,
            covariance=covariance,
            misfit=float((triangle[-1, -1] * scale[-1]) ** 2) / variance,
            residual_square=float(away @ away),
            effective_unknowns=unknowns - float(np.diagonal(covariance) @ precision),
            log_determinant=float(factor.log_determinant() - np.sum(np.log(ridge[proper])) - free),
            variance=variance,
            precision=precision,
        )

    @property
    def objective(self) -> float:
        """What a fit of geometry maximizes: minus half the sum of misfit and effective number of unknowns.

        The penalized log likelihood, ``-½ (|W(φ - Qm)|²/σ² + |m|²/s²)`` at the most probable m, has a slope that noise
        moves away from zero at the true geometry, by half of the slope of the effective number of unknowns. With this
        number subtracted, the slope has no bias (an adjusted profile likelihood, McCullagh & Tibshirani 1990). The
        evidence subtracts half of the log determinant instead, which has no bias only for magnetizations as large as
        the prior; for those of rock, which are far smaller, it prefers sensors that are too high.
        """
        return -0.5 * (self.misfit + self.effective_unknowns)

    def log_evidence(self, weight: Float[np.ndarray, "ny nx"]) -> float:
        """Return the logarithm of the density of the map, ``φ ~ N(0, σ²W⁻² + s² QQᵀ)``, per nT of each sensor used.

        Unknowns without a prior are integrated over with a density of one per unit.

        Parameters
        ----------
        weight
            The weight of each sensor.
        """
        used = weight[weight > 0]
        improper = np.count_nonzero(self.precision == 0)
        norm = len(used) * np.log(2 * np.pi * self.variance) - 2 * np.sum(np.log(used)) - improper * np.log(2 * np.pi)
        return -0.5 * (self.misfit + self.log_determinant + float(norm))


def _back_substituted(factor: TriangularFactor, values: AnyArray) -> AnyArray:
    """Return ``diag(1/s) R⁻¹ v``."""
    return solve(factor.factor, values) / factor.scale


def noise_of_residual(
    root: Float[np.ndarray, "row column"], *, used: int, precision: Float[np.ndarray, " unknown"], start: float
) -> MarginalFit:
    """Return the fit whose variance is that of its own residual per degree of freedom.

    Parameters
    ----------
    root
        As for `MarginalFit.from_root`.
    used
        Number of sensors in use.
    precision
        Precision of the prior of each unknown.
    start
        Variance to start from, nT².
    """
    part = MarginalFit.from_root(root, variance=start, precision=precision)
    for _ in range(_ROUNDS):
        variance = max(part.residual_square / max(used - part.effective_unknowns, 1.0), np.finfo(float).tiny)
        if abs(variance / part.variance - 1) < _CONVERGED:
            break
        part = MarginalFit.from_root(root, variance=variance, precision=precision)
    return part


class Slopes(eqx.Module):
    """Derivatives of the objective along the free parameters.

    Attributes
    ----------
    gradient
        First derivatives of `MarginalFit.objective`.
    information
        Minus its second derivatives, without terms that vanish with the residual (Gauss–Newton).
    response
        Derivatives of the most probable unknowns along the parameters, in the same approximation.
    """

    gradient: Float[np.ndarray, " param"]
    information: Float[np.ndarray, "param param"]
    response: Float[np.ndarray, "unknown param"]


def slopes_of(survey: Survey, change: Float[np.ndarray, "4"], part: MarginalFit, *, free: tuple[int, ...]) -> Slopes:
    """Return derivatives of the objective from a second pass over the rows (variable projection).

    At the most probable m the slope of the misfit is ``-2 rᵀW² (∂Q) m / σ²``, because m is stationary. That of the
    effective number of unknowns is ``2 tr(F⁻¹ Λ F⁻¹ QᵀW²∂Q) / σ²`` with ``F = QᵀW²Q/σ² + Λ`` and the precision Λ of the
    priors.

    Parameters
    ----------
    survey
        The map and its grains.
    change
        Change of the four parameters.
    part
        The fit at that change.
    free
        Indices of the parameters to differentiate by.
    """
    squared = (part.covariance * part.precision) @ part.covariance
    count, moving_unknowns = len(free), survey.grains.unknowns.size
    magnetization, squared = part.values[:moving_unknowns], squared[:moving_unknowns]
    gradient, square = np.zeros(count), np.zeros((count, count))
    projected = np.zeros((len(part.values), count))
    for block in survey.blocks(change, free=free):
        residual = block.field - part.values @ block.columns
        moving = np.stack([magnetization @ slope for slope in block.slopes])
        narrowed = squared @ block.columns
        gradient += moving @ residual - [np.vdot(narrowed, slope) for slope in block.slopes]
        square += moving @ moving.T
        projected += block.columns @ moving.T
    response = -part.covariance @ projected / part.variance
    return Slopes(gradient / part.variance, (square + projected.T @ response) / part.variance, response)


def maps_of(
    survey: Survey, change: Float[np.ndarray, "4"], part: MarginalFit, slopes: Slopes, *, free: tuple[int, ...]
) -> Float[np.ndarray, "map ny nx"]:
    """Return the weighted residual, and for each parameter its pattern: its effect that no other unknowns can make.

    Parameters
    ----------
    survey
        The map and its grains.
    change
        Change of the four parameters.
    part, slopes
        The fit at that change and its derivatives.
    free
        Indices of the parameters.
    """
    maps = np.zeros((1 + len(free), survey.scan.grid.size))
    magnetization = part.values[: survey.grains.unknowns.size]
    for block in survey.blocks(change, free=free):
        maps[0, block.sensor] = block.field - part.values @ block.columns
        for number, slope in enumerate(block.slopes):
            maps[1 + number, block.sensor] = magnetization @ slope + slopes.response[:, number] @ block.columns
    return maps.reshape(-1, *survey.scan.grid.shape)
