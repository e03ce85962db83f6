"""Columns of the Green's matrix on tiles of sensors: near or far form for every grain and tile, and nothing else."""

from functools import cache
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.field.forms import NEAR
from mmtjax.field.kernels import (
    PAIRS,
    ROWS,
    Inputs,
    Item,
    Step,
    at_hand,
    chunks,
    corner_kernel,
    moved_corner_kernel,
    one_by_one,
    series_kernel,
)
from mmtjax.field.plan import SQUARE, TILE, TRACED_ORDER, FieldPlan, tile_corners, traced_limit
from mmtjax.physics.harmonics import derivative_matrices, field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.scan.grid import SensorGrid

AnyArray = np.ndarray | Array

#: Chunks of squares hold so many times the pairs and rows of those of tiles, which are larger.
_MORE = 4


class Form(NamedTuple):
    """How pairs are evaluated: the series of that number, or `NEAR` for corners, on squares of so many sensors."""

    number: int
    edge: int


def columns_on_tiles(
    plan: FieldPlan, grid: SensorGrid, *, tiles: np.ndarray, motion: Float[AnyArray, "grain 3"] | None = None
) -> Float[Array, "unknown row"]:
    """Coefficients of all grains at the sensors of `tiles`, nT per A/m: (3 grains, tile · sensor of the tile).

    Sensors of a tile that lie beyond the grid get values as if the grid went on there. With a `motion` of the grains,
    the derivative of the coefficients along it instead.
    """
    grains = len(plan.shapes.root)
    grain, slot = np.divmod(np.arange(grains * len(tiles)), len(tiles))
    first = tile_corners(grid, tiles)[slot]
    shape = grains, len(tiles)
    return columns_of_pairs(plan, grid, grain=grain, first=first, target=(grain, slot), shape=shape, motion=motion)


def columns_of_pairs(
    plan: FieldPlan,
    grid: SensorGrid,
    *,
    grain: np.ndarray,
    first: np.ndarray,
    target: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, int],
    motion: Float[AnyArray, "grain 3"] | None = None,
) -> Float[Array, "unknown row"]:
    """Coefficients of some grains on some tiles, nT per A/m, or their derivative along a motion of the grains.

    Each pair is a grain and the indices [row, column] of the `first` sensor of a tile; `target` is where its values go,
    as a row of grains and a slot of tiles in a result of shape (3 · rows, slots · sensor), which is zero elsewhere.

    Where no series holds on a tile that is wider than deep, its squares are looked at one by one. A grain whose series
    does not hold is replaced by its halves, these by theirs, and what is not cut any more by its corners. Where the
    plan was made of traced geometry, the choice cannot be made before the numbers are known: both forms of the smallest
    parts are evaluated everywhere and the right one is taken for each sensor.
    """
    buffer = jnp.zeros((3 * shape[0], shape[1] * TILE * TILE))
    pairs = np.column_stack([target[0] * shape[1] + target[1], first, grain, plan.shapes.root[grain]])
    frame = frame_of(plan, grid, motion)
    for form, chosen in pairs_by_form(plan, pairs).items():
        if len(chosen) == 0:
            continue
        if form.number == NEAR:
            work, inputs = corner_work(plan, grid, chosen, edge=form.edge)
            step = _corner_step if motion is None else _moved_corner_step
        else:
            work, inputs = series_work(plan, grid, chosen, form=form)
            step = (_series_steps if motion is None else _moved_series_steps)[ORDERS[form.number]]
        buffer = step.run(buffer, work, frame, inputs)
    return buffer


