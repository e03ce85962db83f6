"""Triangular factors of which half is kept, for solves: rectangular full packed form."""

import numpy as np
from jaxtyping import Float
from scipy.linalg.lapack import dtfsm, dtrttf


def pack(factor: Float[np.ndarray, "size size"], dtype: type[np.floating]) -> Float[np.ndarray, " packed"]:
    """An upper triangular R with size (size + 1) / 2 numbers; what lies below its diagonal is not read.

    References
    ----------
    Gustavson et al. (2010), Rectangular full packed format for Cholesky's algorithm, ACM TOMS 37.

    Examples
    --------
    >>> pack(np.eye(3), np.float32).shape
    (6,)
    """
    # The transposed factor is lower triangular with columns one after another, as LAPACK wants it: no copy.
    packed, _ = dtrttf(np.ascontiguousarray(factor).T, uplo="L")
    return packed.astype(dtype)


def solve_packed(
    packed: Float[np.ndarray, " packed"], columns: Float[np.ndarray, "size column"]
) -> Float[np.ndarray, "size column"]:
    """``(RᵀR)⁻¹ B`` of a factor that `pack` made, in double precision whatever it is kept in.

    Examples
    --------
    >>> solve_packed(pack(2 * np.eye(3), np.float64), np.ones((3, 1)))[:, 0].tolist()
    [0.25, 0.25, 0.25]
    """
    double = packed.astype(np.float64, copy=False)
    half = dtfsm(1.0, double, columns, uplo="L")
    return dtfsm(1.0, double, half, uplo="L", trans="T", overwrite_b=1)
