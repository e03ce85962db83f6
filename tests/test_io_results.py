"""Results on disk: what is written is read back, and nothing is left half written."""

import hashlib
import json
import os
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import xarray

from mmtjax.errors import InputError
from mmtjax.io import (
    describe,
    fill_results,
    output_directory,
    provenance,
    read_results,
    write_results,
)
from mmtjax.io.output import LIST_OF_FILES


@pytest.fixture
def table():
    frame = pd.DataFrame({"id": [7, 3], "mx": [1.5e-14, np.nan], "resolved": [True, False], "ratio": [0.1, 1 / 3]})
    frame.attrs["units"] = {"mx": "A m²", "ratio": ""}
    return frame


@pytest.fixture
def maps():
    values = xarray.DataArray(np.eye(3), dims=("y", "x"), attrs={"units": "nT"})
    return xarray.Dataset({"residual": values, "mask": values > 0}, attrs={"sensor_side": [1.0, 1.0]})


@pytest.fixture
def record(tmp_path):
    (tmp_path / "scan.txt").write_text("1 2 3")
    return provenance(inputs=[tmp_path / "scan.txt"], options={"noise": 20.0, "where": tmp_path, "side": np.ones(2)})


def test_provenance(tmp_path, record):
    entry = record["inputs"][0]
    assert entry == {"path": str(tmp_path / "scan.txt"), "bytes": 5, "sha256": hashlib.sha256(b"1 2 3").hexdigest()}
    assert set(record["versions"]) == {"mmtjax", "jax", "jaxlib", "numpy", "scipy"}
    assert record["options"] == {"noise": 20.0, "where": str(tmp_path), "side": [1.0, 1.0]}
    assert record["time"].endswith("+00:00")
    assert json.loads(json.dumps(record)) == record
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        provenance(inputs=[tmp_path / "none.txt"])


@pytest.mark.parametrize(("float64", "precision"), [(True, "float64"), (False, "float32")])
def test_provenance_holds_backend_and_precision(float64, precision):
    with jax.enable_x64(float64):
        record, computed = provenance(), jnp.ones(1)
    assert record["precision"] == precision == computed.dtype
    assert {record["backend"]} == {device.platform for device in computed.devices()}


def test_results_are_read_back(tmp_path, table, maps, record):
    folder = write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    assert folder == tmp_path / "run"
    again = read_results(folder)
    pd.testing.assert_frame_equal(again.table, table)
    assert again.table.attrs["units"] == {"mx": "A m²"}
    xarray.testing.assert_identical(again.maps, maps)
    assert again.provenance == record
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run", "scan.txt"]
    assert "2 grains: id, mx (A m²)" in describe(folder)["contents"]


def test_the_table_for_people(tmp_path, table, maps, record):
    write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    lines = (tmp_path / "run" / "grains.csv").read_text(encoding="utf-8").splitlines()
    comment = [line[2:] for line in lines if line.startswith("# ")]
    assert json.loads("\n".join(comment[1:])) == record
    assert lines[len(comment)] == "id,mx (A m²),resolved,ratio"
    again = pd.read_csv(tmp_path / "run" / "grains.csv", comment="#")
    np.testing.assert_array_equal(again.to_numpy(float), table.to_numpy(float))


def test_metadata_of_the_other_files(tmp_path, table, maps, record):
    write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    schema = pyarrow.parquet.read_schema(tmp_path / "run" / "grains.parquet")
    assert schema.field("mx").metadata == {b"units": "A m²".encode()}
    assert json.loads(schema.metadata[b"provenance"]) == record
    with xarray.open_dataset(tmp_path / "run" / "maps.nc") as stored:
        assert json.loads(stored.attrs["provenance"]) == record


def test_an_existing_directory(tmp_path, table, maps, record):
    written = {"table": table, "maps": maps, "provenance": record}
    write_results(tmp_path / "run", **written)
    (tmp_path / "run" / "old.txt").touch()
    with pytest.raises(FileExistsError, match="run exists already; pass overwrite=True"):
        write_results(tmp_path / "run", **written)
    with pytest.raises(FileExistsError, match=r"old\.txt is not among the results that were written there; move it"):
        write_results(tmp_path / "run", overwrite=True, **written)
    assert (tmp_path / "run" / "old.txt").exists()
    (tmp_path / "run" / "old.txt").unlink()
    write_results(tmp_path / "run", overwrite=True, **written)
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == [
        LIST_OF_FILES, "grains.csv", "grains.parquet", "maps.nc"
    ]  # fmt: skip
    with pytest.raises(FileExistsError, match=r"scan\.txt is a file"):
        write_results(tmp_path / "scan.txt", overwrite=True, **written)


