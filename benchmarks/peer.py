"""What the peers compute: the closed form for every cuboid and sensor, 8 corners by 4 corners, in plain Numba.

Our own code, written as a C program for one thread would be: no shared corners, no series. Roots, logarithms and
the arctangent of a pair of corners are computed once for all three components, which not every program does.
"""

import math

import numba
import numpy as np


@numba.njit
def peer_columns(cuboids, grain, sensors, height, side, columns):
    """Add the coefficients (nT per A/m) of all cuboids at all sensors to `columns`.

    Parameters
    ----------
    cuboids
        Centres and half-lengths, (cuboid, 6), µm.
    grain
        Number of the grain that a cuboid belongs to, (cuboid,).
    sensors
        Centres x and y, (sensor, 2), µm.
    height, side
        z of the sensors and edge of a sensor, µm.
    columns
        To be added to, (grain, 3, sensor).
    """
    for c in range(cuboids.shape[0]):
        for s in range(sensors.shape[0]):
            n_x, n_y, n_z = 0.0, 0.0, 0.0
            for i in range(-1, 2, 2):
                for j in range(-1, 2, 2):
                    for k in range(-1, 2, 2):
                        z = height - (cuboids[c, 2] + k * cuboids[c, 5])
                        for a in range(-1, 2, 2):
                            x = sensors[s, 0] + a * side / 2 - (cuboids[c, 0] + i * cuboids[c, 3])
                            for b in range(-1, 2, 2):
                                y = sensors[s, 1] + b * side / 2 - (cuboids[c, 1] + j * cuboids[c, 4])
                                f_x, f_y, f_z = corner(x, y, z)
                                sign = i * j * k * a * b
                                n_x -= sign * f_x
                                n_y -= sign * f_y
                                n_z -= sign * f_z
            scale = 100.0 / (side * side)
            columns[grain[c], 0, s] += scale * n_x
            columns[grain[c], 1, s] += scale * n_y
            columns[grain[c], 2, s] += scale * n_z


@numba.njit
def corner(x, y, z):
    """Five-fold integrals of de Groot et al. (2018) at one displacement, with log(x + r) as published."""
    r = math.sqrt(x * x + y * y + z * z)
    log_x = math.log(x + r)
    log_y = math.log(y + r)
    angle = math.atan(x * y / (z * r))
    f_x = 0.5 * ((y * y - z * z) * log_x - r * x) - y * (z * angle - x * log_y)
    f_y = 0.5 * ((x * x - z * z) * log_y - r * y) - x * (z * angle - y * log_x)
    f_z = -x * y * angle - z * (x * log_x + y * log_y - r)
    return f_x, f_y, f_z


def columns_of(cuboids: np.ndarray, sensors: np.ndarray, *, height: float, side: float) -> np.ndarray:
    """Columns (grain, 3, sensor) by `peer_columns`, for cuboids (cuboid, 7); grains in order of first appearance."""
    _, first, number = np.unique(cuboids[:, 6], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    columns = np.zeros((len(first), 3, len(sensors)))
    peer_columns(np.ascontiguousarray(cuboids[:, :6]), rank[number], sensors, height, side, columns)
    return columns
