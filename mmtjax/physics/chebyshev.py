"""Chebyshev polynomials on a square of sensors that approximate the field of a distant source, and their error."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from mmtjax.physics.multipole import point_fields

#: Total degree of the polynomials, and number of Chebyshev nodes along an edge. A tile has as many sensors along an
#: edge, so that the compiled kernels of tiles also evaluate the nodes.
DEGREE = 15
NODES = DEGREE + 1

#: Grid of the table of errors, in half edges of the square: horizontal distance of a source, and its depth.
_BESIDE = np.array([0, 0.125, 0.25, 0.375, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 12, 16])
_ABOVE = np.array([0, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 4, 5, 6, 8, 12, 16])

#: Number of points along an edge at which the error of the table is evaluated, and the factor by which the table
#: exceeds the largest error found, for the points in between.
_PROBES = 2 * NODES + 1
_MARGIN = 2.0


@cache
def terms() -> Int[np.ndarray, "term 2"]:
    """Return the degrees (k, l) of all products ``T_k(x) T_l(y)`` of Chebyshev polynomials up to the total degree."""
    return np.array([(k, total - k) for total in range(DEGREE + 1) for k in range(total + 1)])


@cache
def nodes() -> Float[np.ndarray, " node"]:
    """Return the Chebyshev nodes on [-1, 1]."""
    return np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


def vandermonde(x: Float[np.ndarray, " point"], y: Float[np.ndarray, " point"]) -> Float[np.ndarray, "point term"]:
    """Return the values of all polynomials at points.

    Parameters
    ----------
    x, y
        Coordinates of the points, on the square [-1, 1]² or close to it.
    """
    along_x, along_y = (np.polynomial.chebyshev.chebvander(values, DEGREE) for values in (x, y))
    return along_x[:, terms()[:, 0]] * along_y[:, terms()[:, 1]]


@cache
def interpolation() -> Float[np.ndarray, "place term"]:
    """Return the matrix from values at the nodes (x fastest) to the factors of the polynomials."""
    along = np.polynomial.chebyshev.chebvander(nodes(), DEGREE) * 2 / NODES
    along[:, 0] /= 2
    product = along[:, None, terms()[:, 1]] * along[None, :, terms()[:, 0]]
    return product.reshape(NODES**2, -1)


@cache
def transfer(row: int, column: int) -> Float[np.ndarray, "term parent"]:
    """Return the matrix from the factors of a polynomial on a square to those on its quarter [row, column].

    Parameters
    ----------
    row, column
        0 for the lower half of the square along y (x), 1 for the upper half.
    """
    along_x, along_y = (_halved(side) for side in (column, row))
    k, m = terms().T
    return along_x[k[:, None], k[None, :]] * along_y[m[:, None], m[None, :]]


def _halved(side: int) -> Float[np.ndarray, "degree parent"]:
    """Return the Chebyshev factors of ``T_k((x - 1) / 2)`` for side 0, of ``T_k((x + 1) / 2)`` for side 1."""
    values = np.polynomial.chebyshev.chebvander((nodes() + 2 * side - 1) / 2, DEGREE)
    along = np.polynomial.chebyshev.chebvander(nodes(), DEGREE) * 2 / NODES
    along[:, 0] /= 2
    return along.T @ values


def truncation_error(
    beside: Float[np.ndarray, " source"], above: Float[np.ndarray, " source"], *, degree: int = 1
) -> Float[np.ndarray, " source"]:
    """Return a bound of the error of the polynomials for a unit multipole, in units of 1 / (half edge)^(degree + 2).

    The error of a body is at most that of dipoles at its nearest point.

    Parameters
    ----------
    beside, above
        Horizontal distance of the source from the square, and its depth below the plane of the square, in half edges.
    degree
        Degree of the multipole; 1 for a dipole of unit volume.
    """
    columns = np.searchsorted(_BESIDE, beside, side="right") - 1
    rows = np.searchsorted(_ABOVE, above, side="right") - 1
    return _error_table(degree)[columns, rows]


@cache
def _error_table(degree: int) -> Float[np.ndarray, "beside above"]:
    """Return the largest errors for sources at some places around a square, by horizontal distance and depth.

    Each entry is at least as large as all entries of larger distance or depth, so that it is a bound up to the next.
    """
    errors = np.zeros((len(_BESIDE), len(_ABOVE)))
    probes = np.linspace(-1, 1, _PROBES)
    back = vandermonde(*(part.ravel() for part in np.meshgrid(probes, probes)))
    for number, distance in enumerate(_BESIDE):
        diagonal = 1 + distance / np.sqrt(2)
        places = [(1 + distance, along) for along in (0.0, 0.5, 1.0)] + [(diagonal, diagonal)]
        if distance == 0:
            places += [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)]
        for place in places:
            inside = int(distance == 0)
            source = np.array([[*place, -above] for above in _ABOVE[inside:]])
            values = _fields(source, nodes(), degree) @ interpolation() @ back.T
            error = np.abs(values - _fields(source, probes, degree)).max(axis=(0, 2))
            errors[number, inside:] = np.maximum(errors[number, inside:], error)
    errors[0, 0] = np.inf
    falling = np.maximum.accumulate(np.maximum.accumulate(errors[::-1, ::-1], axis=0), axis=1)[::-1, ::-1]
    return _MARGIN * falling


def _fields(source: np.ndarray, points: np.ndarray, degree: int) -> Float[np.ndarray, "component source point"]:
    """Return the field of unit multipoles of one degree at a square grid of points in the plane z = 0, x fastest."""
    x, y, z = np.broadcast_arrays(
        points[None, None, :] - source[:, 0, None, None],
        points[None, :, None] - source[:, 1, None, None],
        -source[:, 2, None, None],
    )
    values = point_fields(x, y, z, degree=degree)
    return values.reshape(len(values), len(source), -1)
