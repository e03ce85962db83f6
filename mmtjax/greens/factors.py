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


def merge_rows(
    size: int,
    parts: list[tuple[Int[np.ndarray, " _"], Float[AnyArray, "_ _"]]],
    rows: Float[AnyArray, "row size"],
) -> Float[AnyArray, "left size"]:
    """What is left of some rows and of parts that were left of others, each in columns of its own (ascending).

    Fewer rows than columns are kept as they are: a triangle would be larger. Others become a triangle; LAPACK's
    reduction of one triangle on top of another leaves their zeros alone, a third of the work of stacking them.
    """
    if size == 0:
        # No grain is near this square, and LAPACK refuses what is empty.
        return rows[:0]
    parts = [(place, part) for place, part in parts if len(place)]
    count = len(rows) + sum(len(part) for _, part in parts)
    if not isinstance(rows, np.ndarray):
        spread = [jnp.zeros((len(part), size)).at[:, place].set(part) for place, part in parts]
        stack = jnp.concatenate([*spread, rows])
        return stack if count < size else jnp.linalg.qr(stack, mode="r")
    triangles = [] if count < size else [part for part in parts if len(part[1]) == len(part[0])]
    loose = [part for part in parts if count < size or len(part[1]) < len(part[0])]
    stack = _spread(size, [*loose, (np.arange(size), rows)])
    if count < size:
        return stack
    # The panels of LAPACK's reductions are thin: threads wait for each other there longer than they work.
    with _thread_pools().limit(limits=1, user_api="blas"):
        return _reduce_all(size, triangles, stack)


def triangular(size: int, rows: Float[AnyArray, "row size"]) -> Float[AnyArray, "size size"]:
    """The square triangular factor of what `merge_rows` left at last, with rows of zeros where there were too few."""
    if len(rows) == size:
        return rows
    reduced = jnp.linalg.qr(jnp.asarray(rows), mode="r")
    return jnp.zeros((size, size)).at[: len(reduced)].set(reduced)


def _spread(size: int, parts: list[tuple[np.ndarray, np.ndarray]]) -> Float[np.ndarray, "row size"]:
    """Parts one below the other, each in its columns, as LAPACK wants them in memory."""
    stack, start = np.zeros((sum(len(part) for _, part in parts), size), order="F"), 0
    for place, part in parts:
        stack[start : start + len(part), place] = part
        start += len(part)
    return stack


def _reduce_all(
    size: int, triangles: list[tuple[np.ndarray, np.ndarray]], rows: Float[np.ndarray, "row size"]
) -> Float[np.ndarray, "size size"]:
    if not triangles:
        return _triangle(rows)
    (place, largest), *others = sorted(triangles, key=lambda part: -len(part[1]))
    factor = np.zeros((size, size), order="F")
    for column, source in zip(place, largest.T, strict=True):
        factor[place, column] = source
    for part in others:
        factor = _reduce(factor, _spread(size, [part]), staircase=len(part[1]))
    return _reduce(factor, rows, staircase=0)


def _reduce(factor: np.ndarray, rows: np.ndarray, *, staircase: int) -> np.ndarray:
    """The triangular factor of a triangle and of rows, the last ones of which may be a triangle too."""
    if len(rows) == 0:
        return factor
    if len(rows) > 2 * len(factor):
        rows, staircase = _triangle(rows), len(factor)
    reduced, _, _, _ = dtpqrt(staircase, min(_PANEL, len(factor)), factor, rows, overwrite_a=True, overwrite_b=True)
    return _without_lower(reduced)


def _triangle(rows: Float[np.ndarray, "row size"]) -> Float[np.ndarray, "size size"]:
    """The triangular factor of no fewer rows than columns; the rows are overwritten."""
    # The workspace that LAPACK is given by default is too small for it to work by panels.
    size, _ = dgeqrf_lwork(*rows.shape)
    reduced, _, _, _ = dgeqrf(rows, lwork=int(size), overwrite_a=True)
    return _without_lower(reduced[: rows.shape[1]].copy(order="F"))


def _without_lower(matrix: np.ndarray) -> np.ndarray:
    """The matrix with zeros below its diagonal, in place, column by column as it lies in memory."""
    for number in range(matrix.shape[1]):
        matrix[number + 1 :, number] = 0
    return matrix


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()
