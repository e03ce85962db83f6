"""Write and read the results of an inversion: a table of grains, as CSV and Parquet, and maps and shapes in NetCDF."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mmtjax.errors import InputError, MissingFileError
from mmtjax.io.netcdf_file import AttributeValue, load_dataset
from mmtjax.io.output import output_directory
from mmtjax.io.provenance_record import recorded_inputs
from mmtjax.io.tables import read_table, write_table
from mmtjax.io.text import AnyPath, JsonValue
from mmtjax.lazy import is_installed, pandas, parquet, pyarrow, xarray

_PARQUET, _CSV, _MAPS, _GRAINS = "grains.parquet", "grains.csv", "maps.nc", "grains.nc"


class Results(NamedTuple):
    """Results of an inversion that `read_results` has read.

    ``table.attrs`` has the units of the columns (``"units"``) and their conventions (``"notes"``).
    """

    table: "pandas.DataFrame"
    maps: "xarray.Dataset"
    provenance: dict[str, JsonValue]


def write_results(
    directory: AnyPath,
    *,
    table: "pandas.DataFrame",
    maps: "xarray.Dataset",
    provenance: Mapping[str, JsonValue],
    grains: "xarray.Dataset | None" = None,
    overwrite: bool = False,
) -> Path:
    """Write results into a new directory, which is either complete or does not exist.

    Parameters
    ----------
    directory
        The directory to make.
    table
        One row per grain. ``table.attrs["units"]`` maps columns to units; a column without unit is absent or has an
        empty text.
    maps
        Maps on the sensor grid, with their units as attributes.
    provenance
        As `mmtjax.io.provenance` returns it; it is written into all files.
    grains
        Shapes and covariances of the grains, see `grain_dataset`, for pages and for other programs.
    overwrite
        Replace a directory of that name, see `output_directory`.

    Returns
    -------
    pathlib.Path
        The directory, with ``grains.csv`` (units in the headings, provenance in comment lines) and ``maps.nc``; where
        `grains` are given, also with ``grains.nc``, and where pyarrow is installed, with ``grains.parquet`` (units in
        the metadata of the fields).

    Raises
    ------
    FileExistsError
        If the directory exists and `overwrite` is not set.
    ValueError
        If units are given for columns that do not exist, the table has an index of its own, or the directory to be
        replaced holds an input.
    """
    inputs = recorded_inputs(provenance)
    with output_directory(directory, overwrite=overwrite, inputs=inputs) as partial:
        fill_results(partial, table=table, maps=maps, provenance=provenance, grains=grains)
    return Path(directory)


def fill_results(
    directory: AnyPath,
    *,
    table: "pandas.DataFrame",
    maps: "xarray.Dataset",
    provenance: Mapping[str, JsonValue],
    grains: "xarray.Dataset | None" = None,
) -> None:
    """Write the files of `write_results` into an existing directory, for example one of `output_directory`.

    Parameters
    ----------
    directory
        The directory.
    table, maps, provenance, grains
        As for `write_results`.

    Raises
    ------
    ValueError
        As `write_results` raises it for a table.
    """
    units = _units_of(table)
    record = json.dumps(dict(provenance), ensure_ascii=False)
    folder = Path(directory)
    notes = str(table.attrs.get("notes", ""))
    comment = f"mmtjax results{notes and ': '}{notes}\n" + json.dumps(dict(provenance), indent=1, ensure_ascii=False)
    write_table(folder / _CSV, table, comment=comment, digits=None)
    maps.assign_attrs(provenance=record, grains=len(table), notes=notes).to_netcdf(folder / _MAPS, engine="h5netcdf")
    if grains is not None:
        compressed = {name: {"zlib": True, "complevel": 4} for name in grains.variables}
        stored = grains.assign_attrs(provenance=record)
        stored.to_netcdf(folder / _GRAINS, engine="h5netcdf", encoding=compressed)
    if is_installed("pyarrow"):
        _write_parquet(folder / _PARQUET, table, units, record)


def read_results(directory: AnyPath) -> Results:
    """Read the table, the maps and the provenance that `write_results` has written.

    Raises
    ------
    FileNotFoundError
        If the directory or one of its files does not exist.
    ValueError
        If a file is cut short or was not written by `write_results`.
    """
    folder = Path(directory)
    if not folder.is_dir():
        msg = f"{folder}: there is no such directory of results"
        raise MissingFileError(msg)
    table, maps = read_table(folder / _CSV), load_dataset(folder / _MAPS)
    provenance = _provenance_of(maps.attrs.pop("provenance", None), file=folder / _MAPS)
    if (count := maps.attrs.pop("grains", len(table))) != len(table):
        msg = f"{len(table)} grains where {_MAPS} has those of {count}; is the file cut short?"
        raise InputError(msg, where=str(folder / _CSV))
    if notes := maps.attrs.pop("notes", ""):
        table.attrs["notes"] = notes
    return Results(table, maps, provenance)


def read_grain_dataset(directory: AnyPath) -> "xarray.Dataset | None":
    """Read the shapes and covariances of the grains, see `grain_dataset`; None where results do not hold them.

    Raises
    ------
    ValueError
        If the file is cut short or damaged.
    """
    file = Path(directory) / _GRAINS
    return load_dataset(file) if file.exists() else None


def _provenance_of(text: AttributeValue | None, *, file: Path) -> dict[str, JsonValue]:
    """Return the provenance in an attribute of a file; raise ValueError if it is missing or damaged."""
    try:
        record = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        msg = f"its attribute 'provenance' is damaged ({error})"
        raise InputError(msg, where=str(file)) from error
    if not isinstance(record, dict):
        msg = "it has no provenance among its attributes; it was not written by mmtjax"
        raise InputError(msg, where=str(file))
    return record


def _units_of(table: "pandas.DataFrame") -> dict[str, str]:
    """Return the units of the columns that have one."""
    units = {column: unit for column, unit in table.attrs.get("units", {}).items() if unit}
    unknown = [column for column in units if column not in table.columns]
    if unknown:
        msg = f"units are given for {unknown}, which are not columns; the table has {list(map(str, table.columns))}"
        raise InputError(msg)
    if not table.index.equals(pandas.RangeIndex(len(table))):
        msg = (
            f"the table has an index of its own, {table.index.name or 'without name'}; make it a column by "
            "reset_index()"
        )
        raise InputError(msg)
    return units


def _write_parquet(file: Path, table: "pandas.DataFrame", units: dict[str, str], record: str) -> None:
    """Write a table with its units in the metadata of the columns and the provenance in that of the file."""
    content = pyarrow.Table.from_pandas(table, preserve_index=False)
    fields = [
        field.with_metadata({"units": units[field.name]}) if field.name in units else field for field in content.schema
    ]
    metadata = (content.schema.metadata or {}) | {b"provenance": record.encode()}
    parquet.write_table(content.cast(pyarrow.schema(fields, metadata=metadata)), file)
