"""Options of maps: each is applied or refused by each format, and errors name only options that are accepted there."""

import ast
import dataclasses
import inspect
import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import xarray

import mmtjax
from mmtjax import Scan, SensorGrid
from mmtjax.cli.inputs import MapInput
from mmtjax.cli.main import application
from mmtjax.cli.terminal import GRAIN_OPTIONS, OPTIONS
from mmtjax.io import grains as grain_readers
from mmtjax.io import read_grains, read_scan
from mmtjax.io import scans as scan_readers

PACKAGE = Path(mmtjax.__file__).parent
FIELD = (np.arange(30.0).reshape(5, 6) - 9) * 1e-6
DCI = {
    "Sensor center domain LL-x-y": [1e-4, 2e-4],
    "Sensor center domain UR-x-y": [1.10e-4, 2.08e-4],
    "Scan spacing": 2e-6,
    "Scan delta-x": 1e-6,
    "Scan delta-y": 1e-6,
    "Scan area": 4e-12,
    "Scan height": 6e-6,
}


def dataset(**attributes):
    """A map in tesla without coordinates, another variable that is also a map, and a noise."""
    variables = {"bz": (("y", "x"), FIELD, {"units": "T"}), "other": (("y", "x"), -FIELD, {"units": "T"})}
    return xarray.Dataset(variables, attrs=attributes)


def with_coordinates(data):
    lengths = {"units": "um"}
    return data.assign_coords(x=("x", 2 * np.arange(6.0), lengths), y=("y", 2 * np.arange(5.0), lengths))


def write_text(folder):
    np.savetxt(folder / "map.txt", FIELD)
    return {"scan": folder / "map.txt", "unit": "T", "spacing": 2.0, "height": 5.0}


def write_npy(folder):
    np.save(folder / "map.npy", FIELD)
    return {"scan": folder / "map.npy", "unit": "T", "spacing": 2.0, "height": 5.0}


def write_text_with_parameters(folder):
    (folder / "scan.json").write_text(json.dumps(DCI))
    return {"scan": write_text(folder)["scan"], "parameters": folder / "scan.json"}


def write_qdmlab(folder, name="Bz_uc0.mat"):
    scipy.io.savemat(folder / name, {"Bz": FIELD, "step": 2e-6})
    return {"scan": folder / name, "height": 5.0}


def write_qdmlab_without_continuation(folder):
    return write_qdmlab(folder, "Bz.mat") | {"upward_continuation": 0.0}


def write_netcdf(folder, data=None):
    data = with_coordinates(dataset(sensor_height=5.0)) if data is None else data
    data.to_netcdf(folder / "map.nc", engine="h5netcdf")
    return {"scan": folder / "map.nc"}


def write_netcdf_with_our_mask(folder):
    data = with_coordinates(dataset(sensor_height=5.0, sensor_side=1.0))
    return write_netcdf(folder, data.assign(mask=(("y", "x"), FIELD < 2e-5, {"long_name": "sensor is used"})))


def write_netcdf_with_foreign_mask(folder):
    data = with_coordinates(dataset(sensor_height=5.0)).assign(mask=(("y", "x"), FIELD > 0))
    return write_netcdf(folder, data) | {"mask_true_is": "good"}


def write_netcdf_with_pixel_spacing(folder):
    return write_netcdf(folder, dataset(pixel_spacing=2e-6, sensor_height=5.0))


def write_netcdf_without_anything(folder):
    data = dataset()
    del data["bz"].attrs["units"]
    return write_netcdf(folder, data) | {"unit": "T", "spacing": 2.0, "height": 5.0}


def write_qdm(folder):
    with h5py.File(folder / "map.qdm", "w") as content:
        content.attrs.update({"qdm_version": "1.0", "pixel_spacing": 2e-6})
        content["b_field/bz"] = FIELD
        content["b_field/bz"].attrs["units"] = "T"
    return {"scan": folder / "map.qdm", "height": 5.0}


FILES = {
    "text": [write_text, write_text_with_parameters],
    "npy": [write_npy],
    "qdmlab": [write_qdmlab, write_qdmlab_without_continuation],
    "qdm": [write_qdm],
    "netcdf": [
        write_netcdf,
        write_netcdf_with_our_mask,
        write_netcdf_with_foreign_mask,
        write_netcdf_with_pixel_spacing,
        write_netcdf_without_anything,
    ],
}

