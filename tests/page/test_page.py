"""The page of results without a browser: what it holds, what it refuses, and the files beside it."""

import base64
import json
import re
import subprocess
import sys
import warnings
import zlib
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray

import mmtjax
from mmtjax.errors import InputError, MissingPackageError
from mmtjax.inversion.sums import covariance_of_sums
from mmtjax.io import read_grain_dataset, write_results
from mmtjax.io.results import Results
from mmtjax.io.vtu import write_vtu
from mmtjax.page import write_page
from mmtjax.page.binary import BinaryPart
from mmtjax.page.content import page_content
from mmtjax.page.map_arrays import add_maps
from tests.page.samples import sample


def content_of(file):
    """Facts and arrays of a page, decoded independently of the code that writes them."""
    text = file.read_text(encoding="utf-8")
    facts = json.loads(re.search(r'<script type="application/json" id="facts">(.*?)</script>', text, re.S)[1])
    packed = re.search(r'<script type="text/plain" id="arrays">(.*?)</script>', text, re.S)[1]
    content = zlib.decompress(base64.b64decode(packed))
    arrays = {}
    for name, place in facts["arrays"].items():
        kind = np.dtype(place["type"].removesuffix("Array").lower()).newbyteorder("<")
        values = np.frombuffer(content, kind, place["length"], place["offset"])
        arrays[name] = values.reshape(place["shape"])
    return SimpleNamespace(text=text, facts=facts, arrays=arrays)


