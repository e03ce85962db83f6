"""Columns of the Green's matrix on tiles of sensors, from the near form or the series of each source."""

from functools import cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mmtjax.errors import InputError
from mmtjax.field.forms import NEAR, SMALL_SENSOR
from mmtjax.field.gather import (
    PART,
    ROW,
    SOURCE,
    TARGET,
    Frame,
    MovingFrame,
    frame_of,
    gather_corners,
    gather_moved_corners,
    gather_moved_series,
    gather_series,
)
from mmtjax.field.kernels import (
    PAIRS,
    ROWS,
    CornerInputs,
    Kernel,
    SeriesInputs,
    Step,
    chunks,
    either_kernel,
    mean_kernel,
    near_kernel,
    numpy_if_concrete,
    series_kernel,
)
from mmtjax.field.plan import SQUARE, TILE, TRACED_ORDER, FieldPlan, tile_corners, traced_limit
from mmtjax.field.slopes import moved_corner_kernel, moved_mean_kernel, require_uniform_bodies
from mmtjax.physics.harmonics import field_terms
from mmtjax.physics.series import ORDERS
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.scan.grid import SensorGrid

#: Chunks for squares hold this many times the entries of those for tiles, which have more sensors.
_SQUARE_FACTOR = 4


class Form(NamedTuple):
    """The form in which pairs are evaluated.

    Attributes
    ----------
    number
        Index of the order of a series in `ORDERS`, `NEAR` for the closed form, or `SMALL_SENSOR`.
    edge
        Number of sensors along an edge of the square of a pair.
    """

    number: int
    edge: int


def columns_on_tiles(
    plan: FieldPlan, grid: SensorGrid, *, tiles: np.ndarray, motion: Float[AnyArray, "source 3"] | None = None
) -> Float[Array, "unknown row"]:
    """Return the coefficients of all sources at the sensors of some tiles, nT per unit of each component.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    tiles
        Numbers of the tiles, row by row.
    motion
        Velocity of each source, (source, 3), µm per unit of a parameter. If it is given, the result is the derivative
        of the coefficients with respect to this parameter.

    Returns
    -------
    Array
        (source · component, tile · sensor of the tile). The grid is continued for sensors of a tile beyond its end.
    """
    count = len(plan.parts.root)
    source, slot = np.divmod(np.arange(count * len(tiles)), len(tiles))
    first = tile_corners(grid, tiles)[slot]
    wanted = Wanted(source, first, (source, slot), (count, len(tiles)))
    return columns_of_pairs(plan, grid, wanted, motion=motion)


class Wanted(NamedTuple):
    """Pairs of a source and a tile whose coefficients are computed, and where they are stored in the result.

    Attributes
    ----------
    source
        The source of each pair.
    first
        Indices [row, column] of the first sensor of its tile.
    target
        Row (in units of sources) and slot (in units of tiles) of the result at which its coefficients are stored.
    shape
        Number of rows and slots of the result.
    """

    source: Int[np.ndarray, " pair"]
    first: Int[np.ndarray, "pair 2"]
    target: tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]
    shape: tuple[int, int]


def columns_of_pairs(
    plan: FieldPlan, grid: SensorGrid, wanted: Wanted, *, motion: Float[AnyArray, "source 3"] | None = None
) -> Float[Array, "unknown row"]:
    """Return the coefficients of pairs of a source and a tile, or their derivative along a motion of the sources.

    The choice of the form of each pair goes from coarse to fine. Where no series is accurate enough on a tile that is
    wider than the sources are deep, each of its squares is treated as a tile of its own. A source whose series is not
    accurate enough is replaced by its two halves, and these by theirs; parts that are not cut any further are evaluated
    by the closed form of their corners. If the geometry of the plan is traced, distances are not known in time for this
    choice: both forms of the smallest parts are evaluated for all pairs, and one of them is kept for each sensor.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    wanted
        The pairs, and where their coefficients are stored.
    motion
        Velocity of each source, (source, 3), µm per unit of a parameter.

    Returns
    -------
    Array
        (row · component, slot · sensor of a tile), nT per unit of each component; zero where no pair is stored.

    Raises
    ------
    ValueError
        If the series of sources without a near form is not accurate enough, and for a motion of sources that are not
        uniform bodies.
    """
    rows, slots = wanted.shape
    buffer = jnp.zeros((plan.components * rows, slots * TILE * TILE))
    if motion is not None:
        require_uniform_bodies(plan)
    target = wanted.target[0] * slots + wanted.target[1]
    pairs = np.column_stack([target, wanted.first, wanted.source, plan.parts.root[wanted.source]])
    frame = frame_of(plan, grid)
    moving = None if motion is None else numpy_if_concrete(MovingFrame(frame, motion))
    for form, chosen in pairs_by_form(plan, pairs).items():
        if len(chosen) == 0:
            continue
        if form.number in (NEAR, SMALL_SENSOR):
            work, corners = corner_work(plan, grid, chosen, edge=form.edge)
            if moving is None:
                buffer = _corner_step(_corner_kernel(plan, grid, chosen, form)).run(buffer, work, frame, corners)
            else:
                buffer = _moved_corner_steps[form.number].run(buffer, work, moving, corners)
        else:
            order = ORDERS[form.number]
            work, series = series_work(plan, grid, chosen, form=form)
            if moving is None:
                buffer = _series_steps[order].run(buffer, work, frame, series)
            else:
                buffer = _moved_series_steps[order].run(buffer, work, moving, series)
    return buffer


