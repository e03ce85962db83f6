"""Constant matrices of solid harmonics: from the moments of a body to the coefficients of its field and derivatives.

Regular harmonics are ``R_l^m = r^l P_l^m(cos θ) e^{imφ} / (l+m)!``, irregular ones
``I_l^m = (l-m)! P_l^m(cos θ) e^{imφ} / r^{l+1}``, so that ``1/|r - r'| = Σ conj(R_l^m(r')) I_l^m(r)``,
``∂z I_l^m = -I_{l+1}^m`` and ``(∂x ± i∂y) I_l^m = ± I_{l+1}^{m±1}`` (Epton & Dembart 1995).
"""

from functools import cache
from math import comb, factorial

import numpy as np

from mmtjax.physics.monomials import monomials
from mmtjax.units import AXES

#: A polynomial in x, y and z: the factor of each monomial, by its exponents.
Polynomial = dict[tuple[int, int, int], complex]


@cache
def field_terms(order: int) -> tuple[tuple[int, int], ...]:
    """Return the degrees and orders (l, m) of the harmonics in the field of moments up to `order`: l ≥ 2, m ≥ 0."""
    return tuple((degree, m) for degree in range(2, order + 3) for m in range(degree + 1))


@cache
def field_matrix(order: int) -> np.ndarray:
    """Return the matrix from the moments of a body to the coefficients of its field, (axis i, 2, term, monomial).

    With the moments µ of a body, ``c = field_matrix @ µ`` gives ``N_i = Σ_terms c[i, 0] Re I_l^m - c[i, 1] Im I_l^m``
    for N_i = ∂_i ∂_z ∫ 1/ρ.
    """
    column = {power: index for index, power in enumerate(monomials(order))}
    row = {term: index for index, term in enumerate(field_terms(order))}
    matrix = np.zeros((len(AXES), 2, len(row), len(column)))
    for (degree, m), polynomial in _regular_harmonics(order).items():
        for power, factor in polynomial.items():
            for signed_m, moment in _both_signs(m, factor):
                for component, raised_m, value in _second_derivative(signed_m, moment):
                    folded = value if raised_m >= 0 else (-1) ** raised_m * value.conjugate()
                    target = row[degree + 2, abs(raised_m)]
                    matrix[component, 0, target, column[power]] += folded.real
                    matrix[component, 1, target, column[power]] += folded.imag
    return matrix


def _both_signs(m: int, factor: complex) -> list[tuple[int, complex]]:
    """Return conj(R_l^m) and conj(R_l^{-m}) as (order, factor of the irregular harmonic), for a factor of R_l^m.

    R_l^{-m} = (-1)^m conj(R_l^m).
    """
    if m == 0:
        return [(0, factor.conjugate())]
    return [(m, factor.conjugate()), (-m, (-1) ** m * factor)]


def _second_derivative(m: int, factor: complex) -> list[tuple[int, int, complex]]:
    """Return the terms of ∂_i ∂_z (factor · I_l^m) as (i, order m', factor of I_{l+2}^{m'})."""
    return [
        (0, m + 1, -0.5 * factor),
        (0, m - 1, 0.5 * factor),
        (1, m + 1, 0.5j * factor),
        (1, m - 1, 0.5j * factor),
        (2, m, factor),
    ]


