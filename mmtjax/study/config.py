"""The configuration of a study: its models, their repeats, and every choice that its numbers depend on."""

import dataclasses
import hashlib
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmtjax.errors import InputError, located
from mmtjax.field.plan import DEFAULT_TOLERANCE
from mmtjax.files import read_toml
from mmtjax.simulation import FINEST_SPACING, SampleSpec
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Cell, Geometry, grain_count

#: The parameters of Table 1 of Out et al. (2022), with their units.
PARAMETERS: Mapping[str, str] = {"side": "µm", "thickness": "µm", "density": "1/mm³", "interval": "µm", "noise": "nT"}

#: Name of the library of shapes that comes with the package.
SYNTHETIC = "synthetic"

#: What each value must be, for messages.
_EXPECTED = {
    "name": "text",
    "seed": "a whole number, 0 or more",
    "repeats": "a whole number, 1 or more",
    "level": "a probability, such as 0.95",
    "height": "a height in µm, 0 or more",
    "directions": "'printed' or 'isotropic'",
    "tolerance": "a share, such as 1e-8",
    "library": "'synthetic', or a file of grains",
    "library_z": "'up' or 'down', whether z of that file is a height or a depth",
    "library_voxel_spacing": "the edge of a voxel of that file in µm, above 0",
    **{name: f"a list of different positive numbers ({unit})" for name, unit in PARAMETERS.items()},
}

#: Largest value of a parameter, and most cells of a study, which are listed in memory.
_LARGEST, _MOST_CELLS = 1e12, 10**6

