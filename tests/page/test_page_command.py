"""The commands that make pages and files for ParaView, and the selection of grains by a file of ids."""

import numpy as np
import pytest

from mmtjax import cli
from mmtjax.errors import InputError
from mmtjax.inversion.sums import covariance_of_sums
from mmtjax.io import read_results
from mmtjax.io.cuboids import write_cuboids
from mmtjax.io.selected_ids import read_selected_ids
from mmtjax.report.selection import selection_lines
from tests.page.test_page import content_of


@pytest.fixture
def inputs(solved, tmp_path):
    """Options of an inversion of the small sample."""
    solved.scan.to_xarray().to_netcdf(tmp_path / "scan.nc", engine="h5netcdf")
    write_cuboids(tmp_path / "grains.txt", solved.grains)
    options = ["--scan", tmp_path / "scan.nc", "--grains", tmp_path / "grains.txt", "--noise", "20", "--no-figures"]
    return list(map(str, options))


def test_the_command_writes_a_page(results, tmp_path, capsys):
    out = tmp_path / "sample.html"
    assert cli.main(["page", str(results), "--out", str(out)]) == 0
    assert "open it in a browser" in capsys.readouterr().out
    assert content_of(out).facts["name"] == "run"
    assert cli.main(["page", str(results), "--out", str(out)]) == 1
    assert "exists already; pass --overwrite" in capsys.readouterr().err
    assert cli.main(["page", str(results), "--out", str(out), "--overwrite"]) == 0
    assert cli.main(["page", str(results), "--out", str(tmp_path), "--overwrite"]) == 1
    assert "is a directory; give the name of a file" in capsys.readouterr().err
    assert cli.main(["page", str(tmp_path / "none"), "--out", str(tmp_path / "x.html")]) == 1
    assert "no such directory of results" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_the_command_writes_a_file_for_paraview(results, tmp_path, capsys):
    out = tmp_path / "sample.vtu"
    assert cli.main(["export", "vtk", str(results), "--out", str(out)]) == 0
    assert f"hexahedra are in {out}." in capsys.readouterr().out.replace("\n", "")
    assert cli.main(["export", "vtk", str(results), "--out", str(out)]) == 1
    assert "exists already; pass --overwrite" in capsys.readouterr().err


def test_an_inversion_writes_its_page_and_knows_its_selection(inputs, tmp_path, capsys):
    (tmp_path / "ids.csv").write_text("id\n12\n3\n99\n")
    out = tmp_path / "out"
    assert cli.main(["invert", *inputs, "--page", "--select", str(tmp_path / "ids.csv"), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "1 of its 3 ids are not those of grains that are solved for, the first is 99" in printed.err
    assert "2 of 4 grains" in printed.out
    # All grains are solved for.
    assert read_results(out).table.set_index("id")["selected"].to_dict() == {7: False, 3: True, 5: False, 12: True}
    assert content_of(out / "page.html").facts["selected"] == [1, 3]
    assert content_of(out / "page.html").facts["name"] == "out"
    assert str(tmp_path / "ids.csv") in [one["path"] for one in read_results(out).provenance["inputs"]]


def test_results_are_not_lost_with_their_page(inputs, tmp_path, capsys, monkeypatch):
    def fail(file, directory, *, name):
        msg = f"{name} has no page"
        raise InputError(msg)

    monkeypatch.setattr("mmtjax.cli.invert.write_page", fail)
    assert cli.main(["invert", *inputs, "--page", "--out", str(tmp_path / "out")]) == 0
    assert "warning: the page was not written: out has no page" in capsys.readouterr().err
    assert len(read_results(tmp_path / "out").table) == 4


def test_a_selection_of_no_grain_is_refused_before_the_inversion(inputs, tmp_path, capsys):
    (tmp_path / "ids.csv").write_text("98\n99\n")
    assert cli.main(["invert", *inputs, "--select", str(tmp_path / "ids.csv"), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "ids.csv: none of its 2 ids is that of a grain; the first is 98, those of grains are 7, 3, 5" in error
    assert not (tmp_path / "out").exists()


def test_the_sum_of_a_selection_in_text(solved):
    members = np.array([True, False, True, False])
    lines = selection_lines(solved, members, limit=0.1)
    moments = 1e-18 * np.asarray(solved.grains.volume)[:, None] * np.asarray(solved.magnetization)
    total, spread = moments[[0, 2]].sum(axis=0), np.sqrt(np.diag(covariance_of_sums(solved, members[None])[0]))
    assert lines["selected"].startswith("2 of 4 grains, ")
    assert f"{np.linalg.norm(total):.4g} A m²" in lines["sum of their moments"]
    assert f"x {total[0]:.4g} ± {spread[0]:.2g}, y {total[1]:.4g} ± {spread[1]:.2g}" in lines["its components"]
    fields = {name: getattr(solved, name) for name in solved.__dataclass_fields__}
    alone = selection_lines(type(solved)(**fields | {"factor": None}), members, limit=0.1)
    assert "independent" in alone["its components"]
    own = (1e-18 * np.asarray(solved.grains.volume))[:, None, None] ** 2 * np.asarray(solved.covariance)
    assert f"± {np.sqrt(own[[0, 2], 0, 0].sum()):.2g}, y" in alone["its components"]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("id\n7\n3\n7\n", [7, 3]),
        ("7\n3\n", [7, 3]),
        ("ID;x\n7;1,5\n3;2,5\n", [7, 3]),
        ("# mmtjax results\nid,x (µm),trusted\n7,0.5,True\n3,1,False\n", [7, 3]),
        ('"id"\n7\n', [7]),
        ("id\n-1\n", [-1]),
    ],
)
def test_ids_are_read(write, text, ids):
    assert read_selected_ids(write("ids.csv", text)).tolist() == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\n", r"ids\.csv: there are no ids in it; select at least one grain"),
        ("x,y\n1,2\n", r"ids\.csv: there is no column id; the headings are x, y"),
        ("1,2\n3,4\n", r"ids\.csv: there is no column id; the headings are missing"),
        ("id\n7\n1.5\n", r"ids\.csv, line 3: '1\.5' is not the id of a grain; ids are whole numbers"),
        ("id\n7\nseven\n", r"ids\.csv, line 3: 'seven' is not a number"),
        ("id\n7\n=1+1\n", r"ids\.csv, line 3: '=1\+1' is not a number"),
        ("x,id\n1,7\n2\n", r"ids\.csv, line 3: '' is not the id of a grain"),
        ("id\n9007199254740993\n", r"ids\.csv: row 0 has the grain id 9007199254740992\.0"),
    ],
)
def test_ids_that_cannot_be_used_are_refused(write, text, message):
    with pytest.raises(InputError, match=message):
        read_selected_ids(write("ids.csv", text))
