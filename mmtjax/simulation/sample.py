"""Make up a sample and the map that a scan of it gives (Out et al. 2022, section 2.1)."""

import math
from typing import Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from mmtjax.errors import InputError
from mmtjax.greens.forward import forward
from mmtjax.lazy import pandas
from mmtjax.options import value_or_fields
from mmtjax.precision import real_number, require_float64, require_key
from mmtjax.progress import StageProgress, check_progress
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.selection import signal_strength_ratio
from mmtjax.simulation.feasibility import require_feasible
from mmtjax.simulation.spec import SampleFields, SampleSpec
from mmtjax.sources.grains import Grains
from mmtjax.sources.magnetization import draw_magnetization

#: Spacing and edge of the sensors of the grid on which the field and its noise are made, µm.
FINEST_SPACING = 1.0


class Simulation(eqx.Module):
    """A made-up sample with its true magnetizations and maps.

    Attributes
    ----------
    grains
        The grains.
    magnetization
        Their true magnetizations, (grain, 3), A/m.
    field
        Bz without noise on `grid`, (ny, nx), nT.
    grid
        Sensors of 1 µm, 1 µm apart, from edge to edge of the sample.
    scan
        The requested map, with its noise.
    noise_key
        Random key of the noise.
    """

    grains: Grains
    magnetization: Float[np.ndarray, "grain 3"]
    field: Float[np.ndarray, "ny nx"]
    grid: SensorGrid
    scan: Scan
    noise_key: jax.Array

    def sample(self, *, spacing: float = FINEST_SPACING, noise: float = 5.0, key: jax.Array | None = None) -> Scan:
        """Return a map at another sampling interval and level of noise, see `sample_field`.

        Parameters
        ----------
        spacing
            Sampling interval, a whole number of µm.
        noise
            Standard deviation of the noise, nT; 0 for none.
        key
            Random key of the noise; by default that of the simulation, with which the same values give the same map.
        """
        return sample_field(
            self.noise_key if key is None else key,
            self.field,
            self.grid,
            spacing=spacing,
            noise=noise,
        )

    def table(self) -> "pandas.DataFrame":
        """Return one row per grain with its true magnetization; units are in ``attrs["units"]``."""
        grains, position = self.grains, np.asarray(self.grains.position)
        columns = {
            "id": (grains.ids, ""),
            "x": (position[:, 0], "µm"),
            "y": (position[:, 1], "µm"),
            "z": (position[:, 2], "µm"),
            "volume": (grains.volume, "µm³"),
            "diameter": (grains.equivalent_diameter, "µm"),
            "mx": (self.magnetization[:, 0], "A/m"),
            "my": (self.magnetization[:, 1], "A/m"),
            "mz": (self.magnetization[:, 2], "A/m"),
            "magnetization": (np.linalg.norm(self.magnetization, axis=1), "A/m"),
            "signal_strength_ratio": (signal_strength_ratio(grains, self.grid.height), "µm⁻¹"),
        }
        table = pandas.DataFrame({name: np.asarray(values) for name, (values, _) in columns.items()})
        table.attrs["units"] = {name: unit for name, (_, unit) in columns.items() if unit}
        return table