@cache
def derivative_matrices(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrices from the coefficients of a series to those of its derivatives along x, y and z.

    Each is (2 · term, 2 · term') for a row of coefficients [real or imaginary part, term]; the terms of the derivative
    extend to one degree more.
    """
    own, higher = field_terms(order), {term: index for index, term in enumerate(field_terms(order + 1))}
    matrices = np.zeros((len(AXES), 2, len(own), 2, len(higher)))
    for column, (degree, m) in enumerate(own):
        for part, unit in enumerate((1.0, 1.0j)):
            if part and m == 0:
                # The harmonic of order zero is real: its coefficient for the imaginary part is not used.
                continue
            for axis, raised_m, value in _first_derivative(m, unit):
                folded = value if raised_m >= 0 else (-1) ** raised_m * value.conjugate()
                target = higher[degree + 1, abs(raised_m)]
                matrices[axis, part, column, 0, target] += folded.real
                matrices[axis, part, column, 1, target] += folded.imag
    along_x, along_y, along_z = matrices.reshape(len(AXES), 2 * len(own), -1)
    return along_x, along_y, along_z


def _first_derivative(m: int, factor: complex) -> list[tuple[int, int, complex]]:
    """Return the terms of ∂_i (factor · I_l^m) as (i, order m', factor of I_{l+1}^{m'})."""
    return [
        (0, m + 1, 0.5 * factor),
        (0, m - 1, -0.5 * factor),
        (1, m + 1, -0.5j * factor),
        (1, m - 1, -0.5j * factor),
        (2, m, -factor),
    ]


@cache
def term_norms(order: int) -> np.ndarray:
    """Return the weights √((l+m)! (l-m)! / w_m), with w_0 = 1 and w_m = 2, that bound the field of a degree, (term,).

    By Cauchy–Schwarz and Unsöld's theorem the terms of degree l of Σ Re(c I) are at most
    ``√(Σ_m |c_m|² (l+m)! (l-m)! / w_m) / r^{l+1}``.
    """
    return np.array(
        [
            np.sqrt(factorial(degree + m) * factorial(degree - m) / (1 if m == 0 else 2))
            for degree, m in field_terms(order)
        ]
    )


@cache
def sensor_convolution(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the terms by which averaging over a sensor changes the moments of a body.

    The mean over a sensor has the moments of the sum of a vector in the body and an independent vector in the sensor:
    ``µ_abc = Σ_ij C(a, i) C(b, j) ν_i ν_j µ_{a-i, b-j, c}``, with the moments ν of the sensor, the odd ones of which
    are zero.

    Returns
    -------
    tuple
        For each term of the sum: the index of µ_abc, the index of µ_{a-i, b-j, c}, the exponents (i, j), and the factor
        C(a, i) C(b, j).
    """
    column = {power: index for index, power in enumerate(monomials(order))}
    rows = [
        (column[a, b, c], column[a - i, b - j, c], i, j, comb(a, i) * comb(b, j))
        for a, b, c in monomials(order)
        for i in range(0, a + 1, 2)
        for j in range(0, b + 1, 2)
    ]
    table = np.array(rows)
    return table[:, 0], table[:, 1], table[:, 2:4], table[:, 4].astype(np.float64)


def _regular_harmonics(order: int) -> dict[tuple[int, int], Polynomial]:
    """Return R_l^m for 0 ≤ m ≤ l ≤ order as polynomials, by the recurrences in m and l."""
    harmonics: dict[tuple[int, int], Polynomial] = {(0, 0): {(0, 0, 0): 1 + 0j}}
    for m in range(1, order + 1):
        previous = harmonics[m - 1, m - 1]
        diagonal: Polynomial = {}
        _add_shifted(diagonal, previous, (1, 0, 0), -1 / (2 * m))
        _add_shifted(diagonal, previous, (0, 1, 0), -1j / (2 * m))
        harmonics[m, m] = diagonal
    for m in range(order):
        for degree in range(m + 1, order + 1):
            scale = 1 / ((degree + m) * (degree - m))
            harmonic: Polynomial = {}
            _add_shifted(harmonic, harmonics[degree - 1, m], (0, 0, 1), (2 * degree - 1) * scale)
            if degree - 2 >= m:
                for axis in ((2, 0, 0), (0, 2, 0), (0, 0, 2)):
                    _add_shifted(harmonic, harmonics[degree - 2, m], axis, -scale)
            harmonics[degree, m] = harmonic
    return harmonics


def _add_shifted(total: Polynomial, term: Polynomial, shift: tuple[int, int, int], factor: complex | float) -> None:
    """Add to `total` a polynomial times a factor and a monomial with the exponents `shift`, in place."""
    for (a, b, c), value in term.items():
        power = (a + shift[0], b + shift[1], c + shift[2])
        total[power] = total.get(power, 0) + factor * value
