"""Shapes of grains that a user names, for the commands that make up samples."""

from pathlib import Path

from mmtjax.io.grains import read_grains
from mmtjax.rock.shapes import ShapeLibrary
from mmtjax.terminal import GRAIN_OPTIONS, in_words_of


def shape_library(grains: Path | None, *, z: str | None, voxel_spacing: float | None) -> ShapeLibrary | None:
    """The shapes of a file of grains; None, for the synthetic ones, without a file."""
    if grains is None:
        return None
    with in_words_of(GRAIN_OPTIONS):
        return ShapeLibrary.from_grains(read_grains(grains, z=z, spacing=voxel_spacing))
