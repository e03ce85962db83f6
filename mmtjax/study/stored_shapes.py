"""Store a user's library of shapes with a study, and recognize it by its hash."""

import hashlib
from pathlib import Path

import numpy as np
import xarray

from mmtjax.errors import InputError
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.config import SYNTHETIC, StudyConfig
from mmtjax.study.zarr_groups import read_array, write_group

#: Name of the group of the shapes.
SHAPES = "shapes"

#: Fields of a library and their dimensions.
_DIMENSIONS = {
    "volume": ("shape",),
    "bounding_radius": ("shape",),
    "low": ("shape", "axis"),
    "high": ("shape", "axis"),
    "corner_offset": ("corner", "axis"),
    "corner_weight": ("corner",),
    "cuboid_low": ("cuboid", "axis"),
    "cuboid_high": ("cuboid", "axis"),
    "first_corner": ("end",),
    "first_cuboid": ("end",),
}


def check_shapes(config: StudyConfig, library: ShapeLibrary | None) -> None:
    """Raise a ValueError unless shapes were passed exactly if a configuration names a file of grains."""
    if library is None and config.library != SYNTHETIC:
        msg = (
            f"the study draws its grains from {config.library!r}, but no shapes were passed; pass library=, such as "
            "ShapeLibrary.from_grains(read_grains(...))"
        )
        raise InputError(msg)
    if library is not None and config.library == SYNTHETIC:
        msg = (
            f"shapes were passed, but the study has library = {SYNTHETIC!r}; write where they come from there, such as "
            "the name of their file"
        )
        raise InputError(msg)


def shapes_fingerprint(library: ShapeLibrary | None) -> str:
    """Return a hash of shapes and their order, as samples depend on both; ``"synthetic"`` for None."""
    if library is None:
        return SYNTHETIC
    digest = hashlib.sha256()
    for name in _DIMENSIONS:
        values = np.ascontiguousarray(getattr(library, name))
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()


def write_shapes(store: Path, library: ShapeLibrary | None) -> None:
    """Write shapes to a store that does not have them yet; nothing for None.

    Raises
    ------
    OSError
        If they cannot be written, as on a full disk.
    """
    if library is None or (store / SHAPES).exists():
        return
    variables = {name: (dimensions, np.asarray(getattr(library, name))) for name, dimensions in _DIMENSIONS.items()}
    write_group(store / SHAPES, xarray.Dataset(variables, attrs={"long_name": "shapes of grains, lengths in µm"}))


def read_shapes(store: Path) -> ShapeLibrary | None:
    """Return the shapes in a store, None for the synthetic ones."""
    if not (store / SHAPES).exists():
        return None
    return ShapeLibrary(**{name: read_array(store / SHAPES / name)[0] for name in _DIMENSIONS})
