"""Distant columns of the Green's matrix on rectangles of sensors, as polynomials found from values at nodes."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.field.kernels import PAIRS, Inputs, Item, Step, at_hand, chunks, one_by_one, series_kernel
from mmtjax.field.plan import FieldPlan
from mmtjax.physics.chebyshev import NODES, interpolation, nodes
from mmtjax.physics.harmonics import field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.scan.grid import SensorGrid

AnyArray = np.ndarray | Array


def polynomials_of_pairs(
    plan: FieldPlan,
    grid: SensorGrid,
    *,
    grain: np.ndarray,
    first: np.ndarray,
    count: np.ndarray,
    form: np.ndarray,
    rows: int,
) -> Float[Array, "row 3 term"]:
    """Polynomials that stand for the columns of grains on squares of `count` × `count` sensors each, nT per A/m.

    Each pair is a grain and the indices [row, column] of the `first` sensor of a square; `form` is the number of the
    series that holds there, an index into `ORDERS`. Factors are those of `polynomial.terms` on the square that reaches
    half a spacing beyond the outer sensors. The result has as many `rows` as are wanted, zero beyond the pairs.
    """
    buffer = jnp.zeros((rows, 3, interpolation().shape[1]))
    frame = at_hand(_Frame(plan.position, grid.origin, grid.spacing, grid.height))
    place = np.arange(len(grain))
    for number, order in enumerate(ORDERS):
        chosen = form == number
        inputs = Inputs(plan.coefficients[..., : len(field_terms(order))], np.zeros(1))
        table = place[chosen], *first[chosen].T, count[chosen], grain[chosen], plan.shapes.root[grain[chosen]]
        buffer = _steps[order].run(buffer, chunks(PAIRS, *table), frame, inputs)
    return buffer


class _Frame(eqx.Module):
    """Where grains and sensors are."""

    position: Float[AnyArray, "grain 3"]
    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]


def _gather(frame: _Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """Displacements from the centroids of grains to the nodes of squares, x fastest."""
    _, row, column, count, grain, part = chunk
    place = frame.position[grain]
    lines = []
    for axis, first in ((0, column), (1, row)):
        centre = frame.origin[axis] + frame.spacing[axis] * (first + (count - 1) / 2)
        half = frame.spacing[axis] * count / 2
        lines.append(centre[:, None] + half[:, None] * nodes() - place[:, axis, None])
    return one_by_one(*lines, frame.height - place[:, 2]), Inputs(inputs.values[part], np.zeros(len(grain)))


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item 3 node"]) -> Array:
    """Write the polynomials through the values at the nodes."""
    factors = values.reshape(-1, NODES**2) @ jnp.asarray(interpolation())
    return buffer.at[chunk[0]].set(factors.reshape(len(values), 3, -1), mode="drop")


_steps = {order: Step(series_kernel(order), _gather, _scatter) for order in ORDERS}
