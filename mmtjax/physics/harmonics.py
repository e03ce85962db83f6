"""Tables of solid harmonics: from the moments of a body to the coefficients of its field, as constant matrices.

Regular harmonics are ``R_l^m = r^l P_l^m(cos θ) e^{imφ} / (l+m)!``, irregular ones
``I_l^m = (l-m)! P_l^m(cos θ) e^{imφ} / r^{l+1}``, so that ``1/|r - r'| = Σ conj(R_l^m(r')) I_l^m(r)``,
``∂z I_l^m = -I_{l+1}^m`` and ``(∂x ± i∂y) I_l^m = ± I_{l+1}^{m±1}`` (Epton & Dembart 1995).
"""

from functools import cache
from math import comb, factorial

import numpy as np

from mmtjax.physics.monomials import monomials

Polynomial = dict[tuple[int, int, int], complex]


@cache
def field_terms(order: int) -> tuple[tuple[int, int], ...]:
    """Degrees and orders (l, m) of the irregular harmonics in the field of moments up to `order`: l from 2, m ≥ 0."""
    return tuple((degree, m) for degree in range(2, order + 3) for m in range(degree + 1))


@cache
def field_matrix(order: int) -> np.ndarray:
    """Constant matrix from moments to the coefficients of the field, (3, 2, term, monomial).

    With the moments µ of a body, ``c = field_matrix @ µ`` gives ``N_i = Σ_terms c[i, 0] Re I_l^m - c[i, 1] Im I_l^m``
    for N_i = ∂_i ∂_z ∫ 1/ρ. Rows of order zero in the second index are real parts, of one imaginary parts.
    """
    column = {power: index for index, power in enumerate(monomials(order))}
    row = {term: index for index, term in enumerate(field_terms(order))}
    matrix = np.zeros((3, 2, len(row), len(column)))
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
    """The conjugate of R_l^m and of R_l^{-m} = (-1)^m conj(R_l^m), as factors of I_l^m and I_l^{-m}."""
    if m == 0:
        return [(0, factor.conjugate())]
    return [(m, factor.conjugate()), (-m, (-1) ** m * factor)]


def _second_derivative(m: int, factor: complex) -> list[tuple[int, int, complex]]:
    """Terms of ∂_i ∂_z (factor · I_l^m) as (i, order m', factor of I_{l+2}^{m'})."""
    return [
        (0, m + 1, -0.5 * factor),
        (0, m - 1, 0.5 * factor),
        (1, m + 1, 0.5j * factor),
        (1, m - 1, 0.5j * factor),
        (2, m, factor),
    ]


@cache
def derivative_matrices(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constant matrices from the coefficients of a series to those of its derivatives along x, y and z.

    Each is (2 · term, 2 · term'), for coefficients [part, term] in a row; the derivative has terms of one degree more.
    """
    own, higher = field_terms(order), {term: index for index, term in enumerate(field_terms(order + 1))}
    matrices = np.zeros((3, 2, len(own), 2, len(higher)))
    for column, (degree, m) in enumerate(own):
        for part, unit in enumerate((1.0, 1.0j)):
            if part and m == 0:
                # The harmonic of order zero is real; its second factor is never read.
                continue
            for axis, raised_m, value in _first_derivative(m, unit):
                folded = value if raised_m >= 0 else (-1) ** raised_m * value.conjugate()
                target = higher[degree + 1, abs(raised_m)]
                matrices[axis, part, column, 0, target] += folded.real
                matrices[axis, part, column, 1, target] += folded.imag
    return tuple(matrices.reshape(3, 2 * len(own), -1))


def _first_derivative(m: int, factor: complex) -> list[tuple[int, int, complex]]:
    """Terms of ∂_i (factor · I_l^m) as (i, order m', factor of I_{l+1}^{m'})."""
    return [
        (0, m + 1, 0.5 * factor),
        (0, m - 1, -0.5 * factor),
        (1, m + 1, -0.5j * factor),
        (1, m - 1, -0.5j * factor),
        (2, m, -factor),
    ]


@cache
def term_norms(order: int) -> np.ndarray:
    """Weights √((l+m)! (l-m)!), doubled in square for m > 0, that bound a degree of the field, (term,).

    By Cauchy–Schwarz and Unsöld's theorem the terms of degree l of Σ Re(c I) are at most
    ``√(Σ_m |c_m|² (l+m)! (l-m)! / w_m) / r^{l+1}`` with w_0 = 1 and w_m = 2.
    """
    return np.array(
        [
            np.sqrt(factorial(degree + m) * factorial(degree - m) / (1 if m == 0 else 2))
            for degree, m in field_terms(order)
        ]
    )


@cache
def sensor_convolution(order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """How the mean over a sensor adds to moments: target, source, (i, j), binomial factors.

    Moments of the sum of two independent vectors are ``µ_abc = Σ_ij C(a, i) C(b, j) ν_i ν_j µ_{a-i, b-j, c}``, with ν
    the moments of the sensor; odd ones vanish.
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
    """R_l^m for 0 ≤ m ≤ l ≤ order as polynomials, by the recurrences in m and l."""
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
    for (a, b, c), value in term.items():
        power = (a + shift[0], b + shift[1], c + shift[2])
        total[power] = total.get(power, 0) + factor * value
