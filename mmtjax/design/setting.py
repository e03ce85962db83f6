"""The setting of a scan: what is chosen before it is made."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = float | Float[Array, ""]


class Setting(eqx.Module):
    """What is chosen before a scan. Values may be traced.

    Attributes
    ----------
    interval
        Sampling interval, µm.
    standoff
        Height of the sensors above the surface of the sample, µm.
    thickness
        Thickness of the sample, µm.
    sensor_side
        Edge of a sensor, µm.
    dwell
        Time for which a sensor, or a camera as a whole, collects signal, s.
    """

    interval: Scalar
    standoff: Scalar
    thickness: Scalar
    sensor_side: Scalar
    dwell: Scalar


#: Units of the fields of a `Setting`, which are the knobs of a problem.
UNITS = {"interval": "µm", "standoff": "µm", "thickness": "µm", "sensor_side": "µm", "dwell": "s"}

#: Names of the knobs.
KNOBS = tuple(UNITS)

SECONDS_PER_HOUR = 3600.0


def as_numbers(setting: Setting) -> Setting:
    """Return a setting of Python numbers."""
    return jax.tree.map(float, setting)


def as_arrays(setting: Setting) -> Setting:
    """Return a setting of arrays of JAX, with respect to which derivatives are taken."""
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float64), setting)