def test_nothing_that_is_needed_is_replaced(tmp_path, table, maps, record, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")
    for place in (".", tmp_path):
        with pytest.raises(ValueError, match="would delete the working directory"):
            write_results(place, overwrite=True, table=table, maps=maps, provenance=record)
    monkeypatch.chdir("/")
    with pytest.raises(ValueError, match="would delete an input"):
        write_results(tmp_path, overwrite=True, table=table, maps=maps, provenance=record)
    assert (tmp_path / "scan.txt").exists()


def _written(place):
    """Make a directory of earlier results."""
    with output_directory(place) as partial:
        (partial / "old.txt").touch()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("existing", [True, False])
def test_nothing_is_left_half_written(tmp_path, error, existing):
    if existing:
        _written(tmp_path / "run")

    def interrupted():
        with output_directory(tmp_path / "run", overwrite=True) as partial:
            assert partial.name == f".run.partial-{os.getpid()}"
            (partial / "half.txt").touch()
            raise error

    with pytest.raises(error):
        interrupted()
    left = sorted(file.name for file in tmp_path.rglob("*"))
    assert left == ([LIST_OF_FILES, "old.txt", "run"] if existing else [])


def test_a_directory_that_appears_meanwhile(tmp_path):
    def overtaken():
        with output_directory(tmp_path / "run"):
            (tmp_path / "run").mkdir()
            (tmp_path / "run" / "other.txt").touch()

    with pytest.raises(FileExistsError):
        overtaken()
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["other.txt", "run"]


def test_the_old_directory_returns_if_the_new_one_cannot_take_its_name(tmp_path, monkeypatch):
    _written(tmp_path / "run")
    rename = Path.rename

    def fail_for_partial(self, target):
        if ".partial-" in self.name:
            raise OSError("no space left on device")
        return rename(self, target)

    def replaced():
        with output_directory(tmp_path / "run", overwrite=True):
            monkeypatch.setattr(Path, "rename", fail_for_partial)

    with pytest.raises(OSError, match="no space left"):
        replaced()
    assert sorted(file.name for file in tmp_path.rglob("*")) == [LIST_OF_FILES, "old.txt", "run"]


def test_figures_beside_the_tables(tmp_path, table, maps, record):
    with output_directory(tmp_path / "deep" / "run") as partial:
        fill_results(partial, table=table, maps=maps, provenance=record)
        (partial / "map.png").write_bytes(b"figure")
    assert (tmp_path / "deep" / "run" / "map.png").read_bytes() == b"figure"
    assert len(read_results(tmp_path / "deep" / "run").table) == 2


def test_invalid_tables(tmp_path, table, maps, record):
    with pytest.raises(ValueError, match="an index of its own, id; make it a column by reset_index"):
        write_results(tmp_path / "run", table=table.set_index("id"), maps=maps, provenance=record)
    table.attrs["units"] = {"moment": "A m²"}
    with pytest.raises(ValueError, match=r"units are given for \['moment'\], which are not columns"):
        write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    assert not (tmp_path / "run").exists()


def test_damaged_results(tmp_path, table, maps, record):
    with pytest.raises(FileNotFoundError, match="no such directory of results"):
        read_results(tmp_path / "none")
    folder = write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    content = (folder / "grains.csv").read_bytes()
    without_last_line = content[: content[:-1].rindex(b"\n") + 1]
    for cut, message in (
        (content[:-4], "the last line has no end, as in a file that is cut short"),
        (without_last_line, r"grains\.csv: 1 grains where maps\.nc has those of 2; is the file cut short"),
    ):
        (folder / "grains.csv").write_bytes(cut)
        with pytest.raises(ValueError, match=message):
            read_results(folder)
    (folder / "grains.csv").write_bytes(content)
    maps.to_netcdf(folder / "maps.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"maps\.nc: it has no provenance among its attributes"):
        read_results(folder)
    (folder / "maps.nc").unlink()
    with pytest.raises(FileNotFoundError, match=r"maps\.nc"):
        read_results(folder)


@pytest.mark.parametrize(
    ("provenance", "message"),
    [
        ('{"a": ', "its attribute 'provenance' is damaged .*Expecting value"),
        ("[" * 100_000, "its attribute 'provenance' is damaged .*recursion"),
        ("[1]", "it has no provenance among its attributes"),
        (1.5, "it has no provenance among its attributes"),
    ],
)
def test_damaged_provenance(tmp_path, table, maps, record, provenance, message):
    folder = write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    maps.assign_attrs(provenance=provenance).to_netcdf(folder / "maps.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=message):
        read_results(folder)


def test_results_without_the_package_for_parquet(tmp_path, table, maps, record, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    folder = write_results(tmp_path / "run", table=table, maps=maps, provenance=record)
    assert {file.name for file in folder.iterdir()} == {LIST_OF_FILES, "grains.csv", "maps.nc"}
    pd.testing.assert_frame_equal(read_results(folder).table, table)
