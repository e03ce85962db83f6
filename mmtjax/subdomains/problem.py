"""The data and options of an inversion by windows, saved in a directory for all processes that work on it."""

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray, UInt32

from mmtjax.errors import ExistingFileError, InputError
from mmtjax.files import LOCK, read_json, replace_when_complete
from mmtjax.inversion.stack import SourceStack
from mmtjax.parallel.cluster import check_worker
from mmtjax.parallel.saved_arrays import load_arrays, save_arrays
from mmtjax.patterns import AbstractPattern, Background
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains
from mmtjax.subdomains.windows import Window, divide_sample, divide_sensors

_DESCRIPTION, _ARRAYS = "problem.json", "problem.arrays"

#: Number of the format of the files; those of another are refused.
_FORMAT = 2

#: Stored attributes of the grid, and of the problem itself.
_GRID, _OWN = ("origin", "spacing", "height", "side"), ("field", "weight", "precision", "key")

#: Values of the file that describes a problem.
_Description = dict[str, str | int | dict[str, str | int | float | None]]


@dataclasses.dataclass(frozen=True)
class WindowOptions:
    """Options of the division and solution of a problem.

    Attributes
    ----------
    core, buffer, margin
        Edge of the cores, width of the frame of unknown grains around them, and of the frame of sensors around both,
        µm.
    draws
        Number of maps of noise that are solved for the correction of the covariance.
    variance
        Variance of a sensor of weight one, nT².
    method, tolerance
        As for `mmtjax.invert`; the method by name.
    background
        Degree of the background that is solved for, or None.
    """

    core: float
    buffer: float
    margin: float
    draws: int
    variance: float
    method: str
    tolerance: float
    background: int | None = None


@dataclasses.dataclass(frozen=True)
class WindowProblem:
    """The grains, the map with the weights of its sensors, the priors, and the options of the solution.

    Attributes
    ----------
    grains, grid
        Sources and sensors.
    field, weight
        The map, nT, zero where sensors are not used, and the weight of each sensor.
    precision
        Precision that priors give each unknown; empty without a prior.
    key
        Data of the random key of the maps of noise.
    options
        Options of the division and solution.
    """

    grains: Grains
    grid: SensorGrid
    field: Float[np.ndarray, "ny nx"]
    weight: Float[np.ndarray, "ny nx"]
    precision: Float[np.ndarray, " prior"]
    key: UInt32[np.ndarray, " word"]
    options: WindowOptions

    @property
    def patterns(self) -> tuple[AbstractPattern, ...]:
        """The background that is solved for beside the grains, if there is one."""
        degree = self.options.background
        return () if degree is None else (Background(degree),)

    @property
    def stack(self) -> SourceStack:
        """The grains and the background."""
        return SourceStack((self.grains,), self.patterns)

    @property
    def unknowns(self) -> int:
        """Number of unknowns: the components of all grains, then the terms of the background."""
        return self.stack.unknowns.size

    @property
    def ridge(self) -> Float[np.ndarray, " unknown"] | None:
        """Precision that priors add to every unknown in units of the noise, None without one."""
        return self.options.variance * np.asarray(self.precision) if len(self.precision) else None

    @cached_property
    def columns(self) -> Float[np.ndarray, "component ny nx"]:
        """Maps of the terms of the background, nT per unit of each; none without one."""
        maps = [np.asarray(pattern.columns(self.grid)) for pattern in self.patterns]
        return np.concatenate(maps) if maps else np.zeros((0, *self.grid.shape))

    @cached_property
    def background_inverse(self) -> Float[np.ndarray, "component component"]:
        """``(BᵀW²B + Λ)⁻¹`` of the columns B of the background: its covariance where all grains are known."""
        columns = self.columns.reshape(-1, self.grid.size) * np.asarray(self.weight).ravel()
        gram = columns @ columns.T
        if self.ridge is not None:
            gram = gram + np.diag(self.ridge[len(self.ridge) - len(columns) :])
        scale = np.sqrt(np.diagonal(gram))
        return np.linalg.inv(gram / np.outer(scale, scale)) / np.outer(scale, scale)

    @cached_property
    def windows(self) -> list[Window]:
        """The windows: overlapping parts of the sample."""
        options = self.options
        position = np.asarray(self.grains.position)
        return divide_sample(position, self.grid, core=options.core, buffer=options.buffer, margin=options.margin)

    @cached_property
    def blocks(self) -> list[tuple[slice, slice]]:
        """Parts of the map, about as large as windows."""
        return divide_sensors(self.grid, edge=self.options.core + 2 * self.options.buffer)

    @cached_property
    def used(self) -> SensorGrid:
        """The smallest part of the grid that includes all sensors in use."""
        rows, columns = (np.flatnonzero(np.any(self.weight > 0, axis=across)).tolist() for across in (1, 0))
        return self.grid.window(slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))

    def noise(self, block: int, draw: int) -> Float[np.ndarray, "rows columns"]:
        """Return normal deviates for the sensors of a block in a map of noise."""
        rows, columns = self.blocks[block]
        shape = rows.stop - rows.start, columns.stop - columns.start
        return np.asarray(jax.random.normal(self._key_of(draw, block), shape, jnp.float64))

    def prior_deviates(self, draw: int) -> Float[np.ndarray, " unknown"]:
        """Return normal deviates for the prior in a map of noise."""
        return np.asarray(jax.random.normal(self._key_of(draw, len(self.blocks)), (self.unknowns,), jnp.float64))

    def _key_of(self, draw: int, part: int) -> PRNGKeyArray:
        """Return the random key of a part of a map of noise."""
        key = jax.random.wrap_key_data(jnp.asarray(self.key))
        return jax.random.fold_in(jax.random.fold_in(key, draw), part)


