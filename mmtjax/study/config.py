"""What a study computes: its models, how often each, and every choice that its numbers depend on."""

import dataclasses
import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.simulation import FINEST_SPACING
from mmtjax.study.cell import Cell, Geometry, grain_count

#: The parameters of Table 1, with their units.
PARAMETERS: Mapping[str, str] = {"side": "µm", "thickness": "µm", "density": "1/mm³", "interval": "µm", "noise": "nT"}

#: The library of shapes that comes with the package.
SYNTHETIC = "synthetic"

_DIRECTIONS = ("printed", "isotropic")

_EXPECTED = {
    "name": "text",
    "seed": "a whole number, 0 or more",
    "repeats": "a whole number, 1 or more",
    "level": "a probability, such as 0.95",
    "height": "a height in µm, 0 or more",
    "directions": " or ".join(map(repr, _DIRECTIONS)),
    "tolerance": "a share, such as 1e-8",
    "library": "'synthetic', or a file of grains",
    "library_z": "'up' or 'down', whether z of that file is a height or a depth",
    "library_voxel_spacing": "the edge of a voxel of that file in µm, above 0",
    **{name: f"a list of different positive numbers ({unit})" for name, unit in PARAMETERS.items()},
}

#: Choices by which the numbers of a cell do not change, so that a store may go on when they do. The shapes of a file
#: decide, of which the store keeps a hash, not where it lies.
FREE = ("name", "repeats", "library", "library_z", "library_voxel_spacing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Models and repeats of a study (Out et al. 2022, Table 1).

    Every combination of the five parameters is a model. Their values are kept in ascending order.

    Attributes
    ----------
    name
        What the study is called in figures and messages.
    seed
        Whole number from which all random keys come.
    side
        Edges of the square surface of the sample, µm.
    thickness
        Thicknesses of the sample, µm.
    density
        Grains per mm³.
    interval
        Sampling intervals, whole numbers of µm.
    noise
        Standard deviations of the noise of a sensor of 1 µm, nT.
    repeats
        Samples that are drawn of every side, thickness and density.
    level
        Probability of the confidence sphere.
    height
        z of the scanning plane above the surface of the sample, µm.
    directions
        How directions of magnetization are drawn: ``"printed"``, as the paper prints it, or ``"isotropic"``.
    tolerance
        Error of a coefficient of the field as a share of the largest of its grain.
    library
        Where the shapes of grains come from: ``"synthetic"``, see `mmtjax.sources.shape_library.synthetic_library`, or
        a file of grains, such as those of a microCT scan. A path in a file of a study is relative to that file.
    library_z, library_voxel_spacing
        How that file is read where it does not say: whether z is a height (``"up"``) or a depth (``"down"``), and the
        edge of a voxel in µm.

    Raises
    ------
    ValueError
        If a value cannot be; the message names it.

    Examples
    --------
    >>> config = StudyConfig(
    ...     name="small", seed=1, side=(200,), thickness=(50,), density=(5e3, 2.5e3), interval=(1, 2), noise=(5, 20),
    ...     repeats=2,
    ... )
    >>> config.models, len(config.cells()), str(config.cells()[0])
    (8, 8, 'side=200/thickness=50/density=5000/repeat=00/interval=1')
    """

    name: str
    seed: int
    side: tuple[float, ...]
    thickness: tuple[float, ...]
    density: tuple[float, ...]
    interval: tuple[float, ...]
    noise: tuple[float, ...]
    repeats: int = 15
    level: float = 0.95
    height: float = 0.0
    directions: str = "printed"
    tolerance: float = DEFAULT_TOLERANCE
    library: str = SYNTHETIC
    library_z: str | None = None
    library_voxel_spacing: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "StudyConfig":
        """The configuration of `to_dict`, or of a file: values of any type, which are checked.

        Raises
        ------
        ValueError
            If a value is missing, has the wrong type or cannot be.
        """
        checked = {name: _of_type(name, value) for name, value in values.items()}
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in checked:
                raise ValueError(f"{field.name!r} is missing")
        return cls(**checked)

    def __post_init__(self) -> None:
        _check(self.seed >= 0, "seed", self.seed)
        _check(self.repeats > 0, "repeats", self.repeats)
        _check(0 < self.level < 1, "level", self.level)
        _check(0 <= self.height < math.inf, "height", self.height)
        _check(0 < self.tolerance < 1, "tolerance", self.tolerance)
        _check(self.directions in _DIRECTIONS, "directions", self.directions)
        _check(self.library != "", "library", self.library)
        _check(self.library_z in (None, "up", "down"), "library_z", self.library_z)
        spacing = self.library_voxel_spacing
        _check(spacing is None or 0 < spacing < math.inf, "library_voxel_spacing", spacing)
        for name in PARAMETERS:
            values = getattr(self, name)
            _check(len(values) > 0 and all(0 < value < math.inf for value in values), name, list(values))
            _check(len(set(values)) == len(values), name, list(values))
            object.__setattr__(self, name, tuple(sorted(float(value) for value in values)))
        for name in ("level", "height", "tolerance"):
            object.__setattr__(self, name, float(getattr(self, name)))
        self._check_sizes()

    def _check_sizes(self) -> None:
        for interval in self.interval:
            if not (interval / FINEST_SPACING).is_integer():
                raise ValueError(
                    f"interval of {interval:g} µm is no multiple of {FINEST_SPACING:g} µm: a coarse map is every so "
                    "many sensors of the finest; give whole numbers"
                )
            for side in self.side:
                if not (side / interval).is_integer():
                    raise ValueError(
                        f"side of {side:g} µm is no whole number of sampling intervals of {interval:g} µm; the last "
                        "sensors must lie above the edge of the sample"
                    )
        for geometry in self.geometries():
            if grain_count(geometry) < 1:
                raise ValueError(
                    f"density of {geometry.density:g} per mm³ puts no grain into {geometry.side:g} × "
                    f"{geometry.side:g} × {geometry.thickness:g} µm; the least is one"
                )

    @property
    def models(self) -> int:
        """Number of models."""
        return math.prod(len(getattr(self, name)) for name in PARAMETERS)

    def geometries(self) -> list[Geometry]:
        """The samples in the order in which they are computed.

        Repeats come one after the other, so that a study that is not yet complete has as many of every model; within a
        repeat the samples with most grains come first, so that the last worker has little left to do alone.
        """
        samples = [
            Geometry(side, thickness, density, repeat)
            for repeat in range(self.repeats)
            for side in self.side
            for thickness in self.thickness
            for density in self.density
        ]
        return sorted(samples, key=lambda sample: (sample.repeat, -grain_count(sample), sample))

    def cells(self) -> list[Cell]:
        """Each sample with each sampling interval, in the order in which they are computed."""
        return [Cell(*geometry, interval) for geometry in self.geometries() for interval in self.interval]

    def to_dict(self) -> dict[str, object]:
        """All values, as JSON can hold them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def fingerprint(self) -> str:
        """Hash of all that the numbers of a cell and its shape depend on: everything but the name and the repeats."""
        decisive = {name: value for name, value in self.to_dict().items() if name not in FREE}
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def read_config(path: str | Path) -> StudyConfig:
    """Read the configuration of a study from a TOML file.

    Table ``[study]`` holds ``name``, ``seed`` and, where they differ from the defaults of `StudyConfig`, ``repeats``,
    ``level``, ``height``, ``directions``, ``tolerance``, ``library``, ``library_z``, ``library_voxel_spacing``; table
    ``[parameters]`` the lists ``side``, ``thickness``, ``density``, ``interval``, ``noise``.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    StudyConfig
        The configuration.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no TOML, a key is missing or unknown, or a value cannot be.

    Examples
    --------
    >>> read_config("experiments/limits_of_mmt/study.toml").models
    448
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{path} is not there; give the TOML file of a study")
    try:
        content = tomllib.loads(place.read_text(encoding="utf-8"))
        return _from_tables(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _from_tables(content: Mapping[str, object]) -> StudyConfig:
    fields = {field.name: field for field in dataclasses.fields(StudyConfig)}
    expected = {"study": [name for name in fields if name not in PARAMETERS], "parameters": list(PARAMETERS)}
    if unknown := sorted(set(content) - set(expected)):
        raise ValueError(f"unknown table or key {unknown[0]!r}; a study has the tables [study] and [parameters]")
    values: dict[str, object] = {}
    for table, names in expected.items():
        entries = content.get(table)
        if not isinstance(entries, Mapping):
            raise ValueError(f"the table [{table}] is missing")
        if unknown := sorted(set(entries) - set(names)):
            raise ValueError(f"unknown key {unknown[0]!r} in [{table}]; it may have {', '.join(names)}")
        values |= entries
    return StudyConfig.from_dict(values)


def _check(holds: bool, name: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {_EXPECTED[name]}; got {value!r}")


def _of_type(name: str, value: object) -> object:
    """`value` as the type of the field `name`."""
    if value is None and name in ("library_z", "library_voxel_spacing"):
        return None
    if name in PARAMETERS:
        _check(isinstance(value, list | tuple) and all(map(_is_number, value)), name, value)
        return tuple(float(number) for number in value)
    if name in ("seed", "repeats"):
        _check(isinstance(value, int) and not isinstance(value, bool), name, value)
        return value
    if name in ("level", "height", "tolerance", "library_voxel_spacing"):
        _check(_is_number(value), name, value)
        return float(value)
    _check(isinstance(value, str), name, value)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
