"""Tables that people open in spreadsheets: Dragonfly exports saved anew, formulas in cells, and damaged CSV."""

import json

import numpy as np
import pandas as pd
import pytest

from mmtjax.errors import InputError
from mmtjax.io import read_grains, read_scan, sensor_grid_from_json
from mmtjax.io.parameters import DCI_KEYS, METADICT_KEYS
from mmtjax.io.tables import read_table, write_table

EXPORT = (
    "Time Step;Label Index;Name (NA);Voxel count;Volume (mm³);"
    "Center Of Mass X (mm);Center Of Mass Y (mm);Center Of Mass Z (mm)\n"
    "0;4;a;12.0;8e-9;0.010;0.020;0.110\n"
    "0;9;b;2.0;1e-9;0.030;0.040;0.140\n"
)


@pytest.mark.parametrize(
    "text",
    [
        EXPORT,
        EXPORT.replace(";", ","),
        EXPORT.replace(";", "\t"),
        "sep=;\n" + EXPORT,
        EXPORT.replace(";", ",").replace(",a,", ',"a, small",'),
        EXPORT.replace("\n", ";;\n"),
        EXPORT.replace("\n", "\r\n"),
        EXPORT + ";;;;;;;\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_exports_saved_anew(write, text, encoding):
    grains = read_grains(write("grain_loc.csv", text, encoding), surface="zmax")
    assert grains.ids.tolist() == [4, 9]
    np.testing.assert_allclose(grains.position, [[10, 20, -30], [30, 40, 0]], atol=1e-9)
    np.testing.assert_allclose(grains.volume, [8, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            EXPORT.replace("0.140", "NaN"),
            r"line 3: Center Of Mass Z \(mm\) is nan; remove the line or correct the value",
        ),
        (EXPORT.replace("0.140", "-inf"), r"line 3: Center Of Mass Z \(mm\) is -inf"),
        (
            EXPORT.replace("0.140", ""),
            r"line 3: Center Of Mass Z \(mm\) is '', not a number",
        ),
        (
            EXPORT + "1;4;a;12.0;8e-9;0.010;0.020;0.110\n",
            "line 4: the time step is '1', in line 2 '0'; .* one time step",
        ),
        (EXPORT + "0;4;a;12.0;8e-9;0.05;0.020;0.110\n", "line 4: the label index 4 is that of line 2 too; keep one"),
        (EXPORT.replace("0;9;", "0;9.5;"), "line 3: the label index must be a whole number; got 9.5"),
        (EXPORT.replace("0;9;", "0;9007199254740993;"), "line 3: the label index .* is too large to be exact"),
        (EXPORT.replace(";2.0;", ";2.5;"), "line 3: the voxel count must be a whole number; got 2.5"),
        (EXPORT.replace("1e-9", "-1e-9"), r"line 3: Volume \(mm³\) is -1e-09; it must be positive"),
        (EXPORT.replace("1e-9", "1e-30"), r"line 3: a grain of 1e-07 µm across .* its heading says 'Volume \(mm³\)'"),
        (
            EXPORT.replace("X (mm)", "X (furlong)"),
            r"heading 'Center Of Mass X \(furlong\)': 'furlong' is not a known unit",
        ),
        (EXPORT.replace("Name (NA)", "Label Index"), "line 1: 2 columns have headings like 'Label Index'; keep one"),
        (EXPORT.replace("Vol", "Vÿol"), r"line 1 has no column 'Volume' among its headings"),
        (
            EXPORT.replace(";", ",").replace("0.140", "0,140"),
            "line 3: 9 cells where the headings have 8; .* decimal sign",
        ),
        (EXPORT.replace("0.030", "0.02inf"), r"line 3: Center Of Mass X \(mm\) is '0.02inf', not a number"),
    ],
)
def test_damaged_exports(write, text, message):
    with pytest.raises(InputError, match=message):
        read_grains(write("grain_loc.csv", text), surface="zmax", format="dragonfly")


def test_a_place_that_two_grains_have(write):
    text = EXPORT.replace("0.030;0.040;0.140", "0.010;0.020;0.110")
    with pytest.raises(InputError, match="grain_loc.csv: the same grain twice: 2 grains have the position"):
        read_grains(write("grain_loc.csv", text), surface="zmax")


@pytest.mark.parametrize("name", ["d1", "d2", "d5", "d13"])
def test_exports_of_the_collection(data, name):
    file = data.parent / "cases" / "dragonfly-resaved" / f"{name}.csv"
    if not file.is_file():
        pytest.skip(f"no {file}")
    messages = {"d1": "line 5: the time step is '1', in line 2 '0'", "d5": r"line 5: Center Of Mass Z \(mm\) is nan"}
    if name in messages:
        with pytest.raises(InputError, match=messages[name]):
            read_grains(file, surface="zmax")
    else:
        assert read_grains(file, surface="zmax").ids.tolist() == [1, 2, 3]


FORMULAS = ["=1+1", "+1+1", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "a;=1", "a, =1", "b\n=1", '"=1"', "-A1"]


def test_formulas_are_inert_in_what_is_written(tmp_path):
    table = pd.DataFrame({"name": FORMULAS, "=id": range(len(FORMULAS))})
    table.attrs["units"] = {"=id": "=µm"}
    comment = '"scan": "map,=1+1;@2.csv",\n"where": "a;\t+A1"'
    text = write_table(tmp_path / "table.csv", table, comment=comment).read_text(encoding="utf-8")
    assert "'=id" in text
    for separator in ",;\t\n":
        for cell in text.split(separator):
            assert not cell.strip(' "').startswith(("=", "@", "+", "-")), cell


def test_numbers_and_prose_are_written_as_they_are(tmp_path):
    table = pd.DataFrame({"name": ["-5", "+1.5e-3", "x, -3", "a-b", "c = 1", "a#b"], "value": [-1.0, 2, 3, 4, 5, 6]})
    file = write_table(tmp_path / "table.csv", table, comment="from -3, -5; a = 1")
    assert file.read_text(encoding="utf-8").startswith("# from -3, -5; a = 1\n")
    pd.testing.assert_frame_equal(read_table(file), table, check_dtype=False)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"# made\nid,a\n1,2\n3,\xff4\n", "line 4: the byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbfid,\xff\n1,2\n", "line 1: the byte 0xff is not UTF-8"),
        (b"# made\nid,a\n1,2\n3,4,5\n", "line 4: 3 cells where the headings have 2"),
        (b"# made\nid,a\n1,2\n3\n", "line 4: 1 cells where the headings have 2"),
        (b'id,a\n1,"' + b"x" * 200_000 + b'"\n', "line 2: field larger than field limit"),
        (b"\n# nothing\n", "holds no table"),
    ],
)
def test_damaged_tables(tmp_path, raw, message):
    (tmp_path / "table.csv").write_bytes(raw)
    with pytest.raises(InputError, match=message):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize(("axis", "origin"), [("x", [10, 0]), ("y", [0, 10])])
