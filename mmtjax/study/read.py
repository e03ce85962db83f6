"""Read a store of a study, as datasets and as one table of all grains."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas
import xarray

from mmtjax.errors import InputError, MissingFileError
from mmtjax.files import read_json
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study.cell import Cell
from mmtjax.study.config import PARAMETERS, StudyConfig
from mmtjax.study.store import attributes_of, complete_cells, log_of, stored_config
from mmtjax.study.stored_shapes import read_shapes
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
    """The progress of a study.

    Attributes
    ----------
    total, done
        Number of cells of the configuration, and of those that are complete.
    missing
        Cells that are not complete, in the order in which they will be computed.
    failures
        Cells whose inversion failed, with the reason.
    states
        Number of states of the source of mmtjax that computed cells.
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
        """Open the store at a path."""
        self.path = Path(path)
        self.config: StudyConfig = stored_config(path)

    def cells(self) -> list[Cell]:
        """Return the complete cells, in ascending order of their values."""
        return complete_cells(self.path)

    def library(self) -> ShapeLibrary | None:
        """Return the shapes that grains are drawn from, if they are a user's own; None for the synthetic ones."""
        return read_shapes(self.path)

    def load(self, cell: Cell) -> xarray.Dataset:
        """Return all results of a cell, read into memory.

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
            If the cell is not in the store.
        """
        group = self.path / str(cell)
        attributes = self._attributes(cell)
        variables = {}
        for metadata in sorted(group.glob("*/zarr.json")):
            values, dimensions, attrs = read_array(metadata.parent)
            variables[metadata.parent.name] = (dimensions, values, attrs)
        coordinates = {name: entry for name, entry in variables.items() if entry[0] == (name,)}
        rest = {name: entry for name, entry in variables.items() if name not in coordinates}
        try:
            return xarray.Dataset(rest, coordinates, attrs=attributes)
        except ValueError as error:
            msg = f"the arrays of the cell do not belong together ({error})"
            raise InputError(msg, where=str(group), remedy="remove this cell, and run the study again") from error

    def failure(self, cell: Cell) -> str:
        """Return why the inversion of a cell failed; empty where it did not."""
        return self._attributes(cell)["failure"]

    def status(self) -> StudyStatus:
        """Return the progress of the study."""
        cells = self.config.cells()
        complete = set(self.cells())
        missing = [cell for cell in cells if cell not in complete]
        failures = {cell: reason for cell in sorted(complete) if (reason := self.failure(cell))}
        states = len(attributes_of(self.path)["code"])
        return StudyStatus(len(cells), len(cells) - len(missing), missing, failures, states)

    def log(self) -> list[dict[str, Any]]:
        """Return the starts of runs, and the seconds that cells took."""
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
        """Return one row per grain and noise level of all cells with the chosen values.

        Parameters
        ----------
        side, thickness, density, interval, noise, repeat
            One value, several, or None for all.

        Returns
        -------
        pandas.DataFrame
            The five parameters and ``repeat``; ``x``, ``y``, ``z``, ``depth`` below the scanning plane, ``volume``,
            ``diameter``, ``signal_strength_ratio``; ``magnetization_true`` and ``magnetization``, magnitudes of the
            true and of the solved magnetization; ``confidence_radius`` and ``uncertainty_ratio``. Units in
            ``attrs["units"]``.

        Raises
        ------
        ValueError
            If the configuration does not have a value.
        """
        choices = {"side": side, "thickness": thickness, "density": density, "interval": interval, "noise": noise}
        chosen = {name: self._chosen_values(name, choice) for name, choice in choices.items()}
        repeats = None if repeat is None else {int(number) for number in np.atleast_1d(np.asarray(repeat))}
        parts: list[dict[str, np.ndarray]] = []
        for cell in self.cells():
            fits = all(getattr(cell, name) in chosen[name] for name in PARAMETERS if name != "noise")
            if fits and (repeats is None or cell.repeat in repeats):
                parts.append(self._records_of(cell, chosen["noise"]))
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

    def _chosen_values(self, name: str, choice: Choice) -> set[float]:
        known = getattr(self.config, name)
        if choice is None:
            return set(known)
        values = {float(value) for value in np.atleast_1d(np.asarray(choice))}
        if unknown := sorted(values - set(known)):
            msg = f"{name} {unknown[0]:g} {PARAMETERS[name]} is not in the study; it has {list(known)}"
            raise InputError(msg)
        return values

    def _attributes(self, cell: Cell) -> dict[str, Any]:
        metadata = self.path / str(cell) / "zarr.json"
        if not metadata.is_file():
            msg = f"{cell.description}, is not in {self.path}, or not complete"
            raise MissingFileError(msg)
        remedy = "remove this cell, which the next run computes again"
        attributes = read_json(metadata, remedy=remedy).get("attributes")
        if not isinstance(attributes, dict) or not isinstance(attributes.get("failure"), str):
            msg = "the description of the cell does not say whether its inversion failed"
            raise InputError(msg, where=str(metadata), remedy=remedy)
        return attributes


def open_study(path: str | Path) -> Study:
    """Open the store of a study for reading.

    Parameters
    ----------
    path
        The directory that `run_study` has filled, or is filling.

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
