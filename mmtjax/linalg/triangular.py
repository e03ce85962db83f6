"""Solves with a triangular factor, its condition number, blocks of the inverse of its matrix, and a packed form.

BLAS and LAPACK where the factor is known and in main memory, JAX elsewhere. XLA's solve for one vector copies the
factor and takes twenty times as long as `dtrsv`.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float
from scipy.linalg.blas import dtrmv, dtrsv
from scipy.linalg.lapack import dtfsm, dtrtri, dtrttf

from mmtjax.precision import AnyArray, in_main_memory, is_concrete, on_accelerator

#: First unknown, sources and components of each set of unknowns, one set after another.
Layout = tuple[tuple[int, int, int], ...]

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
    """Return ``R⁻¹ v``, or ``R⁻ᵀ v``, for an upper triangular R; what lies below its diagonal is not read.

    Examples
    --------
    >>> solve(np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([3.0, 4.0])).tolist()
    [1.0, 1.0]
    """
    if in_main_memory(factor) and is_concrete(vector):
        return jnp.asarray(dtrsv(_lower(factor), np.asarray(vector), lower=1, trans=int(not transposed)))
    return solve_triangular(factor, vector, trans="T" if transposed else "N")


def pack(factor: Float[np.ndarray, "size size"], dtype: type[np.floating]) -> Float[np.ndarray, " packed"]:
    """Return an upper triangular R in rectangular full packed form, half as large.

    What lies below its diagonal is not read.

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
    """Return ``(RᵀR)⁻¹ B`` for a factor that `pack` made, in double precision whatever it is kept in.

    Examples
    --------
    >>> solve_packed(pack(2 * np.eye(3), np.float64), np.ones((3, 1)))[:, 0].tolist()
    [0.25, 0.25, 0.25]
    """
    double = packed.astype(np.float64, copy=False)
    half = dtfsm(1.0, double, columns, uplo="L")
    return dtfsm(1.0, double, half, uplo="L", trans="T", overwrite_b=1)


def inverse_blocks(
    factor: Float[AnyArray, "size size"], layout: Layout
) -> tuple[Float[Array, "source component component"], ...]:
    """Return the blocks on the diagonal of ``(RᵀR)⁻¹`` that belong to each source, set by set.

    Parameters
    ----------
    factor
        Upper triangular R.
    layout
        First unknown, sources and components of each set, one set after another, see `Unknowns.blocks`.

    Examples
    --------
    >>> [blocks.shape for blocks in inverse_blocks(2 * np.eye(7), ((0, 2, 3), (6, 1, 1)))]
    [(2, 3, 3), (1, 1, 1)]
    """
    if in_main_memory(factor):
        return tuple(map(jnp.asarray, _inverse_blocks_in_memory(factor, layout)))
    return _inverse_blocks(factor, layout)


def condition_number(factor: Float[AnyArray, "size size"]) -> Float[Array, ""]:
    """Estimate the 2-norm condition number by power iteration on RᵀR and its inverse; it is not differentiated.

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


def _panels(size: int, block: tuple[int, int, int]) -> list[slice]:
    """Return ranges of the unknowns of one set that divide no source; one range where a factor is small."""
    first, sources, components = block
    each = sources if size <= SMALL or on_accelerator() else -(-sources // _PANELS)
    stop = first + sources * components
    return [slice(start, min(start + each * components, stop)) for start in range(first, stop, each * components)]


def _inverse_blocks_in_memory(
    factor: AnyArray, layout: Layout
) -> list[Float[np.ndarray, "source component component"]]:
    transposed, singular = dtrtri(_lower(factor), lower=1)
    if singular:
        return [np.full((sources, components, components), np.nan) for _, sources, components in layout]
    # The inverse of the factor itself, rows one after another.
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
    size = len(factor)
    found = [jnp.zeros((sources, components, components)) for _, sources, components in layout]
    for block in layout:
        for panel in _panels(size, block):
            end = panel.stop
            count = end - panel.start
            columns = solve_triangular(factor[:end, :end], jnp.eye(end, count, k=-panel.start))
            for number, (first, sources, components) in enumerate(layout):
                # Below the panel the columns are zero.
                stop = min(end, first + sources * components)
                if stop <= first:
                    continue
                rows = columns[first:stop].reshape(-1, components, count)
                found[number] = found[number].at[: len(rows)].add(jnp.einsum("gic,gjc->gij", rows, rows))
    return tuple(found)


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