#: A value of each option that changes the map where the option is applied.
VALUES = {
    "parameters": "other.json",
    "unit": "mT",
    "spacing": 3.0,
    "height": 7.0,
    "side": 0.5,
    "origin": (3.0, 4.0),
    "upward_continuation": 4.0,
    "variable": "other",
    "mask": "trueisbad.npy",
    "mask_true_is": "bad",
    "bounds": "bounds.txt",
    "bounds_frame": "crop",
    "crop": (0.0, 300.0, 1.0, 207.0),
    "bin": 2,
}


def read_or_error(given):
    """The map that a command reads with its options, or the message of the error."""
    try:
        return MapInput(**given).read()
    except ValueError as error:
        return str(error)


def described(scan):
    """Everything that an option can change, as one comparable value."""
    arrays = (scan.field, scan.mask, *(getattr(scan.grid, name) for name in ("origin", "spacing", "height", "side")))
    return [np.asarray(array).tolist() for array in arrays]


def test_the_table_has_every_option_and_every_format():
    assert set(VALUES) == {field.name for field in dataclasses.fields(MapInput)} - {"scan", "scan_format"}
    assert set(FILES) == set(scan_readers._READERS)


# QDMlab's files and the option may differ in the spacing: the option holds, with a warning.
@pytest.mark.filterwarnings("ignore:.*step is .*, neither in m nor in µm")
@pytest.mark.parametrize("option", VALUES)
@pytest.mark.parametrize("write", [write for files in FILES.values() for write in files])
def test_every_option_is_applied_or_refused_by_every_format(write, option, tmp_path):
    """No option is ignored: the map differs with it, or an error names it."""
    given = write(tmp_path)
    np.save(tmp_path / "trueisbad.npy", FIELD > 1e-5)
    (tmp_path / "bounds.txt").write_text("2\n2\n2\n2\n")
    (tmp_path / "other.json").write_text(json.dumps(DCI | {"Scan height": 8e-6}))
    value = VALUES[option]
    value = tmp_path / value if option in ("parameters", "mask", "bounds") else value
    found = read_or_error(given | {option: value})
    if isinstance(found, Scan):
        assert described(found) != described(MapInput(**given).read())
    else:
        # A binned map needs sensors that adjoin, which is a matter of the map and not of the option.
        assert re.search("do not adjoin" if option == "bin" else rf"--{option.replace('_', '-')}\b", found), found


def test_origin_beside_coordinates_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--origin 3.0 4.0 and the coordinates of the file both .*; drop --origin"):
        MapInput(**write_netcdf(tmp_path), origin=(3.0, 4.0)).read()
    grid = MapInput(**write_netcdf_with_pixel_spacing(tmp_path), origin=(3.0, 4.0)).read().grid
    np.testing.assert_array_equal(grid.origin, [3, 4])


def test_a_mask_of_a_file_and_that_of_netcdf_are_both_applied(tmp_path):
    given = write_netcdf_with_our_mask(tmp_path)
    np.save(tmp_path / "mask.npy", FIELD > 0)
    both = MapInput(**given, mask=tmp_path / "mask.npy", mask_true_is="bad").read()
    np.testing.assert_array_equal(both.mask, (FIELD < 2e-5) & ~(FIELD > 0))
    foreign = write_netcdf_with_foreign_mask(tmp_path)
    message = "the variable 'mask' .*, and --mask-true-is is about the file of the mask; join the two in that file"
    for options in ({}, {"mask_true_is": "bad"}):
        with pytest.raises(ValueError, match=message):
            MapInput(**(foreign | {"mask": tmp_path / "mask.npy"} | options)).read()


@pytest.mark.parametrize("write", [write_npy, write_text, write_netcdf])
def test_infinite_pixels_name_a_way_out_of_the_command(write, tmp_path, monkeypatch):
    """No file of a mask helps, because the map is read before it."""
    field = FIELD.copy()
    field[2, 3] = np.inf
    monkeypatch.setattr(f"{__name__}.FIELD", field)
    with pytest.raises(ValueError, match="map.* write nan where") as caught:
        MapInput(**write(tmp_path)).read()
    assert "mask" not in str(caught.value)


def test_a_wrong_unit_of_huge_numbers_is_named(tmp_path):
    np.save(tmp_path / "map.npy", np.full((2, 3), 1e305))
    with pytest.raises(ValueError, match=r"6 pixels are infinite in nT.* or pass the unit of the file as --unit"):
        MapInput(scan=tmp_path / "map.npy", unit="T", spacing=1.0, height=1.0).read()


def texts(tree):
    """The constant text of each string and f-string of a syntax tree, without docstrings."""
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents | inner:
            yield node.value


