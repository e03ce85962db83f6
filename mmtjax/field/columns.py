"""Columns of the Green's matrix on tiles of sensors: for every source and tile its near form or its series."""

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
    near_kernel,
    one_by_one,
    series_kernel,
)
from mmtjax.field.plan import SQUARE, TILE, TRACED_ORDER, FieldPlan, tile_corners, traced_limit
from mmtjax.field.slopes import moved_corner_kernel, require_uniform_bodies
from mmtjax.physics.harmonics import derivative_matrices, field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.precision import AnyArray
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.base import NearForm

#: Where pairs and chunks of work hold the number of the source, after where values go and the first sensor.
_SOURCE = 3

#: Chunks of squares hold so many times the pairs and rows of those of tiles, which are larger.
_MORE = 4


class Form(NamedTuple):
    """The form in which pairs are evaluated: number of a series, or `NEAR` for corners; sensors along an edge."""

    number: int
    edge: int


def columns_on_tiles(
    plan: FieldPlan, grid: SensorGrid, *, tiles: np.ndarray, motion: Float[AnyArray, "source 3"] | None = None
) -> Float[Array, "unknown row"]:
    """Return coefficients of all sources at the sensors of some tiles, (source · component, tile · sensor of the tile).

    They are nT per unit of the component. Sensors of a tile that lie beyond the grid get values as if the grid went on
    there. With a `motion` of the sources, the derivative of the coefficients along it instead.
    """
    count = len(plan.parts.root)
    source, slot = np.divmod(np.arange(count * len(tiles)), len(tiles))
    first = tile_corners(grid, tiles)[slot]
    wanted = Wanted(source, first, (source, slot), (count, len(tiles)))
    return columns_of_pairs(plan, grid, wanted, motion=motion)


class Wanted(NamedTuple):
    """Pairs of a source and a tile whose coefficients are wanted, and where they go.

    Attributes
    ----------
    source
        The source of each pair.
    first
        Indices [row, column] of the first sensor of its tile.
    target
        Where its values go: a row of sources, and a slot of tiles.
    shape
        Rows of sources and slots of tiles of the result.
    """

    source: Int[np.ndarray, " pair"]
    first: Int[np.ndarray, "pair 2"]
    target: tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]
    shape: tuple[int, int]


def columns_of_pairs(
    plan: FieldPlan, grid: SensorGrid, wanted: Wanted, *, motion: Float[AnyArray, "source 3"] | None = None
) -> Float[Array, "unknown row"]:
    """Return coefficients of some sources on some tiles, or their derivative along a motion of the sources.

    The result has the shape (component · rows, slots · sensor) and is zero where no pair goes.

    Where no series holds on a tile that is wider than deep, its squares are looked at one by one. A source whose series
    does not hold is replaced by its halves, these by theirs, and what is not cut any more by its corners. Where the
    plan was made of traced geometry, the choice cannot be made before the numbers are known: both forms of the smallest
    parts are evaluated everywhere and the right one is taken for each sensor.
    """
    rows, slots = wanted.shape
    buffer = jnp.zeros((plan.components * rows, slots * TILE * TILE))
    if motion is not None:
        require_uniform_bodies(plan)
    target = wanted.target[0] * slots + wanted.target[1]
    pairs = np.column_stack([target, wanted.first, wanted.source, plan.parts.root[wanted.source]])
    frame = frame_of(plan, grid, motion)
    for form, chosen in pairs_by_form(plan, pairs).items():
        if len(chosen) == 0:
            continue
        if form.number == NEAR:
            work, inputs = corner_work(plan, grid, chosen, edge=form.edge)
            step = _near_step(_near_form_of(plan, chosen)) if motion is None else _moved_corner_step
        else:
            work, inputs = series_work(plan, grid, chosen, form=form)
            step = (_series_steps if motion is None else _moved_series_steps)[ORDERS[form.number]]
        buffer = step.run(buffer, work, frame, inputs)
    return buffer


def _near_form_of(plan: FieldPlan, pairs: Int[np.ndarray, "pair 5"]) -> NearForm:
    """Return the closed form of the sources, or refuse those that have none where their series does not hold."""
    form = plan.parts.near_form
    if form is None:
        source = int(pairs[0, _SOURCE])
        raise ValueError(
            f"the series of {len(set(pairs[:, _SOURCE].tolist()))} sources, the first of which has the index {source}, "
            f"does not hold a tolerance of {plan.tolerance:g} at the nearest sensors, and they have no closed form: "
            "raise the tolerance, move the sensors away, or give the sources a near form"
        )
    return form


