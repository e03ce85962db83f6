"""The parts of a study: a sample, and a sample seen at one sampling interval; their names and random keys."""

import hashlib
from pathlib import PurePosixPath
from typing import NamedTuple

import jax
import numpy as np

from mmtjax.units import UM3_PER_MM3


class Geometry(NamedTuple):
    """One sample: edge of its surface and thickness (µm), grains per mm³, and which of the repeats, from 0."""

    side: float
    thickness: float
    density: float
    repeat: int

    @property
    def words(self) -> str:
        """What the sample is, for messages."""
        return (
            f"{plain(self.side)} × {plain(self.side)} × {plain(self.thickness)} µm with {plain(self.density)} grains "
            f"per mm³, repeat {self.repeat}"
        )

    def __str__(self) -> str:
        return (
            f"side={plain(self.side)}/thickness={plain(self.thickness)}/density={plain(self.density)}/"
            f"repeat={self.repeat:02d}"
        )


class Cell(NamedTuple):
    """One sample with a map of one sampling interval (µm) at all noise levels: what is computed and stored as one."""

    side: float
    thickness: float
    density: float
    repeat: int
    interval: float

    @property
    def geometry(self) -> Geometry:
        """The sample."""
        return Geometry(*self[:4])

    @property
    def words(self) -> str:
        """What the cell is, for messages."""
        return f"{self.geometry.words}, every {plain(self.interval)} µm"

    def __str__(self) -> str:
        return f"{self.geometry}/interval={plain(self.interval)}"


def cell_of_path(path: PurePosixPath | str) -> Cell:
    """The cell that is stored under a path relative to the store.

    Examples
    --------
    >>> cell_of_path("side=200/thickness=50/density=2500/repeat=03/interval=1")
    Cell(side=200.0, thickness=50.0, density=2500.0, repeat=3, interval=1.0)
    """
    values = [part.partition("=")[2] for part in PurePosixPath(path).parts]
    return Cell(*(float(value) for value in values[:3]), int(values[3]), float(values[4]))


def plain(value: float) -> str:
    """A number as the names in a store have it: no exponent where 17 digits do, no trailing zeros.

    Examples
    --------
    >>> plain(1e5), plain(2.5)
    ('100000', '2.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def grain_count(geometry: Geometry) -> int:
    """Number of grains of a sample.

    Examples
    --------
    >>> grain_count(Geometry(500, 75, 1e5, 0))
    1875
    """
    return round(geometry.density * geometry.side**2 * geometry.thickness / UM3_PER_MM3)


def sensor_count(cell: Cell) -> int:
    """Number of sensors of a map, which reaches from edge to edge of the sample.

    Examples
    --------
    >>> sensor_count(Cell(500, 75, 1e5, 0, 1))
    251001
    """
    return (round(cell.side / cell.interval) + 1) ** 2


def geometry_key(seed: int, geometry: Geometry) -> jax.Array:
    """Random key of a sample: of its values, so that it is the same whatever else a study holds."""
    digest = hashlib.sha256(f"seed {seed}, sample {geometry}".encode()).digest()
    return jax.random.wrap_key_data(np.frombuffer(digest, "<u4", count=2).astype(np.uint32), impl="threefry2x32")
