"""Describe a made-up sample: its size, its grains and the plane that it is scanned in."""

import dataclasses
from typing import TypedDict

import jax
import numpy as np

from mmtjax.errors import InputError, require_type
from mmtjax.precision import real_number
from mmtjax.progress import StageProgress
from mmtjax.sources.grains import Grains
from mmtjax.sources.magnetization import check_directions
from mmtjax.sources.placement import count_grains, place_grains
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library


class SampleFields(TypedDict, total=False):
    """The fields of `SampleSpec`, for functions that take them by keyword."""

    side: float
    thickness: float
    density: float
    clearance: float
    directions: str
    height: float
    library: ShapeLibrary | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleSpec:
    """A description of a made-up sample (Out et al. 2022, section 2.1).

    Parameters
    ----------
    side
        Edge of the square surface of the sample, µm.
    thickness
        Thickness of the sample, µm.
    density
        Grains per mm³. Their number is rounded to a whole one.
    clearance
        Least height of the top side of every grain above the bottom of the sample, µm.
    directions
        How directions of magnetization are drawn: ``"printed"``, as the paper prints it, or ``"isotropic"``, see
        `mmtjax.sources.magnetization.draw_magnetization`.
    height
        z of the scanning plane, µm; the paper scans at the surface, 0.
    library
        Shapes of grains; `mmtjax.sources.shape_library.synthetic_library` by default.

    Raises
    ------
    ValueError
        For a size that is not positive, a density at which there is no grain, a clearance that is not less than the
        thickness, unknown directions, and a height below the surface. Messages quote the value.

    Examples
    --------
    >>> SampleSpec(side=100, thickness=50, density=2e4).grain_count
    10
    """

    side: float = 200.0
    thickness: float = 50.0
    density: float = 2.5e4
    clearance: float = 10.0
    directions: str = "printed"
    height: float = 0.0
    library: ShapeLibrary | None = None

    def __post_init__(self) -> None:
        """Check all values."""
        for name in ("side", "thickness", "density", "clearance"):
            real_number(getattr(self, name), name=name)
        if self.library is not None:
            require_type(self.library, ShapeLibrary, name="library")
        if not 0 <= real_number(self.height, name="height") < np.inf:
            msg = f"height must be a height in µm, 0 or more; got {self.height!r}"
            raise InputError(msg)
        check_directions(self.directions)
        count_grains(side=self.side, thickness=self.thickness, density=self.density, clearance=self.clearance)

    @property
    def grain_count(self) -> int:
        """Number of grains."""
        return count_grains(side=self.side, thickness=self.thickness, density=self.density)

    def place_grains(self, key: jax.Array, *, progress: StageProgress | None = None) -> Grains:
        """Place the grains of a sample, see `mmtjax.sources.placement.place_grains`.

        Parameters
        ----------
        key
            Random key of JAX; the same key gives the same grains.
        progress
            Called with ``"placing grains"``, the number of grains placed and the number of all.

        Raises
        ------
        ValueError
            For a density that cannot be packed, and a library without a shape that fits into the sample.
        """
        return place_grains(
            key,
            synthetic_library() if self.library is None else self.library,
            side=self.side,
            thickness=self.thickness,
            density=self.density,
            clearance=self.clearance,
            progress=progress,
        )
