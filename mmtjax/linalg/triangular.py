"""What is asked of a triangular factor: solves, condition, blocks of the inverse of its matrix; a form to keep it in.

BLAS and LAPACK where the factor is a number in main memory, JAX elsewhere. XLA's solve for one vector copies the factor
and takes twenty times as long as `dtrsv`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float
from scipy.linalg.blas import dtrmv, dtrsv
from scipy.linalg.lapack import dtfsm, dtrtri, dtrttf

from mmtjax.precision import in_main_memory, is_concrete, on_accelerator

AnyArray = np.ndarray | Array

#: The inverse of a factor is looked at in at most this many panels: each needs only what lies on one side of the
#: diagonal, which saves two thirds of the work, and JAX holds only one of them. Where it is small there is nothing to
#: save, nor on an accelerator, and compiling takes longer.
_PANELS = 16
SMALL = 1024

#: Steps of power iteration at most, and in main memory the relative change of the eigenvalue at which they end. The
#: condition number is then right to a few per cent.
_POWER_STEPS = 40
_SETTLED = 1e-3


def solve(
    factor: Float[AnyArray, "size size"], vector: Float[AnyArray, " size"], *, transposed: bool = False
) -> Float[Array, " size"]:
    """``R⁻¹ v``, or ``R⁻ᵀ v``, of an upper triangular R; what lies below its diagonal is not read.

    Examples
    --------
    >>> solve(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0])).tolist()
    [1.0, 1.0]
    """
    if in_main_memory(factor) and is_concrete(vector):
        return jnp.asarray(dtrsv(_lower(factor), np.asarray(vector), lower=1, trans=int(not transposed)))
    return solve_triangular(factor, vector, trans="T" if transposed else "N")


def pack(factor: Float[np.ndarray, "size size"], dtype: type[np.floating]) -> Float[np.ndarray, " packed"]:
    """An upper triangular R in rectangular full packed form, half as large; what lies below its diagonal is not read.

    References
    ----------
    Gustavson et al. (2010), Rectangular full packed format for Cholesky's algorithm, ACM TOMS 37.

    Examples
    --------
    >>> pack(np.eye(3), np.float32).shape
    (6,)
    """
    packed, _ = dtrttf(_lower(factor), uplo="L")
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


def inverse_blocks(factor: Float[AnyArray, "size size"]) -> Float[Array, "grain 3 3"]:
    """3 × 3 blocks on the diagonal of ``(RᵀR)⁻¹``.

    Examples
    --------
    >>> inverse_blocks(2 * np.eye(3))[0].diagonal().tolist()
    [0.25, 0.25, 0.25]
    """
    if in_main_memory(factor):
        return jnp.asarray(_inverse_blocks_in_memory(factor))
    return _inverse_blocks(factor)


def condition_number(factor: Float[AnyArray, "size size"]) -> Float[Array, ""]:
    """Estimate of the 2-norm condition number, by power iteration on RᵀR and its inverse; not differentiated.

    Infinite if the factor holds a value that is not finite or a zero pivot.

    Examples
    --------
    >>> round(float(condition_number(np.diag([1.0, 2.0, 8.0]))), 2)
    8.0
    """
    factor = jax.lax.stop_gradient(factor)
    if in_main_memory(factor):
        return jnp.asarray(_condition_in_memory(factor))
    return _condition(factor)


def _lower(factor: AnyArray) -> Float[np.ndarray, "size size"]:
    """The transposed factor, lower triangular, as BLAS wants it: columns one after another, and no copy."""
    return np.ascontiguousarray(factor).T


def _panels(size: int) -> list[slice]:
    width = size if size <= SMALL or on_accelerator() else 3 * -(-(size // 3) // _PANELS)
    return [slice(start, min(start + width, size)) for start in range(0, size, width)]


def _inverse_blocks_in_memory(factor: AnyArray) -> Float[np.ndarray, "grain 3 3"]:
    transposed, singular = dtrtri(_lower(factor), lower=1)
    if singular:
        return np.full((len(transposed) // 3, 3, 3), np.nan)
    # The inverse of the factor itself, rows one after another.
    inverse = transposed.T
    blocks = []
    for panel in _panels(len(inverse)):
        rows = np.triu(inverse[panel, panel.start :]).reshape(-1, 3, len(inverse) - panel.start)
        blocks.append(rows @ rows.transpose(0, 2, 1))
    return np.concatenate(blocks)


@jax.jit
def _inverse_blocks(factor: Float[Array, "size size"]) -> Float[Array, "grain 3 3"]:
    size = len(factor)
    blocks = jnp.zeros((size // 3, 3, 3))
    for panel in _panels(size):
        end = panel.stop
        count = end - panel.start
        columns = solve_triangular(factor[:end, :end], jnp.eye(end, count, k=-panel.start)).reshape(-1, 3, count)
        blocks = blocks.at[: end // 3].add(jnp.einsum("gic,gjc->gij", columns, columns))
    return blocks


def _start(size: int) -> Float[np.ndarray, " size"]:
    return np.cos(np.arange(size, dtype=np.float64) ** 2 + 1.0)


def _condition_in_memory(factor: AnyArray) -> float:
    lower = _lower(factor)
    if not (np.isfinite(np.sum(lower)) and np.all(np.diagonal(lower))):
        return np.inf

    def grow(vector: np.ndarray) -> np.ndarray:
        return dtrmv(lower, dtrmv(lower, vector, lower=1, trans=1), lower=1, trans=0)

    def shrink(vector: np.ndarray) -> np.ndarray:
        return dtrsv(lower, dtrsv(lower, vector, lower=1, trans=0), lower=1, trans=1)

    largest, smallest = (_eigenvalue(step, _start(len(lower))) for step in (grow, shrink))
    return float(np.sqrt(largest * smallest))


def _eigenvalue(step: Callable[[np.ndarray], np.ndarray], vector: np.ndarray) -> float:
    """Largest eigenvalue of a symmetric positive map."""
    value = 0.0
    for _ in range(_POWER_STEPS):
        image = step(vector / np.linalg.norm(vector))
        before, value = value, float(np.linalg.norm(image))
        if not np.isfinite(value) or abs(value - before) <= _SETTLED * value:
            break
        vector = image
    return value


@jax.jit
def _condition(factor: Float[Array, "size size"]) -> Float[Array, ""]:
    pivots = jnp.abs(jnp.diagonal(factor))
    sound = jnp.all(jnp.isfinite(factor)) & (jnp.min(pivots) > 0)
    safe = jnp.where(sound, factor, jnp.eye(len(pivots)))

    def eigenvalue(step: Callable[[Array], Array]) -> Float[Array, ""]:
        def improve(_: Array, vector: Array) -> Array:
            return step(vector / jnp.linalg.norm(vector))

        return jnp.linalg.norm(jax.lax.fori_loop(0, _POWER_STEPS, improve, jnp.asarray(_start(len(pivots)))))

    largest = eigenvalue(lambda vector: safe.T @ (safe @ vector))
    smallest = eigenvalue(lambda vector: solve_triangular(safe, solve_triangular(safe, vector, trans="T")))
    return jnp.where(sound, jnp.sqrt(largest * smallest), jnp.inf)
