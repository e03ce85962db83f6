"""Derivatives of sums over columns of the Green's matrix with respect to the positions of grains and sensors."""

from math import isqrt

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.columns import corner_work, pairs_by_form, series_work
from mmtjax.field.forms import NEAR, SMALL_SENSOR
from mmtjax.field.gather import (
    COLUMN,
    PART,
    ROW,
    SOURCE,
    TARGET,
    frame_of,
    gather_corners,
    gather_series,
    order_of,
)
from mmtjax.field.kernels import SeriesInputs, compiled
from mmtjax.field.plan import TILE, FieldPlan, tile_corners
from mmtjax.field.slopes import corner_vjp_kernel, mean_vjp_kernel, require_uniform_bodies, series_vjp_kernel
from mmtjax.physics.harmonics import derivative_matrices
from mmtjax.scan.grid import SensorGrid
from mmtjax.units import AXES

#: Number of chunks that JAX computes while the next one is prepared.
_AHEAD = 2

#: Derivatives ∂_j N_i that are computed, along xx, xy, xz, yy and yz; the others follow by symmetry.
_INDEPENDENT = 5


class GeometryGradient(eqx.Module):
    """Derivatives of a number with respect to the geometry of grains and sensors.

    Attributes
    ----------
    position
        With respect to the centroid of each grain, (grain, 3), per µm.
    origin, spacing
        With respect to the origin and the spacing of the grid along x and y, (2,), per µm.
    height
        With respect to the height of the scanning plane, per µm.
    side
        With respect to both edges of the sensors together, per µm. It is kept apart from the derivative with respect to
        the spacing even if the side of the sensors equals their spacing.
    """

    position: Float[np.ndarray, "source 3"]
    origin: Float[np.ndarray, "2"]
    spacing: Float[np.ndarray, "2"]
    height: Float[np.ndarray, ""]
    side: Float[np.ndarray, ""]

    def __add__(self, other: "GeometryGradient") -> "GeometryGradient":
        return jax.tree.map(np.add, self, other)


def slopes_by_side(plan: FieldPlan, grid: SensorGrid) -> Float[np.ndarray, "part 3 2 term"]:
    """Return the derivatives of the series of all parts by both edges of the sensors together, for `vjp_columns`."""
    _, slopes = jax.jvp(plan.parts.series, (jnp.asarray(grid.side),), (jnp.ones(2),))
    return np.asarray(slopes)


def vjp_columns(
    plan: FieldPlan,
    grid: SensorGrid,
    *,
    tiles: Int[np.ndarray, " tile"],
    cotangent: Float[np.ndarray, "unknown row"],
    by_side: Float[np.ndarray, "part 3 2 term"],
) -> GeometryGradient:
    """Return derivatives of ``Σ cotangent · columns`` over some tiles, for the columns of `columns_on_tiles`.

    The form of each pair is the one of its columns. No more than `_AHEAD` + 1 chunks are in memory at a time.

    Parameters
    ----------
    plan
        Plan of the grains for this grid; its geometry may not be traced.
    grid
        Sensors.
    tiles
        Numbers of the tiles.
    cotangent
        Factor of each coefficient, (source · axis, tile · sensor of the tile); zero beyond the grid.
    by_side
        Result of `slopes_by_side`, the same for all tiles.

    Raises
    ------
    ValueError
        If the sources are not uniform bodies.
    """
    count, slots = len(plan.parts.root), len(tiles)
    target = np.arange(count * slots)
    source, slot = np.divmod(target, slots)
    pairs = np.column_stack([target, tile_corners(grid, tiles)[slot], source, plan.parts.root[source]])
    require_uniform_bodies(plan)
    chosen = {form: some for form, some in pairs_by_form(plan, pairs).items() if len(some)}
    total = _Sums(plan, grid, by_side)
    for form, some in chosen.items():
        each = TILE // form.edge
        by_square = cotangent.reshape(count, len(AXES), slots, each, form.edge, each, form.edge)
        if form.number in (NEAR, SMALL_SENSOR):
            work, corners = corner_work(plan, grid, some, edge=form.edge)
            kernel = corner_vjp_kernel if form.number == NEAR else mean_vjp_kernel
            for chunk in work:
                arguments = gather_corners(total.frame, corners, chunk)
                total.append(chunk, compiled(kernel)(*arguments, _factors(by_square, chunk)))
        else:
            work, series = series_work(plan, grid, some, form=form)
            for chunk in work:
                total.add_series(chunk, series, _factors(by_square, chunk))
    total.finish()
    return GeometryGradient(total.position, total.origin, total.spacing, total.height, total.side)


