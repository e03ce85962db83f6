"""Columns of distant sources on squares of sensors, as polynomials through their values at Chebyshev nodes."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.kernels import (
    PAIRS,
    SensorPoints,
    SeriesInputs,
    Step,
    chunks,
    numpy_if_concrete,
    one_by_one,
    series_kernel,
)
from mmtjax.field.plan import FieldPlan
from mmtjax.physics.chebyshev import NODES, interpolation, nodes
from mmtjax.physics.harmonics import field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.precision import AnyArray
from mmtjax.scan.grid import SensorGrid


class DistantPairs(NamedTuple):
    """Pairs of a source and a square of sensors so far from it that its column there is a polynomial.

    Attributes
    ----------
    source
        The source of each pair.
    first
        Indices [row, column] of the first sensor of its square.
    edge
        Number of sensors along an edge of the square.
    form
        Index in `ORDERS` of the order of the series that is accurate enough there.
    """

    source: Int[np.ndarray, " pair"]
    first: Int[np.ndarray, "pair 2"]
    edge: Int[np.ndarray, " pair"]
    form: Int[np.ndarray, " pair"]


def polynomials_of_pairs(
    plan: FieldPlan, grid: SensorGrid, pairs: DistantPairs, *, rows: int
) -> Float[Array, "row component term"]:
    """Return the polynomials that replace the columns of sources on distant squares.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    pairs
        Pairs of a source and a square.
    rows
        Number of rows of the result, at least the number of pairs; more of them save compilations.

    Returns
    -------
    Array
        Factors of the polynomials of `mmtjax.physics.chebyshev.terms`, nT per unit of the component, zero beyond the
        pairs. The polynomials live on the square that extends half a spacing beyond the outer sensors.
    """
    buffer = jnp.zeros((rows, plan.components, interpolation().shape[1]))
    frame = numpy_if_concrete(_NodeFrame(plan.position, grid.origin, grid.spacing, grid.height))
    place = np.arange(len(pairs.source))
    for number, order in enumerate(ORDERS):
        chosen = pairs.form == number
        inputs = SeriesInputs(plan.coefficients[..., : len(field_terms(order))], np.zeros(1))
        source = pairs.source[chosen]
        table = place[chosen], *pairs.first[chosen].T, pairs.edge[chosen], source, plan.parts.root[source]
        buffer = _steps[order].run(buffer, chunks(PAIRS, *table), frame, inputs)
    return buffer


class _NodeFrame(eqx.Module):
    """Positions of sources and sensors, µm."""

    position: Float[AnyArray, "source 3"]
    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]


def _gather(frame: _NodeFrame, inputs: SeriesInputs, chunk: AnyArray) -> tuple[SensorPoints, SeriesInputs]:
    """Return the arguments of the kernel of a series, with the nodes of squares, x fastest, in place of sensors."""
    _, row, column, edge, source, part = chunk
    place = frame.position[source]

    def to_nodes(axis: int, first: AnyArray) -> AnyArray:
        centre = frame.origin[axis] + frame.spacing[axis] * (first + (edge - 1) / 2)
        half = frame.spacing[axis] * edge / 2
        return centre[:, None] + half[:, None] * nodes() - place[:, axis, None]

    points = one_by_one(to_nodes(0, column), to_nodes(1, row), frame.height - place[:, 2])
    return points, SeriesInputs(inputs.coefficients[part], np.zeros(len(source)))


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item component node"]) -> Array:
    """Return the buffer with the polynomials through the values of a chunk at the nodes."""
    factors = values.reshape(-1, NODES**2) @ jnp.asarray(interpolation())
    return buffer.at[chunk[0]].set(factors.reshape(*values.shape[:2], -1), mode="drop")


_steps = {order: Step(series_kernel(order), _gather, _scatter) for order in ORDERS}