def named_options(file):
    """The arguments that the messages of a module name, as ``name=``."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    return {name for text in texts(tree) for name in re.findall(r"(?<![\w.…])([a-z_]+)=(?!=)", text)}


def keywords(function):
    return {name for name, each in inspect.signature(function).parameters.items() if each.kind is each.KEYWORD_ONLY}


READERS = [
    *((reader, read_scan, OPTIONS) for reader in dict.fromkeys(scan_readers._READERS.values())),
    *((reader, read_grains, GRAIN_OPTIONS) for reader in dict.fromkeys(grain_readers._READERS.values())),
]


@pytest.mark.parametrize(("reader", "whole", "names"), READERS, ids=[each[0].__name__ for each in READERS])
def test_errors_of_a_reader_name_options_that_it_accepts(reader, whole, names):
    """A remedy is an option of this reader, or of the function that calls it, and has a name on the command line."""
    file = "/".join(reader.__module__.split(".")[1:]) + ".py"
    accepted = keywords(reader) | keywords(whole)
    assert named_options(file) <= accepted
    command = {
        name for argument in application(["invert"])["invert"].assemble_argument_collection() for name in argument.names
    }
    for name in named_options(file) - {"grains"}:
        assert names[name] in command


@pytest.mark.parametrize("file", ["scan/dataset.py", "scan/axes.py"])
def test_errors_of_a_dataset_name_options_of_both_of_its_readers(file):
    assert named_options(file) <= keywords(Scan.from_xarray) & keywords(scan_readers._READERS["netcdf"])


def test_errors_about_values_of_a_scan_name_options_of_every_format():
    """What `check_scan` names is an option of each format, and so is what it says of the spacing by default."""
    for reader in scan_readers._READERS.values():
        assert {"unit", "height", "side"} <= keywords(reader)
    assert named_options("io/plausible.py") <= {"unit", "height", "side", "spacing"}


MISTAKES = [
    (write_netcdf, {"data": with_coordinates(dataset())}, {}),
    (write_netcdf, {"data": dataset(sensor_height=5.0)}, {}),
    (write_netcdf, {"data": dataset(sensor_height=5.0, pixel_spacing=2e-6)}, {"spacing": 2.0}),
    (write_netcdf, {"data": dataset(sensor_height=-5.0, pixel_spacing=2e-6)}, {}),
    (write_netcdf, {"data": dataset(sensor_height=5.0, pixel_spacing=2e-6, sensor_side=5e3)}, {}),
    (write_netcdf, {"data": dataset(sensor_height=5.0, pixel_spacing=2e-6)}, {"unit": "nT"}),
    (write_netcdf, {}, {"variable": "signal"}),
    (write_qdmlab, {"name": "Bz.mat"}, {}),
    (write_text, {}, {"height": -1.0}),
    (write_text, {}, {"unit": "nT"}),
    (write_text, {}, {"spacing": 2e-6}),
    (write_text, {}, {"side": 2e-6}),
    (write_text_with_parameters, {}, {"side": 2e-6}),
]


@pytest.mark.parametrize(("write", "arguments", "options"), MISTAKES)
def test_remedies_on_the_command_line_are_accepted_there(write, arguments, options, tmp_path):
    """Each option that an error names is one that the same command then does not refuse as unknown for the format."""
    given = write(tmp_path, **arguments) | options
    with pytest.raises(ValueError, match="--") as caught:
        MapInput(**given).read()
    remedies = re.findall(r"--([a-z-]+)", str(caught.value).rpartition(";")[2])
    for remedy in remedies:
        found = read_or_error(given | {remedy.replace("-", "_"): VALUES[remedy.replace("-", "_")]})
        assert isinstance(found, Scan) or "has no option" not in found


def test_spacing_of_coordinates_names_what_to_correct(tmp_path):
    lengths = {"units": "m"}
    data = dataset(sensor_height=5.0).assign_coords(x=("x", np.arange(6.0), lengths), y=("y", np.arange(5.0), lengths))
    with pytest.raises(ValueError, match=r"spacing of 1e\+06 µm .* Correct the units of the coordinates in the file"):
        MapInput(**write_netcdf(tmp_path, data)).read()
    given = write_text_with_parameters(tmp_path)
    lengths = {"Sensor center domain UR-x-y": [10.0, 8.0], "Sensor center domain LL-x-y": [0, 0], "Scan spacing": 2.0}
    given["parameters"].write_text(json.dumps(DCI | lengths))
    with pytest.raises(ValueError, match="spacing of 2e.06 µm .* Lengths in this file are in m; correct it"):
        MapInput(**given).read()
    scan = Scan(FIELD * 1e9, SensorGrid((0, 0), 1, (5, 6), 5))
    assert read_scan(write_netcdf(tmp_path, scan.to_xarray())["scan"]).used == 30