def pairs_by_form(plan: FieldPlan, pairs: Int[np.ndarray, "pair 5"]) -> dict[Form, Int[np.ndarray, "_ 5"]]:
    """Pairs of a part and a tile, or a square of one, by the form in which they are evaluated.

    Columns of a pair are where its values go, row and column of the first sensor, grain and part.
    """
    if not plan.geometry_is_known:
        several = _uncut(plan, pairs)
        return {Form(ORDERS.index(TRACED_ORDER), TILE): several, Form(NEAR, TILE): several}
    found: dict[Form, list[np.ndarray]] = {}
    edge, smallest = TILE, near_edge(plan)
    while len(pairs):
        form = plan.forms(pairs[:, 3], pairs[:, 4], first=pairs[:, 1:3], count=edge)
        for number in range(len(ORDERS)):
            found.setdefault(Form(number, edge), []).append(pairs[form == number])
        pairs = pairs[form == NEAR]
        if edge > smallest:
            edge, pairs = smallest, _squares(pairs)
            continue
        cut = plan.shapes.halves[pairs[:, 4], 0] >= 0
        found.setdefault(Form(NEAR, edge), []).append(pairs[~cut])
        halves = plan.shapes.halves[pairs[cut, 4]]
        pairs = np.repeat(pairs[cut], 2, axis=0)
        pairs[:, 4] = halves.ravel()
    return {form: np.concatenate(parts) for form, parts in found.items()}


def near_edge(plan: FieldPlan) -> int:
    """Sensors along the edge of what is looked at where a grain is close: squares, where a tile is wider than deep."""
    depth = float(plan.grid.height) - np.median(plan.reference[:, 2])
    return SQUARE if TILE * np.min(np.asarray(plan.grid.spacing)) > depth else TILE


