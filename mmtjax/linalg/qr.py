"""Householder QR of many rows: by LAPACK, panel by panel, in main memory, and by JAX elsewhere."""

from functools import cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import get_lapack_funcs, solve_triangular
from threadpoolctl import ThreadpoolController

from mmtjax.precision import AnyArray

#: Number of columns of a panel, which are reduced before the other columns are updated. With fewer columns the products
#: of the update are too thin, with more the reduction of the panel is slow.
_PANEL = 192

#: Number of rows that are updated at a time. The system has to allocate new memory for products of more rows.
_CHUNK = 512

_geqrf, _geqrf_lwork = get_lapack_funcs(("geqrf", "geqrf_lwork"), dtype=np.float64)


def triangularize(
    rows: Float[AnyArray, "row size"], lead: Int[np.ndarray, " row"], ends: list[int]
) -> list[Float[AnyArray, "left size"]]:
    """Return the upper triangular factor of rows, divided into blocks of rows by the column of their first value.

    Householder reflections are applied to one panel of columns at a time, and only to rows whose first value lies in or
    before the panel: leading zeros cost nothing. Rows that are an array of NumPy are overwritten.

    Parameters
    ----------
    rows
        Rows to reduce, sorted by `lead`.
    lead
        Number of leading zeros of each row, ascending.
    ends
        Columns at which blocks of the result end, ascending, the last of them the number of columns: block i has the
        rows whose first value lies before ``ends[i]``, and not before ``ends[i - 1]``.
    """
    if not isinstance(rows, np.ndarray):
        reduced = jnp.linalg.qr(rows, mode="r")
        return [*jnp.split(reduced, [min(end, len(reduced)) for end in ends[:-1]])]
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
    """Make the first `width` columns of rows upper triangular, in place; return the number of rows that are final."""
    if len(rows) == 0 or width == 0:
        return 0
    others = rows[:, width:]
    # One thread for the panel: it is so thin that threads would mostly wait for each other. Besides, SciPy has its own
    # BLAS, whose threads would go on spinning beside those of NumPy that compute the products below.
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
        # The product of the reflections is 1 - V T Vᵀ; T⁻¹ is the upper triangle of VᵀV with 1/scale on its diagonal.
        inner = np.eye(count) + scale[:, None] * np.triu(vectors.T @ vectors, 1)
        turn = solve_triangular(inner, np.diag(scale)).T
    along = turn @ (vectors.T @ others)
    for start in range(0, len(others), _CHUNK):
        others[start : start + _CHUNK] -= vectors[start : start + _CHUNK] @ along
    return count


def _panel(columns: Float[np.ndarray, "row width"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the Householder vectors and scales of some columns, which are overwritten, from LAPACK."""
    # With the default workspace of SciPy, LAPACK is not able to work by panels.
    size, _ = _geqrf_lwork(*columns.shape)
    vectors, scale, _, _ = _geqrf(columns, lwork=int(size), overwrite_a=True)
    return vectors, scale


@cache
def _thread_pools() -> ThreadpoolController:
    """Return the thread pools of the libraries that are loaded, which takes long to find out."""
    return ThreadpoolController()
