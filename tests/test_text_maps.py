"""Text maps as spreadsheets, data frames and people write them: read right, or refused with the reason."""

import io

import numpy as np
import pandas as pd
import pytest

from mmtjax.errors import InputError
from mmtjax.io import describe, read_cuboids, read_domainbounds, read_grains, read_scan

FIELD = np.random.default_rng(22).normal(scale=900, size=(9, 7)).round(3)
PLACE = {"unit": "nT", "spacing": 1, "height": 2}


def _lines(separator, *, comma=False, end=""):
    cells = [[f"{value:.3f}" for value in row] for row in FIELD]
    text = "\n".join(separator.join(row) + end for row in cells) + "\n"
    return text.replace(".", ",") if comma else text


@pytest.mark.parametrize(
    "text",
    [
        _lines(";", comma=True),
        _lines(";", comma=True, end=";"),
        _lines("\t", comma=True),
        _lines("  ", comma=True),
        _lines(" \t "),
        _lines("\t", end="\t"),
        _lines(", ", end=","),
        _lines(" ; ", end=";;"),
        "\ufeffsep=;\n" + _lines(";"),
        "% made by hand\n# 9 rows; 7 columns\n" + _lines(","),
        _lines(";", comma=True).replace("\n", "\r\n"),
    ],
)
def test_matrices_of_every_layout(write, text):
    np.testing.assert_allclose(read_scan(write("map.csv", text), **PLACE).field, FIELD)


def test_unicode_text_of_a_spreadsheet(write):
    np.testing.assert_allclose(read_scan(write("map.txt", _lines("\t", comma=True), "utf-16"), **PLACE).field, FIELD)


@pytest.mark.parametrize("word", ["", "nan", "NaN", "NA", "#N/A", "N/A", "null", "-nan(ind)"])
@pytest.mark.parametrize("place", [(0, 0), (4, 3), (8, 6)])
def test_missing_values_keep_their_place(write, word, place):
    cells = [[f"{value:.3f}" for value in row] for row in FIELD]
    cells[place[0]][place[1]] = word
    scan = read_scan(write("map.csv", "\n".join(map(",".join, cells))), **PLACE)
    expected = np.ones(FIELD.shape, bool)
    expected[place] = False
    np.testing.assert_array_equal(scan.mask, expected)
    np.testing.assert_allclose(np.asarray(scan.field)[expected], FIELD[expected])


@pytest.mark.parametrize("row", [0, 4])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_a_row_without_values_keeps_its_place(write, row, separator):
    lines = _lines(separator).splitlines()
    lines[row] = separator * 6
    scan = read_scan(write("map.csv", "\n".join(lines)), **PLACE)
    assert scan.grid.shape == FIELD.shape
    assert np.flatnonzero(~np.asarray(scan.mask).any(axis=1)).tolist() == [row]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.5;2,5\n3,5;4,5\n", r"line 1: '1.5' has a decimal point, other numbers have"),
        ("1,234;5,678\n2,345;6,789\n", "the comma of '1,234', and of all numbers that have one, may be a decimal sign"),
        ("1,234 5,678\n2,345 6,789\n", "the comma of '1,234'"),
        ("1,234.5 6.5\n2.5 3.5\n", r"line 1: '1,234.5' is not a number; save the file with decimal points and without"),
        ("1 234,5;6\n2;3\n", "line 1: '1 234,5' is not a number; save the file with decimal points"),
        ("1'234.5;6\n2;3\n", 'line 1: "1\'234.5" is not a number; save the file with decimal points'),
        ("1\u00a0234.5;6\n2;3\n", "line 1: .* is not a number; save the file with decimal points"),
        ("1_000 2\n3 4\n", "line 1: '1_000' is not a number"),
        ('"1,5";"2,5"\n3;4\n', "line 1: .* is not a number; save the file without quotation marks"),
        ('"1";"2"\n3;4\n', "line 1: .* is not a number; save the file without quotation marks"),
        ("1.234.567 2.345.678\n3 4\n", "line 1: '1.234.567' is not a number; save the file with decimal points"),
        ("−1.5 −2.5\n3 4\n", "line 1: '−1.5' is not a number"),
        ("1,2 3\n4, 5 6\n", "line 1: cells are separated by blanks here, and by commas elsewhere"),
        (_lines(",", comma=True), "line 1: ',' is the decimal sign of numbers, it seems, and separates"),
        ("1,5, 2,5\n3,5, 4,5\n", "line 1: ',' is the decimal sign"),
        ("1\t5\t2\t5\n1\t05\t2\t75\n", r"line 2: '\\t' is the decimal sign of numbers, it seems, and separates"),
        ("1\t\t2\n3\t\t4\n", "column 2 is empty in every line, between tabs; remove it, or write nan"),
        ("1 2 3\n# 4 5 6\n7 8 9\n", "line 2: a row of the map is a comment, and the rows after it would move"),
        ("# 1 2 3\n4 5 6\n7 8 9\n", "line 1: a row of the map is a comment"),
        ("1,5;2,5;3,5\n#4,5;5,5;6,5\n", "line 2: a row of the map is a comment"),
        ("1 2 3 4 5\n# 7 8 9 0\n", "line 2: a row of the map is a comment"),
        ("1 2 3\n4 1e999 6\n", "line 2: column 2 is inf; write nan where there is no value"),
        ("1;2;3\n4;5\n", "line 2: 2 columns where 3 are expected"),
    ],
)
def test_refused_layouts(write, text, message):
    with pytest.raises(InputError, match=message):
        read_scan(write("map.csv", text), format="text", **PLACE)


