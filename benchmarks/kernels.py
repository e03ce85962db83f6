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
from mmtjax.field.plan import TILE, tile_corners, tile_count
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
    first = tile_corners(green.grid, np.arange(tile_count(green.grid)))
    grain, tile = np.divmod(np.arange(len(green.grains) * len(first)), len(first))
    return green.plan.grains.forms(green.grid, grain, first[tile]).reshape(len(green.grains), -1)


def only(green: TiledGreen, number: int) -> TiledGreen:
    """The operator made to use one form everywhere, for its cost: values near a grain mean nothing."""
    radius = jnp.where(jnp.arange(len(ORDERS))[:, None] == number, 0.0, jnp.inf)
    held = green.plan.grains.radius, green.plan.parts.radius
    wanted = tuple(jnp.broadcast_to(radius, one.shape) for one in held)
    forced = eqx.tree_at(lambda g: (g.plan.grains.radius, g.plan.parts.radius), green, wanted)
    return jax.block_until_ready(forced)