def whole(planes):
    """Whole numbers from their planes of bytes."""
    folded = sum(planes[i].astype(np.int64) << 8 * i for i in range(4))
    return np.where(folded % 2, -(folded + 1) // 2, folded // 2)


def test_the_covariance_of_sums_is_that_of_the_whole_matrix(solved):
    members = np.random.default_rng(0).random((20, 4)) < 0.5
    found = covariance_of_sums(solved, members)
    own = np.asarray(solved.covariance_matrix())[:12, :12]
    size = 1e-18 * np.asarray(solved.grains.volume)
    for each, covariance in zip(members, found, strict=True):
        weights = np.kron((size * each)[:, None], np.eye(3))
        np.testing.assert_allclose(covariance, weights.T @ own @ weights, rtol=1e-9, atol=1e-45)


def test_the_covariance_of_sums_is_refused_where_it_is_not_known(solved):
    with pytest.raises(InputError, match=r"members must be .* for 4 grains; got shape \(1, 3\)"):
        covariance_of_sums(solved, np.ones((1, 3), bool))
    without = mmtjax.Solution(
        **{**{name: getattr(solved, name) for name in solved.__dataclass_fields__}, "factor": None}
    )
    with pytest.raises(InputError, match="covariance between grains is not known"):
        covariance_of_sums(without, np.ones((1, 4), bool))


def test_results_hold_the_shapes_and_the_covariances(solved, results):
    stored = read_grain_dataset(results)
    cuboids = np.column_stack([stored["cuboid_centre"], stored["cuboid_half_length"], stored["cuboid_grain"]])
    again = mmtjax.Grains.from_cuboids(cuboids)
    np.testing.assert_allclose(again.volume, solved.grains.volume)
    np.testing.assert_allclose(again.position, solved.grains.position)
    np.testing.assert_array_equal(stored["id"], [7, 3, 5, 12])
    np.testing.assert_allclose(stored["covariance"], solved.covariance)
    np.testing.assert_allclose(stored["joint_covariance"], np.asarray(solved.covariance_matrix())[:12, :12])
    strength = np.asarray(solved.signal_strength_ratio)
    widened = np.asarray(solved.uncertainty_ratio) * np.sqrt(max(float(solved.reduced_chi_square), 1))
    ssr, ratio = stored["ssr_threshold"].to_numpy(), stored["ratio_threshold"].to_numpy()
    members = (strength >= ssr[1]) & (widened <= ratio[-2])
    expected = covariance_of_sums(solved, members[None])[0]
    np.testing.assert_allclose(stored["sum_covariance"][1, 1, -2], expected, rtol=1e-9, atol=1e-45)
    everything = covariance_of_sums(solved, np.ones((1, 4), bool))[0]
    np.testing.assert_allclose(stored["sum_covariance"][1, 0, -1], everything, rtol=1e-9, atol=1e-45)


def test_a_page_holds_what_the_results_hold(solved, results, tmp_path):
    page = content_of(write_page(tmp_path / "page.html", results))
    table = solved.table()
    assert page.facts["ids"] == ["7", "3", "5", "12"]
    assert page.facts["trusted"] == int(table["trusted"].sum())
    assert page.facts["covariances"] == "joint"
    for column in ("x", "mx", "my", "mz", "volume", "uncertainty_ratio", "signal_strength_ratio"):
        np.testing.assert_array_equal(page.arrays[column], table[column])
    used = np.asarray(solved.scan.mask)
    mask = np.unpackbits(page.arrays["mask"], bitorder="little")[: used.size].reshape(used.shape)
    np.testing.assert_array_equal(mask, used)
    maps = page.facts["maps"]
    rms = np.sqrt(np.mean(np.asarray(solved.residual)[used] ** 2))
    residual = whole(page.arrays["residual"]).reshape(used.shape) * maps["residual_step"]
    forward = np.cumsum(whole(page.arrays["forward"])).reshape(used.shape) * maps["forward_step"]
    assert maps["residual_step"] == pytest.approx(rms / 16, rel=0.01)
    assert np.abs(residual - np.asarray(solved.residual))[used].max() <= 0.51 * maps["residual_step"]
    assert np.abs(forward - np.asarray(solved.forward))[used].max() <= 0.51 * maps["forward_step"]
    # Outlines: grain 7 is one body of two cuboids, whose inner lines are not drawn.
    corner, edge = np.array(page.facts["frame"][:3]), page.facts["frame"][3]
    own = page.arrays["segments"][page.arrays["segment_owner"] == 0] / 65535 * edge + corner[[0, 1, 0, 1]]
    assert len(own) == 8
    np.testing.assert_allclose([own[:, [0, 2]].min(), own[:, [0, 2]].max()], [8, 16], atol=1e-3)
    assert np.abs(np.diff(own[:, [0, 2]]) + np.diff(own[:, [1, 3]])).sum() == pytest.approx(24, abs=1e-2)


def test_a_page_of_results_without_shapes_says_what_is_missing(parts, tmp_path):
    table = parts.table
    write_results(tmp_path / "run", table=table, maps=parts.maps, provenance=parts.record)
    page = content_of(write_page(tmp_path / "page.html", tmp_path / "run"))
    assert page.facts["covariances"] == "deviations"
    assert "drawn as cubes of their volumes" in page.facts["shapes_note"]
    assert page.facts["reduced_chi_square"] is None
    assert page.facts["limit"] == 0.1
    np.testing.assert_allclose(
        page.arrays["covariance"][:, [0, 3, 5]], table[["sd_mx", "sd_my", "sd_mz"]] ** 2, rtol=1e-6
    )


def test_many_cuboids_are_coarsened(tmp_path, monkeypatch):
    made = sample(tmp_path, count=50, shape=(30, 40))
    monkeypatch.setattr("mmtjax.page.shapes._MOST_CUBOIDS", 100)
    page = content_of(write_page(tmp_path / "page.html", made.directory))
    assert page.facts["shapes_note"] == "Shapes are coarsened."
    assert 50 <= len(page.arrays["boxes"]) <= 100
    assert set(page.arrays["box_owner"]) == set(range(50))


@pytest.mark.slow
def test_a_page_of_many_ragged_grains_is_small(tmp_path):
    made = sample(tmp_path, ragged=True)
    assert len(made.grains["cuboid_grain"]) > 150_000
    file = write_page(tmp_path / "page.html", made.directory)
    assert file.stat().st_size < 5e6
    assert content_of(file).facts["shapes_note"] == "Shapes are coarsened."


def test_large_maps_are_averaged(monkeypatch):
    monkeypatch.setattr("mmtjax.page.map_arrays._MOST_SENSORS", 50)
    values = np.arange(99.0).reshape(9, 11)
    mask = np.ones((9, 11), bool)
    mask[0, 0] = False
    shown = {"bz": 2 * values, "forward": values, "residual": values, "mask": mask}
    maps = xarray.Dataset(
        {name: (("y", "x"), one) for name, one in shown.items()}, coords={"x": np.arange(11.0), "y": np.arange(9.0)}
    )
    part = BinaryPart()
    facts = add_maps(part, maps, where="maps.nc")
    assert (facts.block, facts.shape, facts.extent) == (2, (5, 6), (-0.5, 11.5, -0.5, 9.5))
    planes = np.frombuffer(part.parts[1], np.uint8)[:120].reshape(4, 30)
    found = whole(planes).reshape(5, 6) * facts.residual_step
    np.testing.assert_allclose(found[0, 0], (1 + 11 + 12) / 3, atol=facts.residual_step)
    np.testing.assert_allclose(found[4, 5], 98, atol=facts.residual_step)


HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><!--<script>"


def test_hostile_text_stays_text(parts, tmp_path):
    table = parts.table.assign(id=[HOSTILE, "=1+1", "<b>", "\u2028"])
    record = parts.record | {"options": {"scan": HOSTILE}}
    grains = parts.grains.assign_attrs(warnings=json.dumps([HOSTILE]))
    folder = tmp_path / "x<img src=y>"
    write_results(folder, table=table, maps=parts.maps, provenance=record, grains=grains)
    page = content_of(write_page(tmp_path / "page.html", folder))
    # A table of CSV has an apostrophe before formulas.
    assert [one.lstrip("'") for one in page.facts["ids"]] == list(table["id"])
    assert page.facts["made"]["scan"] == HOSTILE
    assert "<img" not in page.text
    assert page.text.count("</script>") == 4
    assert page.text.count("<script") == 4


def test_a_name_that_is_no_text_is_shown(parts, tmp_path):
    record = parts.record | {"options": {"scan": "map.txt"}}
    write_results(tmp_path / "run", table=parts.table, maps=parts.maps, provenance=record, grains=parts.grains)
    page = content_of(write_page(tmp_path / "page.html", tmp_path / "run", name="caf\udce9"))
    assert "<title>caf\\udce9 – mmtjax</title>" in page.text
    assert page.facts["name"] == "caf\udce9"


@pytest.mark.parametrize("unit", [HOSTILE, "=cmd|'/c calc'!A1", "mm"])
def test_units_of_others_are_refused(parts, unit):
    table = parts.table.copy()
    table.attrs = {"units": parts.table.attrs["units"] | {"x": unit}}
    with pytest.raises(InputError, match=re.escape(f"run: the column x of its table has the unit {unit!r}, not µm")):
        page_content(Results(table, parts.maps, parts.record), parts.grains, name="run")
    maps = parts.maps.copy(deep=True)
    maps["bz"].attrs["units"] = unit
    with pytest.raises(InputError, match=re.escape(f"run/maps.nc: its map bz has the unit {unit!r}, not nT")):
        page_content(Results(parts.table, maps, parts.record), parts.grains, name="run")


def without(table, column):
    """The table without a column and its unit."""
    shorter = table.drop(columns=column)
    shorter.attrs["units"] = {name: unit for name, unit in table.attrs["units"].items() if name != column}
    return shorter


def damaged(table, maps, grains, case):
    """Damage results in one place."""
    if case == "no column":
        return without(table, "mx"), maps, grains
    if case == "text":
        return table.assign(mx="a"), maps, grains
    if case == "no place":
        return table.assign(x=np.nan), maps, grains
    if case == "no map":
        return table, maps.drop_vars("forward"), grains
    if case == "no sensor":
        return table, maps.assign(residual=maps["residual"] * np.nan), grains
    if case == "no cuboids":
        return table, maps, grains.drop_vars("cuboid_grain")
    if case == "other grains":
        return table, maps, grains.assign(cuboid_grain=grains["cuboid_grain"] + 1)
    if case == "other covariance":
        return table.iloc[:3].reset_index(drop=True), maps, grains
    return table, maps, grains.assign(sum_covariance=grains["ssr_threshold"]).drop_vars("joint_covariance")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no column", "there are no columns mx in its table"),
        ("text", "a column of its table that must hold numbers does not"),
        ("no place", "the column x of its table holds values that are no places"),
        ("no map", "maps.nc: it does not hold the maps bz, forward and residual"),
        ("no sensor", "maps.nc: no sensor has a finite field in all of its maps"),
        ("no cuboids", "grains.nc: it does not hold the cuboids of the grains"),
        ("other grains", "grains.nc: its cuboids are not those of the 4 grains"),
        ("other covariance", "grains.nc: its variable covariance is not of the shape"),
        ("other sums", "grains.nc: its variable sum_covariance is not of the shape"),
    ],
)
def test_damaged_results_are_refused(parts, case, message):
    table, maps, grains = damaged(parts.table, parts.maps, parts.grains, case)
    with pytest.raises(InputError, match=message):
        page_content(Results(table, maps, parts.record), grains, name="run")