def simulate(
    key: jax.Array,
    sample: SampleSpec | None = None,
    *,
    noise: float = 5.0,
    spacing: float = FINEST_SPACING,
    memory_limit: int | None = None,
    time_limit: float = math.inf,
    progress: StageProgress | None = None,
    **fields: Unpack[SampleFields],
) -> Simulation:
    """Make up a sample and scan it: grains, magnetizations, field and noise (Out et al. 2022, section 2.1).

    Parameters
    ----------
    key
        Random key of JAX; the same key and values give the same sample. The grains, their magnetizations and the noise
        have keys of their own, so that none of them changes with the values of a later one.
    sample
        The description of the sample; its side must be a whole number of µm.
    noise
        Standard deviation of the noise of a sensor of 1 µm, nT; 0 for none.
    spacing
        Sampling interval of the map, a whole number n of µm. The map is every n-th sensor of the grid of 1 µm, noise
        included; sensors keep their edge of 1 µm.
    memory_limit, time_limit
        Bytes and hours that the sample may be estimated to take: by default the memory that is free, and any time.
    progress
        Called with the name of a stage, the work that is done and the whole of it.
    **fields
        Instead of `sample` its fields by keyword, each with a default: ``side`` (µm), ``thickness`` (µm), ``density``
        (grains per mm³), ``clearance`` (µm), ``directions``, ``height`` (µm) and ``library``, see `SampleSpec`.

    Returns
    -------
    Simulation
        ``.grains``, ``.magnetization``, ``.field``, ``.scan`` and, for more maps of the same sample, ``.sample()``.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For a side or spacing that is not a whole number of µm, a noise that is negative, as `SampleSpec`, and for a
        density that cannot be packed. Also if the sample would take too long.
    MemoryError
        If the sample would not fit into memory.

    Examples
    --------
    >>> sample = simulate(jax.random.key(1), side=40, thickness=30, density=1e5, noise=20)
    >>> len(sample.grains), sample.scan.field.shape
    (5, (41, 41))
    """
    require_float64()
    require_key(key)
    check_progress(progress)
    spec = value_or_fields(sample, SampleSpec, fields=fields)
    grid = _finest_grid(spec.side, height=spec.height)
    _check_sampling(grid, spacing=spacing, noise=noise)
    require_feasible(spec, sensors=grid.size, memory_limit=memory_limit, time_limit=time_limit)
    key_of_places, key_of_magnetization, key_of_noise = jax.random.split(key, 3)
    grains = spec.place_grains(key_of_places, progress=progress)
    volume = np.asarray(grains.volume)
    magnetization = np.asarray(draw_magnetization(key_of_magnetization, volume, directions=spec.directions))
    field = np.asarray(forward(grains, magnetization, grid))
    if progress is not None:
        progress("field", grid.size, grid.size)
    return Simulation(
        grains=grains,
        magnetization=magnetization,
        field=field,
        grid=grid,
        scan=sample_field(key_of_noise, field, grid, spacing=spacing, noise=noise),
        noise_key=key_of_noise,
    )


def sample_field(
    key: jax.Array, field: Float[np.ndarray, "ny nx"], grid: SensorGrid, *, spacing: float, noise: float
) -> Scan:
    """Add noise to a map of 1 µm, then take every n-th of its sensors (section 2.1.5).

    Every level of noise has a draw of its own, which the maps of all intervals share.

    Parameters
    ----------
    key
        Random key of JAX; the level of noise is folded into it.
    field
        Bz without noise, nT.
    grid
        Its sensors, 1 µm apart.
    spacing
        Sampling interval, a whole number n of µm; sensors keep their size.
    noise
        Standard deviation, nT; 0 for none.

    Raises
    ------
    ValueError
        For a spacing that is not a whole number of µm or exceeds the map, and for a negative noise.

    Examples
    --------
    >>> grid = SensorGrid(origin=(0, 0), spacing=1, shape=(5, 9))
    >>> coarse = sample_field(jax.random.key(2), np.zeros((5, 9)), grid, spacing=4, noise=10.0)
    >>> fine = sample_field(jax.random.key(2), np.zeros((5, 9)), grid, spacing=1, noise=10.0)
    >>> coarse.field.shape, bool(np.all(coarse.field == fine.field[::4, ::4]))
    ((2, 3), True)
    """
    require_key(key)
    _check_sampling(grid, spacing=spacing, noise=noise)
    step = round(spacing / FINEST_SPACING)
    noisy = field
    if noise > 0:
        level = np.float32(noise).view(np.uint32)
        noisy = field + noise * np.asarray(jax.random.normal(jax.random.fold_in(key, level), field.shape, jnp.float64))
    values = noisy[::step, ::step]
    sampled = SensorGrid(
        origin=grid.origin, spacing=grid.spacing * step, shape=values.shape, height=grid.height, side=grid.side
    )
    return Scan(values, sampled, noise=noise or None)


def _finest_grid(side: float, *, height: float) -> SensorGrid:
    steps = side / FINEST_SPACING
    if not (np.isfinite(steps) and steps >= 1 and steps == round(steps)):
        msg = f"side must be a whole number of µm, for sensors from edge to edge; got {side!r}"
        raise InputError(msg)
    return SensorGrid(origin=(0.0, 0.0), spacing=FINEST_SPACING, shape=(round(steps) + 1,) * 2, height=height)


def _check_sampling(grid: SensorGrid, *, spacing: float, noise: float) -> None:
    steps = real_number(spacing, name="spacing") / FINEST_SPACING
    most = min(grid.shape) - 1
    if not (np.isfinite(steps) and 1 <= steps <= most and steps == round(steps)):
        msg = (
            f"spacing must be a whole number of µm up to {most}, as a map takes every n-th sensor of 1 µm; got "
            f"{spacing!r}"
        )
        raise InputError(msg)
    if not 0 <= real_number(noise, name="noise") < np.inf:
        msg = f"noise must be a standard deviation in nT, 0 or more; got {noise!r}"
        raise InputError(msg)
