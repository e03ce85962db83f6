"""Answers that do not come from the code under test: 50-digit arithmetic and plain quadrature."""

import itertools

import mpmath
import numpy as np

DIGITS = 50


def exact_coefficients(cuboids: np.ndarray, sensor: tuple[float, float, float], side: float) -> np.ndarray:
    """nT per A/m of one grain at one square sensor, by the closed form with logarithms in 50-digit arithmetic."""
    with mpmath.workdps(DIGITS):
        total = [mpmath.mpf(0)] * 3
        for x, y, z, half_x, half_y, half_z in [[mpmath.mpf(float(v)) for v in row[:6]] for row in cuboids]:
            for signs in itertools.product((-1, 1), repeat=5):
                s1, s2, s3, s4, s5 = signs
                displacement = (
                    mpmath.mpf(float(sensor[0])) + s4 * mpmath.mpf(float(side)) / 2 - (x + s1 * half_x),
                    mpmath.mpf(float(sensor[1])) + s5 * mpmath.mpf(float(side)) / 2 - (y + s2 * half_y),
                    mpmath.mpf(float(sensor[2])) - (z + s3 * half_z),
                )
                value = _five_fold_integral(*displacement)
                sign = s1 * s2 * s3 * s4 * s5
                total = [t - sign * v for t, v in zip(total, value, strict=True)]
        area = mpmath.mpf(float(side)) ** 2
        return np.array([float(100 * t / area) for t in total])


def _five_fold_integral(x: mpmath.mpf, y: mpmath.mpf, z: mpmath.mpf) -> tuple[mpmath.mpf, ...]:
    r = mpmath.sqrt(x * x + y * y + z * z)
    log_x = _log_sum(x, r, y * y + z * z)
    log_y = _log_sum(y, r, x * x + z * z)
    angle = mpmath.atan2(x * y, z * r) if (x * y or z * r) else mpmath.mpf(0)
    f_x = ((y * y - z * z) * log_x - r * x) / 2 - y * (z * angle - x * log_y)
    f_y = ((x * x - z * z) * log_y - r * y) / 2 - x * (z * angle - y * log_x)
    f_z = -x * y * angle - z * (x * log_x + y * log_y - r)
    return f_x, f_y, f_z


def _log_sum(x: mpmath.mpf, r: mpmath.mpf, rest: mpmath.mpf) -> mpmath.mpf:
    """log(x + r); 0 on the axis, where every term that holds it is zero in the limit."""
    if rest == 0 and x <= 0:
        return mpmath.mpf(0)
    return mpmath.log(x + r) if x > 0 else mpmath.log(rest) - mpmath.log(r - x)


def quadrature_coefficients(
    cuboids: np.ndarray, sensor: tuple[float, float, float], side: float, *, nodes: int = 12
) -> np.ndarray:
    """The same by Gauss–Legendre quadrature of the dipole field over each cuboid and the sensor."""
    place, weight = np.polynomial.legendre.leggauss(nodes)
    total = np.zeros(3)
    sx, sy = np.meshgrid(place, place, indexing="ij")
    sensor_weight = np.outer(weight, weight).ravel() / 4
    spots = np.stack([sensor[0] + side / 2 * sx.ravel(), sensor[1] + side / 2 * sy.ravel()], axis=1)
    for row in cuboids:
        half = row[3:6]
        grid = np.stack(np.meshgrid(place, place, place, indexing="ij"), axis=-1).reshape(-1, 3)
        body_weight = np.einsum("i,j,k->ijk", weight, weight, weight).ravel() * np.prod(half)
        source = row[:3] + half * grid
        for spot, spot_weight in zip(spots, sensor_weight, strict=True):
            d = np.array([spot[0], spot[1], sensor[2]]) - source
            r = np.linalg.norm(d, axis=1)
            kernel = 3 * d * d[:, 2:] / r[:, None] ** 5
            kernel[:, 2] -= 1 / r**3
            total += spot_weight * body_weight @ kernel
    return 100 * total
