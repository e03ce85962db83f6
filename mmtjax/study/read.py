"""What a store of a study holds, as datasets and as one table of all grains."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas
import xarray

from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Cell
from mmtjax.study.config import PARAMETERS, StudyConfig
from mmtjax.study.store import attributes_of, complete_cells, log_of, stored_config
from mmtjax.study.stored_shapes import kept_shapes
from mmtjax.study.zarr_groups import read_array

_RECORD_UNITS = {
    **PARAMETERS,
    "repeat": "",
    "x": "µm",
    "y": "µm",
    "z": "µm",
    "depth": "µm",
    "volume": "µm³",
    "diameter": "µm",
    "signal_strength_ratio": "1/µm",
    "magnetization_true": "A/m",
    "magnetization": "A/m",
    "confidence_radius": "A/m",
    "uncertainty_ratio": "1",
}

#: One value, several, or None for all.
Choice = float | Iterable[float] | None


class StudyStatus(NamedTuple):
    """How far a study is.

    Attributes
    ----------
    total, done
        Cells of the configuration, and those that are there.
    missing
        Cells that are not, in the order in which they will be computed.
    failures
        Cells of which the inversion failed, with the reason.
    states
        States of the source of mmtjax that computed cells.
    """

    total: int
    done: int
    missing: list[Cell]
    failures: dict[Cell, str]
    states: int


class Study:
    """A store of a study, opened for reading; it may be incomplete, and may grow while it is open.

    Attributes
    ----------
    path
        The directory.
    config
        The configuration.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config: StudyConfig = stored_config(path)

    def cells(self) -> list[Cell]:
        """Cells that are complete, in ascending order of their values."""
        return complete_cells(self.path)

    def library(self) -> ShapeLibrary | None:
        """The shapes that grains are drawn from, where they are a user's own; None for the synthetic ones."""
        return kept_shapes(self.path)

    def load(self, cell: Cell) -> xarray.Dataset:
        """All that is known of a cell, read into memory.

        Parameters
        ----------
        cell
            One of `cells`.

        Returns
        -------
        xarray.Dataset
            Dimensions noise, grain, axis, component; units in the attributes of every variable.

        Raises
        ------
        FileNotFoundError
            If the cell is not there.
        """
        group = self.path / str(cell)
        attributes = self._attributes(cell)
        variables = {}
        for metadata in sorted(group.glob("*/zarr.json")):
            values, dimensions, attrs = read_array(metadata.parent)
            variables[metadata.parent.name] = (dimensions, values, attrs)
        coordinates = {name: entry for name, entry in variables.items() if entry[0] == (name,)}
        rest = {name: entry for name, entry in variables.items() if name not in coordinates}
        return xarray.Dataset(rest, coordinates, attrs=attributes)

    def failure(self, cell: Cell) -> str:
        """Why the inversion of a cell failed; empty where it did not."""
        return str(self._attributes(cell)["failure"])

    def status(self) -> StudyStatus:
        """How far the study is."""
        wanted = self.config.cells()
        there = set(self.cells())
        missing = [cell for cell in wanted if cell not in there]
        failures = {cell: reason for cell in sorted(there) if (reason := self.failure(cell))}
        states = len(attributes_of(self.path)["code"])
        return StudyStatus(len(wanted), len(wanted) - len(missing), missing, failures, states)

    def log(self) -> list[dict[str, object]]:
        """Starts of runs, and the seconds that cells took."""
        return log_of(self.path)

    def records(
        self,
        *,
        side: Choice = None,
        thickness: Choice = None,
        density: Choice = None,
        interval: Choice = None,
        noise: Choice = None,
        repeat: int | Iterable[int] | None = None,
    ) -> pandas.DataFrame:
        """One row per grain and noise level, of all cells that fit.

        Parameters
        ----------
        side, thickness, density, interval, noise, repeat
            One value, several, or None for all.

        Returns
        -------
        pandas.DataFrame
            The five parameters and ``repeat``; ``x``, ``y``, ``z``, ``depth`` below the scanning plane, ``volume``,
            ``diameter``, ``signal_strength_ratio``; ``magnetization_true`` and ``magnetization``, magnitudes of what
            was put in and of what was solved; ``confidence_radius`` and ``uncertainty_ratio``. Units in
            ``attrs["units"]``.

        Raises
        ------
        ValueError
            If a value is none of the configuration.
        """
        chosen = {"side": side, "thickness": thickness, "density": density, "interval": interval, "noise": noise}
        wanted = {name: self._choice(name, choice) for name, choice in chosen.items()}
        repeats = None if repeat is None else {int(number) for number in np.atleast_1d(np.asarray(repeat))}
        parts: list[dict[str, np.ndarray]] = []
        for cell in self.cells():
            fits = all(getattr(cell, name) in wanted[name] for name in PARAMETERS if name != "noise")
            if fits and (repeats is None or cell.repeat in repeats):
                parts.append(self._records_of(cell, wanted["noise"]))
        columns = {
            name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0) for name in _RECORD_UNITS
        }
        table = pandas.DataFrame(columns)
        table.attrs["units"] = dict(_RECORD_UNITS)
        return table

    def _records_of(self, cell: Cell, noise: set[float]) -> dict[str, np.ndarray]:
        group = self.path / str(cell)

        def read(name: str) -> np.ndarray:
            return read_array(group / name)[0]

        levels = np.flatnonzero(np.isin(read("noise"), sorted(noise)))
        position = read("position")
        count, height = len(position), self.config.height
        grain = {
            **{axis: position[:, i] for i, axis in enumerate("xyz")},
            "depth": height - position[:, 2],
            **{name: read(name) for name in ("volume", "diameter", "signal_strength_ratio")},
            "magnetization_true": np.linalg.norm(read("magnetization_true"), axis=1),
        }
        level = {
            "noise": np.repeat(read("noise")[levels, None], count, axis=1),
            "magnetization": np.linalg.norm(read("magnetization")[levels], axis=2),
            **{name: read(name)[levels] for name in ("confidence_radius", "uncertainty_ratio")},
        }
        fixed = {name: np.full(count * len(levels), value) for name, value in cell._asdict().items()}
        return (
            fixed
            | {name: np.tile(values, len(levels)) for name, values in grain.items()}
            | {name: values.ravel() for name, values in level.items()}
        )

    def _choice(self, name: str, choice: Choice) -> set[float]:
        known = getattr(self.config, name)
        if choice is None:
            return set(known)
        asked = {float(value) for value in np.atleast_1d(np.asarray(choice))}
        if strange := sorted(asked - set(known)):
            raise ValueError(f"{name} {strange[0]:g} {PARAMETERS[name]} is not in the study; it has {list(known)}")
        return asked

    def _attributes(self, cell: Cell) -> dict[str, object]:
        metadata = self.path / str(cell) / "zarr.json"
        if not metadata.is_file():
            raise FileNotFoundError(f"{cell.words}, is not in {self.path}, or not complete")
        return json.loads(metadata.read_text(encoding="utf-8"))["attributes"]


def open_study(path: str | Path) -> Study:
    """Open the store of a study for reading.

    Parameters
    ----------
    path
        The directory that `run_study` filled, or is filling.

    Returns
    -------
    Study
        Its configuration, its cells and its records.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no store, or it is not one of a study.
    """
    return Study(path)