def pairs_by_form(plan: FieldPlan, pairs: Int[np.ndarray, "pair 5"]) -> dict[Form, Int[np.ndarray, "_ 5"]]:
    """Return pairs of a part and a tile, or a square of one, by the form in which they are evaluated.

    Columns of a pair are where its values go, row and column of the first sensor, source and part.
    """
    if not plan.geometry_is_known:
        several = _uncut(plan, pairs)
        both = {Form(ORDERS.index(TRACED_ORDER), TILE): several, Form(NEAR, TILE): several}
        return both if plan.parts.near_form is not None else {Form(ORDERS.index(TRACED_ORDER), TILE): several}
    found: dict[Form, list[np.ndarray]] = {}
    edge, smallest = TILE, near_edge(plan)
    while len(pairs):
        form = plan.forms(pairs[:, _SOURCE], pairs[:, 4], first=pairs[:, 1:3], count=edge)
        for number in range(len(ORDERS)):
            found.setdefault(Form(number, edge), []).append(pairs[form == number])
        pairs = pairs[form == NEAR]
        if edge > smallest:
            edge, pairs = smallest, _squares(pairs)
            continue
        cut = plan.parts.halves[pairs[:, 4], 0] >= 0
        found.setdefault(Form(NEAR, edge), []).append(pairs[~cut])
        halves = plan.parts.halves[pairs[cut, 4]]
        pairs = np.repeat(pairs[cut], 2, axis=0)
        pairs[:, 4] = halves.ravel()
    return {form: np.concatenate(parts) for form, parts in found.items()}


def near_edge(plan: FieldPlan) -> int:
    """Return the sensors along an edge of what is looked at nearby: squares, where a tile is wider than deep."""
    reference, grid, _ = plan.known_geometry()
    depth = float(grid.height) - np.median(reference[:, 2])
    return SQUARE if TILE * np.min(np.asarray(grid.spacing)) > depth else TILE


