"""Radius of the confidence sphere of each grain, exact and by bootstrap, and the uncertainty ratio."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete, real_number, require_float64, require_key
from mmtjax.uncertainty.covariance import checked_factor
from mmtjax.uncertainty.quadrature import principal_axes, unit_radius
from mmtjax.units import AXES

#: Number of components of a vector.
_VECTOR = len(AXES)

#: Asymmetry and negative eigenvalues up to this share of the largest entry are attributed to rounding: the inverse of a
#: matrix of condition number 1e10 has errors of that size.
_ROUNDING = 1e-6

#: Smallest level for which the radius has ten correct digits; below it, P is a difference of nearly equal numbers.
LEAST_LEVEL = 1e-5

#: Numbers of grains and of draws that are in memory at the same time.
_GRAINS_AT_ONCE = 2048
_GRAINS_DRAWN_AT_ONCE = 64
_DRAWS_AT_ONCE = 512


def confidence_radius(covariance: ArrayLike, level: ArrayLike = 0.95) -> Float[Array, "..."]:
    """Return the exact radius of the sphere that contains the error of a grain with a given probability.

    The radius u solves ``P(|δ| ≤ u) = level`` for ``δ ~ N(0, C)``. It has ten correct digits; the bootstrap of Out et
    al. (2022, section 2.2.2) estimates the same number. It is differentiable any number of times with respect to both
    arguments, also where eigenvalues are equal or zero. At a covariance of zero, where the radius has no derivative,
    the derivative is given as zero.

    Parameters
    ----------
    covariance
        Covariances of the grains, (grain, 3, 3), or of one, (3, 3); (A/m)². Singular ones are allowed.
    level
        Probability, from 1e-5 to 1 (exclusive).

    Returns
    -------
    Array of shape (grain,) or ()
        Radii, A/m.

    Raises
    ------
    ValueError
        If the covariance has another shape; if a covariance is not finite, or, by more than rounding, not symmetric or
        not positive semidefinite; if the level is out of range. Values are checked unless they are traced.
    RuntimeError
        If JAX computes in single precision.

    Examples
    --------
    >>> round(confidence_radius(np.eye(3)).item(), 9)
    2.795483483
    """
    require_float64()
    blocks = float64_array(covariance, name="covariance")
    if (_VECTOR, _VECTOR) not in (blocks.shape, blocks.shape[1:]):
        msg = f"covariance must be (grain, 3, 3), or (3, 3) for one grain; got shape {blocks.shape}"
        raise InputError(msg)
    share = float64_array(level, name="level")
    if share.shape != () or (is_concrete(share) and not LEAST_LEVEL <= share < 1):
        msg = f"level must be one probability, from {LEAST_LEVEL:g} to 1 (exclusive); got {level!r}"
        raise InputError(msg)
    if is_concrete(blocks):
        _refuse_improper(np.asarray(blocks))
        _refuse_negative(np.linalg.eigvalsh(blocks))
    return _radii(blocks, share)


def bootstrap_radius(
    key: jax.Array, covariance: ArrayLike, draws: int = 10_000, level: float = 0.95
) -> Float[Array, "..."]:
    """Return the radius of the confidence sphere by bootstrap, as in Out et al. (2022, section 2.2.2).

    Errors are drawn from N(0, C), and the radius of each grain is the norm of rank ``round(level · draws)``. With the
    blocks of the covariance each grain is drawn independently, with the whole matrix all grains jointly. Both estimate
    `confidence_radius`, which is faster, exact and differentiable.

    Parameters
    ----------
    key
        Random key of JAX. If blocks are given, the draws of a grain do not depend on the other grains.
    covariance
        Blocks (grain, 3, 3), one block (3, 3), or the whole matrix (3 grain, 3 grain); (A/m)². Singular ones are
        allowed.
    draws, level
        Number of draws, and probability.

    Returns
    -------
    Array of shape (grain,), or () for one block
        Radii, A/m.

    Raises
    ------
    ValueError
        As `confidence_radius`, and if there are so few draws that the rank is zero.
    RuntimeError
        If JAX computes in single precision.

    Examples
    --------
    >>> abs(bootstrap_radius(jax.random.key(0), np.eye(3)) / confidence_radius(np.eye(3)) - 1).item() < 0.03
    True
    """
    require_float64()
    require_key(key)
    matrix = float64_array(covariance, name="covariance")
    size = matrix.shape[-1] if matrix.ndim else 0
    blocks = matrix.shape[1:] == (_VECTOR, _VECTOR)
    if not blocks and (matrix.shape != (size, size) or size == 0 or size % _VECTOR):
        msg = (
            f"covariance must be (grain, 3, 3), (3, 3), or (3 grain, 3 grain) for joint draws; got shape {matrix.shape}"
        )
        raise InputError(msg)
    rank = _rank(draws, level)
    if is_concrete(matrix):
        _refuse_improper(np.asarray(matrix))
    if blocks or size == _VECTOR:
        if is_concrete(matrix):
            _refuse_negative(np.linalg.eigvalsh(matrix))
        return _blockwise_radii(key, matrix.reshape(-1, _VECTOR, _VECTOR), draws=draws, rank=rank).reshape(
            matrix.shape[:-2]
        )
    values, vectors = jnp.linalg.eigh(matrix)
    if is_concrete(values):
        _refuse_negative(np.asarray(values))
    root = vectors * jnp.sqrt(jnp.maximum(values, 0))
    return _joint_radii(key, functools.partial(jnp.matmul, root), grains=size // _VECTOR, draws=draws, rank=rank)


def joint_bootstrap_radius(
    key: jax.Array,
    factor: ArrayLike,
    scale: ArrayLike,
    *,
    variance: ArrayLike,
    draws: int = 10_000,
    level: float = 0.95,
) -> Float[Array, " grain"]:
    """Return the radius of the confidence sphere by joint draws of all grains, computed from the triangular factor.

    The draws are those of `bootstrap_radius` for the whole covariance matrix, but that matrix is not computed:
    ``δ = σ diag(1/s) R⁻¹ z``. Only the norms of the draws, (grain, draws), are stored.

    Parameters
    ----------
    key
        Random key of JAX.
    factor, scale, variance
        As for `covariance_blocks`.
    draws, level
        Number of draws, and probability.

    Returns
    -------
    Array of shape (grain,)
        Radii, A/m.

    Raises
    ------
    ValueError, RuntimeError
        As `covariance_blocks` and `bootstrap_radius`.

    Examples
    --------
    >>> joint_bootstrap_radius(jax.random.key(0), np.eye(6), np.ones(6), variance=1.0).shape
    (2,)
    """
    require_key(key)
    triangle, columns, power = checked_factor(factor, scale, variance, of_grains=True)
    rank = _rank(draws, level)

    def error(normal: Float[AnyArray, "param draw"]) -> Float[AnyArray, "param draw"]:
        return solve_triangular(triangle, normal) / columns[:, None]

    return jnp.sqrt(power) * _joint_radii(key, error, grains=len(columns) // _VECTOR, draws=draws, rank=rank)


def uncertainty_ratio(
    magnetization: Float[AnyArray, "*grain 3"], radius: Float[AnyArray, "*grain"]
) -> Float[Array, "*grain"]:
    """Return the radius of the confidence sphere divided by the length of the magnetization (equation 12).

    The ratio is a fraction, not percent. For a magnetization of zero it is infinite, with a gradient of zero.

    Parameters
    ----------
    magnetization
        Magnetizations, (grain, 3) or (3,), A/m.
    radius
        Radii of the confidence spheres, (grain,) or (), A/m.

    Raises
    ------
    ValueError
        If the shapes are not (grain, 3) and (grain,), or (3,) and ().

    Examples
    --------
    >>> uncertainty_ratio(np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 0.0]]), np.array([0.5, 0.5])).tolist()
    [0.1, inf]
    """
    magnetization = float64_array(magnetization, name="magnetization")
    radius = float64_array(radius, name="radius")
    if magnetization.shape != (*radius.shape, _VECTOR):
        msg = f"magnetization and radius must be (grain, 3) and (grain,); got {magnetization.shape} and {radius.shape}"
        raise InputError(msg)
    square = jnp.sum(magnetization**2, axis=-1)
    known = square != 0
    return jnp.where(known, radius / jnp.sqrt(jnp.where(known, square, 1.0)), jnp.inf)


@jax.jit
def _radii(covariance: Float[AnyArray, "*grain 3 3"], level: Float[AnyArray, ""]) -> Float[Array, "*grain"]:
    symmetric = (covariance + jnp.swapaxes(covariance, -1, -2)) / 2
    # The radius scales as the square root of the covariance, in its value and in its derivative, so that covariances
    # can be scaled to order one here.
    size = jax.lax.stop_gradient(jnp.max(jnp.abs(symmetric), axis=(-2, -1)))
    certain = (size == 0)[..., None, None]
    unit = jnp.where(certain, jnp.eye(_VECTOR), symmetric / jnp.where(certain, 1.0, size[..., None, None]))
    if covariance.ndim == 2:
        return jnp.sqrt(size) * unit_radius(unit, level)
    return jnp.sqrt(size) * jax.lax.map(lambda block: unit_radius(block, level), unit, batch_size=_GRAINS_AT_ONCE)


@functools.partial(jax.jit, static_argnames=("draws", "rank"))
def _blockwise_radii(
    key: jax.Array, covariance: Float[AnyArray, "grain 3 3"], *, draws: int, rank: int
) -> Float[Array, " grain"]:
    def one(grain: tuple[AnyArray, AnyArray]) -> Float[AnyArray, ""]:
        number, block = grain
        size = jnp.max(jnp.abs(block))
        values, vectors = principal_axes(block / jnp.where(size == 0, 1.0, size))
        normal = jax.random.normal(jax.random.fold_in(key, number), (_VECTOR, draws))
        error = (vectors * jnp.sqrt(values)) @ normal
        return jnp.sqrt(size) * _ranked_norm(jnp.sum(error**2, axis=0), rank)

    return jax.lax.map(one, (jnp.arange(len(covariance)), covariance), batch_size=_GRAINS_DRAWN_AT_ONCE)


def _joint_radii(
    key: jax.Array, error: Callable[[AnyArray], AnyArray], *, grains: int, draws: int, rank: int
) -> Float[Array, " grain"]:
    """Return radii from the errors `error(z)` of all grains, (3 grain, draw), for standard normal z."""
    at_once = min(draws, _DRAWS_AT_ONCE)

    @jax.jit
    def squares(number: AnyArray) -> Float[AnyArray, "grain draw"]:
        normal = jax.random.normal(jax.random.fold_in(key, number), (_VECTOR * grains, at_once))
        return jnp.sum(error(normal).reshape(grains, _VECTOR, at_once) ** 2, axis=1)

    chunks = jax.lax.map(squares, jnp.arange(-(-draws // at_once)))
    return _ranked_norm(jnp.swapaxes(chunks, 0, 1).reshape(grains, -1)[:, :draws], rank)


def _ranked_norm(squares: Float[Array, "*grain draw"], rank: int) -> Float[Array, "*grain"]:
    """Return the square root of the `rank`-th smallest of `squares`, by a search among the largest, which are few."""
    return jnp.sqrt(jax.lax.top_k(squares, squares.shape[-1] - rank + 1)[0][..., -1])


def _rank(draws: int, level: float) -> int:
    """Return the rank of the norm that is the radius, after a check of the number of draws and the level."""
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 1:
        msg = f"the number of draws must be a positive integer; got {draws!r}"
        raise InputError(msg)
    if not 0 < real_number(level, name="level") < 1:
        msg = f"level must be one probability, between 0 and 1; got {level!r}"
        raise InputError(msg)
    rank = round(float(level) * int(draws))
    if rank == 0:
        msg = f"{draws} draws are too few for the level {level!r}; take {math.ceil(1 / level)} or more"
        raise InputError(msg)
    return rank


def _refuse_improper(covariance: np.ndarray) -> None:
    """Raise a ValueError for covariances that are not finite or not symmetric."""
    if not np.all(np.isfinite(covariance)):
        place = np.argwhere(~np.isfinite(covariance))[0].tolist()
        msg = f"covariance{place} is {covariance[tuple(place)]}; covariances must be finite"
        raise InputError(msg)
    asymmetry = np.abs(covariance - np.swapaxes(covariance, -1, -2))
    excess = asymmetry - _ROUNDING * np.max(np.abs(covariance), axis=(-2, -1), keepdims=True)
    if np.any(excess > 0):
        *grain, row, column = np.unravel_index(np.argmax(excess), excess.shape)
        one, other = covariance[(*grain, row, column)], covariance[(*grain, column, row)]
        msg = (
            f"covariance{[int(i) for i in (*grain, row, column)]} is {one} and its transpose {other}; "
            "covariances must be symmetric: pass (C + Cᵀ)/2 if the difference is only rounding"
        )
        raise InputError(msg)


def _refuse_negative(eigenvalues: np.ndarray) -> None:
    """Raise a ValueError for covariances with negative eigenvalues, given in ascending order."""
    lowest = eigenvalues[..., 0]
    negative = lowest < -_ROUNDING * np.max(np.abs(eigenvalues), axis=-1)
    if np.any(negative):
        grain = np.unravel_index(np.argmax(negative), negative.shape)
        msg = (
            f"covariance{[int(i) for i in grain] or ''} has an eigenvalue of {lowest[grain]} beside one of "
            f"{eigenvalues[(*grain, -1)]}: it is not positive semidefinite, as the inverse of a nearly singular matrix "
            "often is not"
        )
        raise InputError(msg)