def _factors(
    by_square: Float[np.ndarray, "source 3 slot each edge each edge"], chunk: Int[np.ndarray, "column item"]
) -> Float[np.ndarray, "item 3 sensor"]:
    """Return the cotangent of each item of a chunk, zero for the items that only fill it up."""
    sources, _, slots, each, edge, _, _ = by_square.shape
    real = chunk[TARGET] < sources * slots
    place, (row, column) = np.where(real, chunk[TARGET], 0), chunk[ROW:SOURCE] // edge % each
    factor = by_square[place // slots, :, place % slots, row, :, column, :] * real[:, None, None, None]
    return factor.reshape(len(place), len(AXES), -1)


class _Sums:
    """The derivatives of all chunks so far.

    The result of a chunk is added after `_AHEAD` more chunks have been passed to JAX, which computes these while the
    next ones are prepared.
    """

    def __init__(self, plan: FieldPlan, grid: SensorGrid, by_side: Float[np.ndarray, "part 3 2 term"]) -> None:
        self.frame = frame_of(plan, grid)
        self.position = np.zeros((len(plan.parts.root), len(AXES)))
        self.origin, self.spacing, self.height, self.side = np.zeros(2), np.zeros(2), np.zeros(()), np.zeros(())
        self.coefficients_by_side = by_side
        self.pending: list[tuple[np.ndarray, tuple[Float[Array, "item sensor"], ...]]] = []

    def add_series(self, chunk: np.ndarray, inputs: SeriesInputs, factor: np.ndarray) -> None:
        """Add the derivatives of a chunk of series; the derivative of a series is a series of the next order."""
        points, chosen = gather_series(self.frame, inputs, chunk)
        terms = chosen.coefficients.shape[-1]
        order = order_of(terms)
        along_x, along_y, _ = derivative_matrices(order)
        # One product of matrices for the whole chunk is faster than a small one for each item.
        axes = len(AXES)
        flat = chosen.coefficients.reshape(axes * len(factor), -1)
        by_x, by_y = ((flat @ matrix).reshape(len(factor), axes, 2, -1) for matrix in (along_x, along_y))
        # Along xx, xy, xz, yy and yz, followed by the three columns by the side.
        coefficients = np.zeros((len(factor), _INDEPENDENT + axes, *by_x.shape[2:]))
        coefficients[:, :axes], coefficients[:, axes:_INDEPENDENT] = by_x, by_y[:, 1:]
        coefficients[:, _INDEPENDENT:, :, :terms] = self.coefficients_by_side[chunk[PART], ..., :terms]
        self.append(chunk, compiled(series_vjp_kernel(order + 1))(points, coefficients, factor))

    def finish(self) -> None:
        """Add the results of all chunks that JAX still computes."""
        while self.pending:
            self._add(*self.pending.pop(0))

    def append(self, chunk: np.ndarray, slopes: tuple[Float[Array, "item sensor"], ...]) -> None:
        """Keep the results of a chunk, and add those of the oldest chunk if there are enough."""
        self.pending.append((chunk, slopes))
        if len(self.pending) > _AHEAD:
            self._add(*self.pending.pop(0))

    def _add(self, chunk: np.ndarray, slopes: tuple[Float[Array, "item sensor"], ...]) -> None:
        """Add derivatives along the displacements from parts to sensors (x, y, z), and by the side of the sensors."""
        row, column, source = chunk[ROW], chunk[COLUMN], chunk[SOURCE]
        edge = isqrt(slopes[0].shape[1])
        by_x, by_y, by_z, by_side = (np.asarray(slope).reshape(-1, edge, edge) for slope in slopes)
        # The sensors in one column of a square have the same x, those in one row the same y.
        for axis, slope, first, across in ((0, by_x, column, 1), (1, by_y, row, 2)):
            along = slope.sum(axis=across)
            each = along.sum(axis=1)
            self.origin[axis] += each.sum()
            self.spacing[axis] += np.sum(along * (first[:, None] + np.arange(edge)))
            np.add.at(self.position[:, axis], source, -each)
        up = by_z.sum(axis=(1, 2))
        self.height += up.sum()
        np.add.at(self.position[:, 2], source, -up)
        self.side += by_side.sum()