def test_a_metadict_with_one_origin(tmp_path, axis, origin):
    content = {
        "Scan height Hz": 2e-6,
        "Scan area x-dimension Sx": 4e-6,
        "Scan area y-dimension Sy": 3e-6,
        "Scan x-step Sdx": 1e-6,
        "Scan y-step Sdy": 1e-6,
        f"Sensor origin {axis}": 1e-5,
    }
    (tmp_path / "MetaDict_v.json").write_text(json.dumps(content))
    np.testing.assert_allclose(sensor_grid_from_json(tmp_path / "MetaDict_v.json").origin, origin)


def test_the_metadict_of_the_collection(data):
    folder = data.parent / "cases" / "metadict-one-origin"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    scan = read_scan(folder / "mT.txt", parameters=folder / "MetaDict_v.json")
    np.testing.assert_allclose(scan.grid.origin, [10, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"Scan height Hz": 1, "Scan height Hz": 2}', "the key 'Scan height Hz' occurs 2 times; keep one"),
        ('{"a": ' + "[" * 100_000 + "}", "does not read as JSON .*nested too deeply"),
        ('{"Scan height Hz": ' + "1" * 5000 + "}", "does not read as JSON .*digits"),
        ('{"Scan spacing": ' + "1" * 400 + "}", "'Scan spacing' is 1+; expected 1 or 2 finite numbers"),
    ],
)
def test_damaged_json(write, text, message):
    with pytest.raises(InputError, match=message):
        sensor_grid_from_json(write("parameters.json", text))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Scan area x-dimension Sx": 1e3}, "expected positive whole numbers, none above 1000000"),
        ({"Scan area x-dimension Sx": 1e300}, "'Scan area x-dimension Sx' is 1e.300; expected 1 finite numbers"),
        ({"Scan x-step Sdx": 1e-320}, "expected positive whole numbers"),
    ],
)
def test_scans_that_no_memory_holds(write, changes, message):
    content = dict.fromkeys(METADICT_KEYS, 1e-6) | changes
    with pytest.raises(InputError, match=message):
        sensor_grid_from_json(write("MetaDict_v.json", json.dumps(content)))


def test_a_domain_that_no_memory_holds(write):
    content = dict.fromkeys(DCI_KEYS, 1e-6) | {"Scan area": 4e-12}
    for upper, message in ((1e300, "expected 2 finite numbers"), (1e3, "none negative or above 1000000")):
        domain = {"Sensor center domain LL-x-y": [0, 0], "Sensor center domain UR-x-y": [upper, 0]}
        with pytest.raises(InputError, match=message):
            sensor_grid_from_json(write("scan.json", json.dumps(content | domain)))
    with pytest.raises(InputError, match="spacing of 0 µm is not between"):
        sensor_grid_from_json(write("scan.json", json.dumps(content | domain | {"Scan spacing": 0})))


@pytest.mark.parametrize("name", ["fz_09_v.txt", "fz_11_d.csv", "fz_12_d.csv"])
def test_mutated_files_of_the_collection(data, name):
    file = data.parent / "cases" / name
    if not file.is_file():
        pytest.skip(f"no {file}")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_grains(file)
    if name.endswith("csv"):
        with pytest.raises(InputError, match="line [13]: "):
            read_table(file)
