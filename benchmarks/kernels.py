"""Where the time of the columns goes: how many grains and tiles take which form, and what each form costs."""

from functools import partial

import equinox as eqx
import numpy as np

from benchmarks.columns import make_columns
from benchmarks.measure import interleaved, one_core_clock, record
from benchmarks.samples import grains_of, hundred_grains, large_grid
from mmtjax import SensorGrid
from mmtjax.field.columns import members
from mmtjax.field.forms import NEAR
from mmtjax.field.plan import TILE, tile_corners, tile_count
from mmtjax.greens.tiled import TiledGreen
from mmtjax.physics.series import ORDERS
from mmtjax.sources.base import Parts

_ROUNDS = 3


def shares_and_costs() -> None:
    """Shares of the forms on the large grid, and the cost of each where it is made to serve every grain and tile."""
    grains, grid = grains_of(hundred_grains()), large_grid()
    form = chosen_forms(TiledGreen(grains, grid))
    for number, order in enumerate(ORDERS):
        record(f"share_of_order_{order}", 100 * np.mean(form == number), "%")
    record("share_of_halves", 100 * np.mean(form == NEAR), "%")

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
    corners = filled_corners(closed.plan.parts) * tile_count(few) * (TILE + 1) ** 2
    record("corner_evaluation_ns", 1e9 * times[-1] / corners, "ns")


def chosen_forms(green: TiledGreen) -> np.ndarray:
    """The form that holds for each whole grain and tile, (grain, tile); `NEAR` where the grain is cut in halves."""
    first = tile_corners(green.grid, np.arange(tile_count(green.grid)))
    grain, tile = np.divmod(np.arange(len(green.sources) * len(first)), len(first))
    return green.plan.forms(grain, green.plan.parts.root[grain], first=first[tile]).reshape(len(green.sources), -1)


def filled_corners(parts: Parts) -> int:
    """Corners that the closed form of all grains sums on each tile, fillers counted."""
    uncut = np.concatenate([parts.uncut(int(root)) for root in parts.root])
    return len(members(parts.row_part, uncut)[0]) * parts.corner_weight.shape[1]


def only(green: TiledGreen, number: int) -> TiledGreen:
    """The operator made to use one form everywhere, for its cost: values near a grain mean nothing.

    Terms of the degree of the order wanted are said to be infinite, and none to follow: no lower order will do.
    """
    plan = green.plan
    bounds = np.zeros_like(plan.bounds)
    bounds[..., ORDERS[number] if number < len(ORDERS) else -1] = np.inf
    wanted = bounds, np.full_like(plan.reach, 1e-9)
    return eqx.tree_at(lambda one: (one.plan.bounds, one.plan.reach), green, wanted)
