"""Functions of a triangular factor R: solves, the condition number, blocks of (RᵀR)⁻¹, and a packed form.

They use BLAS and LAPACK if the factor is not traced and in main memory, and JAX otherwise. For one vector, a solve by
XLA copies the factor and takes twenty times as long as ``dtrsv``.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float
from scipy.linalg import get_blas_funcs, get_lapack_funcs

from mmtjax.precision import AnyArray, in_main_memory, is_concrete, on_accelerator

#: First unknown, sources and components of each set of unknowns, one set after another.
Layout = tuple[tuple[int, int, int], ...]

#: Largest number of panels in which the inverse of a factor is computed. Each panel needs only the elements on one side
#: of the diagonal, which saves two thirds of the work, and JAX has only one panel in memory. For factors up to `SMALL`
#: unknowns, and on an accelerator, panels save nothing, and compilation would take longer.
_PANELS = 16
SMALL = 1024

#: Largest number of steps of a power iteration, and the relative change of the eigenvalue at which it ends in main
#: memory. The condition number is then accurate to a few per cent.
_POWER_STEPS = 40
_SETTLED = 1e-3

_trmv, _trsv = get_blas_funcs(("trmv", "trsv"), dtype=np.float64)
_tfsm, _trtri, _trttf = get_lapack_funcs(("tfsm", "trtri", "trttf"), dtype=np.float64)


def solve(
    factor: Float[AnyArray, "size size"], vector: Float[AnyArray, " size"], *, transposed: bool = False
) -> Float[Array, " size"]:
    """Return ``R⁻¹ v``, or ``R⁻ᵀ v``, for an upper triangular R.

    Parameters
    ----------
    factor
        R; elements below its diagonal are not read.
    vector
        v.
    transposed
        Whether to solve with Rᵀ.

    Examples
    --------
    >>> solve(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0])).tolist()
    [1.0, 1.0]
    """
    if in_main_memory(factor) and is_concrete(vector):
        return jnp.asarray(_trsv(_lower(factor), np.asarray(vector), lower=1, trans=int(not transposed)))
    return solve_triangular(factor, vector, trans="T" if transposed else "N")


def pack(factor: Float[np.ndarray, "size size"], dtype: type[np.floating]) -> Float[np.ndarray, " packed"]:
    """Return an upper triangular R in rectangular full packed form, which takes half the memory.

    Parameters
    ----------
    factor
        R; elements below its diagonal are not read.
    dtype
        Precision of the result.

    References
    ----------
    Gustavson et al. (2010), Rectangular full packed format for Cholesky's algorithm, ACM TOMS 37.

    Examples
    --------
    >>> pack(np.eye(3), np.float32).shape
    (6,)
    """
    packed, _ = _trttf(_lower(factor), uplo="L")
    return packed.astype(dtype)


def solve_packed(
    packed: Float[np.ndarray, " packed"], columns: Float[np.ndarray, "size column"]
) -> Float[np.ndarray, "size column"]:
    """Return ``(RᵀR)⁻¹ B`` for a packed factor, computed in double precision.

    Parameters
    ----------
    packed
        Result of `pack`, of any precision.
    columns
        B.

    Examples
    --------
    >>> solve_packed(pack(2 * np.eye(3), np.float64), np.ones((3, 1)))[:, 0].tolist()
    [0.25, 0.25, 0.25]
    """
    double = packed.astype(np.float64, copy=False)
    half = _tfsm(1.0, double, columns, uplo="L")
    return _tfsm(1.0, double, half, uplo="L", trans="T", overwrite_b=1)


def inverse_blocks(
    factor: Float[AnyArray, "size size"], layout: Layout
) -> tuple[Float[Array, "source component component"], ...]:
    """Return the diagonal blocks of ``(RᵀR)⁻¹`` of all sources, set by set.

    Parameters
    ----------
    factor
        Upper triangular R.
    layout
        First unknown, number of sources and number of components of each set of unknowns, see `Unknowns.blocks`.

    Returns
    -------
    tuple
        For each set an array (source, component, component); NaN if R is singular.

    Examples
    --------
    >>> [blocks.shape for blocks in inverse_blocks(2 * np.eye(7), ((0, 2, 3), (6, 1, 1)))]
    [(2, 3, 3), (1, 1, 1)]
    """
    if in_main_memory(factor):
        return tuple(map(jnp.asarray, _inverse_blocks_in_memory(factor, layout)))
    return _inverse_blocks(factor, layout)


def condition_number(factor: Float[AnyArray, "size size"]) -> Float[Array, ""]:
    """Return an estimate of the 2-norm condition number of R, by power iterations with RᵀR and its inverse.

    The derivative of the result is zero.

    Parameters
    ----------
    factor
        Upper triangular R. If a value is not finite or a pivot is zero, the result is infinite.

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
    """Return the transposed factor, lower triangular, in column order as BLAS requires, without a copy."""
    return np.ascontiguousarray(factor).T


