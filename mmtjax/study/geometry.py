"""Make one sample of a study, and invert its maps of every sampling interval and noise."""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import xarray
from threadpoolctl import threadpool_limits

from mmtjax.errors import InversionError, InversionWarning
from mmtjax.inversion.invert import invert_series
from mmtjax.inversion.solution import Solution
from mmtjax.scan.scan import Scan
from mmtjax.selection import signal_strength_ratio
from mmtjax.simulation import Simulation, simulate
from mmtjax.sources.grains import Grains
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Cell, Geometry, geometry_key
from mmtjax.study.config import StudyConfig

#: The order of the sums of BLAS depends on the number of threads, and changes ill-conditioned results visibly.
_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


@_one_thread
def sample_of(config: StudyConfig, geometry: Geometry, *, library: ShapeLibrary | None = None) -> Simulation:
    """Make a sample of a study, with the random key of its values; its grains are synthetic by default."""
    return simulate(geometry_key(config.seed, geometry), config.sample_spec(geometry, library=library))


def run_geometry(
    config: StudyConfig, geometry: Geometry, intervals: Sequence[float], *, library: ShapeLibrary | None = None
) -> Iterator[tuple[float, xarray.Dataset]]:
    """Make one sample and invert its maps of some sampling intervals, each at all noise levels.

    The numbers depend on the values of the sample, the interval and the noise, and on the seed. They do not depend on
    the rest of the configuration, nor on the number of threads of BLAS, which is set to one. The number of threads of
    JAX is set when it starts, see `mmtjax.parallel.cluster.start_jax_with_one_thread`.

    Parameters
    ----------
    config
        The study.
    geometry
        The sample.
    intervals
        Sampling intervals, µm.
    library
        Shapes of the grains; the synthetic ones by default.

    Yields
    ------
    tuple of float and xarray.Dataset
        An interval, and its results as they are stored.
    """
    sample = sample_of(config, geometry, library=library)
    for interval in intervals:
        # Only the results of an interval stay in memory while the next is worked on.
        yield interval, inverted_cell(config, Cell(*geometry, interval), sample)


@_one_thread
def inverted_cell(config: StudyConfig, cell: Cell, sample: Simulation) -> xarray.Dataset:
    """Invert the maps of a sample at one sampling interval and all noise levels, and return the results."""
    maps = [sample.sample(spacing=cell.interval, noise=noise) for noise in config.noise]
    solutions, failure = solved_maps(maps, sample.grains, config.noise, level=config.level, tolerance=config.tolerance)
    return cell_dataset(config, cell, sample, solutions=solutions, failure=failure)


def solved_maps(
    scans: Sequence[Scan], grains: Grains, noise: Sequence[float], *, level: float, tolerance: float
) -> tuple[list[Solution] | None, str]:
    """Invert the maps of one sample at several noise levels.

    Parameters
    ----------
    scans
        One map for each noise level, on the same sensors.
    grains
        The grains of the sample.
    noise
        Noise levels, nT.
    level
        Probability of the confidence sphere.
    tolerance
        Error of a coefficient of the field as a share of the largest of its grain.

    Returns
    -------
    solutions
        The solutions, None where there are none.
    failure
        Why the inversion failed; empty where it did not.
    """
    if reason := unsolvable(scans[0], grains):
        return None, reason
    try:
        with warnings.catch_warnings():
            # The results show what the warnings say: noise cannot explain a map, or a grain is unphysical.
            warnings.simplefilter("ignore", InversionWarning)
            solutions = invert_series(scans, grains, list(noise), level=level, tolerance=tolerance, throw=False)
    except InversionError as error:
        return None, str(error)
    return solutions, next((solution.failure for solution in solutions if solution.failure is not None), "")


def unsolvable(scan: Scan, grains: Grains) -> str:
    """Return why no solver can invert a map; empty where one can."""
    unknowns = 3 * len(grains)
    return f"{scan.used} sensors cannot determine {unknowns} unknowns" if scan.used <= unknowns else ""


def cell_dataset(
    config: StudyConfig, cell: Cell, sample: Simulation, *, solutions: list[Solution] | None, failure: str
) -> xarray.Dataset:
    """Return the results of a cell as they are stored.

    Parameters
    ----------
    config
        The study.
    cell
        The cell.
    sample
        Its sample.
    solutions
        One solution for each noise level; None where there are none.
    failure
        Why the inversion failed; empty where it did not.
    """
    grains, levels, count = sample.grains, len(config.noise), len(sample.grains)
    if solutions is None:
        solved, radius = np.full((levels, count, 3), np.nan), np.full((levels, count), np.nan)
        chi_square, condition, method = np.full(levels, np.nan), np.inf, "none"
    else:
        solved = np.stack([np.asarray(solution.magnetization) for solution in solutions])
        radius = np.stack([np.asarray(solution.confidence_radius) for solution in solutions])
        chi_square = np.array([float(solution.reduced_chi_square) for solution in solutions])
        condition, method = float(solutions[0].condition), solutions[0].method
    magnitude = np.linalg.norm(solved, axis=2)
    # A grain whose radius is not known counts as not resolved.
    known = np.isfinite(radius) & (magnitude > 0)
    ratio = np.divide(radius, magnitude, out=np.full(radius.shape, np.inf), where=known)
    variables = {
        "position": (("grain", "axis"), np.asarray(grains.position), "µm", "centroid: x, y, z; z is up, surface at 0"),
        "volume": (("grain",), np.asarray(grains.volume), "µm³", "volume"),
        "diameter": (("grain",), np.asarray(grains.equivalent_diameter), "µm", "diameter of the sphere of the volume"),
        "signal_strength_ratio": (
            ("grain",),
            np.asarray(signal_strength_ratio(grains, config.height)),
            "1/µm",
            "signal strength ratio V / (R³ d)",
        ),
        "magnetization_true": (("grain", "component"), sample.magnetization, "A/m", "magnetization put in: x, y, z"),
        "magnetization": (("noise", "grain", "component"), solved, "A/m", "magnetization solved: x, y, z"),
        "confidence_radius": (("noise", "grain"), radius, "A/m", f"radius of the sphere of {config.level:.4g}"),
        "uncertainty_ratio": (("noise", "grain"), ratio, "1", "radius over the magnitude that was solved"),
        "reduced_chi_square": (("noise",), chi_square, "1", "squared misfit per degree of freedom, over noise²"),
        "condition": ((), np.array(condition), "1", "condition number of the scaled Green's matrix"),
    }
    return xarray.Dataset(
        {
            name: (dimensions, np.asarray(values, np.float64), {"units": unit, "long_name": label})
            for name, (dimensions, values, unit, label) in variables.items()
        },
        {"noise": ("noise", np.array(config.noise), {"units": "nT", "long_name": "noise of a sensor"})},
        attrs={**cell._asdict(), "method": method, "failure": failure},
    )