def _corner_kernel(plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], form: Form) -> Kernel:
    """Return the kernel of the corners of sources, or raise a `ValueError` for sources that have no closed form."""
    closed, mean = plan.parts.near_form, plan.parts.sensor_mean
    if closed is None:
        source = int(pairs[0, SOURCE])
        msg = (
            f"the series of {len(set(pairs[:, SOURCE].tolist()))} sources, the first of which has the index {source}, "
            f"does not reach a tolerance of {plan.tolerance:g} at the nearest sensors, and they have no closed form: "
            "raise the tolerance, move the sensors away, or give the sources a near form"
        )
        raise InputError(msg)
    if mean is None:
        return near_kernel(closed)
    if plan.geometry_is_known:
        return mean_kernel(mean) if form.number == SMALL_SENSOR else near_kernel(closed)
    if is_concrete(grid.side):
        return mean_kernel(mean) if np.min(grid.side) < plan.smallest_side else near_kernel(closed)
    return either_kernel(closed, mean, plan.smallest_side)


def pairs_by_form(plan: FieldPlan, pairs: Int[np.ndarray, "pair 5"]) -> dict[Form, Int[np.ndarray, "_ 5"]]:
    """Return pairs of a part and a tile, or a square of a tile, by the form in which they are evaluated.

    Parameters
    ----------
    plan
        Plan of the sources.
    pairs
        Pairs of a whole source and a tile, with the columns `TARGET`, `ROW`, `COLUMN`, `SOURCE` and `PART`.
    """
    if not plan.geometry_is_known:
        several = _uncut(plan, pairs)
        numbers = [ORDERS.index(TRACED_ORDER)] + ([] if plan.parts.near_form is None else [NEAR])
        return {Form(number, TILE): several for number in numbers}
    found: dict[Form, list[np.ndarray]] = {}
    edge, smallest = TILE, near_edge(plan)
    while len(pairs):
        form = plan.forms(pairs[:, SOURCE], pairs[:, PART], first=pairs[:, ROW:SOURCE], count=edge)
        for number in range(len(ORDERS)):
            found.setdefault(Form(number, edge), []).append(pairs[form == number])
        pairs = pairs[form == NEAR]
        if edge > smallest:
            edge, pairs = smallest, _squares(pairs)
            continue
        cut = plan.parts.halves[pairs[:, PART], 0] >= 0
        uncut = pairs[~cut]
        rounded = plan.is_rounded(uncut[:, SOURCE], uncut[:, PART], first=uncut[:, ROW:SOURCE], count=edge)
        found.setdefault(Form(NEAR, edge), []).append(uncut[~rounded])
        found.setdefault(Form(SMALL_SENSOR, edge), []).append(uncut[rounded])
        halves = plan.parts.halves[pairs[cut, PART]]
        pairs = np.repeat(pairs[cut], 2, axis=0)
        pairs[:, PART] = halves.ravel()
    return {form: np.concatenate(parts) for form, parts in found.items()}


def near_edge(plan: FieldPlan) -> int:
    """Return the edge, in sensors, of the squares nearest to sources.

    It is `SQUARE` if a tile is wider than the median depth of the sources below the sensors, and `TILE` otherwise.

    Parameters
    ----------
    plan
        Plan of the sources.

    Raises
    ------
    ValueError
        If the geometry of the plan is traced.
    """
    reference, grid, _ = plan.known_geometry()
    depth = float(grid.height) - np.median(reference[:, 2])
    return SQUARE if TILE * np.min(np.asarray(grid.spacing)) > depth else TILE


