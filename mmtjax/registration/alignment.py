"""The position of grains relative to sensors: standoff, shift and rotation, and the motion of grains with them."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmtjax.precision import AnyArray, is_concrete
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

#: What can be fitted, with the names of its parameters; then the names and units of all parameters in order.
PARAMETERS = {"standoff": ("standoff",), "shift": ("shift x", "shift y"), "rotation": ("rotation",)}
NAMES = tuple(name for names in PARAMETERS.values() for name in names)
UNITS = ("µm", "µm", "µm", "°")


def moved_grains(grains: Grains, grid: SensorGrid, change: Float[AnyArray, "4"]) -> Grains:
    """Return grains turned by `change[3]` degrees about the middle of the map, then shifted by `change[1:3]` µm.

    The turn is anticlockwise as seen from above and moves centroids only. Shapes keep their directions: for a few
    degrees, this changes the field of a grain far less than its position does.

    Parameters
    ----------
    grains, grid
        Grains and sensors as given.
    change
        Change of standoff, shift x, shift y and rotation, µm and degrees.
    """
    xp = np if is_concrete(grains.position, change) else jnp
    angle, (x, y) = xp.deg2rad(change[3]), _from_middle(grains, grid)
    turned = xp.stack([xp.cos(angle) * x - xp.sin(angle) * y, xp.sin(angle) * x + xp.cos(angle) * y, 0.0 * x], axis=1)
    away = xp.stack([x, y, 0.0 * x], axis=1)
    return grains.translate(turned - away + xp.stack([change[1], change[2], 0.0 * change[3]]))


def moved_grid(grid: SensorGrid, change: Float[AnyArray, "4"]) -> SensorGrid:
    """Return the sensors raised by `change[0]` µm."""
    xp = np if is_concrete(grid.height, change) else jnp
    return eqx.tree_at(lambda g: g.height, grid, xp.asarray(grid.height + change[0]))


def motions(grains: Grains, grid: SensorGrid, change: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4 grain 3"]:
    """Return the motion of grains relative to the sensors per µm or degree of each parameter, µm.

    Parameters
    ----------
    grains, grid
        Grains and sensors as given.
    change
        Change of the four parameters at which the motion is computed.
    """
    angle, (x, y) = np.deg2rad(change[3]), _from_middle(grains, grid)
    zero, one = np.zeros(len(grains)), np.ones(len(grains))
    turn = np.deg2rad(1.0)
    along_x = turn * (-np.sin(angle) * x - np.cos(angle) * y)
    along_y = turn * (np.cos(angle) * x - np.sin(angle) * y)
    # Sensors that rise move away from the grains, as if the grains sank.
    rows = ((zero, zero, -one), (one, zero, zero), (zero, one, zero), (along_x, along_y, zero))
    return np.array(rows).transpose(0, 2, 1)


def _from_middle(grains: Grains, grid: SensorGrid) -> tuple[AnyArray, AnyArray]:
    """Return x and y of the centroids relative to the middle of the map, µm."""
    middle = [line[0] / 2 + line[-1] / 2 for line in (grid.x, grid.y)]
    return grains.position[:, 0] - middle[0], grains.position[:, 1] - middle[1]
