"""Sums and triangular factors of small and large matrices, by BLAS and LAPACK in main memory and by JAX elsewhere."""

from functools import cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.linalg.lapack import dgeqrf, dgeqrf_lwork, dtpqrt
from threadpoolctl import ThreadpoolController

from mmtjax.precision import is_concrete

#: Columns that LAPACK reduces at a time.
_PANEL = 128

AnyArray = np.ndarray | Array


def in_main_memory(values: AnyArray) -> bool:
    """Whether NumPy may read an array without copying it."""
    return is_concrete(values) and all(device.platform == "cpu" for device in values.devices())


def add_block(
    total: Float[AnyArray, "size size"], place: Int[np.ndarray, " part"], block: Float[AnyArray, "part part"]
) -> Float[AnyArray, "size size"]:
    """Add the upper triangle of a symmetric block at ascending rows and columns, in place where the array allows it."""
    if not isinstance(total, np.ndarray):
        return total.at[np.ix_(place, place)].add(jnp.triu(block))
    # Picking elements from one row at a time is six times as fast as picking them from all rows and columns at once.
    for number, row in enumerate(place):
        total[row, place[number:]] += block[number, number:]
    return total


def merge_triangles(
    size: int,
    triangles: list[tuple[Int[np.ndarray, " _"], Float[AnyArray, "_ _"]]],
    rows: Float[AnyArray, "row size"],
) -> Float[AnyArray, "size size"]:
    """The triangular factor of some triangles, each in columns of its own (ascending), and of rows.

    LAPACK's reduction of a triangle on top of another leaves their zeros alone: a third of the work of stacking them.
    """
    if not isinstance(rows, np.ndarray):
        spread = [jnp.zeros((len(place), size)).at[:, place].set(part) for place, part in triangles]
        stack = jnp.concatenate([jnp.zeros((size, size)), *spread, rows])
        return jnp.linalg.qr(stack, mode="r")
    # The panels of LAPACK's reductions are thin: threads wait for each other there longer than they work.
    with _thread_pools().limit(limits=1, user_api="blas"):
        return _merge_in_main_memory(size, triangles, rows)


def _merge_in_main_memory(
    size: int, triangles: list[tuple[np.ndarray, np.ndarray]], rows: Float[np.ndarray, "row size"]
) -> Float[np.ndarray, "size size"]:
    factor = np.zeros((size, size), order="F")
    for number, (place, part) in enumerate(triangles):
        if number == 0:
            for column, source in zip(place, part.T, strict=True):
                factor[place, column] = source
            continue
        spread = np.zeros((len(part), size), order="F")
        spread[:, place] = part
        factor = _reduce(factor, spread, staircase=len(part))
    return _reduce(factor, np.asfortranarray(rows), staircase=0)


def _reduce(factor: np.ndarray, rows: np.ndarray, *, staircase: int) -> np.ndarray:
    """The triangular factor of a triangle and of rows, the last ones of which may be a triangle too."""
    if rows.size == 0:
        # LAPACK refuses what is empty, as the rows of a square that no grain is near.
        return factor
    if len(rows) > 2 * len(factor):
        # The workspace that LAPACK is given by default is too small for it to work by panels.
        size, _ = dgeqrf_lwork(*rows.shape)
        reduced, _, _, _ = dgeqrf(rows, lwork=int(size), overwrite_a=True)
        rows, staircase = _without_lower(reduced[: len(factor)].copy(order="F")), len(factor)
    reduced, _, _, _ = dtpqrt(staircase, min(_PANEL, len(factor)), factor, rows, overwrite_a=True, overwrite_b=True)
    return _without_lower(reduced)


def _without_lower(matrix: np.ndarray) -> np.ndarray:
    """The matrix with zeros below its diagonal, in place, column by column as it lies in memory."""
    for number in range(matrix.shape[1]):
        matrix[number + 1 :, number] = 0
    return matrix


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()
