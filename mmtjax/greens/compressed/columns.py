"""The columns that a compressed operator stores: values for sources near each leaf of its tree, else polynomials."""

import jax
import numpy as np
from jaxtyping import Array, Float

from mmtjax.field.columns import Wanted, columns_of_pairs
from mmtjax.field.nodes import DistantPairs, polynomials_of_pairs
from mmtjax.field.plan import TILE, FieldPlan
from mmtjax.greens.compressed.tree import LEAF_TILES, Square, batches
from mmtjax.precision import AnyArray, is_concrete
from mmtjax.progress import Progress
from mmtjax.scan.grid import SensorGrid

#: Number of sources in one call, for polynomials and for columns near leaves; always the same, to compile only once.
_POLYNOMIALS = 4096
_NEAR = 1024


def stored_polynomials(
    plan: FieldPlan, grid: SensorGrid, level: list[Square]
) -> list[Float[AnyArray, "far_unknown term"]]:
    """Return, for each square of a level, the polynomials of the columns of its distant sources.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    level
        The squares.
    """
    stored = []
    for batch in batches([len(square.far) for square in level], _POLYNOMIALS):
        squares = level[batch]
        size = [len(square.far) for square in squares]
        pairs = DistantPairs(
            source=np.concatenate([square.far for square in squares]),
            first=np.repeat([square.first for square in squares], size, axis=0),
            edge=np.repeat([square.count for square in squares], size),
            form=np.concatenate([square.form for square in squares]),
        )
        values = polynomials_of_pairs(plan, grid, pairs, rows=max(_POLYNOMIALS, sum(size)))
        stored += _parts(values.reshape(-1, values.shape[2]), size, plan.components)
    return stored


def stored_leaves(
    plan: FieldPlan, grid: SensorGrid, leaves: list[Square], *, progress: Progress | None = None
) -> list[Float[AnyArray, "near_unknown sensor"]]:
    """Return, for each leaf, the columns of the sources near it at its sensors, tile by tile.

    Parameters
    ----------
    plan
        Plan of the sources for this grid.
    grid
        Sensors.
    leaves
        The smallest squares.
    progress
        Called with the number of sensors that are complete, and the number of all sensors.
    """
    stored: list[AnyArray] = []
    tile = np.stack(np.divmod(np.arange(LEAF_TILES**2), LEAF_TILES), axis=1) * TILE
    for batch in batches([len(leaf.near) for leaf in leaves], _NEAR):
        size = [len(leaf.near) for leaf in leaves[batch]]
        source = np.concatenate([leaf.near for leaf in leaves[batch]])
        first = np.repeat([leaf.first for leaf in leaves[batch]], size, axis=0)
        pair, slot = np.divmod(np.arange(len(source) * len(tile)), len(tile))
        wanted = Wanted(source[pair], first[pair] + tile[slot], (pair, slot), (max(_NEAR, len(source)), len(tile)))
        values = columns_of_pairs(plan, grid, wanted)
        stored += _parts(values, size, plan.components)
        if progress is not None:
            jax.block_until_ready(values)
            progress(len(stored) * grid.size // len(leaves), grid.size)
    return stored


def _parts(values: Array, size: list[int], components: int) -> list[AnyArray]:
    """Divide the rows of a result, source after source, into arrays of a given number of sources each.

    Values that are not traced are copied to main memory, so that nothing is compiled for the many sizes.
    """
    stop = components * np.cumsum(size)
    source = np.asarray(values) if is_concrete(values) else values
    parts = [source[end - components * count : end] for count, end in zip(size, stop, strict=True)]
    return [part.copy() if isinstance(part, np.ndarray) else part for part in parts]