def _panels(size: int, block: tuple[int, int, int]) -> list[slice]:
    """Return the ranges of unknowns of the panels of one set; they do not divide the unknowns of a source."""
    first, sources, components = block
    each = sources if size <= SMALL or on_accelerator() else -(-sources // _PANELS)
    stop = first + sources * components
    return [slice(start, min(start + each * components, stop)) for start in range(first, stop, each * components)]


def _inverse_blocks_in_memory(
    factor: AnyArray, layout: Layout
) -> list[Float[np.ndarray, "source component component"]]:
    """Return the diagonal blocks by LAPACK."""
    transposed, singular = _trtri(_lower(factor), lower=1)
    if singular:
        return [np.full((sources, components, components), np.nan) for _, sources, components in layout]
    # The inverse of the factor itself, in row order.
    inverse, found = transposed.T, []
    for block in layout:
        parts = []
        for panel in _panels(len(inverse), block):
            rows = np.triu(inverse[panel, panel.start :]).reshape(-1, block[2], len(inverse) - panel.start)
            parts.append(rows @ rows.transpose(0, 2, 1))
        found.append(np.concatenate(parts))
    return found


@partial(jax.jit, static_argnames="layout")
def _inverse_blocks(
    factor: Float[Array, "size size"], layout: Layout
) -> tuple[Float[Array, "source component component"], ...]:
    """Return the diagonal blocks by JAX."""
    size = len(factor)
    found = [jnp.zeros((sources, components, components)) for _, sources, components in layout]
    for block in layout:
        for panel in _panels(size, block):
            end = panel.stop
            count = end - panel.start
            columns = solve_triangular(factor[:end, :end], jnp.eye(end, count, k=-panel.start))
            for number, (first, sources, components) in enumerate(layout):
                # The columns are zero below the panel.
                stop = min(end, first + sources * components)
                if stop <= first:
                    continue
                rows = columns[first:stop].reshape(-1, components, count)
                found[number] = found[number].at[: len(rows)].add(jnp.einsum("gic,gjc->gij", rows, rows))
    return tuple(found)


def _start(size: int) -> Float[np.ndarray, " size"]:
    """Return the first vector of a power iteration: fixed numbers without a regular pattern."""
    return np.cos(np.arange(size, dtype=np.float64) ** 2 + 1.0)


def _condition_in_memory(factor: AnyArray) -> float:
    """Return the condition number by BLAS."""
    lower = _lower(factor)
    if not (np.isfinite(np.sum(lower)) and np.all(np.diagonal(lower))):
        return np.inf

    def grow(vector: np.ndarray) -> np.ndarray:
        return _trmv(lower, _trmv(lower, vector, lower=1, trans=1), lower=1, trans=0)

    def shrink(vector: np.ndarray) -> np.ndarray:
        return _trsv(lower, _trsv(lower, vector, lower=1, trans=0), lower=1, trans=1)

    largest, smallest = (_eigenvalue(step, _start(len(lower))) for step in (grow, shrink))
    return float(np.sqrt(largest * smallest))


def _eigenvalue(step: Callable[[np.ndarray], np.ndarray], vector: np.ndarray) -> float:
    """Return the largest eigenvalue of a symmetric positive definite map, by power iteration."""
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
    """Return the condition number by JAX."""
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
