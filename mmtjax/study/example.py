"""One model of a study from beginning to end, with all that a figure of the method shows (Out et al. 2022, Fig. 1)."""

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
    """A sample of a study, the magnetizations that were put in, (grain, 3) in A/m, and what its inversion gives."""

    geometry: Geometry
    magnetization: Float[np.ndarray, "grain 3"]
    solution: Solution


def example_of(config: StudyConfig, *, library: ShapeLibrary | None = None) -> Example:
    """The model of a study that is nearest to that of Fig. 1: 75,000 grains/mm³ and 100 nT in the smallest sample.

    It is the first repeat, with the random keys that the study gives it, and of grains of the shapes of `library`, the
    synthetic ones by default.
    """
    density = min(config.density, key=lambda value: abs(value - _DENSITY))
    noise = min(config.noise, key=lambda value: abs(value - _NOISE))
    geometry = Geometry(min(config.side), min(config.thickness), density, 0)
    sample = sample_of(config, geometry, library=library)
    scan = sample.sample(noise=noise)
    with warnings.catch_warnings():
        # That deep grains are not physical at this noise is what a study shows.
        warnings.simplefilter("ignore", InversionWarning)
        solution = invert(scan, sample.grains, noise=noise, level=config.level, tolerance=config.tolerance)
    return Example(geometry, sample.magnetization, solution)
