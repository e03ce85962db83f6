"""The data and options of an inversion by windows, saved in a directory for all processes that work on it."""

import dataclasses
import hashlib
import importlib.metadata
import json
from functools import cached_property, lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray, UInt32

from mmtjax.errors import InputError
from mmtjax.files import replace_when_complete
from mmtjax.inversion.stack import SourceStack
from mmtjax.parallel.cluster import check_worker
from mmtjax.patterns import AbstractPattern, Background
from mmtjax.scan.grid import SensorGrid
from mmtjax.sources.grains import Grains
from mmtjax.subdomains.windows import Window, divide_sample, divide_sensors

_DESCRIPTION = "problem.json"

#: Values of the file that describes a problem.
_Description = dict[str, str | dict[str, str | int | float | None]]


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
        _check_same(json.loads(there.read_text(encoding="utf-8")), description, place)
        return
    for name, values in arrays.items():
        with replace_when_complete(place / f"{name}.npy") as partial, partial.open("wb") as file:
            np.save(file, values)
    with replace_when_complete(there) as partial:
        partial.write_text(json.dumps(description, indent=1), encoding="utf-8")


def load_problem(place: Path) -> WindowProblem:
    """Return the problem of a directory; its arrays are read from the disk when they are used."""
    # The time distinguishes a directory that was removed and created again for another problem.
    return _read(place, (place / _DESCRIPTION).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read(place: Path, _: int) -> WindowProblem:
    """Return the problem of a directory that was written at some time."""
    description = json.loads((place / _DESCRIPTION).read_text(encoding="utf-8"))
    check_worker(description["version"])
    arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in description["arrays"]}
    fields = [field.name for field in dataclasses.fields(Grains)]
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


def _arrays_and_description(problem: WindowProblem) -> tuple[dict[str, np.ndarray], _Description]:
    """Return the arrays of a problem by name, and the contents of the file that describes it."""
    grains, grid = problem.grains, problem.grid
    arrays = {f"grains-{field.name}": np.asarray(getattr(grains, field.name)) for field in dataclasses.fields(Grains)}
    arrays |= {f"grid-{name}": np.asarray(getattr(grid, name)) for name in ("origin", "spacing", "height", "side")}
    arrays |= {name: np.asarray(getattr(problem, name)) for name in ("field", "weight", "precision", "key")}
    sums = {
        name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16] for name, values in arrays.items()
    }
    # The first block is at least as large as all others, and determines their sizes.
    rows, columns = problem.blocks[0]
    description = {
        "kind": "mmtjax subdomains",
        "version": importlib.metadata.version("mmtjax"),
        "options": dataclasses.asdict(problem.options),
        "block": f"{rows.stop} × {columns.stop} sensors",
        "arrays": sums,
    }
    return arrays, description


def _check_same(stored: _Description, given: _Description, place: Path) -> None:
    """Raise ValueError for the first difference of the description in a directory from that of a problem."""
    for name, now in given.items():
        was = stored.get(name)
        if was == now:
            continue
        if isinstance(now, dict):
            old = was if isinstance(was, dict) else {}
            name = next(key for key in now if old.get(key) != now[key])
            was, now = old.get(name), now[name]
        msg = (
            f"{place} contains the work on another problem: its {name} is {was!r}, not {now!r}; pass another "
            "directory, or remove this one to start again"
        )
        raise InputError(msg)