def test_a_page_of_damaged_results_is_not_written(parts, tmp_path):
    shorter = without(parts.table, "mx")
    write_results(tmp_path / "run", table=shorter, maps=parts.maps, provenance=parts.record, grains=parts.grains)
    with pytest.raises(InputError, match="run: there are no columns mx in its table"):
        write_page(tmp_path / "page.html", tmp_path / "run")
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_without_bokeh_the_line_to_type_is_said(results, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "bokeh" or name == "mmtjax.page.figures"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(MissingPackageError, match=r"type: pip install 'mmtjax\[page\]'"):
        write_page(tmp_path / "page.html", results)


def test_bokeh_is_loaded_only_for_a_page():
    code = "import sys, mmtjax, mmtjax.cli.main; print([name for name in sys.modules if name.startswith('bokeh')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def array_of(piece, name):
    """An array of a file of VTK, read from its XML and base64."""
    element = next(one for one in piece.iter("DataArray") if one.get("Name") == name)
    kind = {"Float64": "<f8", "Int64": "<i8", "UInt8": "u1"}[element.get("type")]
    content = base64.b64decode(element.text)
    assert int.from_bytes(content[:8], "little") == len(content) - 8
    return np.frombuffer(content[8:], kind).reshape(-1, int(element.get("NumberOfComponents", 1)))


def test_the_file_of_vtk_holds_the_grains(solved, results, tmp_path):
    count = len(read_grain_dataset(results)["cuboid_grain"])
    assert write_vtu(tmp_path / "grains.vtu", results) == count
    root = ElementTree.parse(tmp_path / "grains.vtu").getroot()
    assert root.attrib == {
        "type": "UnstructuredGrid", "version": "1.0", "byte_order": "LittleEndian", "header_type": "UInt64"
    }  # fmt: skip
    piece = root.find("UnstructuredGrid/Piece")
    assert (piece.get("NumberOfPoints"), piece.get("NumberOfCells")) == (str(8 * count), str(count))
    points, cells = array_of(piece, "points"), array_of(piece, "connectivity").reshape(-1, 8)
    assert array_of(piece, "offsets").ravel().tolist() == list(range(8, 8 * count + 1, 8))
    assert array_of(piece, "types").ravel().tolist() == [12] * count
    ids = array_of(piece, "id").ravel()
    corners = points[cells]
    # Volume of a hexahedron whose corners are in the order of VTK, from its three edges at the first corner.
    edges = corners[:, [1, 3, 4]] - corners[:, [0]]
    volume = np.linalg.det(edges)
    for number, grain in enumerate(solved.grains.ids):
        assert volume[ids == grain].sum() == pytest.approx(solved.grains.volume[number])
        np.testing.assert_array_equal(
            array_of(piece, "magnetization (A/m)")[ids == grain][0], np.asarray(solved.magnetization)[number]
        )
    table = solved.table().set_index("id")
    for name, column in {"uncertainty_ratio": "uncertainty_ratio", "trusted": "trusted"}.items():
        np.testing.assert_array_equal(array_of(piece, name).ravel(), table[column].loc[ids])


def test_grains_without_shapes_are_cubes_in_vtk(parts, tmp_path):
    write_results(tmp_path / "run", table=parts.table, maps=parts.maps, provenance=parts.record)
    assert write_vtu(tmp_path / "cubes.vtu", tmp_path / "run") == 4


def test_results_that_are_not_of_grains_are_not_written_as_vtk(parts, tmp_path):
    table, grains = parts.table, parts.grains
    for name, shorter, stored, message in [
        ("a", without(table, "mx"), grains, "the table does not hold the results of an inversion for grains"),
        ("b", table, grains.drop_vars("cuboid_grain"), "the results do not hold the shapes of grains"),
        ("c", table, grains.assign(cuboid_grain=grains["cuboid_grain"] + 9), "not those of the 4 grains of the table"),
        ("d", without(table, "volume"), None, "the results do not hold the shapes of grains"),
    ]:
        write_results(tmp_path / name, table=shorter, maps=parts.maps, provenance=parts.record, grains=stored)
        with pytest.raises(InputError, match=message):
            write_vtu(tmp_path / "grains.vtu", tmp_path / name)
    assert not (tmp_path / "grains.vtu").exists()


STRANGE = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308, -1e308, 1e-320, 2**62]


