"""Where the time of the columns goes: how many grains and tiles take which form, and what each form costs."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.columns import make_columns
from benchmarks.measure import interleaved, one_core_clock, record
from benchmarks.samples import grains_of, hundred_grains, large_grid
from mmtjax import SensorGrid
from mmtjax.field.columns import TILE, tile_corners, tile_count
from mmtjax.field.series import ORDERS
from mmtjax.greens.tiled import TiledGreen

_ROUNDS = 3


def shares_and_costs() -> None:
    """Shares of the forms on the large grid, and the cost of each where it is made to serve every grain and tile."""
    grains, grid = grains_of(hundred_grains()), large_grid()
    green = TiledGreen(grains, grid)
    form = chosen_forms(green)
    for number, order in enumerate(ORDERS):
        record(f"share_of_order_{order}", 100 * np.mean(form == number), "%")
    record("share_of_closed_form", 100 * np.mean(form == len(ORDERS)), "%")

    part = SensorGrid(origin=grid.origin, spacing=1, shape=(10 * TILE, 10 * TILE), height=grid.height)
    series = [only(TiledGreen(grains, part), number) for number in range(len(ORDERS))]
    few = SensorGrid(origin=grid.origin, spacing=1, shape=(3 * TILE, 3 * TILE), height=grid.height)
    closed = only(TiledGreen(grains, few), len(ORDERS))
    works = [partial(make_columns, one) for one in (*series, closed)]
    for work in works:
        work()
    times = np.median(interleaved(*works, rounds=_ROUNDS, clock=one_core_clock), axis=0)
    for order, time in zip(ORDERS, times[:-1], strict=True):
        record(f"order_{order}_ns_per_grain_and_sensor", 1e9 * time / (len(grains) * part.size), "ns")
    record("closed_form_ns_per_grain_and_sensor", 1e9 * times[-1] / (len(grains) * few.size), "ns")
    # Rows are filled up with corners of weight zero, which cost as much as any; neighbouring sensors share theirs.
    corners = closed.plan.corner_weight.size * tile_count(few) * (TILE + 1) ** 2
    record("corner_evaluation_ns", 1e9 * times[-1] / corners, "ns")


def chosen_forms(green: TiledGreen) -> np.ndarray:
    """Number of the cheapest order that holds for each grain and tile, (grain, tile); ``len(ORDERS)``: closed form."""
    grid, position = green.grid, np.asarray(green.grains.position)
    first = tile_corners(grid, np.arange(tile_count(grid)))[:, ::-1]
    low = np.asarray(grid.origin) + first * np.asarray(grid.spacing)
    high = low + (TILE - 1) * np.asarray(grid.spacing)
    aside = np.maximum(0, np.maximum(low - position[:, None, :2], position[:, None, :2] - high))
    distance = np.sqrt(np.sum(aside**2, axis=2) + (grid.height - position[:, None, 2]) ** 2)
    holds = distance > np.asarray(green.plan.radius)[..., None]
    return np.where(holds.any(axis=0), holds.argmax(axis=0), len(ORDERS))


def only(green: TiledGreen, number: int) -> TiledGreen:
    """The operator made to use one form everywhere, for its cost: values near a grain mean nothing."""
    radius = jnp.where(jnp.arange(len(ORDERS))[:, None] == number, 0.0, jnp.inf)
    forced = eqx.tree_at(lambda g: g.plan.radius, green, jnp.broadcast_to(radius, green.plan.radius.shape))
    return jax.block_until_ready(forced)
