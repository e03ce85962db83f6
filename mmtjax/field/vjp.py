"""Derivatives of sums over columns of the Green's matrix with respect to where grains and sensors are."""

from functools import cache
from math import isqrt

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.columns import (
    corner_work,
    frame_of,
    gather_corners,
    gather_series,
    order_of,
    pairs_by_form,
    series_work,
)
from mmtjax.field.forms import NEAR
from mmtjax.field.kernels import Inputs
from mmtjax.field.plan import TILE, FieldPlan, tile_corners
from mmtjax.field.slopes import corner_vjp_kernel, require_uniform_bodies, series_vjp_kernel
from mmtjax.physics.harmonics import derivative_matrices
from mmtjax.scan.grid import SensorGrid
from mmtjax.units import AXES

#: Chunks that JAX works on while the next one is prepared.
_AHEAD = 2


class GeometryGradient(eqx.Module):
    """Derivatives of a number with respect to the geometry of grains and sensors.

    Attributes
    ----------
    position
        With respect to the centroid of each grain, (grain, 3).
    origin, spacing
        Of the grid of sensors, (2,): x and y.
    height
        Of the scanning plane.
    side
        Both edges of the sensors together. Where sensors adjoin, their side is the spacing; the two are told apart.
    """

    position: Float[np.ndarray, "source 3"]
    origin: Float[np.ndarray, "2"]
    spacing: Float[np.ndarray, "2"]
    height: Float[np.ndarray, ""]
    side: Float[np.ndarray, ""]

    def __add__(self, other: "GeometryGradient") -> "GeometryGradient":
        return jax.tree.map(np.add, self, other)


def slopes_by_side(plan: FieldPlan, grid: SensorGrid) -> Float[np.ndarray, "part 3 2 term"]:
    """Derivatives of the series of all parts by both edges of the sensors together, for `vjp_columns`."""
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
    """Derivatives of ``Σ cotangent · columns`` over some tiles, for columns as `columns_on_tiles` makes them.

    Forms are chosen as for the columns, chunks are as large, and nothing but one chunk is held. Geometry is known, not
    traced.

    Parameters
    ----------
    plan
        Plan of the grains for this grid.
    grid
        Sensors.
    tiles
        Numbers of the tiles.
    cotangent
        Factor of each coefficient, (3 grains, tile · sensor of the tile); zero beyond the grid.
    by_side
        As `slopes_by_side` gives them: the same for all tiles.
    """
    count, slots = len(plan.parts.root), len(tiles)
    target = np.arange(count * slots)
    source, slot = np.divmod(target, slots)
    pairs = np.column_stack([target, tile_corners(grid, tiles)[slot], source, plan.parts.root[source]])
    require_uniform_bodies(plan)
    chosen = {form: some for form, some in pairs_by_form(plan, pairs).items() if len(some)}
    total = _Sums(plan, grid, by_side)
    for form, some in chosen.items():
        add, (work, inputs) = (
            (total.add_corners, corner_work(plan, grid, some, edge=form.edge))
            if form.number == NEAR
            else (total.add_series, series_work(plan, grid, some, form=form))
        )
        each = TILE // form.edge
        by_square = cotangent.reshape(count, len(AXES), slots, each, form.edge, each, form.edge)
        for chunk in work:
            real = chunk[0] < len(target)
            place, (row, column) = np.where(real, chunk[0], 0), chunk[1:3] // form.edge % each
            factor = by_square[place // slots, :, place % slots, row, :, column, :] * real[:, None, None, None]
            add(chunk, inputs, factor.reshape(len(place), len(AXES), -1))
    total.finish()
    return GeometryGradient(total.position, total.origin, total.spacing, total.height, total.side)


class _Sums:
    """Derivatives of all chunks so far.

    A chunk is added up when `_AHEAD` more have been handed to JAX, which computes these while others are prepared.
    """

    def __init__(self, plan: FieldPlan, grid: SensorGrid, by_side: Float[np.ndarray, "part 3 2 term"]) -> None:
        self.frame = frame_of(plan, grid)
        self.position = np.zeros((len(plan.parts.root), len(AXES)))
        self.origin, self.spacing, self.height, self.side = np.zeros(2), np.zeros(2), np.zeros(()), np.zeros(())
        self.coefficients_by_side = by_side
        self.waiting: list[tuple[np.ndarray, tuple[Float[Array, "item sensor"], ...]]] = []

    def add_series(self, chunk: np.ndarray, inputs: Inputs, factor: np.ndarray) -> None:
        """The derivative of a series along an axis is a series of the next order."""
        item, chosen = gather_series(self.frame, inputs, chunk)
        terms = chosen.values.shape[-1]
        order = order_of(terms)
        along_x, along_y, _ = derivative_matrices(order)
        # One product of matrices for the whole chunk, not a small one for each item.
        axes = len(AXES)
        flat = chosen.values.reshape(axes * len(factor), -1)
        by_x, by_y = ((flat @ matrix).reshape(len(factor), axes, 2, -1) for matrix in (along_x, along_y))
        # Along xx, xy, xz, yy and yz, and the three columns by the side.
        coefficients = np.zeros((len(factor), 5 + axes, *by_x.shape[2:]))
        coefficients[:, :axes], coefficients[:, axes:5] = by_x, by_y[:, 1:]
        coefficients[:, 5:, :, :terms] = self.coefficients_by_side[chunk[4], ..., :terms]
        self._append(chunk, _compiled(series_vjp_kernel(order + 1))(item, coefficients, factor))

    def add_corners(self, chunk: np.ndarray, inputs: Inputs, factor: np.ndarray) -> None:
        self._append(chunk, _compiled(corner_vjp_kernel)(*gather_corners(self.frame, inputs, chunk), factor))

    def finish(self) -> None:
        """Add up what still waits."""
        while self.waiting:
            self._add(*self.waiting.pop(0))

    def _append(self, chunk: np.ndarray, slopes: tuple[Float[Array, "item sensor"], ...]) -> None:
        self.waiting.append((chunk, slopes))
        if len(self.waiting) > _AHEAD:
            self._add(*self.waiting.pop(0))

    def _add(self, chunk: np.ndarray, slopes: tuple[Float[Array, "item sensor"], ...]) -> None:
        """Slopes along displacements from parts to sensors, and by the side of sensors."""
        _, row, column, grain, _ = chunk[:5]
        edge = isqrt(slopes[0].shape[1])
        by_x, by_y, by_z, by_side = (np.asarray(slope).reshape(-1, edge, edge) for slope in slopes)
        # Sensors of one column of a square share x, those of one row share y.
        for axis, slope, first, across in ((0, by_x, column, 1), (1, by_y, row, 2)):
            along = slope.sum(axis=across)
            each = along.sum(axis=1)
            self.origin[axis] += each.sum()
            self.spacing[axis] += np.sum(along * (first[:, None] + np.arange(edge)))
            np.add.at(self.position[:, axis], grain, -each)
        up = by_z.sum(axis=(1, 2))
        self.height += up.sum()
        np.add.at(self.position[:, 2], grain, -up)
        self.side += by_side.sum()


_compiled = cache(jax.jit)
