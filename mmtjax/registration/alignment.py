"""How grains and sensors lie to each other: standoff, shift and rotation, and how grains move as these change."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmtjax.precision import AnyArray, is_concrete
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains

#: What can be fitted, and the parameters of each with their units.
PARAMETERS = {"standoff": ("standoff",), "shift": ("shift x", "shift y"), "rotation": ("rotation",)}
NAMES = tuple(name for names in PARAMETERS.values() for name in names)
UNITS = ("µm", "µm", "µm", "°")


def moved_grains(grains: Grains, grid: SensorGrid, change: Float[AnyArray, "4"]) -> Grains:
    """Grains shifted by (x, y) = `change[1:3]` µm, after a turn by `change[3]` degrees about the middle of the map.

    The turn is anticlockwise as seen from above and moves centroids only: shapes keep their directions, which for a few
    degrees changes the field of a grain far less than its place does.
    """
    xp = np if is_concrete(grains.position, change) else jnp
    angle, (x, y) = xp.deg2rad(change[3]), _from_middle(grains, grid)
    turned = xp.stack([xp.cos(angle) * x - xp.sin(angle) * y, xp.sin(angle) * x + xp.cos(angle) * y, 0.0 * x], axis=1)
    away = xp.stack([x, y, 0.0 * x], axis=1)
    return grains.translate(turned - away + xp.stack([change[1], change[2], 0.0 * change[3]]))


def moved_grid(grid: SensorGrid, change: Float[AnyArray, "4"]) -> SensorGrid:
    """The sensors `change[0]` µm higher."""
    xp = np if is_concrete(grid.height, change) else jnp
    return eqx.tree_at(lambda g: g.height, grid, xp.asarray(grid.height + change[0]))


def motions(grains: Grains, grid: SensorGrid, change: Float[np.ndarray, "4"]) -> Float[np.ndarray, "4 grain 3"]:
    """How grains move, relative to the sensors, per µm or degree of each parameter."""
    angle, (x, y) = np.deg2rad(change[3]), _from_middle(grains, grid)
    zero, one = np.zeros(len(grains)), np.ones(len(grains))
    turn = np.deg2rad(1.0)
    along_x = turn * (-np.sin(angle) * x - np.cos(angle) * y)
    along_y = turn * (np.cos(angle) * x - np.sin(angle) * y)
    # Sensors that rise leave the grains behind.
    rows = ((zero, zero, -one), (one, zero, zero), (zero, one, zero), (along_x, along_y, zero))
    return np.array(rows).transpose(0, 2, 1)


def _from_middle(grains: Grains, grid: SensorGrid) -> tuple[AnyArray, AnyArray]:
    middle = [line[0] / 2 + line[-1] / 2 for line in (grid.x, grid.y)]
    return grains.position[:, 0] - middle[0], grains.position[:, 1] - middle[1]
