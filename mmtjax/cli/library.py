"""Shapes of grains that a user names, for the commands that make up samples."""

from collections.abc import Mapping
from pathlib import Path

from mmtjax.cli.terminal import GRAIN_OPTIONS, translate_errors
from mmtjax.io.grains import read_grains
from mmtjax.io.recognize import recognize
from mmtjax.sources.shape_library import ShapeLibrary


def shape_library(
    grains: Path | None, *, z: str | None, voxel_spacing: float | None, words: Mapping[str, str] = GRAIN_OPTIONS
) -> ShapeLibrary | None:
    """The shapes of a file of grains, with errors in the words of the user; None, for the synthetic ones, without."""
    if grains is None:
        return None
    with translate_errors(words):
        # Where they lie does not matter, but readers of voxels do not take them without a place.
        place = {"origin": (0.0, 0.0, 0.0)} if {"voxels", "stack"} & set(recognize(grains)) else {}
        return ShapeLibrary.from_grains(read_grains(grains, z=z, spacing=voxel_spacing, **place))
