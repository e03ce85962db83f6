"""Distant columns of the Green's matrix on squares of sensors, as polynomials found from their values at nodes."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.kernels import PAIRS, Inputs, Item, Step, at_hand, chunks, one_by_one, series_kernel
from mmtjax.field.plan import FieldPlan
from mmtjax.physics.chebyshev import NODES, interpolation, nodes
from mmtjax.physics.harmonics import field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.precision import AnyArray
from mmtjax.scan.grid import SensorGrid


class DistantPairs(NamedTuple):
    """Pairs of a source and a square of sensors that is far from it.

    Attributes
    ----------
    source
        The source of each pair.
    first
        Indices [row, column] of the first sensor of its square.
    count
        Sensors along an edge of the square.
    form
        Number of the series that holds there, an index into `ORDERS`.
    """

    source: Int[np.ndarray, " pair"]
    first: Int[np.ndarray, "pair 2"]
    count: Int[np.ndarray, " pair"]
    form: Int[np.ndarray, " pair"]


def polynomials_of_pairs(
    plan: FieldPlan, grid: SensorGrid, pairs: DistantPairs, *, rows: int
) -> Float[Array, "row component term"]:
    """Return polynomials that stand for the columns of sources on distant squares, nT per unit of the component.

    Factors are those of `chebyshev.terms` on the square that reaches half a spacing beyond the outer sensors. The
    result has as many `rows` as are wanted, zero beyond the pairs.
    """
    buffer = jnp.zeros((rows, plan.components, interpolation().shape[1]))
    frame = at_hand(_Frame(plan.position, grid.origin, grid.spacing, grid.height))
    place = np.arange(len(pairs.source))
    for number, order in enumerate(ORDERS):
        chosen = pairs.form == number
        inputs = Inputs(plan.coefficients[..., : len(field_terms(order))], np.zeros(1))
        source = pairs.source[chosen]
        table = place[chosen], *pairs.first[chosen].T, pairs.count[chosen], source, plan.parts.root[source]
        buffer = _steps[order].run(buffer, chunks(PAIRS, *table), frame, inputs)
    return buffer


class _Frame(eqx.Module):
    """Positions of sources and sensors."""

    position: Float[AnyArray, "source 3"]
    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]


def _gather(frame: _Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """Return displacements from the positions of sources to the nodes of squares, x fastest."""
    _, row, column, count, source, part = chunk
    place = frame.position[source]
    lines = []
    for axis, first in ((0, column), (1, row)):
        centre = frame.origin[axis] + frame.spacing[axis] * (first + (count - 1) / 2)
        half = frame.spacing[axis] * count / 2
        lines.append(centre[:, None] + half[:, None] * nodes() - place[:, axis, None])
    return one_by_one(*lines, frame.height - place[:, 2]), Inputs(inputs.values[part], np.zeros(len(source)))


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item component node"]) -> Array:
    """Write the polynomials through the values at the nodes."""
    factors = values.reshape(-1, NODES**2) @ jnp.asarray(interpolation())
    return buffer.at[chunk[0]].set(factors.reshape(*values.shape[:2], -1), mode="drop")


_steps = {order: Step(series_kernel(order), _gather, _scatter) for order in ORDERS}
