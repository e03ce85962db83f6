"""The arguments of the kernels for one chunk of work, picked from the tables of all sources by index."""

from functools import cache

import equinox as eqx
import numpy as np
from jaxtyping import Float

from mmtjax.field.kernels import (
    CornerInputs,
    SensorLines,
    SensorPoints,
    SeriesInputs,
    numpy_if_concrete,
    one_by_one,
)
from mmtjax.field.plan import FieldPlan
from mmtjax.physics.harmonics import derivative_matrices, field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.precision import AnyArray
from mmtjax.scan.grid import SensorGrid

#: Columns of a table of pairs: index of the result, row and column of the first sensor of the square, source and part.
TARGET, ROW, COLUMN, SOURCE, PART = range(5)

#: Chunks of work have two more: the row of the table of inputs, and the index of the limit between the two forms.
ENTRY, LIMIT = 5, 6


class Frame(eqx.Module):
    """Positions of sources, of their parts relative to them, and of sensors, µm."""

    position: Float[AnyArray, "source 3"]
    centroid: Float[AnyArray, "part 3"]
    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]
    separate_side: Float[AnyArray, "2"] | None


class MovingFrame(eqx.Module):
    """Positions, and the velocity of each source, µm per unit of a parameter."""

    frame: Frame
    motion: Float[AnyArray, "source 3"]


def frame_of(plan: FieldPlan, grid: SensorGrid) -> Frame:
    """Return the positions of sources, parts and sensors, from which those of a chunk of work are picked."""
    return numpy_if_concrete(
        Frame(plan.position, plan.parts.centroid, grid.origin, grid.spacing, grid.height, grid.separate_side)
    )


def _displacements(frame: Frame, chunk: AnyArray, edge: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return displacements from centroids of parts to the columns, rows and planes of squares of sensors, µm."""
    _, row, column, source, part = chunk[:ENTRY]
    place = frame.position[source] + frame.centroid[part]
    x, y = (
        frame.origin[axis] + frame.spacing[axis] * (first[:, None] + np.arange(edge)) - place[:, axis, None]
        for axis, first in ((0, column), (1, row))
    )
    return x, y, frame.height - place[:, 2]


def gather_series(frame: Frame, inputs: SeriesInputs, chunk: AnyArray) -> tuple[SensorPoints, SeriesInputs]:
    """Return the arguments of the kernel of a series for one chunk of work.

    Parameters
    ----------
    frame
        Positions of all sources and sensors.
    inputs
        Tables for all pairs.
    chunk
        Indices of the items, with the columns `TARGET` to `LIMIT`.
    """
    points = one_by_one(*_displacements(frame, chunk, inputs.edge))
    return points, SeriesInputs(inputs.coefficients[chunk[ENTRY]], inputs.limit[chunk[LIMIT]])


def gather_corners(frame: Frame, inputs: CornerInputs, chunk: AnyArray) -> tuple[SensorLines, CornerInputs]:
    """Return the arguments of the kernel of the closed form for one chunk of work; parameters as `gather_series`."""
    x, y, z = _displacements(frame, chunk, inputs.edge)
    entry = chunk[ENTRY]
    corners = CornerInputs(inputs.offset[entry], inputs.weight[entry], inputs.limit[chunk[LIMIT]])
    return SensorLines(x, y, z, frame.spacing, frame.separate_side), corners


def gather_moved_series(
    moving: MovingFrame, inputs: SeriesInputs, chunk: AnyArray
) -> tuple[SensorPoints, SeriesInputs]:
    """Return the arguments of the kernel of the derivative of a series along the motion of the sources.

    The derivative is a series of the next order. The parameters are those of `gather_series`, with the motion of the
    sources.
    """
    points, chosen = gather_series(moving.frame, inputs, chunk)
    items, components, halves, terms = chosen.coefficients.shape
    flat, motion = chosen.coefficients.reshape(items, components, -1), moving.motion[chunk[SOURCE]]
    matrices = derivative_matrices(order_of(terms))
    along_x, along_y, along_z = (-motion[:, axis, None, None] * (flat @ matrix) for axis, matrix in enumerate(matrices))
    slopes = along_x + along_y + along_z
    return points, SeriesInputs(slopes.reshape(items, components, halves, -1), chosen.limit)


def gather_moved_corners(
    moving: MovingFrame, inputs: CornerInputs, chunk: AnyArray
) -> tuple[SensorLines, CornerInputs, AnyArray]:
    """Return the arguments of the kernel of the derivative of the closed form along the motion of the sources.

    The parameters are those of `gather_series`, with the motion of the sources.
    """
    return *gather_corners(moving.frame, inputs, chunk), moving.motion[chunk[SOURCE]]


@cache
def order_of(terms: int) -> int:
    """Return the order of the series that has this number of terms."""
    return next(order for order in ORDERS if len(field_terms(order)) == terms)
