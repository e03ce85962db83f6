"""The parts of a study: a sample, and a sample seen at one sampling interval, with their names and random keys."""

import hashlib
import math
from pathlib import PurePosixPath
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mmtjax.errors import InputError
from mmtjax.units import UM3_PER_MM3


class Geometry(NamedTuple):
    """One sample: edge of its surface and thickness (µm), grains per mm³, and the number of the repeat, from 0."""

    side: float
    thickness: float
    density: float
    repeat: int

    @property
    def description(self) -> str:
        """The sample in words, for messages."""
        return (
            f"{plain(self.side)} × {plain(self.side)} × {plain(self.thickness)} µm with {plain(self.density)} grains "
            f"per mm³, repeat {self.repeat}"
        )

    def __str__(self) -> str:
        """Return the path of the sample in a store."""
        return (
            f"side={plain(self.side)}/thickness={plain(self.thickness)}/density={plain(self.density)}/"
            f"repeat={self.repeat:02d}"
        )


class Cell(NamedTuple):
    """One sample with maps of one sampling interval (µm) at all noise levels: it is computed and stored as a whole."""

    side: float
    thickness: float
    density: float
    repeat: int
    interval: float

    @property
    def geometry(self) -> Geometry:
        """The sample."""
        return Geometry(self.side, self.thickness, self.density, self.repeat)

    @property
    def description(self) -> str:
        """The cell in words, for messages."""
        return f"{self.geometry.description}, every {plain(self.interval)} µm"

    def __str__(self) -> str:
        """Return the path of the cell in a store."""
        return f"{self.geometry}/interval={plain(self.interval)}"


def cell_of_path(path: PurePosixPath | str) -> Cell:
    """Return the cell that is stored under a path relative to the store.

    Raises
    ------
    ValueError
        If the path is not that of a cell.

    Examples
    --------
    >>> cell_of_path("side=200/thickness=50/density=2500/repeat=03/interval=1")
    Cell(side=200.0, thickness=50.0, density=2500.0, repeat=3, interval=1.0)
    """
    values = [part.partition("=")[2] for part in PurePosixPath(path).parts]
    try:
        side, thickness, density, repeat, interval = values
        cell = Cell(float(side), float(thickness), float(density), int(repeat), float(interval))
    except ValueError as error:
        msg = f"{str(path)[:200]!r} is no name of a cell of a study"
        raise InputError(msg) from error
    if not (cell.repeat >= 0 and all(0 < value < math.inf for value in (*cell[:3], cell.interval))):
        msg = f"{str(path)[:200]!r} is no name of a cell of a study: its values must be positive"
        raise InputError(msg)
    return cell


def plain(value: float) -> str:
    """Return a number as the names in a store have it: no exponent where 17 digits are enough, no trailing zeros.

    Examples
    --------
    >>> plain(1e5), plain(2.5)
    ('100000', '2.5')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def grain_count(geometry: Geometry) -> int:
    """Return the number of grains of a sample.

    Examples
    --------
    >>> grain_count(Geometry(500, 75, 1e5, 0))
    1875
    """
    return round(geometry.density * geometry.side**2 * geometry.thickness / UM3_PER_MM3)


def sensor_count(cell: Cell) -> int:
    """Return the number of sensors of a map, which reaches from edge to edge of the sample.

    Examples
    --------
    >>> sensor_count(Cell(500, 75, 1e5, 0, 1))
    251001
    """
    return (round(cell.side / cell.interval) + 1) ** 2


def geometry_key(seed: int, geometry: Geometry) -> jax.Array:
    """Return the random key of a sample: it depends on the seed and the sample alone, whatever else a study holds."""
    digest = hashlib.sha256(f"seed {seed}, sample {geometry}".encode()).digest()
    bits = np.frombuffer(digest, "<u4", count=2).astype(np.uint32)
    return jax.random.wrap_key_data(jnp.asarray(bits), impl="threefry2x32")
