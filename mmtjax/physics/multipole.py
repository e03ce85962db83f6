"""The field of point multipoles of degree 1 to 3, averaged over a sensor: a series far away, a closed form nearby.

The potential of a source at the origin is ``V = µ0/(4π) Σ q_lm S_lm(r) / r^(2l+1)``. S are the real solid harmonics of
Schmidt's semi-normalization, ``S_lm = r^l √((2 - δ_m0) (l-m)!/(l+m)!) P_l^m(cos θ)`` times ``cos mφ`` or ``sin mφ``,
with associated Legendre functions without the Condon–Shortley phase. With these, ``1/|r - r'|`` is the sum of
``S_lm(r') S_lm(r) / r^(2l+1)``, so that ``q_lm = ∫ M·∇S_lm dV``. The components of degree 1 are the dipole moment.
"""

from functools import cache
from math import comb, factorial, sqrt
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mmtjax.linalg.arrays import array_namespace
from mmtjax.physics.harmonics import derivative_matrices, field_terms
from mmtjax.physics.series import MOMENT_ORDER, series
from mmtjax.precision import AnyArray

#: Highest degree for which there is a closed form.
HIGHEST_DEGREE = 3

Scalar = Float[Array, ""]


class Harmonic(NamedTuple):
    """One real solid harmonic: its degree l, its order m, and whether it contains sin mφ instead of cos mφ."""

    degree: int
    order: int
    sine: bool

    @property
    def norm(self) -> float:
        """Factor that turns Re I_l^m or Im I_l^m (see `mmtjax.physics.harmonics`) into S_lm / r^(2l+1)."""
        below, above = factorial(self.degree - self.order), factorial(self.degree + self.order)
        return (-1) ** self.order * sqrt((2 if self.order else 1) * below / above) / below


@cache
def harmonics_up_to(degree: int) -> tuple[Harmonic, ...]:
    """Return the harmonics of degrees 1 to `degree`, in the order of the components of a multipole.

    The harmonics of degree 1 are x, y, z. Those of higher degrees are sorted by order, cosine before sine.

    Examples
    --------
    >>> [len(harmonics_up_to(degree)) for degree in (1, 2, 3)]
    [3, 8, 15]
    """
    found = [Harmonic(1, 1, False), Harmonic(1, 1, True), Harmonic(1, 0, False)]
    for higher in range(2, degree + 1):
        found += [Harmonic(higher, 0, False)]
        found += [Harmonic(higher, order, sine) for order in range(1, higher + 1) for sine in (False, True)]
    return tuple(found)


@cache
def _averaged_terms(harmonic: Harmonic) -> tuple[np.ndarray, np.ndarray]:
    """Return the Taylor coefficients of the mean field of a harmonic over a sensor, in powers of its half edges.

    With half edges a and b, the mean of a field f is ``Σ a^i b^j / ((i+1)! (j+1)!) ∂x^i ∂y^j f`` over even i and j. The
    field of I_l^m is -∂z I_l^m = I_{l+1}^m.

    Returns
    -------
    tuple
        The coefficients of the series that multiplies each power, (power, 2, term), and the exponents (i, j).
    """
    order = harmonic.degree - 1
    start = np.zeros((2, len(field_terms(order))))
    start[int(harmonic.sine), field_terms(order).index((harmonic.degree + 1, harmonic.order))] = _field_factor(harmonic)
    coefficients, exponents = [], []
    along_y = start
    for j in range(0, MOMENT_ORDER - order + 1, 2):
        along_x = along_y
        for i in range(0, MOMENT_ORDER - order - j + 1, 2):
            scaled = along_x / (factorial(i + 1) * factorial(j + 1))
            missing = len(field_terms(MOMENT_ORDER)) - scaled.shape[1]
            coefficients.append(np.pad(scaled, ((0, 0), (0, missing))))
            exponents.append((i, j))
            along_x = _twice_differentiated(along_x, order + i + j, axis=0)
        along_y = _twice_differentiated(along_y, order + j, axis=1)
    return np.array(coefficients), np.array(exponents)


def _field_factor(harmonic: Harmonic) -> float:
    """Return c, with which the field is ``c Re I_{l+1}^m`` for a harmonic with cos mφ, ``-c Im I_{l+1}^m`` with sin."""
    return -harmonic.norm if harmonic.sine else harmonic.norm


def _twice_differentiated(coefficients: np.ndarray, order: int, *, axis: int) -> np.ndarray:
    """Return the coefficients of the second derivative of a series along an axis."""
    flat = coefficients.ravel() @ derivative_matrices(order)[axis] @ derivative_matrices(order + 1)[axis]
    return flat.reshape(2, -1)


def point_fields(x: np.ndarray, y: np.ndarray, z: np.ndarray, *, degree: int) -> Float[np.ndarray, "component ..."]:
    """Return the field of unit multipoles of one degree, not averaged over a sensor.

    Parameters
    ----------
    x, y, z
        Displacements from the multipoles, µm, of one shape.
    degree
        Degree of the multipoles.

    Examples
    --------
    The dipole along z at 1 µm above it, and the shape of the five multipoles of degree 2.

    >>> point_fields(np.zeros(1), np.zeros(1), np.ones(1), degree=1)[2].round(12).tolist()
    [2.0]
    >>> point_fields(np.zeros(1), np.zeros(1), np.ones(1), degree=2).shape
    (5, 1)
    """
    rows = [harmonic for harmonic in harmonics_up_to(degree) if harmonic.degree == degree]
    terms = field_terms(degree - 1)
    coefficients = np.zeros((len(rows), 2, len(terms)))
    for row, harmonic in enumerate(rows):
        coefficients[row, int(harmonic.sine), terms.index((degree + 1, harmonic.order))] = _field_factor(harmonic)
    return np.stack(series(coefficients, x, y, z, order=degree - 1))


