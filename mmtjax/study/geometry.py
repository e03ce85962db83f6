"""One unit of work of a study: a sample is made, and inverted from maps of every sampling interval and noise."""

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
from mmtjax.study.cell import Geometry, geometry_key
from mmtjax.study.config import StudyConfig

#: Threads of BLAS add up in an order that depends on their number, by which ill-conditioned results change visibly.
_one_thread = threadpool_limits.wrap(limits=1, user_api="blas")


@_one_thread
def sample_of(config: StudyConfig, geometry: Geometry, *, library: ShapeLibrary | None = None) -> Simulation:
    """A sample of a study, with the random key that belongs to its values; its grains are synthetic by default."""
    return simulate(
        geometry_key(config.seed, geometry),
        side=geometry.side,
        thickness=geometry.thickness,
        density=geometry.density,
        height=config.height,
        library=library,
        directions=config.directions,
    )


def run_geometry(
    config: StudyConfig, geometry: Geometry, intervals: Sequence[float], *, library: ShapeLibrary | None = None
) -> Iterator[tuple[float, xarray.Dataset]]:
    """Make one sample and invert its maps of some sampling intervals, each at all noise levels.

    The numbers depend on the values of the sample, the interval and the noise, and on the seed; not on what else the
    configuration holds, nor on the threads that BLAS may use, for it gets one. Those of JAX are settled when it starts,
    see `mmtjax.parallel.cluster.start_jax_with_one_thread`.

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
        # Of one interval nothing but its records is held while the next is worked on.
        yield interval, inverted(config, geometry, sample, interval)


@_one_thread
def inverted(config: StudyConfig, geometry: Geometry, sample: Simulation, interval: float) -> xarray.Dataset:
    """A sample seen at one sampling interval, inverted at all noise levels."""
    maps = [sample.sample(spacing=interval, noise=noise) for noise in config.noise]
    solutions, failure = solved_maps(maps, sample.grains, config)
    return records(config, geometry, interval, sample, solutions, failure)


def solved_maps(scans: Sequence[Scan], grains: Grains, config: StudyConfig) -> tuple[list[Solution] | None, str]:
    """Solutions of the maps of all noise levels of a study, or None; and why they cannot be vouched for, empty if not.

    Parameters
    ----------
    scans
        One map for each noise level, on the same sensors.
    grains
        Their sources.
    config
        Noise levels, probability of the confidence sphere, and tolerance.
    """
    if reason := unsolvable(scans[0], grains):
        return None, reason
    try:
        with warnings.catch_warnings():
            # What the warnings say, that noise cannot explain a map or a grain is unphysical, the records show.
            warnings.simplefilter("ignore", InversionWarning)
            solutions = invert_series(
                scans, grains, list(config.noise), level=config.level, tolerance=config.tolerance, throw=False
            )
    except InversionError as error:
        return None, str(error)
    return solutions, next((solution.failure for solution in solutions if solution.failure is not None), "")


def unsolvable(scan: Scan, grains: Grains) -> str:
    """Why no solver would take a map, empty if one would."""
    unknowns = 3 * len(grains)
    return f"{scan.used} sensors cannot determine {unknowns} unknowns" if scan.used <= unknowns else ""


def records(
    config: StudyConfig,
    geometry: Geometry,
    interval: float,
    sample: Simulation,
    solutions: list[Solution] | None,
    failure: str,
) -> xarray.Dataset:
    """The results of a cell as they are stored."""
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
    # A radius that is not known resolves nothing.
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
        attrs={**geometry._asdict(), "interval": interval, "method": method, "failure": failure},
    )
