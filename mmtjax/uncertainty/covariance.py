"""Covariance of the unknowns from a triangular factor (Out et al. 2022, section 2.2.1)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from mmtjax.errors import InputError
from mmtjax.linalg.arrays import array_namespace
from mmtjax.linalg.triangular import Layout, inverse_blocks
from mmtjax.precision import AnyArray, ArrayLike, float64_array, is_concrete, refuse_masked, require_float64
from mmtjax.units import AXES


def covariance_blocks(factor: ArrayLike, scale: ArrayLike, *, variance: ArrayLike) -> Float[Array, "grain 3 3"]:
    """Return the 3 × 3 diagonal block of the covariance matrix of each grain.

    The blocks are sums over columns of the inverse of the factor; the covariance matrix itself is never formed.
    Differentiable.

    Parameters
    ----------
    factor
        Upper triangular R, (3 grain, 3 grain), with ``QᵀQ = diag(s) Rᵀ R diag(s)``; what lies below the diagonal is
        not read. Dimensionless.
    scale
        The column norms s of Green's matrix Q, (3 grain,), nT per A/m.
    variance
        Variance of the noise σ², nT².

    Returns
    -------
    Array of shape (grain, 3, 3)
        The diagonal blocks of ``C = σ² (QᵀQ)⁻¹``, (A/m)².

    Raises
    ------
    ValueError
        If the shapes do not fit; if the diagonal of the factor holds a zero or a value that is not finite, so that the
        matrix is singular; if a scale is not positive; if the variance is negative. Values are checked unless they are
        traced.
    RuntimeError
        If JAX computes in single precision.

    Examples
    --------
    >>> covariance_blocks(np.eye(3), np.array([1.0, 1.0, 2.0]), variance=4.0)[0, 2, 2].item()
    1.0
    """
    triangle, columns, power = checked_factor(factor, scale, variance, of_grains=True)
    return covariance_of_sets(triangle, columns, variance=power, layout=((0, len(columns) // len(AXES), len(AXES)),))[0]


def covariance_of_sets(
    factor: Float[AnyArray, "param param"],
    scale: Float[AnyArray, " param"],
    *,
    variance: Float[AnyArray, ""] | float,
    layout: Layout,
) -> tuple[Float[Array, "_source _component _component"], ...]:
    """Return the diagonal block of the covariance matrix of each source, for every set of unknowns.

    Parameters
    ----------
    factor, scale, variance
        As for `covariance_blocks`; they are not checked.
    layout
        Index of the first unknown, number of sources and number of components of each set, see
        `mmtjax.unknowns.Unknowns.blocks`.

    Returns
    -------
    tuple of arrays of shape (source, component, component)
        The covariances of each set, in products of the units of the components.

    Examples
    --------
    >>> of_points, of_level = covariance_of_sets(np.eye(3), np.ones(3), variance=4.0, layout=((0, 1, 2), (2, 1, 1)))
    >>> of_points.shape, of_level.tolist()
    ((1, 2, 2), [[[4.0]]])
    """
    found = inverse_blocks(factor, layout)
    if array_namespace(scale, variance, *found) is np:
        # JAX would compile this for every number of sources.
        found, scale, variance = [np.asarray(blocks) for blocks in found], np.asarray(scale), np.asarray(variance)
    scaled = []
    for blocks, (first, sources, components) in zip(found, layout, strict=True):
        inverse = 1 / scale[first : first + sources * components].reshape(-1, components)
        scaled.append(jnp.asarray(variance * blocks * inverse[:, :, None] * inverse[:, None, :]))
    return tuple(scaled)


def covariance_matrix(factor: ArrayLike, scale: ArrayLike, *, variance: ArrayLike) -> Float[Array, "param param"]:
    """Return the whole covariance matrix ``C = σ² (QᵀQ)⁻¹`` of the magnetizations of all grains.

    Differentiable. `covariance_blocks` needs much less memory.

    Parameters
    ----------
    factor, scale, variance
        As for `covariance_blocks`.

    Returns
    -------
    Array of shape (3 grain, 3 grain)
        Covariances, (A/m)².

    Raises
    ------
    ValueError, RuntimeError
        As `covariance_blocks`.

    Examples
    --------
    >>> covariance_matrix(2 * np.eye(3), np.ones(3), variance=4.0)[0].tolist()
    [1.0, 0.0, 0.0]
    """
    return _matrix(*checked_factor(factor, scale, variance, of_grains=True))


def covariance_of_unknowns(factor: ArrayLike, scale: ArrayLike, *, variance: ArrayLike) -> Float[Array, "param param"]:
    """Return the whole covariance matrix of unknowns of any kind, as `covariance_matrix` does for those of grains.

    Parameters
    ----------
    factor, scale, variance
        As for `covariance_blocks`, for any number of unknowns.

    Returns
    -------
    Array of shape (unknown, unknown)
        In products of the units of the unknowns.

    Raises
    ------
    ValueError, RuntimeError
        As `covariance_blocks`.

    Examples
    --------
    >>> covariance_of_unknowns(2 * np.eye(1), np.ones(1), variance=4.0).tolist()
    [[1.0]]
    """
    return _matrix(*checked_factor(factor, scale, variance))


def standard_deviation(covariance: Float[AnyArray, "source component component"]) -> Float[Array, "source component"]:
    """Return the standard deviation of each component of each source.

    At a variance of zero, where the square root has no derivative, the derivative is given as zero.

    Parameters
    ----------
    covariance
        Covariance of the components of each source, such as the result of `covariance_blocks`.

    Returns
    -------
    Array of shape (source, component)
        In the units of the components; A/m for magnetizations.

    Raises
    ------
    ValueError
        If a variance is negative.

    Examples
    --------
    >>> standard_deviation(np.diag([1.0, 4.0, 9.0])[None]).tolist()
    [[1.0, 2.0, 3.0]]
    """
    refuse_masked(covariance, name="covariance")
    return _deviation(jnp.diagonal(covariance, axis1=-2, axis2=-1))


def correlation(covariance_matrix: Float[AnyArray, "param param"]) -> Float[Array, "param param"]:
    """Return the correlation of every two unknowns, from -1 to 1; the diagonal is one.

    An unknown whose variance is zero has a correlation of zero with all others.

    Parameters
    ----------
    covariance_matrix
        The whole covariance matrix of the unknowns.

    Raises
    ------
    ValueError
        If a variance is negative.

    Examples
    --------
    >>> correlation(np.array([[4.0, 3.0, 0.0], [3.0, 9.0, 0.0], [0.0, 0.0, 0.0]])).tolist()
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    refuse_masked(covariance_matrix, name="covariance_matrix")
    deviation = _deviation(jnp.diagonal(covariance_matrix))
    inverse = jnp.where(deviation == 0, 0.0, 1 / jnp.where(deviation == 0, 1.0, deviation))
    # One factor after the other: the product of two small deviations may underflow though the result is of order one.
    off_diagonal = jnp.clip(covariance_matrix * inverse[:, None] * inverse[None, :], -1, 1)
    return jnp.where(jnp.eye(len(deviation), dtype=bool), 1.0, off_diagonal)


