"""Options of commands that read grains, and of commands that draw the shapes of grains from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Group, Parameter

from mmtjax.cli.terminal import GRAIN_OPTIONS, translate_errors
from mmtjax.errors import InputError
from mmtjax.io.grains import read_grains
from mmtjax.io.recognize import recognize
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.sources.shape_library import ShapeLibrary

#: A place x, y, z, µm.
Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class GrainFormat:
    """Options that say what a file of grains does not.

    Parameters
    ----------
    grains_format
        `cuboids`, `voxels`, `stack`, `dragonfly` or `positions`, where the contents allow several formats.
    grains_z
        Whether z of the file is a height (up) or a depth (down).
    grains_unit
        Unit of the lengths of cuboids (µm by default) or positions (m by default).
    lengths
        Whether a file of cuboids holds half-lengths, the default, or whole edges.
    allow_overlap
        Accept cuboids that share volume.
    surface
        Where the surface of the sample lies in a Dragonfly export: at the largest z, the smallest, or a z in µm.
    min_voxels
        Leave out grains of fewer voxels (Dragonfly).
    voxel_spacing
        Edge of a voxel, µm.
    voxel_origin
        x, y, z of the centre of the voxel [0, 0, 0], µm.
    labels
        Whether the values of a stack are grain ids, or the stack is a mask whose connected pieces are the grains.
    """

    grains_format: str | None = None
    grains_z: Literal["up", "down"] | None = None
    grains_unit: str | None = None
    lengths: Literal["half", "full"] | None = None
    allow_overlap: Annotated[bool, Parameter(show_default=False)] = False
    surface: float | Literal["zmax", "zmin"] | None = None
    min_voxels: int | None = None
    voxel_spacing: float | None = None
    voxel_origin: Point | None = None
    labels: Literal["ids", "mask"] | None = None

    def read_file(self, file: Path, *, option_names: Mapping[str, str], origin: Point | None = None) -> Grains:
        """Read a file of grains.

        Parameters
        ----------
        file
            The file.
        option_names
            Names that the options of `read_grains` have for the user, for the errors.
        origin
            What to use for `voxel_origin` if it is not given.
        """
        with translate_errors(option_names):
            return read_grains(
                file,
                format=self.grains_format,
                z=self.grains_z,
                unit=self.grains_unit,
                lengths=self.lengths,
                allow_overlap=self.allow_overlap or None,
                surface=self.surface,
                min_voxels=self.min_voxels,
                spacing=self.voxel_spacing,
                origin=origin if self.voxel_origin is None else self.voxel_origin,
                labels=self.labels,
            )


@Parameter(name="*", group=Group("The grains", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class GrainInput(GrainFormat):
    """Options of a command that reads grains.

    Parameters
    ----------
    grains
        File with the grains: cuboids, voxels, labelled stack (.tif, .npy), Dragonfly export, positions and volumes.
    margin
        Leave out grains whose centre lies farther than this outside the map, µm. All are kept by default.
    """

    grains: Path
    margin: float | None = None

    def read(self, scan: Scan | None = None) -> Grains:
        """Read the grains.

        Parameters
        ----------
        scan
            The map that `margin` is measured from; without it all grains are kept.
        """
        grains = self.read_file(self.grains, option_names=GRAIN_OPTIONS)
        return grains if scan is None or self.margin is None else _grains_near_map(grains, scan, margin=self.margin)


@Parameter(name="*", group=Group("The shapes of grains", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class ShapeInput(GrainFormat):
    """Options of a command that makes up samples of grains.

    Parameters
    ----------
    grains
        File with grains whose shapes to draw from, of any format that `mmtjax invert` reads, such as your microCT. By
        default synthetic shapes, or those of a study.
    """

    grains: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The file that is read, if there is one."""
        return [] if self.grains is None else [self.grains]

    def library(self, *, option_names: Mapping[str, str] = GRAIN_OPTIONS) -> ShapeLibrary | None:
        """Return the shapes of the grains of the file; None if there is no file.

        Parameters
        ----------
        option_names
            Names that the options of `read_grains` have for the user, for the errors.

        Raises
        ------
        ValueError
            As the reader of the file.
        """
        if self.grains is None:
            return None
        # The place of the grains does not matter, but readers of voxels require one.
        origin = (0.0, 0.0, 0.0) if {"voxels", "stack"} & set(recognize(self.grains)) else None
        return ShapeLibrary.from_grains(self.read_file(self.grains, option_names=option_names, origin=origin))


def _grains_near_map(grains: Grains, scan: Scan, *, margin: float) -> Grains:
    """Return the grains whose centres lie below the map or within `margin` µm of it, horizontally."""
    position, keep = np.asarray(grains.position), np.ones(len(grains), bool)
    for axis, centres in enumerate((np.asarray(scan.grid.x), np.asarray(scan.grid.y))):
        keep &= (position[:, axis] >= centres[0] - margin) & (position[:, axis] <= centres[-1] + margin)
    if not keep.any():
        low, high = position.min(axis=0), position.max(axis=0)
        msg = (
            f"--margin {margin:g}: none of the {len(grains)} grains lies that near to the map; they lie in x "
            f"{low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g} µm, the map in x {scan.grid.x[0]:g} to "
            f"{scan.grid.x[-1]:g}, y {scan.grid.y[0]:g} to {scan.grid.y[-1]:g} µm"
        )
        raise InputError(msg)
    return grains.select(keep)
