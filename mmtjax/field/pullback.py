"""Derivatives of sums over columns of the Green's matrix with respect to where grains and sensors are."""

from functools import cache

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
from mmtjax.field.harmonics import derivative_matrices
from mmtjax.field.kernels import Inputs, corner_slopes, series_kernel
from mmtjax.field.plan import NEAR, TILE, FieldPlan, tile_corners
from mmtjax.field.series import series_coefficients
from mmtjax.scan.grid import SensorGrid


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

    position: Float[np.ndarray, "grain 3"]
    origin: Float[np.ndarray, "2"]
    spacing: Float[np.ndarray, "2"]
    height: Float[np.ndarray, ""]
    side: Float[np.ndarray, ""]

    def __add__(self, other: "GeometryGradient") -> "GeometryGradient":
        return jax.tree.map(np.add, self, other)


def pull_back(
    plan: FieldPlan, grid: SensorGrid, *, tiles: Int[np.ndarray, " tile"], cotangent: Float[np.ndarray, "unknown row"]
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
    """
    grains, slots = len(plan.shapes.root), len(tiles)
    target = np.arange(grains * slots)
    grain, slot = np.divmod(target, slots)
    pairs = np.column_stack([target, tile_corners(grid, tiles)[slot], grain, plan.shapes.root[grain]])
    by_tile = cotangent.reshape(grains, 3, slots, TILE * TILE)
    chosen = {number: some for number, some in pairs_by_form(plan, pairs).items() if len(some)}
    total = _Sums(plan, grid, parts=np.concatenate([some[:, 4] for some in chosen.values()]))
    for number, some in chosen.items():
        add, (work, inputs) = (
            (total.add_corners, corner_work(plan, grid, some))
            if number == NEAR
            else (total.add_series, series_work(plan, grid, some, number=number))
        )
        for chunk in work:
            real = chunk[0] < len(target)
            place = np.where(real, chunk[0], 0)
            add(chunk, inputs, by_tile[place // slots, :, place % slots, :] * real[:, None, None])
    return GeometryGradient(total.position, total.origin, total.spacing, total.height, total.side)


class _Sums:
    """Derivatives of all chunks so far."""

    def __init__(self, plan: FieldPlan, grid: SensorGrid, *, parts: Int[np.ndarray, " part"]) -> None:
        self.frame = frame_of(plan, grid)
        self.position = np.zeros((len(plan.shapes.root), 3))
        self.origin, self.spacing, self.height, self.side = np.zeros(2), np.zeros(2), np.zeros(()), np.zeros(())
        self.parts, edges = np.unique(parts), jnp.asarray(grid.side)
        moments = plan.shapes.moments[self.parts]
        _, slopes = jax.jvp(lambda side: series_coefficients(moments, side), (edges,), (jnp.ones(2),))
        self.coefficient_slopes = np.asarray(slopes)

    def add_series(self, chunk: np.ndarray, inputs: Inputs, factor: np.ndarray) -> None:
        """The derivative of a series along an axis is a series of the next order."""
        item, chosen = gather_series(self.frame, inputs, chunk)
        terms = chosen.values.shape[-1]
        flat, order = chosen.values.reshape(len(factor), 3, -1), order_of(terms)
        slopes = []
        for matrix in derivative_matrices(order):
            higher = (flat @ matrix).reshape(len(factor), 3, 2, -1)
            slopes.append(_compiled(series_kernel(order + 1))(item, Inputs(higher, chosen.limit)))
        wider = self.coefficient_slopes[np.searchsorted(self.parts, chunk[4])][..., :terms]
        slopes.append(_compiled(series_kernel(order))(item, Inputs(wider, chosen.limit)))
        self._add(chunk, np.stack(slopes, axis=1), factor)

    def add_corners(self, chunk: np.ndarray, inputs: Inputs, factor: np.ndarray) -> None:
        slopes = _compiled(corner_slopes)(*gather_corners(self.frame, inputs, chunk))
        self._add(chunk, np.asarray(slopes), factor)

    def _add(
        self,
        chunk: np.ndarray,
        slopes: Float[np.ndarray, "item 4 3 sensor"],
        factor: Float[np.ndarray, "item 3 sensor"],
    ) -> None:
        """Slopes along displacements from parts to sensors, and by the side of sensors."""
        _, row, column, grain, _ = chunk[:5]
        pulled = np.asarray(_contracted(slopes, factor)).reshape(-1, 4, TILE, TILE)
        # Sensors of one column of a tile share x, those of one row share y.
        for axis, first, across in ((0, column, 1), (1, row, 2)):
            along = pulled[:, axis].sum(axis=across)
            each = along.sum(axis=1)
            self.origin[axis] += each.sum()
            self.spacing[axis] += np.sum(along * (first[:, None] + np.arange(TILE)))
            np.add.at(self.position[:, axis], grain, -each)
        up = pulled[:, 2].sum(axis=(1, 2))
        self.height += up.sum()
        np.add.at(self.position[:, 2], grain, -up)
        self.side += pulled[:, 3].sum()


_compiled = cache(jax.jit)


@jax.jit
def _contracted(slopes: Array, factor: Array) -> Array:
    return jnp.einsum("iacs,ics->ias", slopes, factor)