def _squares(pairs: Int[np.ndarray, "pair 5"]) -> Int[np.ndarray, "square 5"]:
    """Return the squares of the tiles of some pairs, as pairs."""
    each = (TILE // SQUARE) ** 2
    offset = np.stack(np.divmod(np.arange(each), TILE // SQUARE), axis=1) * SQUARE
    squares = np.repeat(pairs, each, axis=0)
    squares[:, 1:3] += np.tile(offset, (len(pairs), 1))
    return squares


def _uncut(plan: FieldPlan, pairs: np.ndarray) -> np.ndarray:
    """Return pairs with all the smallest parts of their sources."""
    parts = {root: plan.parts.uncut(root) for root in set(pairs[:, 4].tolist())}
    several = np.repeat(pairs, [len(parts[root]) for root in pairs[:, 4]], axis=0)
    several[:, 4] = np.concatenate([parts[root] for root in pairs[:, 4]])
    return several


def series_work(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, form: Form
) -> tuple[Int[np.ndarray, "chunk column item"], Inputs]:
    """Return chunks of work for the series of an order, and the inputs that they pick from."""
    factors = plan.coefficients[..., : len(field_terms(ORDERS[form.number]))]
    limit, limited_by = _limits(plan, grid, pairs)
    work = chunks(_size(PAIRS, form.edge), *pairs.T, pairs[:, 4], limited_by)
    return work, Inputs(factors, limit, edge=form.edge)


def corner_work(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, edge: int
) -> tuple[Int[np.ndarray, "chunk column item"], Inputs]:
    """Return chunks of work for the closed form, and the inputs that they pick from."""
    parts = plan.parts
    pair, row = members(parts.row_part, pairs[:, 4])
    limit, limited_by = _limits(plan, grid, pairs, beyond=np.inf)
    work = chunks(_size(ROWS, edge), *pairs[pair].T, row, limited_by[pair])
    return work, Inputs((parts.corner_offset, parts.corner_weight), limit, edge=edge)


def _size(items: int, edge: int) -> int:
    return items if edge == TILE else _MORE * items


def _limits(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, beyond: float = 0.0
) -> tuple[Float[AnyArray, " limit"], Int[np.ndarray, " pair"]]:
    """Return distances that divide the forms, and the index of that of each pair; one where the form was chosen."""
    if plan.geometry_is_known:
        return np.full(1, beyond), np.zeros(len(pairs), int)
    if plan.parts.near_form is None:
        return np.zeros(1), np.zeros(len(pairs), int)
    return traced_limit(plan, grid, source=pairs[:, _SOURCE], part=pairs[:, 4]), np.arange(len(pairs))


def members(owner: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all members of each of the `wanted` owners: place of the owner in `wanted`, and index in `owner`."""
    stop = np.searchsorted(owner, wanted, side="right")
    count = stop - np.searchsorted(owner, wanted)
    number = np.repeat(np.arange(len(wanted)), count)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(count) - stop, count)


class Frame(eqx.Module):
    """Positions of sources, parts and sensors, and the motion of sources where derivatives are wanted."""

    position: Float[AnyArray, "source 3"]
    centroid: Float[AnyArray, "part 3"]
    origin: Float[AnyArray, "2"]
    spacing: Float[AnyArray, "2"]
    height: Float[AnyArray, ""]
    separate_side: Float[AnyArray, "2"] | None
    motion: Float[AnyArray, "source 3"] | None


def frame_of(plan: FieldPlan, grid: SensorGrid, motion: AnyArray | None = None) -> Frame:
    """Return positions of sources and sensors, and a motion, as arrays to pick from."""
    return at_hand(
        Frame(plan.position, plan.parts.centroid, grid.origin, grid.spacing, grid.height, grid.separate_side, motion)
    )


def _lines(frame: Frame, chunk: AnyArray, edge: int) -> tuple[list[AnyArray], AnyArray]:
    """Return displacements from the centroids of parts to the sensors along edges of squares, and to their plane."""
    _, row, column, source, part = chunk[:5]
    place = frame.position[source] + frame.centroid[part]
    lines = [
        frame.origin[axis] + frame.spacing[axis] * (first[:, None] + np.arange(edge)) - place[:, axis, None]
        for axis, first in ((0, column), (1, row))
    ]
    return lines, frame.height - place[:, 2]


def gather_series(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """Return the inputs of the series for one chunk of work."""
    lines, z = _lines(frame, chunk, inputs.edge)
    return one_by_one(*lines, z), Inputs(inputs.values[chunk[5]], inputs.limit[chunk[6]])


def gather_corners(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """Return the inputs of the closed form for one chunk of work."""
    lines, z = _lines(frame, chunk, inputs.edge)
    values = tuple(part[chunk[5]] for part in inputs.values)
    return Item(*lines, z, frame.spacing, frame.separate_side), Inputs(values, inputs.limit[chunk[6]])


def _gather_moved_series(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """Return the inputs of the series of the next order that is the derivative along the motion of the sources."""
    item, chosen = gather_series(frame, inputs, chunk)
    items, components, halves, terms = chosen.values.shape
    flat, motion = chosen.values.reshape(items, components, -1), frame.motion[chunk[_SOURCE]]
    matrices = derivative_matrices(order_of(terms))
    slopes = (-motion[:, axis, None, None] * (flat @ matrix) for axis, matrix in enumerate(matrices))
    return item, Inputs(sum(slopes).reshape(items, components, halves, -1), chosen.limit)


def _gather_moved_corners(frame: Frame, inputs: Inputs, chunk: AnyArray) -> tuple[Item, Inputs]:
    """Return the inputs of the derivative of the closed form along the motion of the sources."""
    item, chosen = gather_corners(frame, inputs, chunk)
    return item, Inputs(chosen.values, chosen.limit, frame.motion[chunk[_SOURCE]])


@cache
def order_of(terms: int) -> int:
    """Return the order of a series from the number of its terms."""
    return next(order for order in ORDERS if len(field_terms(order)) == terms)


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item component sensor"]) -> Array:
    """Add to the buffer. Reshaping it costs nothing here; its readers it would cost a copy."""
    components = values.shape[1]
    rows = buffer.shape[0] // components
    if values.shape[2] == TILE * TILE:
        by_tile = buffer.reshape(rows, components, -1, TILE * TILE)
        slots = by_tile.shape[2]
        by_tile = by_tile.at[chunk[0] // slots, :, chunk[0] % slots, :].add(values, mode="drop")
    else:
        each = TILE // SQUARE
        by_tile = buffer.reshape(rows, components, -1, each, SQUARE, each, SQUARE)
        slots, (row, column) = by_tile.shape[2], chunk[1:_SOURCE] // SQUARE % each
        place = chunk[0] // slots, slice(None), chunk[0] % slots, row, slice(None), column, slice(None)
        by_tile = by_tile.at[place].add(values.reshape(-1, components, SQUARE, SQUARE), mode="drop")
    return by_tile.reshape(buffer.shape)


@cache
def _near_step(near_form: NearForm) -> Step:
    return Step(near_kernel(near_form), gather_corners, _scatter)


_series_steps = {order: Step(series_kernel(order), gather_series, _scatter) for order in ORDERS}
_moved_series_steps = {order: Step(series_kernel(order + 1), _gather_moved_series, _scatter) for order in ORDERS}
_moved_corner_step = Step(moved_corner_kernel, _gather_moved_corners, _scatter)