def save_problem(problem: WindowProblem, place: Path) -> None:
    """Write a problem to a directory, or check that the directory already contains the same problem.

    Parameters
    ----------
    problem
        The problem.
    place
        The directory.

    Raises
    ------
    ValueError
        If the directory contains another problem, or one of another version of mmtjax.
    """
    arrays, description = _arrays_and_description(problem)
    there = place / _DESCRIPTION
    if there.exists():
        _check_same(_description(place), description, place)
        return
    save_arrays(arrays, place / _ARRAYS, owner=_owner(description))
    with replace_when_complete(there) as partial:
        partial.write_text(json.dumps(description, indent=1), encoding="utf-8")


def check_store(place: Path) -> None:
    """Raise an error unless a directory may be used: it holds the work on a problem, is empty, or does not exist.

    Parameters
    ----------
    place
        The directory.

    Raises
    ------
    ValueError
        If there is something else.
    """
    if not place.exists() or (place / _DESCRIPTION).exists():
        return
    if not place.is_dir() or not all(
        entry.name in (LOCK, _ARRAYS) or entry.match(".*.partial-*") for entry in place.iterdir()
    ):
        msg = f"{place} exists, and does not hold the work of an inversion by windows"
        raise ExistingFileError(msg, remedy="pass another directory")


def load_problem(place: Path) -> WindowProblem:
    """Return the problem of a directory; its arrays are read from the disk when they are used."""
    return _read(place, _written(place))


def owner_of(place: Path) -> str:
    """Return the name that the problem of a directory has in the files of its work."""
    return _stored_owner(place, _written(place))


def _written(place: Path) -> int:
    """Return when a problem was written: a directory may have been removed and created again for another problem."""
    return (place / _DESCRIPTION).stat().st_mtime_ns


@lru_cache(maxsize=1)
def _stored_owner(place: Path, _: int) -> str:
    """Return the name of the problem of a directory that was written at some time."""
    return _owner(_description(place))


@lru_cache(maxsize=1)
def _read(place: Path, _: int) -> WindowProblem:
    """Return the problem of a directory that was written at some time."""
    description = _description(place)
    fields = [field.name for field in dataclasses.fields(Grains)]
    names = [*(f"grains-{name}" for name in fields), *(f"grid-{name}" for name in _GRID), *_OWN]
    # This also checks that the description is that of the arrays.
    arrays = load_arrays(place / _ARRAYS, names, owner=_owner(description))
    check_worker(description["version"])
    return WindowProblem(
        grains=Grains(**{name: arrays[f"grains-{name}"] for name in fields}),
        grid=SensorGrid(
            *(arrays[f"grid-{name}"] for name in ("origin", "spacing")),
            shape=arrays["field"].shape,
            height=arrays["grid-height"][()],
            side=arrays["grid-side"],
        ),
        field=arrays["field"],
        weight=arrays["weight"],
        precision=arrays["precision"],
        key=np.array(arrays["key"]),
        options=WindowOptions(**description["options"]),
    )


def _description(place: Path) -> dict[str, Any]:
    """Return the contents of the file that describes the problem of a directory."""
    return read_json(place / _DESCRIPTION, remedy="remove the directory to start again, or pass another")


def _owner(description: Mapping[str, Any]) -> str:
    """Return the name of a problem in the files of its work."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:32]


def _arrays_and_description(problem: WindowProblem) -> tuple[dict[str, np.ndarray], _Description]:
    """Return the arrays of a problem by name, and the contents of the file that describes it."""
    grains, grid = problem.grains, problem.grid
    arrays = {f"grains-{field.name}": np.asarray(getattr(grains, field.name)) for field in dataclasses.fields(Grains)}
    arrays |= {f"grid-{name}": np.asarray(getattr(grid, name)) for name in _GRID}
    arrays |= {name: np.asarray(getattr(problem, name)) for name in _OWN}
    sums = {
        name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16] for name, values in arrays.items()
    }
    # The first block is at least as large as all others, and determines their sizes.
    rows, columns = problem.blocks[0]
    description = {
        "kind": "mmtjax subdomains",
        "format": _FORMAT,
        "version": importlib.metadata.version("mmtjax"),
        "options": dataclasses.asdict(problem.options),
        "block": f"{rows.stop} × {columns.stop} sensors",
        "arrays": sums,
    }
    return arrays, description


def _check_same(stored: Mapping[str, Any], given: _Description, place: Path) -> None:
    """Raise ValueError for the first difference of the description in a directory from that of a problem."""
    before, now = _flat(stored), _flat(given)
    for name in dict.fromkeys([*now, *before]):
        if before.get(name) != now.get(name):
            msg = (
                f"{place} contains the work on another problem: its {name} is {repr(before.get(name))[:80]}, not "
                f"{now.get(name)!r}; pass another directory, or remove this one to start again"
            )
            raise InputError(msg)


def _flat(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description without groups of values."""
    flat: dict[str, Any] = {}
    for name, value in description.items():
        flat |= value if isinstance(value, dict) else {name: value}
    return flat