@pytest.mark.parametrize("bad", ["é", "ÿ", "£"])
def test_bytes_of_another_encoding_are_quoted_with_their_line(write, bad):
    text = _lines(" ").replace("\n", f"\n{bad}", 1)
    with pytest.raises(InputError, match=f"line 2: '{bad}.*' is not a number"):
        read_scan(write("map.txt", text, "latin-1"), **PLACE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"header": False}, "the first column, 0, 1, 2, … 8, is equally spaced, .*pandas: index=False"),
        ({"index": False}, "line 1: 0, 1, 2, … up to 6 are numbers of the columns, .*pandas: header=False"),
        ({}, r"the first row, nan, 0, 1, … 6, is equally spaced, .*pandas: header=False"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_numbers_of_rows_and_columns_of_a_data_frame(write, options, message, separator):
    text = io.StringIO()
    pd.DataFrame(FIELD).to_csv(text, sep=separator, **options)
    with pytest.raises(InputError, match=message):
        read_scan(write("map.csv", text.getvalue()), format="text", **PLACE)


def test_coordinates_beside_a_matrix(write):
    frame = pd.DataFrame(FIELD, index=np.arange(9) * 1.2, columns=(np.arange(7) / 3).round(3))
    for options, place in (({}, "row"), ({"header": False}, "column"), ({"index": False}, "row")):
        text = io.StringIO()
        frame.to_csv(text, **options)
        with pytest.raises(InputError, match=f"the first {place}, .* is equally spaced"):
            read_scan(write("map.csv", text.getvalue()), **PLACE)


def test_a_field_that_rises_evenly_is_a_map(write):
    text = "\n".join(" ".join(f"{column + 10 * row}" for column in range(6)) for row in range(5))
    assert read_scan(write("map.txt", text), **PLACE).grid.shape == (5, 6)


@pytest.mark.parametrize("headings", ["", "x,y,Bz\n", '"x (um)","y (um)","Bz (nT)"\n'])
@pytest.mark.parametrize("jitter", [0, 0.01])
def test_a_list_of_points_is_no_map(write, tmp_path, headings, jitter):
    y, x = np.mgrid[:9, :7] + jitter * np.random.default_rng(1).normal(size=(2, 9, 7))
    points = np.column_stack([x.ravel(), y.ravel(), FIELD.ravel()])
    text = io.StringIO()
    np.savetxt(text, points, delimiter=",")
    file = write("map.csv", headings + text.getvalue())
    scattered = jitter and not headings
    message = "63 rows of 3 columns are no map, it" if scattered else "it is a list of points, and a map is a matrix"
    for read in (lambda: read_scan(file, **PLACE), lambda: describe(file)):
        with pytest.raises(InputError, match=f"{message} .*table.pivot"):
            read()
    if not jitter:
        np.save(tmp_path / "map.npy", points)
        with pytest.raises(InputError, match="columns 1 and 2 of 3 are the coordinates of 63 points"):
            read_scan(tmp_path / "map.npy", **PLACE)


@pytest.mark.parametrize(("rows", "columns"), [(400, 3), (101, 4), (10, 3)])
def test_many_rows_of_three_columns_are_no_map(tmp_path, rows, columns):
    values = np.random.default_rng(3).normal(scale=900, size=(rows, columns))
    np.save(tmp_path / "map.npy", values)
    with pytest.raises(InputError, match=f"{rows} rows of {columns} columns are no map.* add columns of nan, up to 5"):
        read_scan(tmp_path / "map.npy", **PLACE)
    filled = np.full((rows, 5), np.nan)
    filled[:, :columns] = values
    np.save(tmp_path / "map.npy", filled)
    assert read_scan(tmp_path / "map.npy", **PLACE).used == values.size
    np.save(tmp_path / "map.npy", values[:9])
    assert read_scan(tmp_path / "map.npy", **PLACE).used == 9 * columns


def test_grains_with_decimal_commas(write):
    text = "0,0;0;-5;1,0;1;1;7;\n2,5;0;-5;1;1;1;3;\n"
    np.testing.assert_allclose(read_grains(write("cuboids.csv", text)).position, [[0, 0, -5], [2.5, 0, -5]])
    with pytest.raises(InputError, match=r"line 1: 0, 1, 2, … up to 6 are numbers of the columns"):
        read_cuboids(write("frame.csv", "0,1,2,3,4,5,6\n2.5,0,-5,1,1,1,3\n"), z="down")
    with pytest.raises(InputError, match="line 2: column 2 is nan"):
        read_cuboids(write("gap.csv", "0,0,-5,1,1,1,7\n9,,-5,1,1,1,3\n"))
    with pytest.raises(InputError, match=r"cuboids 0 \(line 3\) and 1 \(line 5\) of grain 7"):
        read_cuboids(write("twice.txt", "# a\n# b\n0 0 -5 1 1 1 7\n\n0 0 -5 1 1 1 7\n"))


def test_numbers_that_may_be_split_in_several_ways_are_recognized_as_that(write):
    file = write("grains.txt", "0,5 0 -5 1 1 1 7\n2, 0 -5 1 1 1 3\n")
    for read in (read_grains, describe, read_scan):
        with pytest.raises(InputError, match="line 1: cells are separated by blanks here, and by commas elsewhere"):
            read(file)
    letter = write("letter.txt", "Dear colleague,\nthese, at last, are 3 grains\n")
    with pytest.raises(InputError, match="of no known kind"):
        describe(letter)


def test_domain_bounds_without_a_value(write):
    with pytest.raises(InputError, match="line 2: column 1 is nan"):
        read_domainbounds(write("domainbounds.txt", "1\nnan\n2\n3\n"))


@pytest.mark.parametrize(
    "name", ["bias_50uT.npy", "Bz_50_muT.npy", "Bz_nT_was_uT.npy", "Bz_mT_as_nT.npy", "20250514_nT.npy"]
)
def test_units_in_names_that_settle_nothing(tmp_path, name):
    np.save(tmp_path / name, FIELD)
    with pytest.raises(InputError, match="pass unit= .* in the file name does not settle"):
        read_scan(tmp_path / name, spacing=1, height=2)
    assert read_scan(tmp_path / name, unit="nT", spacing=1, height=2).field[0, 0] == FIELD[0, 0]


def test_the_map_of_a_european_spreadsheet(data):
    folder = data.parent / "cases" / "text-decimal-comma"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    scan = read_scan(folder / "b.csv", **PLACE)
    assert scan.grid.shape == (40, 52)
    assert scan.field[1, 2] == -2445.051
