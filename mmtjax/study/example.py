"""Compute one model of a study for the figures of the method (Out et al. 2022, Fig. 1)."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mmtjax.errors import InversionWarning
from mmtjax.inversion.invert import invert
from mmtjax.inversion.solution import Solution
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Geometry
from mmtjax.study.config import StudyConfig
from mmtjax.study.geometry import sample_of

#: Density and noise of the model of Fig. 1.
_DENSITY, _NOISE = 75_000.0, 100.0


class Example(NamedTuple):
    """A sample of a study with its solution.

    Attributes
    ----------
    geometry
        The sample.
    magnetization
        True magnetizations, (grain, 3), A/m.
    solution
        Solution of its map.
    """

    geometry: Geometry
    magnetization: Float[np.ndarray, "grain 3"]
    solution: Solution


def example_of(config: StudyConfig, *, library: ShapeLibrary | None = None) -> Example:
    """Compute the model of a study nearest to that of Fig. 1: 75,000 grains/mm³ and 100 nT in the smallest sample.

    The sample is the first repeat, with the random keys of the study.

    Parameters
    ----------
    config
        The study.
    library
        Shapes of the grains; the synthetic ones by default.
    """
    density = min(config.density, key=lambda value: abs(value - _DENSITY))
    noise = min(config.noise, key=lambda value: abs(value - _NOISE))
    geometry = Geometry(min(config.side), min(config.thickness), density, 0)
    sample = sample_of(config, geometry, library=library)
    scan = sample.sample(noise=noise)
    with warnings.catch_warnings():
        # A study shows that deep grains are not physical at this noise.
        warnings.simplefilter("ignore", InversionWarning)
        solution = invert(scan, sample.grains, noise=noise, level=config.level, tolerance=config.tolerance)
    return Example(geometry, sample.magnetization, solution)
