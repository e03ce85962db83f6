"""Fields of point multipoles from their polynomials, in 40-digit arithmetic: nothing is shared with the package."""

import itertools

import mpmath
import numpy as np
from mpmath.calculus.quadrature import GaussLegendre

DIGITS = 40

#: Solid harmonics of Schmidt's semi-normalization, {exponents of x, y, z: coefficient}, in the order of components:
#: coefficients are a rational number and the number under a root.
HARMONICS = {
    "mx": {(1, 0, 0): (1, 1)},
    "my": {(0, 1, 0): (1, 1)},
    "mz": {(0, 0, 1): (1, 1)},
    "q20": {(0, 0, 2): (1, 1), (2, 0, 0): (-0.5, 1), (0, 2, 0): (-0.5, 1)},
    "q21c": {(1, 0, 1): (1, 3)},
    "q21s": {(0, 1, 1): (1, 3)},
    "q22c": {(2, 0, 0): (0.5, 3), (0, 2, 0): (-0.5, 3)},
    "q22s": {(1, 1, 0): (1, 3)},
    "o30": {(0, 0, 3): (1, 1), (2, 0, 1): (-1.5, 1), (0, 2, 1): (-1.5, 1)},
    "o31c": {(1, 0, 2): (1, 6), (3, 0, 0): (-0.25, 6), (1, 2, 0): (-0.25, 6)},
    "o31s": {(0, 1, 2): (1, 6), (2, 1, 0): (-0.25, 6), (0, 3, 0): (-0.25, 6)},
    "o32c": {(2, 0, 1): (0.5, 15), (0, 2, 1): (-0.5, 15)},
    "o32s": {(1, 1, 1): (1, 15)},
    "o33c": {(3, 0, 0): (0.25, 10), (1, 2, 0): (-0.75, 10)},
    "o33s": {(2, 1, 0): (0.75, 10), (0, 3, 0): (-0.25, 10)},
}


def exact_columns(place: tuple[float, float, float], side: float) -> dict[str, float]:
    """Mean field over a square sensor at a displacement from a unit multipole, nT per A/m µm^(l+2), by component.

    ``B_z = -∂z (S / r^(2l+1))``, by Gauss–Legendre quadrature over the sensor.
    """
    with mpmath.workdps(DIGITS):
        # Sensors are no nearer than twice their side: the rule is right to 1e-12 there.
        rule = GaussLegendre(mpmath.mp).calc_nodes(3, mpmath.mp.prec)
        total = dict.fromkeys(HARMONICS, mpmath.mpf(0))
        half = mpmath.mpf(side) / 2
        for (u, weight_u), (v, weight_v) in itertools.product(rule, rule):
            point = mpmath.mpf(place[0]) + half * u, mpmath.mpf(place[1]) + half * v, mpmath.mpf(place[2])
            for name, value in _point_fields(point).items():
                total[name] += weight_u * weight_v * value / 4
        return {name: float(100 * value) for name, value in total.items()}


def _point_fields(point: tuple[mpmath.mpf, ...]) -> dict[str, mpmath.mpf]:
    x, y, z = point
    square = x * x + y * y + z * z
    found = {}
    for name, terms in HARMONICS.items():
        degree = sum(next(iter(terms)))
        value = slope = mpmath.mpf(0)
        for (i, j, k), (rational, root) in terms.items():
            factor = mpmath.mpf(rational) * mpmath.sqrt(root) * x**i * y**j
            value += factor * z**k
            if k:
                slope += factor * k * z ** (k - 1)
        power = square ** (-(mpmath.mpf(2 * degree + 1) / 2))
        found[name] = -(slope - (2 * degree + 1) * z * value / square) * power
    return found


def derivatives_of_harmonics(degree: int) -> tuple[list[str], np.ndarray]:
    """Names of the components of a degree, and all derivatives of that order of their harmonics: (component, 3, …, 3).

    With ``1/|r - r'| = Σ S(r') S(r) / r^(2l+1)``, derivatives of the field of a dipole by its place are sums of fields
    of multipoles with these as factors.
    """
    names = [name for name, terms in HARMONICS.items() if sum(next(iter(terms))) == degree]
    found = np.zeros((len(names), *[3] * degree))
    for row, name in enumerate(names):
        for axes in itertools.product(range(3), repeat=degree):
            own = tuple(axes.count(axis) for axis in range(3))
            rational, root = HARMONICS[name].get(own, (0, 1))
            factorials = np.prod([float(mpmath.factorial(power)) for power in own])
            found[(row, *axes)] = rational * np.sqrt(root) * factorials
    return names, found