def grain_correlation(correlation: Float[AnyArray, "param param"]) -> Float[Array, "grain grain"]:
    """Return the largest absolute correlation between a component of one grain and a component of another.

    Parameters
    ----------
    correlation
        Correlations of the magnetizations of grains, (3 grain, 3 grain).

    Returns
    -------
    Array of shape (grain, grain)
        From 0 to 1; the diagonal is one.

    Raises
    ------
    ValueError
        If the size is not a multiple of three.

    Examples
    --------
    >>> pair = np.eye(6)
    >>> pair[0, 4] = pair[4, 0] = -0.25
    >>> grain_correlation(pair).tolist()
    [[1.0, 0.25], [0.25, 1.0]]
    """
    refuse_masked(correlation, name="correlation")
    grains, rest = divmod(correlation.shape[0], len(AXES))
    if rest:
        msg = f"a correlation matrix has three rows per grain; got shape {correlation.shape}"
        raise InputError(msg)
    between = jnp.abs(correlation).reshape(grains, len(AXES), grains, len(AXES))
    largest = between.max(axis=-1).max(axis=1)
    return jnp.where(jnp.eye(grains, dtype=bool), 1.0, largest)


def checked_factor(
    factor: ArrayLike, scale: ArrayLike, variance: ArrayLike, *, of_grains: bool = False
) -> tuple[Float[AnyArray, "param param"], Float[AnyArray, " param"], Float[AnyArray, ""]]:
    """Check a triangular factor, its scale and a variance, and return them as float64 arrays.

    Parameters
    ----------
    factor, scale, variance
        As for `covariance_blocks`.
    of_grains
        Whether the unknowns must be magnetizations of grains, three for each.

    Raises
    ------
    ValueError, RuntimeError
        As `covariance_blocks`.

    Examples
    --------
    >>> checked_factor(np.eye(3), np.ones(3), 0.5)[2].item()
    0.5
    """
    require_float64()
    triangle = float64_array(factor, name="factor")
    columns = float64_array(scale, name="scale")
    power = float64_array(variance, name="variance")
    size = triangle.shape[0] if triangle.ndim else 0
    shapes_fit = triangle.shape == (size, size) and columns.shape == (size,) and power.shape == ()
    if not shapes_fit or size == 0 or (of_grains and size % len(AXES)):
        length = f"{len(AXES)} grain" if of_grains else "unknown"
        msg = (
            f"factor must be ({length}, {length}), scale ({length},) and variance one number; "
            f"got shapes {triangle.shape}, {columns.shape} and {power.shape}"
        )
        raise InputError(msg)
    if is_concrete(triangle):
        # Only the diagonal of a factor is copied from a device.
        diagonal = np.asarray(triangle.diagonal())
        if not np.all(np.isfinite(diagonal) & (diagonal != 0)):
            row = int(np.argmin(np.isfinite(diagonal) & (diagonal != 0)))
            which = f"the magnetization of grain {row // len(AXES)}" if of_grains else f"unknown {row}"
            msg = (
                f"factor[{row}, {row}] is {diagonal[row]}: {which} is not determined; leave the source out, or invert "
                "with a prior"
            )
            raise InputError(msg)
    if is_concrete(columns):
        positive = np.isfinite(columns) & (np.asarray(columns) > 0)
        if not np.all(positive):
            row = int(np.argmin(positive))
            msg = f"scale[{row}] is {columns[row]}; the norm of a column must be positive and finite"
            raise InputError(msg)
    if is_concrete(power) and not 0 <= power < np.inf:
        msg = f"the variance of the noise must be finite and not negative, in nT²; got {variance!r}"
        raise InputError(msg)
    return triangle, columns, power


@jax.jit
def _matrix(
    factor: Float[Array, "param param"], scale: Float[Array, " param"], variance: Float[Array, ""]
) -> Float[Array, "param param"]:
    inverse = solve_triangular(factor, jnp.eye(len(scale))) / scale[:, None]
    return variance * (inverse @ inverse.T)


def _deviation(variance: Float[AnyArray, "..."]) -> Float[Array, "..."]:
    """Return the square root of a variance, with a derivative of zero at zero."""
    if is_concrete(variance) and np.any(np.asarray(variance) < 0):
        msg = f"a variance is negative: {np.min(np.asarray(variance))}; the matrix is not a covariance matrix"
        raise InputError(msg)
    return jnp.where(variance == 0, 0.0, jnp.sqrt(jnp.where(variance == 0, 1.0, variance)))
