"""Read the shapes of grains that a user names, for the commands that make up samples."""

from collections.abc import Mapping
from pathlib import Path

from mmtjax.cli.terminal import GRAIN_OPTIONS, translate_errors
from mmtjax.io.grains import read_grains
from mmtjax.io.recognize import recognize
from mmtjax.sources.shape_library import ShapeLibrary


def shape_library(
    grains: Path | None, *, z: str | None, voxel_spacing: float | None, options: Mapping[str, str] = GRAIN_OPTIONS
) -> ShapeLibrary | None:
    """Return the shapes of a file of grains; None, for the synthetic ones, without a file.

    Parameters
    ----------
    grains
        The file.
    z
        Whether z of the file is a height (``"up"``) or a depth (``"down"``), if it does not say.
    voxel_spacing
        Edge of a voxel of the file, µm, if it does not say.
    options
        Names that errors use for the arguments of the reader.

    Raises
    ------
    ValueError
        As the reader of the file.
    """
    if grains is None:
        return None
    with translate_errors(options):
        # The place of the grains does not matter, but readers of voxels require one.
        origin = (0.0, 0.0, 0.0) if {"voxels", "stack"} & set(recognize(grains)) else None
        return ShapeLibrary.from_grains(read_grains(grains, z=z, spacing=voxel_spacing, origin=origin))
