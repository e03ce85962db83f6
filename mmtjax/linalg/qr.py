"""Householder QR of tall rows in main memory, by LAPACK a panel at a time, and by JAX elsewhere."""

from functools import cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dgeqrf, dgeqrf_lwork
from threadpoolctl import ThreadpoolController

from mmtjax.precision import AnyArray

#: Columns that are reduced before the others are updated: fewer make thin products, more a slow panel.
_PANEL = 192

#: Rows that are updated at a time: the product of more comes in memory fresh from the system.
_CHUNK = 512


def triangularize(
    rows: Float[AnyArray, "row size"], lead: Int[np.ndarray, " row"], ends: list[int]
) -> list[Float[AnyArray, "left size"]]:
    """What is left of rows when they are made upper triangular, parted at the columns where their first values lie.

    Householder's reflections, a panel of columns at a time, of the rows that have begun by then; zeros before `lead`
    (ascending) cost nothing. NumPy's rows are overwritten.

    Parameters
    ----------
    rows
        Rows to reduce.
    lead
        Number of zeros at the beginning of each, ascending.
    ends
        Columns before which each part of the result ends, ascending, the last of them the number of columns.
    """
    if not isinstance(rows, np.ndarray):
        reduced = jnp.linalg.qr(rows, mode="r")
        return jnp.split(reduced, [min(end, len(reduced)) for end in ends[:-1]])
    top, parts = 0, []
    for start, end in zip([0, *ends], ends, strict=False):
        first = top
        for column in range(start, end, _PANEL):
            stop = min(column + _PANEL, end)
            begun = int(np.searchsorted(lead, stop))
            top += _reflect(rows[top:begun, column:], stop - column)
        parts.append(rows[first:top])
    return parts


def _reflect(rows: Float[np.ndarray, "row size"], width: int) -> int:
    """Make the first columns of some rows upper triangular, in place; how many rows are then final."""
    if len(rows) == 0 or width == 0:
        return 0
    others = rows[:, width:]
    # Panels are thin: threads wait for each other there longer than they work. And SciPy has a BLAS of its own, whose
    # threads, once woken, would spin beside those of NumPy's that make the products below.
    with _thread_pools().limit(limits=1, user_api="blas"):
        vectors, scale = _panel(np.array(rows[:, :width], order="F"))
        count = len(scale)
        rows[:count, :width] = np.triu(vectors[:count])
        rows[count:, :width] = 0
        if not others.size:
            return count
        vectors = vectors[:, :count]
        vectors[:count] = np.tril(vectors[:count], -1)
        np.fill_diagonal(vectors, 1)
        # The product of the reflections is 1 - V T Vᵀ, with 1/T the upper triangle of VᵀV and 1/scale on its diagonal.
        inner = np.eye(count) + scale[:, None] * np.triu(vectors.T @ vectors, 1)
        turn = solve_triangular(inner, np.diag(scale)).T
    along = turn @ (vectors.T @ others)
    for start in range(0, len(others), _CHUNK):
        others[start : start + _CHUNK] -= vectors[start : start + _CHUNK] @ along
    return count


def _panel(columns: Float[np.ndarray, "row width"]) -> tuple[np.ndarray, np.ndarray]:
    """LAPACK's reflections of some columns, which are overwritten."""
    # The workspace that LAPACK is given by default is too small for it to work by panels.
    size, _ = dgeqrf_lwork(*columns.shape)
    vectors, scale, _, _ = dgeqrf(columns, lwork=int(size), overwrite_a=True)
    return vectors, scale


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()