def _squares(pairs: Int[np.ndarray, "pair 5"]) -> Int[np.ndarray, "square 5"]:
    """Return a pair for each square of the tile of each pair."""
    each = (TILE // SQUARE) ** 2
    offset = np.stack(np.divmod(np.arange(each), TILE // SQUARE), axis=1) * SQUARE
    squares = np.repeat(pairs, each, axis=0)
    squares[:, ROW:SOURCE] += np.tile(offset, (len(pairs), 1))
    return squares


def _uncut(plan: FieldPlan, pairs: np.ndarray) -> np.ndarray:
    """Return a pair for each of the smallest parts of the source of each pair."""
    parts = {root: plan.parts.uncut(root) for root in set(pairs[:, PART].tolist())}
    several = np.repeat(pairs, [len(parts[root]) for root in pairs[:, PART]], axis=0)
    several[:, PART] = np.concatenate([parts[root] for root in pairs[:, PART]])
    return several


def series_work(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, form: Form
) -> tuple[Int[np.ndarray, "chunk column item"], SeriesInputs]:
    """Return chunks of work for the series of one order, and the tables of inputs that they index.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    pairs
        Pairs with the columns `TARGET`, `ROW`, `COLUMN`, `SOURCE` and `PART`.
    form
        The order of the series, and the edge of the squares of the pairs.
    """
    coefficients = plan.coefficients[..., : len(field_terms(ORDERS[form.number]))]
    limit, limit_index = _limits(plan, grid, pairs)
    work = chunks(_size(PAIRS, form.edge), *pairs.T, pairs[:, PART], limit_index)
    return work, SeriesInputs(coefficients, limit, edge=form.edge)


def corner_work(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, edge: int
) -> tuple[Int[np.ndarray, "chunk column item"], CornerInputs]:
    """Return chunks of work for the closed form, and the tables of inputs that they index.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    pairs
        Pairs with the columns `TARGET`, `ROW`, `COLUMN`, `SOURCE` and `PART`.
    edge
        Number of sensors along an edge of the squares of the pairs.
    """
    parts = plan.parts
    pair, row = members(parts.row_part, pairs[:, PART])
    limit, limit_index = _limits(plan, grid, pairs, known=np.inf)
    work = chunks(_size(ROWS, edge), *pairs[pair].T, row, limit_index[pair])
    return work, CornerInputs(parts.corner_offset, parts.corner_weight, limit, edge=edge)


def _size(items: int, edge: int) -> int:
    """Return the size of a chunk for squares with this many sensors along an edge."""
    return items if edge == TILE else _SQUARE_FACTOR * items


def _limits(
    plan: FieldPlan, grid: SensorGrid, pairs: Int[np.ndarray, "pair 5"], *, known: float = 0.0
) -> tuple[Float[AnyArray, " limit"], Int[np.ndarray, " pair"]]:
    """Return distances (µm) that separate closed form and series, and for each pair the index of its distance.

    If the geometry is known, each pair is evaluated in one form at all distances: the limit is `known` for all pairs.
    """
    if plan.geometry_is_known:
        return np.full(1, known), np.zeros(len(pairs), int)
    if plan.parts.near_form is None:
        return np.zeros(1), np.zeros(len(pairs), int)
    return traced_limit(plan, grid, source=pairs[:, SOURCE], part=pairs[:, PART]), np.arange(len(pairs))


def members(owner: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all members of each of the `wanted` owners.

    Parameters
    ----------
    owner
        The owner of each member, ascending.
    wanted
        Some owners, in any order, perhaps repeated.

    Returns
    -------
    tuple
        For each member found, the index of its owner in `wanted`, and its own index in `owner`.

    Examples
    --------
    >>> members(np.array([0, 0, 1, 3]), np.array([3, 0]))
    (array([0, 1, 1]), array([3, 0, 1]))
    """
    stop = np.searchsorted(owner, wanted, side="right")
    count = stop - np.searchsorted(owner, wanted)
    number = np.repeat(np.arange(len(wanted)), count)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(count) - stop, count)


def _scatter(buffer: Array, chunk: Array, values: Float[Array, "item component sensor"]) -> Array:
    """Return the buffer with the values of a chunk added.

    The buffer is reshaped in here because that costs nothing inside a compiled function; outside, it would be copied.
    """
    components = values.shape[1]
    rows = buffer.shape[0] // components
    if values.shape[2] == TILE * TILE:
        by_tile = buffer.reshape(rows, components, -1, TILE * TILE)
        slots = by_tile.shape[2]
        by_tile = by_tile.at[chunk[TARGET] // slots, :, chunk[TARGET] % slots, :].add(values, mode="drop")
    else:
        each = TILE // SQUARE
        by_tile = buffer.reshape(rows, components, -1, each, SQUARE, each, SQUARE)
        slots, (row, column) = by_tile.shape[2], chunk[ROW:SOURCE] // SQUARE % each
        target = chunk[TARGET]
        place = target // slots, slice(None), target % slots, row, slice(None), column, slice(None)
        by_tile = by_tile.at[place].add(values.reshape(-1, components, SQUARE, SQUARE), mode="drop")
    return by_tile.reshape(buffer.shape)


@cache
def _corner_step(kernel: Kernel) -> Step[Frame, CornerInputs]:
    """Return the step that evaluates a sum over corners."""
    return Step(kernel, gather_corners, _scatter)


_series_steps = {order: Step(series_kernel(order), gather_series, _scatter) for order in ORDERS}
_moved_series_steps = {order: Step(series_kernel(order + 1), gather_moved_series, _scatter) for order in ORDERS}
_moved_corner_steps = {
    number: Step(kernel, gather_moved_corners, _scatter)
    for number, kernel in ((NEAR, moved_corner_kernel), (SMALL_SENSOR, moved_mean_kernel))
}