def multipole_series(
    moments: Float[np.ndarray, "part moment"], side: Float[AnyArray, "2"]
) -> Float[AnyArray, "part component 2 term"]:
    """Return the series of the field of unit multipoles, averaged over a sensor.

    Parameters
    ----------
    moments
        The highest degree of each part, (part, 1); a part has the multipoles of all degrees up to it.
    side
        Edges (sx, sy) of a sensor, µm; may be traced.
    """
    xp = array_namespace(side)
    half = xp.asarray(side) / 2
    parts = []
    for degree in moments[:, 0]:
        rows = []
        for harmonic in harmonics_up_to(int(degree)):
            coefficients, exponents = _averaged_terms(harmonic)
            rows.append(xp.tensordot(xp.prod(half**exponents, axis=1), coefficients, axes=1))
        parts.append(xp.stack(rows))
    return xp.stack(parts)


def multipole_corner(x: Scalar, y: Scalar, z: Scalar, *, degree: int) -> tuple[Scalar, ...]:
    """Return the field of unit multipoles, integrated over x and y, at a displacement to a corner of a sensor.

    With the signs s of the corners of a sensor, the mean field of a component over the sensor is given by
    ``area · N = Σ s4 s5 G``, where G is a derivative of ``K = ∬ 1/r dx dy`` of order l + 1. Mixed derivatives of K by x
    and y are derivatives of 1/r, since ``∂x∂y K = 1/r``. K is harmonic, so that all other derivatives are sums of pure
    derivatives of ``∂x K = asinh(y / √(x² + z²))`` and ``∂y K = asinh(x / √(y² + z²))``.

    Parameters
    ----------
    x, y, z
        Displacement, µm.
    degree
        Highest degree of the multipoles, up to `HIGHEST_DEGREE`.
    """
    table = _derivatives_of_k(x, y, z)
    return tuple(_field_of(harmonic, table) for harmonic in harmonics_up_to(degree))


#: Values of derivatives of K, by the order of differentiation along x, y and z.
_Table = dict[tuple[int, int, int], Scalar]


def _field_of(harmonic: Harmonic, table: _Table) -> Scalar:
    """Return G of one harmonic, from ``I_l^m = (-1)^(l-m) ∂z^(l-m) (∂x + i∂y)^m (1/r)`` and the field -∂z."""
    along_z = harmonic.degree - harmonic.order
    terms = [
        factor * _derivative(table, power, harmonic.order - power, along_z + 1)
        for power, factor in _real_power(harmonic.order, sine=harmonic.sine).items()
    ]
    return -((-1) ** along_z) * harmonic.norm * sum(terms[1:], terms[0])


def _real_power(exponent: int, *, sine: bool) -> dict[int, float]:
    """Return the imaginary part (if `sine`) or the real part of (x + iy)^exponent, as factors by the power of x."""
    # The terms i^k y^k are real for even k and imaginary for odd k.
    return {
        exponent - k: (-1.0 if (k // 2) % 2 else 1.0) * comb(exponent, k) for k in range(int(sine), exponent + 1, 2)
    }


def _derivative(table: _Table, a: int, b: int, c: int) -> Scalar:
    """Return ∂x^a ∂y^b ∂z^c K, by ∂z² = -∂x² - ∂y²."""
    if c < 2:
        return table[a, b, c]
    return -_derivative(table, a + 2, b, c - 2) - _derivative(table, a, b + 2, c - 2)


def _derivatives_of_k(x: Scalar, y: Scalar, z: Scalar) -> _Table:
    """Return the derivatives of K of orders two to four that are of order zero or one in z."""
    table: _Table = {}
    for axis, (own, other) in enumerate(((x, y), (y, x))):
        first, second, third = _radial_slopes(own * own + z * z, other)
        pure = {
            (2, 0): 2 * own * first,
            (1, 1): 2 * z * first,
            (3, 0): 2 * first + 4 * own * own * second,
            (2, 1): 4 * own * z * second,
            (4, 0): 12 * own * second + 8 * own**3 * third,
            (3, 1): 4 * z * second + 8 * own * own * z * third,
        }
        for (times, along_z), value in pure.items():
            table[(times, 0, along_z) if axis == 0 else (0, times, along_z)] = value
    square = 1 / (x * x + y * y + z * z)
    inverse = jnp.sqrt(square)
    cube, fifth = inverse * square, 3 * inverse * square * square
    table |= {
        (1, 1, 0): inverse,
        (2, 1, 0): -x * cube,
        (1, 2, 0): -y * cube,
        (1, 1, 1): -z * cube,
        (3, 1, 0): x * x * fifth - cube,
        (1, 3, 0): y * y * fifth - cube,
        (2, 2, 0): x * y * fifth,
        (2, 1, 1): x * z * fifth,
        (1, 2, 1): y * z * fifth,
    }
    return table


def _radial_slopes(square: Scalar, along: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """Return the first three derivatives by s of ``asinh(y / √s)``, for s = `square` and y = `along`."""
    r_squared = square + along * along
    r = jnp.sqrt(r_squared)
    first = -along / (2 * r * square)
    second = along * (square + 2 * r_squared) / (4 * r_squared * r * square**2)
    third = -along * (3 * square**2 + 4 * r_squared * square + 8 * r_squared**2) / (8 * r_squared**2 * r * square**3)
    return first, second, third