#: Choices that the numbers of a cell do not depend on, so that they may change in a store. The shapes in a file of
#: grains matter, of which the store keeps a hash, but not the place of the file.
FREE = ("name", "repeats", "library", "library_z", "library_voxel_spacing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Models and repeats of a study (Out et al. 2022, Table 1).

    Every combination of the five parameters is a model. Their values are sorted in ascending order.

    Attributes
    ----------
    name
        Name of the study in figures and messages.
    seed
        Whole number from which all random keys are made.
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
        Number of samples that are drawn of every side, thickness and density.
    level
        Probability of the confidence sphere.
    height
        z of the scanning plane above the surface of the sample, µm.
    directions
        How directions of magnetization are drawn: ``"printed"``, as the paper prints it, or ``"isotropic"``.
    tolerance
        Error of a coefficient of the field as a share of the largest of its grain.
    library
        Shapes of grains: ``"synthetic"``, see `mmtjax.sources.shape_library.synthetic_library`, or a file of grains,
        such as those of a microCT scan. In a TOML file, the path is relative to that file.
    library_z, library_voxel_spacing
        How the file of grains is read where it does not say itself: whether z is a height (``"up"``) or a depth
        (``"down"``), and the edge of a voxel in µm.

    Raises
    ------
    ValueError
        If a value is invalid; the message names it.

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
    def from_dict(cls, values: Mapping[str, Any]) -> "StudyConfig":
        """Return the configuration of the values of `to_dict`, or of a file.

        Parameters
        ----------
        values
            Values of any type, which is checked.

        Raises
        ------
        ValueError
            If a value is missing, has the wrong type or is invalid.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        if unknown := [name for name in values if name not in known]:
            msg = f"unknown value {unknown[0]!r}; a study has {', '.join(known)}"
            raise InputError(msg)
        checked = {name: _of_type(name, value) for name, value in values.items()}
        for field in dataclasses.fields(cls):
            if field.default is dataclasses.MISSING and field.name not in checked:
                msg = f"{field.name!r} is missing"
                raise InputError(msg)
        return cls(**checked)

    def __post_init__(self) -> None:
        """Check all values."""
        _check(self.seed >= 0, "seed", self.seed)
        _check(self.repeats > 0, "repeats", self.repeats)
        _check(0 < self.level < 1, "level", self.level)
        _check(0 < self.tolerance < 1, "tolerance", self.tolerance)
        _check(self.library != "", "library", self.library)
        _check(self.library_z in (None, "up", "down"), "library_z", self.library_z)
        spacing = self.library_voxel_spacing
        _check(spacing is None or 0 < spacing < math.inf, "library_voxel_spacing", spacing)
        for name in PARAMETERS:
            values = getattr(self, name)
            _check(len(values) > 0 and all(0 < value < math.inf for value in values), name, list(values))
            if max(values) > _LARGEST:
                msg = f"{name} may be up to {_LARGEST:g} {PARAMETERS[name]}; got {max(values)!r}"
                raise InputError(msg)
            _check(len(set(values)) == len(values), name, list(values))
            object.__setattr__(self, name, tuple(sorted(float(value) for value in values)))
        most = _MOST_CELLS // (self.models // len(self.noise))
        if self.repeats > most:
            msg = (
                f"repeats of {self.models} models may be up to {most}, as a study has {_MOST_CELLS} cells at most; got "
                f"{self.repeats if self.repeats < _LARGEST else 'a number above 1e12'}"
            )
            raise InputError(msg)
        for name in ("level", "height", "tolerance"):
            object.__setattr__(self, name, float(getattr(self, name)))
        for interval in self.interval:
            for side in self.side:
                check_interval(interval, side=side)
        for geometry in self.models_of_samples():
            self.sample_spec(geometry)

    @property
    def models(self) -> int:
        """Number of models."""
        return math.prod(len(getattr(self, name)) for name in PARAMETERS)

    def models_of_samples(self) -> list[Geometry]:
        """Return the first repeat of every side, thickness and density."""
        return [
            Geometry(side, thickness, density, 0)
            for side in self.side
            for thickness in self.thickness
            for density in self.density
        ]

    def geometries(self) -> list[Geometry]:
        """Return the samples in the order in which they are computed.

        Repeats come one after the other, so that an incomplete study has equally many of every model. Within a repeat
        the samples with most grains come first, so that the last worker has little left to do alone.
        """
        samples = [
            model._replace(repeat=repeat) for repeat in range(self.repeats) for model in self.models_of_samples()
        ]
        return sorted(samples, key=lambda sample: (sample.repeat, -grain_count(sample), sample))

    def cells(self) -> list[Cell]:
        """Return each sample with each sampling interval, in the order in which they are computed."""
        return [Cell(*geometry, interval) for geometry in self.geometries() for interval in self.interval]

    def sample_spec(self, geometry: Geometry, *, library: ShapeLibrary | None = None) -> SampleSpec:
        """Return the description of a sample of the study.

        Parameters
        ----------
        geometry
            The sample.
        library
            Shapes of its grains; the synthetic ones by default.
        """
        return SampleSpec(
            side=geometry.side,
            thickness=geometry.thickness,
            density=geometry.density,
            directions=self.directions,
            height=self.height,
            library=library,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all values as JSON has them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def fingerprint(self) -> str:
        """Hash of all values that the numbers of a cell depend on: all but those in `FREE`."""
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
        If it is no TOML, a key is missing or unknown, or a value is invalid.

    Examples
    --------
    >>> read_config("experiments/limits_of_mmt/study.toml").models
    448
    """
    content = read_toml(path, kind="a study")
    with located(str(path)):
        return _from_tables(content)


def check_interval(interval: float, *, side: float) -> None:
    """Raise a ValueError unless sampling intervals are a whole number of µm and reach from edge to edge of a sample.

    Parameters
    ----------
    interval
        Sampling interval, µm.
    side
        Edge of the square surface of the sample, µm.
    """
    if not (interval / FINEST_SPACING).is_integer():
        msg = (
            f"interval of {interval:g} µm is no multiple of {FINEST_SPACING:g} µm: a coarse map takes every n-th "
            "sensor of the finest; give whole numbers"
        )
        raise InputError(msg)
    if not (side / interval).is_integer():
        msg = (
            f"side of {side:g} µm is no whole number of sampling intervals of {interval:g} µm; the last sensors must "
            "lie above the edge of the sample"
        )
        raise InputError(msg)


def _from_tables(content: Mapping[str, Any]) -> StudyConfig:
    fields = {field.name: field for field in dataclasses.fields(StudyConfig)}
    expected = {"study": [name for name in fields if name not in PARAMETERS], "parameters": list(PARAMETERS)}
    if unknown := sorted(set(content) - set(expected)):
        msg = f"unknown table or key {unknown[0]!r}; a study has the tables [study] and [parameters]"
        raise InputError(msg)
    values: dict[str, Any] = {}
    for table, names in expected.items():
        entries = content.get(table)
        if not isinstance(entries, Mapping):
            msg = f"the table [{table}] is missing"
            raise InputError(msg)
        if unknown := sorted(set(entries) - set(names)):
            msg = f"unknown key {unknown[0]!r} in [{table}]; it may have {', '.join(names)}"
            raise InputError(msg)
        values |= entries
    return StudyConfig.from_dict(values)


def _check(holds: bool, name: str, value: object) -> None:
    """Raise a ValueError with the expected and the given value unless a condition holds."""
    if not holds:
        msg = f"{name} must be {_EXPECTED[name]}; got {repr(value)[:200]}"
        raise InputError(msg)


def _of_type(name: str, value: Any) -> Any:
    """Return a value as the type of the field `name`."""
    if value is None:
        _check(name in ("library_z", "library_voxel_spacing"), name, value)
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
    return isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > sys.float_info.max