def _squares(pairs: Int[np.ndarray, "pair 5"]) -> Int[np.ndarray, "square 5"]:
    """The squares of the tiles of some pairs, as pairs."""
    each = (TILE // SQUARE) ** 2
    offset = np.stack(np.divmod(np.arange(each), TILE // SQUARE), axis=1) * SQUARE
    squares = np.repeat(pairs, each, axis=0)
    squares[:, 1:3] += np.tile(offset, (len(pairs), 1))
    return squares


def _uncut(plan: FieldPlan, pairs: np.ndarray) -> np.ndarray:
    """Pairs with all the smallest parts of their grains."""
    parts = {root: plan.shapes.uncut(root) for root in set(pairs[:, 4].tolist())}
    several = np.repeat(pairs, [len(parts[root]) for root in pairs[:, 4]], axis=0)
    several[:, 4] = np.concatenate([parts[root] for root in pairs[:, 4]])
    return several


def series_work(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, form: Form
) -> tuple[Int[np.ndarray, "chunk column item"], Inputs]:
    """Chunks of work for the series of an order, and what they pick from."""
    factors = plan.coefficients[..., : len(field_terms(ORDERS[form.number]))]
    limit, limited_by = _limits(plan, grid, pairs)
    work = chunks(_size(PAIRS, form.edge), *pairs.T, pairs[:, 4], limited_by)
    return work, Inputs(factors, limit, edge=form.edge)


def corner_work(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, edge: int
) -> tuple[Int[np.ndarray, "chunk column item"], Inputs]:
    """Chunks of work for the closed form, and what they pick from."""
    shapes = plan.shapes
    pair, row = members(shapes.row_part, pairs[:, 4])
    limit, limited_by = _limits(plan, grid, pairs, beyond=np.inf)
    work = chunks(_size(ROWS, edge), *pairs[pair].T, row, limited_by[pair])
    return work, Inputs((shapes.corner_offset, shapes.corner_weight), limit, edge=edge)


def _size(items: int, edge: int) -> int:
    return items if edge == TILE else _MORE * items


def _limits(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, beyond: float = 0.0
) -> tuple[Float[AnyArray, " limit"], Int[np.ndarray, " pair"]]:
    """Distances that divide the forms, and which is that of each pair; one for all where the form has been chosen."""
    if plan.geometry_is_known:
        return np.full(1, beyond), np.zeros(len(pairs), int)
    return traced_limit(plan, grid, grain=pairs[:, 3], part=pairs[:, 4]), np.arange(len(pairs))


def members(owner: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All members of each of the `wanted` owners, as the place of the owner in `wanted`, and the index in `owner`."""
    stop = np.searchsorted(owner, wanted, side="right")
    count = stop - np.searchsorted(owner, wanted)
    number = np.repeat(np.arange(len(wanted)), count)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(count) - stop, count)


class Frame(eqx.Module):
    """Where grains, their parts and sensors are, and how grains move where derivatives are wanted."""

    position: Float[AnyArray, "grain 3"]
    centroid: Float[AnyArray, "part 3"]
    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]
    separate_side: Float[AnyArray, "2"] | None
    motion: Float[AnyArray, "grain 3"] | None


def frame_of(plan: FieldPlan, grid: SensorGrid, motion: AnyArray | None = None) -> Frame:
    return at_hand(
        Frame(plan.position, plan.shapes.centroid, grid.origin, grid.spacing, grid.height, grid.separate_side, motion)
    )


def _lines(frame: Frame, chunk: AnyArray, edge: int) -> tuple[list[AnyArray], AnyArray]:
    """Displacements from the centroids of parts to the sensors along the edges of squares, and to their plane."""
    _, row, column, grain, part = chunk[:5]
    place = frame.position[grain] + frame.centroid[part]
    lines = [
        frame.origin[axis] + frame.spacing[axis] * (first[:, None] + np.arange(edge)) - place[:, axis, None]
        for axis, first in ((0, column), (1, row))
    ]
    return lines, frame.height - place[:, 2]


def gather_series(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """The inputs of the series for one chunk of work."""
    lines, z = _lines(frame, chunk, inputs.edge)
    return one_by_one(*lines, z), Inputs(inputs.values[chunk[5]], inputs.limit[chunk[6]])


def gather_corners(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """The inputs of the closed form for one chunk of work."""
    lines, z = _lines(frame, chunk, inputs.edge)
    values = tuple(part[chunk[5]] for part in inputs.values)
    return Item(*lines, z, frame.spacing, frame.separate_side), Inputs(values, inputs.limit[chunk[6]])


def _gather_moved_series(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """The inputs of the series of the next order that is the derivative along the motion of the grains."""
    item, chosen = gather_series(frame, inputs, chunk)
    order = order_of(chosen.values.shape[-1])
    flat, motion = chosen.values.reshape(len(chosen.values), 3, -1), frame.motion[chunk[3]]
    slopes = (-motion[:, axis, None, None] * (flat @ matrix) for axis, matrix in enumerate(derivative_matrices(order)))
    return item, Inputs(sum(slopes).reshape(len(flat), 3, 2, -1), chosen.limit)


def _gather_moved_corners(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    item, chosen = gather_corners(frame, inputs, chunk)
    return item, Inputs(chosen.values, chosen.limit, frame.motion[chunk[3]])


@cache
def order_of(terms: int) -> int:
    """The order of a series with so many terms."""
    return next(order for order in ORDERS if len(field_terms(order)) == terms)


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item 3 sensor"]) -> Array:
    """Add to the buffer. Reshaping it costs nothing here; its readers it would cost a copy."""
    if values.shape[2] == TILE * TILE:
        by_tile = buffer.reshape(buffer.shape[0] // 3, 3, -1, TILE * TILE)
        slots = by_tile.shape[2]
        by_tile = by_tile.at[chunk[0] // slots, :, chunk[0] % slots, :].add(values, mode="drop")
    else:
        each = TILE // SQUARE
        by_tile = buffer.reshape(buffer.shape[0] // 3, 3, -1, each, SQUARE, each, SQUARE)
        slots, (row, column) = by_tile.shape[2], chunk[1:3] // SQUARE % each
        place = chunk[0] // slots, slice(None), chunk[0] % slots, row, slice(None), column, slice(None)
        by_tile = by_tile.at[place].add(values.reshape(-1, 3, SQUARE, SQUARE), mode="drop")
    return by_tile.reshape(buffer.shape)


_series_steps = {order: Step(series_kernel(order), gather_series, _scatter) for order in ORDERS}
_corner_step = Step(corner_kernel, gather_corners, _scatter)
_moved_series_steps = {order: Step(series_kernel(order + 1), _gather_moved_series, _scatter) for order in ORDERS}
_moved_corner_step = Step(moved_corner_kernel, _gather_moved_corners, _scatter)
