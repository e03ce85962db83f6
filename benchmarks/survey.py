"""A user's survey: 4,347 grains of a lava slice below 951 × 771 sensors, inverted with all uncertainties."""

import warnings

import jax
import numpy as np
from jaxtyping import Float

from benchmarks.measure import note, record, wall_clock
from benchmarks.memory import peak_gib
from benchmarks.samples import scale_of_large, survey_folder
from mmtjax import Grains, Scan, SensorGrid, forward, invert_series
from mmtjax.io import read_moments, read_positions, sensor_grid_from_metadict

_NOISE = 20.0

#: Share of the NRM in the maps of the series that tells the time of each further map.
_STEPS = (1.0, 0.8, 0.6, 0.4)

#: A moment of 1 A m² in A/m · µm³.
_MOMENT = 1e18


def basalt() -> None:
    """The geometry as the readers give it; the map by the forward model from the published moments."""
    folder = survey_folder()
    if folder is None:
        note("no survey data: this figure is left out; set MMTJAX_TEST_DATA to the folder that holds basalt-af/")
        return
    grains = read_positions(folder / "position_grains.txt")
    grid = sensor_grid_from_metadict(folder / "MetaDict_dipoles.json", grains=grains)
    moments = read_moments(folder / "InvMagQuad_dipoles.npz", grains=grains)[["mx", "my", "mz"]].to_numpy()
    without = np.isnan(moments).any(axis=1)
    note(f"{without.sum()} of {len(grains)} grains have no published moment and are given none")
    magnetization = np.where(without[:, None], 0.0, moments) * _MOMENT / np.asarray(grains.volume)[:, None]
    grains, magnetization, grid = corner_of(grains, magnetization, grid, scale=scale_of_large())
    field = np.asarray(forward(grains, magnetization, grid))
    rng = np.random.default_rng(0)
    steps = [Scan(share * field + rng.normal(scale=_NOISE, size=grid.shape), grid) for share in _STEPS]

    note(f"the process held {peak_gib():.2f} GiB at most before the inversion")
    record("survey_grains", len(grains), "grains")
    record("survey_sensors", grid.size, "sensors")
    record("survey_invert_first_s", timed_series(steps[:1], grains), "s")
    record("survey_peak_gib", peak_gib(), "GiB")
    one = timed_series(steps[:1], grains)
    record("survey_invert_s", one, "s")
    record("survey_further_map_s", (timed_series(steps, grains) - one) / (len(steps) - 1), "s")


def timed_series(scans: list[Scan], grains: Grains) -> float:
    """Seconds of the inversion of maps with covariances and radii."""
    start = wall_clock()
    with warnings.catch_warnings():
        # Cubes in place of shapes that are not published lie near and deep: what is warned of is known.
        warnings.simplefilter("ignore")
        solutions = invert_series(scans, grains, _NOISE, throw=False)
    jax.block_until_ready([(one.magnetization, one.confidence_radius, one.residual) for one in solutions])
    time = wall_clock() - start
    one = solutions[0]
    note(f"{len(scans)} maps: method {one.method}, condition {float(one.condition):.2e}, failure: {one.failure}")
    return time


def corner_of(
    grains: Grains, magnetization: Float[np.ndarray, "grain 3"], grid: SensorGrid, *, scale: float
) -> tuple[Grains, Float[np.ndarray, "grain 3"], SensorGrid]:
    """The lower left of the survey, of edges by `scale` shorter; all of it for a scale of one."""
    if scale == 1:
        return grains, magnetization, grid
    part = SensorGrid(
        origin=grid.origin,
        spacing=grid.spacing,
        shape=tuple(round(scale * count) for count in grid.shape),
        height=grid.height,
    )
    place = np.asarray(grains.position)
    inside = (place[:, 0] < part.x[-1]) & (place[:, 1] < part.y[-1])
    some = Grains.from_volumes(place[inside], np.asarray(grains.volume)[inside], ids=grains.ids[inside])
    return some, magnetization[inside], part