def strange(dataset, rng):
    """A dataset with one strange value, attribute or shape."""
    name = str(rng.choice(list(dataset.variables)))
    kind = rng.integers(4)
    if kind == 0:
        values = np.array(dataset[name].values, np.float64)
        values.ravel()[rng.integers(values.size)] = rng.choice(STRANGE)
        return dataset.assign({name: (dataset[name].dims, values)})
    if kind == 1:
        attributes = list(dataset.attrs) or ["none"]
        value = [np.nan, "x", "[1, {}]", np.arange(3), -1e308, "[" * 99_999][rng.integers(6)]
        return dataset.assign_attrs({str(rng.choice(attributes)): value})
    if kind == 2:
        return dataset.drop_vars(name)
    return dataset.isel({str(rng.choice(list(dataset.sizes))): slice(0, int(rng.integers(3)))})


def test_strange_values_in_results_end_in_a_page_or_in_an_error_of_input(parts):
    table, maps, grains = parts.table, parts.maps, parts.grains
    rng = np.random.default_rng(11)
    made, refused = 0, []
    for _ in range(150):
        changed = [maps, grains, table]
        which = rng.integers(3)
        if which < 2:
            changed[which] = strange(changed[which], rng)
        else:
            changed[2] = table.copy()
            column = str(rng.choice(table.columns))
            changed[2][column] = changed[2][column].astype(float)
            changed[2].loc[rng.integers(4), column] = rng.choice(STRANGE)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                content = page_content(Results(changed[2], changed[0], parts.record), changed[1], name="strange")
            json.dumps(content.facts, allow_nan=False)
            made += 1
        except InputError as error:
            refused.append(str(error))
    assert made > 30
    assert [message for message in refused if "strange" not in message] == []
