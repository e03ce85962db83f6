"""Options in a TOML file: a run is repeated from its own results, to the bit."""

import dataclasses
import typing
from pathlib import Path

import numpy as np
import pytest

import mmtjax.cli as cli
from mmtjax.cli.grain_inputs import GrainInput
from mmtjax.cli.inputs import MapInput, ResultInput, SolveInput, SubdomainInput
from mmtjax.cli.run_config import PATH_OPTIONS, with_options_of, write_run_config
from mmtjax.errors import InputError
from mmtjax.files import read_toml
from mmtjax.io import read_results
from mmtjax.io.demo_sample import write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample [1]")).scan.parent


def test_a_run_repeats_from_its_own_options_to_the_bit(sample: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(sample)
    arguments = (
        "--scan scan.nc --grains cuboids.txt --noise 20 --crop 0 60 -5 59.5 --margin 5 --prior 480e3 --level 0.9"
    )
    assert cli.main(["invert", *arguments.split(), "--no-figures", "--out", str(tmp_path / "first")]) == 0
    monkeypatch.chdir(tmp_path)
    assert cli.main(["invert", "first/invert.toml", "--out", "again"]) == 0
    first, again = read_results(tmp_path / "first"), read_results(tmp_path / "again")
    assert first.table.equals(again.table)
    for name in first.maps.data_vars:
        np.testing.assert_array_equal(first.maps[name], again.maps[name])
    options = [read_toml(tmp_path / run / "invert.toml", kind="options") for run in ("first", "again")]
    assert options[0] | {"out": str(tmp_path / "again")} == options[1]
    # A run without a new place for its results does not replace those it comes from.
    assert cli.main(["invert", "first/invert.toml"]) == 1


def test_options_of_the_command_line_replace_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'scan = "a.nc"\nmin-voxels = 3\ncrop = [0, 1.5, -2, 3]\nno_figures = true\njson = false\nnoise = 20\n'
    )
    words = with_options_of(file, ["invert", str(file), "--noise", "5", "--out=b"])
    assert words == [
        "invert", f"--scan={tmp_path / 'a.nc'}", "--min-voxels=3", "--crop", "0", "1.5", "-2", "3", "--no-figures",
        "--noise", "5", "--out=b",
    ]  # fmt: skip


def test_every_option_of_a_path_is_relative_to_the_file() -> None:
    paths = {
        field.name
        for group in (MapInput, GrainInput, SolveInput, SubdomainInput, ResultInput)
        for field in dataclasses.fields(group)
        if Path in (field.type, *typing.get_args(field.type))
    }
    assert set(PATH_OPTIONS) == paths


def test_values_are_written_as_toml_reads_them(tmp_path: Path) -> None:
    values = {
        "scan": Path('/a \\ [b]"c\x7f\n.nc'),
        "noise": 0.1 + 0.2,
        "unit": "µT",
        "crop": (0.0, 1e-300),
        "json": True,
    }
    write_run_config(tmp_path, values)
    written = read_toml(tmp_path / "invert.toml", kind="options")
    assert written == values | {"scan": str(values["scan"]), "crop": list(values["crop"])}


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("noise = ", 1, "run.toml: Invalid value"),
        ("noise = {a = 1}", 1, "run.toml: noise = {'a': 1} is not the value of an option"),
        ("noize = 20", 2, r"run.toml, too\)"),
        ("noise = 'much'", 2, r"run.toml, too\)"),
    ],
)
def test_mistakes_name_the_file(tmp_path: Path, text: str, code: int, message: str, capsys) -> None:
    (tmp_path / "run.toml").write_text(text)
    assert cli.main(["invert", str(tmp_path / "run.toml"), "--scan", "a", "--grains", "b", "--out", "c"]) == code
    error = capsys.readouterr().err
    assert message.replace("\\", "") in error


def test_a_file_that_is_not_there(capsys) -> None:
    assert cli.main(["invert", "none.toml"]) == 1
    assert "none.toml does not exist; give the TOML file of the options" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"none\.toml"):
        with_options_of(Path("none.toml"), ["invert", "none.toml"])
