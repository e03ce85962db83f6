"""Results of an inversion on disk: a table of grains, for machines and for people, and maps."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import xarray

from mmtjax.io.netcdf import load_dataset
from mmtjax.io.output import output_directory
from mmtjax.io.tables import write_table
from mmtjax.io.text import AnyPath, require_file

_PARQUET, _CSV, _MAPS = "grains.parquet", "grains.csv", "maps.nc"


class Results(NamedTuple):
    """What `read_results` reads back; units of the columns are in ``table.attrs["units"]``."""

    table: pd.DataFrame
    maps: xarray.Dataset
    provenance: dict[str, object]


def write_results(
    directory: AnyPath,
    *,
    table: pd.DataFrame,
    maps: xarray.Dataset,
    provenance: Mapping[str, object],
    overwrite: bool = False,
) -> Path:
    """Write results into a new directory, which is there whole or not at all.

    Parameters
    ----------
    directory
        The directory to make.
    table
        One row per grain; ``table.attrs["units"]`` is a dictionary of column and unit, empty text or absent for a
        column without.
    maps
        Maps on the sensor grid, with their units as attributes.
    provenance
        As `mmtjax.io.provenance` makes it; it stands in all three files.
    overwrite
        Replace a directory of that name, see `output_directory`.

    Returns
    -------
    pathlib.Path
        The directory, with ``grains.parquet`` (units in the metadata of the fields), ``grains.csv`` (units in the
        headings, provenance in comment lines) and ``maps.nc``.

    Raises
    ------
    FileExistsError
        If the directory is there and `overwrite` is not set.
    ValueError
        If units are given for columns that the table has not, the table has an index of its own, or the directory to be
        replaced holds an input.
    """
    inputs = [str(entry["path"]) for entry in provenance.get("inputs", [])]
    with output_directory(directory, overwrite=overwrite, inputs=inputs) as partial:
        fill_results(partial, table=table, maps=maps, provenance=provenance)
    return Path(directory)


def fill_results(
    directory: AnyPath, *, table: pd.DataFrame, maps: xarray.Dataset, provenance: Mapping[str, object]
) -> None:
    """Write the files of `write_results` into a directory that is there, as one of `output_directory`.

    Raises
    ------
    ValueError
        As `write_results`.
    """
    units = _units_of(table)
    record = json.dumps(dict(provenance), ensure_ascii=False)
    place = Path(directory)
    _write_parquet(place / _PARQUET, table, units, record)
    comment = "mmtjax results\n" + json.dumps(dict(provenance), indent=1, ensure_ascii=False)
    write_table(place / _CSV, table, comment=comment, digits=None)
    maps.assign_attrs(provenance=record).to_netcdf(place / _MAPS, engine="h5netcdf")


def read_results(directory: AnyPath) -> Results:
    """Table, maps and provenance that `write_results` has written.

    Raises
    ------
    FileNotFoundError
        If the directory or one of its files is not there.
    ValueError
        If a file is cut short or was not written by `write_results`.
    """
    place = Path(directory)
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: there is no such directory of results")
    file = require_file(place / _PARQUET)
    try:
        content = pyarrow.parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{file} does not read as Parquet ({error}); was its copy cut short?") from error
    metadata = content.schema.metadata or {}
    if b"provenance" not in metadata:
        raise ValueError(f"{file} has no provenance in its metadata; it was not written by mmtjax")
    table = content.to_pandas()
    table.attrs["units"] = {
        field.name: field.metadata[b"units"].decode()
        for field in content.schema
        if field.metadata and b"units" in field.metadata
    }
    maps = load_dataset(place / _MAPS)
    maps.attrs.pop("provenance", None)
    return Results(table, maps, json.loads(metadata[b"provenance"]))


def _units_of(table: pd.DataFrame) -> dict[str, str]:
    units = {column: unit for column, unit in table.attrs.get("units", {}).items() if unit}
    strangers = [column for column in units if column not in table.columns]
    if strangers:
        raise ValueError(
            f"units are given for {strangers}, which are no columns; the table has {list(map(str, table.columns))}"
        )
    if not table.index.equals(pd.RangeIndex(len(table))):
        raise ValueError(
            f"the table has an index of its own, {table.index.name or 'without name'}; make it a column by "
            "reset_index()"
        )
    return units


def _write_parquet(file: Path, table: pd.DataFrame, units: dict[str, str], record: str) -> None:
    content = pa.Table.from_pandas(table, preserve_index=False)
    fields = [
        field.with_metadata({"units": units[field.name]}) if field.name in units else field for field in content.schema
    ]
    metadata = (content.schema.metadata or {}) | {b"provenance": record.encode()}
    pyarrow.parquet.write_table(content.cast(pa.schema(fields, metadata=metadata)), file)
