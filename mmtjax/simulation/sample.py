"""A sample that is made up, and the map a scan of it gives (Out et al. 2022, section 2.1)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas
from jaxtyping import Float

from mmtjax.greens.forward import forward
from mmtjax.precision import require_float64
from mmtjax.scan.grid import SensorGrid
from mmtjax.scan.scan import Scan
from mmtjax.selection import signal_strength_ratio
from mmtjax.sources.grains import Grains
from mmtjax.sources.magnetization import draw_magnetization
from mmtjax.sources.placement import place_grains
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library

#: Spacing of the grid on which the field and its noise are made, and edge of its sensors, µm.
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
        The map that was asked for, with its noise.
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
        """Map at another sampling interval and level of noise, as `sample_field` makes it.

        With the key of the simulation, the default, the same values give the same map.
        """
        return sample_field(
            self.noise_key if key is None else key,
            self.field,
            self.grid,
            spacing=spacing,
            noise=noise,
        )

    def table(self) -> pandas.DataFrame:
        """One row per grain with its true magnetization; units are in ``attrs["units"]``."""
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
    *,
    side: float = 200.0,
    thickness: float = 50.0,
    density: float = 2.5e4,
    noise: float = 5.0,
    spacing: float = FINEST_SPACING,
    height: float = 0.0,
    library: ShapeLibrary | None = None,
    directions: str = "printed",
    clearance: float = 10.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Simulation:
    """Make up a sample and scan it: grains, magnetizations, field and noise (Out et al. 2022, section 2.1).

    Parameters
    ----------
    key
        Random key of JAX; the same key and values give the same sample. The grains, their magnetizations and the noise
        have keys of their own, so that none of them changes with the values of a later one.
    side
        Edge of the square surface of the sample, a whole number of µm.
    thickness
        Thickness of the sample, µm.
    density
        Grains per mm³.
    noise
        Standard deviation of the noise of a sensor of 1 µm, nT; 0 for none.
    spacing
        Sampling interval of the map, a whole number of µm. The map is every so many sensors of the grid of 1 µm, noise
        included; sensors keep their edge of 1 µm.
    height
        z of the scanning plane, µm; the paper scans at the surface, 0.
    library
        Shapes of grains; `mmtjax.sources.shape_library.synthetic_library` by default.
    directions
        ``"printed"`` or ``"isotropic"``, see `mmtjax.sources.magnetization.draw_magnetization`.
    clearance
        Height above the bottom that the top side of every grain reaches, µm.
    progress
        Called with a description, and what is done of how much.

    Returns
    -------
    Simulation
        ``.grains``, ``.magnetization``, ``.field``, ``.scan`` and, for more maps of the same sample, ``.sample()``.

    Raises
    ------
    RuntimeError
        If JAX is not set to double precision.
    ValueError
        For a side or spacing that is not a whole number of µm, a noise that is negative, and as `place_grains` and
        `draw_magnetization`; above all for a density that cannot be packed.

    Examples
    --------
    >>> sample = simulate(jax.random.key(1), side=40, thickness=30, density=1e5, noise=20)
    >>> len(sample.grains), sample.scan.field.shape
    (5, (41, 41))
    """
    require_float64()
    grid = _finest_grid(side, height=height)
    _check_sampling(grid, spacing=spacing, noise=noise)
    for_places, for_magnetization, for_noise = jax.random.split(key, 3)
    grains = place_grains(
        for_places,
        synthetic_library() if library is None else library,
        side=side,
        thickness=thickness,
        density=density,
        clearance=clearance,
        progress=progress,
    )
    magnetization = np.asarray(draw_magnetization(for_magnetization, grains.volume, directions=directions))
    field = np.asarray(forward(grains, magnetization, grid))
    if progress is not None:
        progress("field", grid.size, grid.size)
    return Simulation(
        grains=grains,
        magnetization=magnetization,
        field=field,
        grid=grid,
        scan=sample_field(for_noise, field, grid, spacing=spacing, noise=noise),
        noise_key=for_noise,
    )


def sample_field(
    key: jax.Array, field: Float[np.ndarray, "ny nx"], grid: SensorGrid, *, spacing: float, noise: float
) -> Scan:
    """Noise on a map of 1 µm, then every so many of its sensors (section 2.1.5).

    Every level of noise has a draw of its own, and the maps of all intervals share it.

    Parameters
    ----------
    key
        Random key of JAX, which the level of noise is folded into.
    field
        Bz without noise, nT.
    grid
        Its sensors, 1 µm apart.
    spacing
        Sampling interval, a whole number of µm; sensors keep their size.
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
        raise ValueError(f"side must be a whole number of µm, for sensors from edge to edge; got {side!r}")
    return SensorGrid(origin=(0.0, 0.0), spacing=FINEST_SPACING, shape=(round(steps) + 1,) * 2, height=height)


def _check_sampling(grid: SensorGrid, *, spacing: float, noise: float) -> None:
    steps = spacing / FINEST_SPACING
    most = min(grid.shape) - 1
    if not (np.isfinite(steps) and 1 <= steps <= most and steps == round(steps)):
        raise ValueError(
            f"spacing must be a whole number of µm up to {most}, for a map of every so many sensors of 1 µm; got "
            f"{spacing!r}"
        )
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be a standard deviation in nT, 0 or more; got {noise!r}")
