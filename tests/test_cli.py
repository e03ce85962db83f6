"""The commands, run in this process: what they write and print, and what they leave when they fail."""

import importlib.metadata
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from mmtjax import cli
from mmtjax.cli.grain_inputs import GrainInput, ShapeInput
from mmtjax.cli.inputs import MapInput
from mmtjax.io import read_results
from mmtjax.io.output import LIST_OF_FILES, output_directory
from mmtjax.selection import LEARNED_FORMULA

FIGURES = {f"{name}.{end}" for name in ("maps", "ratio_ssr", "moment_volume", "stereonet") for end in ("png", "pdf")}
COMPLETE = ["invert", "--scan", "a", "--grains", "b", "--out", "c"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make lines so wide that the expected texts are not wrapped."""
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory that the command demo makes."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    assert cli.main(["demo", "--out", str(folder)]) == 0
    return folder


def options(demo: Path, out: Path, **others: object) -> list[str]:
    """Arguments of invert for the files of the demo, without figures."""
    chosen = {"scan": demo / "scan.nc", "grains": demo / "cuboids.txt", "noise": 20, "out": out} | others
    return ["invert", "--no-figures", *(str(part) for name, value in chosen.items() for part in (f"--{name}", value))]


def test_the_demo_writes_its_sample_and_results_that_read_back(demo: Path) -> None:
    written = {"scan.nc", "cuboids.txt", "truth.csv", "results"}
    assert {file.name for file in demo.iterdir()} == written | {LIST_OF_FILES}
    assert {file.name for file in (demo / "results" / "figures").iterdir()} == FIGURES
    table, maps, record = read_results(demo / "results")
    assert len(table) == 40
    assert table.attrs["units"]["moment"] == "A m²"
    assert set(maps.data_vars) >= {"bz", "forward", "residual", "mask"}
    assert record["options"] == {
        "scan": str(demo / "scan.nc"),
        "bin": 1,
        "grains": str(demo / "cuboids.txt"),
        "allow_overlap": False,
        "noise": 20.0,
        "method": "auto",
        "level": 0.95,
        "green": "auto",
        "tolerance": 1e-8,
        "out": str(demo / "results"),
        "limit": 0.1,
        "overwrite": False,
        "no_figures": False,
        "page": True,
        "verbose": False,
        "json": False,
    }
    assert [Path(entry["path"]).name for entry in record["inputs"]] == ["scan.nc", "cuboids.txt"]
    truth = np.loadtxt(demo / "truth.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(truth[:, 0], table["id"])
    distance = np.linalg.norm(table[["mx", "my", "mz"]].to_numpy() - truth[:, 1:], axis=1)
    assert np.mean(distance <= table["confidence_radius"]) >= 0.85
    expected = table["confidence_radius"] / (46.5e3 * (table["volume"] / (np.pi / 6)) ** -0.355)
    np.testing.assert_allclose(table["expected_uncertainty_ratio"], expected, rtol=1e-4)
    square = np.subtract.outer(*[table["x"].to_numpy()] * 2) ** 2 + np.subtract.outer(*[table["y"].to_numpy()] * 2) ** 2
    power, fall, loss, reach = LEARNED_FORMULA
    crowd = np.exp(-square / (2 * (reach * table["depth"].to_numpy()[:, None]) ** 2)).sum(axis=1)
    strength = table["volume"] ** power / (table["depth"] ** fall * crowd**loss)
    np.testing.assert_allclose(table["crowded_signal_strength"], strength, rtol=1e-3)


def test_the_demo_does_not_replace_an_existing_directory(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(demo.rglob("*"))
    assert cli.main(["demo", "--out", str(demo)]) == 1
    assert "pass --overwrite" in capsys.readouterr().err
    assert sorted(demo.rglob("*")) == before


def test_invert_prints_a_summary(demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*options(demo, tmp_path / "out", limit=0.2), "--verbose"]) == 0
    printed = capsys.readouterr()
    for line in (
        r"verdict +Believe \d+ of 40 grains, to 20 % with a probability of 95 %\.",
        r"map +101 × 101 sensors, side 1 × 1 µm, 2 µm above the surface",
        r"fit +residual [\d.]+ nT rms, noise 20 nT, reduced χ² [01]\.",
        r"grains +40, volumes .* µm³",
        r"sensors in use +10201 of 10201",
        r"method +cholesky, condition number",
        r"ratio within 1, 5, 10, 20, 100 % +\d+, \d+, \d+, \d+, \d+ grains",
        r"SSR above which 99\.9 % are trusted +(none|[\d.e-]+ 1/µm: \d+ grains)",
        r"expected within 20 % before the scan +[\d.]+ grains, by equation 1",
        r"crowded, above which 90 % are trusted +(none|[\d.e-]+: \d+ grains)",
        r"expected, below which 90 % are trusted +(none|[\d.e-]+: \d+ grains)",
        r"computed on +(cpu|gpu), float64",
        r"Results in .*out: grains\.csv, grains\.nc, grains\.parquet, invert\.toml, maps\.nc",
    ):
        assert re.search(line, printed.out), f"{line!r} is not in\n{printed.out}"
    assert "warning" not in printed.err
    assert "normal equations" in printed.err
    written = {"grains.csv", "grains.nc", "grains.parquet", "invert.toml", "maps.nc"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == written | {LIST_OF_FILES}


def test_the_map_may_be_cropped_and_binned_and_grains_left_out(demo: Path, tmp_path: Path) -> None:
    arguments = options(demo, tmp_path / "out", noise="residual", prior="480e3", bin=2, margin=5)
    assert cli.main([*arguments, "--crop", "20", "79", "0", "39.5"]) == 0
    table, maps, _ = read_results(tmp_path / "out")
    assert maps["bz"].shape == (20, 30)
    assert maps["x"].to_numpy()[[0, -1]].tolist() == [20.5, 78.5]
    assert 0 < len(table) < 40
    assert table["x"].between(15.5, 83.5).all()


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (
            ("--background", "plane"),
            r"background +constant .* ± [\d.]+ nT, x .* nT/µm, y .* nT/µm, standard deviations",
        ),
        (("--bound", "2e4"), r"confidence spheres +by bootstrap, for errors are not normal at a bound"),
        (("--green", "sharded"), r"reduced χ² +1\.0"),
    ],
)
def test_parts_of_an_inversion_have_options(
    option: tuple[str, str], line: str, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*options(demo, tmp_path / "out"), *option, "--verbose"]) == 0
    printed = re.sub(r"\s*\n\s+", " ", capsys.readouterr().out)
    assert re.search(line, printed), printed
    table, _, record = read_results(tmp_path / "out")
    name, value = option
    assert record["options"][name.removeprefix("--")] == (float(value) if name == "--bound" else value)
    if name == "--bound":
        assert np.all(table["magnetization"] <= 2e4)
    if name == "--background":
        assert "background: constant" in table.attrs["notes"]


def test_options_as_values_read_their_files(demo: Path) -> None:
    scan = MapInput(scan=demo / "scan.nc", crop=(20, 79, 0, 39.5), bin=2).read()
    assert scan.grid.shape == (20, 30)
    grains = GrainInput(grains=demo / "cuboids.txt", margin=5)
    assert len(grains.read()) == 40
    assert 0 < len(grains.read(scan)) < 40


def test_errors_of_grains_name_the_options_that_the_caller_has(tmp_path: Path) -> None:
    (tmp_path / "voxels.txt").write_text("1 0 0 0\n")
    voxels = GrainInput(grains=tmp_path / "voxels.txt", voxel_origin=(0, 0, 0))
    with pytest.raises(ValueError, match="Pass --voxel-spacing, the edge of a voxel"):
        voxels.read()
    shapes = ShapeInput(grains=tmp_path / "voxels.txt")
    with pytest.raises(ValueError, match="Pass library_voxel_spacing =, the edge of a voxel"):
        shapes.library(option_names={"spacing": "library_voxel_spacing ="})


def test_real_data_warn_of_misfit_and_of_grains_beyond_saturation(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = data / "qdm-tutorial"
    arguments = ["--grains", folder / "cuboids.txt", "--parameters", folder / "scan_params.json", "--noise", 20]
    arguments += ["--scan", folder / "scan_tesla.txt", "--grains-z", "down", "--out", tmp_path / "out"]
    assert cli.main(["invert", *map(str, arguments)]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("cannot explain the residual") == 1
    assert "--noise residual" in printed.err
    assert "62 of 99 grains are magnetized beyond 480 kA/m" in printed.err
    assert "--prior 480e3" in printed.err
    assert "9 pairs of grains overlap" in printed.err
    assert re.search(r"verdict +Believe \d+ of 99 grains, to 10 %", printed.out)
    table, maps, _ = read_results(tmp_path / "out")
    assert (len(table), maps["residual"].shape) == (99, (126, 126))
    assert {file.name for file in (tmp_path / "out" / "figures").iterdir()} == FIGURES


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"noise": -1}, "noise must be positive"),
        ({"prior": 0}, "prior must be a positive standard deviation in A/m"),
        ({"limit": 0}, "--limit must be a positive uncertainty ratio"),
        ({"level": 2}, "level must lie between 0 and 1"),
        ({"tolerance": 1}, r"tolerance must lie in \(0, 0.01\]"),
        ({"bin": 0}, "binning factor must be an integer"),
        ({"margin": -80}, "--margin -80: none of the 40 grains"),
        ({"memory-limit": 0.001}, "allowed by --memory-limit"),
        ({"memory-limit": "nan"}, "--memory-limit must be a positive number of GiB; got nan"),
        ({"memory-limit": 0.001, "subdomains": "work"}, "allowed by --memory-limit; pass --core or --buffer smaller"),
        ({"scan": "nothing.nc"}, "nothing.nc"),
        ({"bound": -1}, r"the bound must be a positive magnetization in A/m, such as 480e3; got -1\.0"),
        ({"bound": 4e5, "subdomains": "work"}, "--bound is not solved by windows; leave out --subdomains or --bound"),
        ({"green": "dense", "subdomains": "work"}, "--green is not used by windows; leave out --subdomains or --green"),
        ({"surface": "zmax"}, r"got --surface zmax\); it has --grains-z, --lengths"),
        ({"unit": "furlong"}, "'furlong' is not a known unit of magnetic field"),
        ({"bounds-frame": "map"}, "--bounds-frame map says how to read bounds"),
    ],
)
def test_invalid_values_are_reported_and_nothing_is_left(
    changed: dict[str, object], message: str, demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(options(demo, tmp_path / "out", **changed)) == 1
    printed = capsys.readouterr().err
    assert re.search(message, printed), printed
    assert "Traceback" not in printed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["invret"], "invret"),
        (["invert", "--scan", "a"], "requires an argument"),
        ([*COMPLETE, "--noise", "ten"], "ten"),
        ([*COMPLETE, "--grains-z", "sideways"], "sideways"),
        ([*COMPLETE, "--crop", "1", "2"], "--crop"),
        ([*COMPLETE, "--nois", "3"], "--nois"),
    ],
)
def test_invalid_arguments_end_with_exit_code_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err + printed.out


def test_an_existing_directory_is_refused_before_anything_is_computed(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    monkeypatch.setattr("mmtjax.cli.inputs.read_scan", lambda *_, **__: pytest.fail("a file was read"))
    assert cli.main(options(demo, tmp_path / "out")) == 1
    assert "pass --overwrite to replace it" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine.txt").read_text() == "precious"


def test_results_are_replaced_on_request_and_inputs_never_are(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with output_directory(tmp_path / "out") as partial:
        (partial / "old.txt").write_text("old")
    assert cli.main([*options(demo, tmp_path / "out"), "--overwrite"]) == 0
    assert not (tmp_path / "out" / "old.txt").exists()
    assert cli.main([*options(demo, demo), "--overwrite"]) == 1
    assert "would delete an input" in capsys.readouterr().err


def test_an_interrupt_leaves_what_was_there(
    demo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mmtjax.plot.save_figures", interrupted)
    arguments = [part for part in options(demo, tmp_path / "out") if part != "--no-figures"]
    assert cli.main(arguments) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_info_describes_files(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, kind in (("cuboids.txt", "cuboids"), ("scan.nc", "maps in NetCDF"), ("results", "results of mmtjax")):
        assert cli.main(["info", str(demo / name)]) == 0
        printed = capsys.readouterr().out
        assert kind in printed
        assert "notes" in printed
    assert cli.main(["info", str(demo / "nothing")]) == 1
    assert "error:" in capsys.readouterr().err


def test_help_states_units_and_conventions_and_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == importlib.metadata.version("mmtjax")
    assert cli.main(["--help"]) == 0
    general = capsys.readouterr().out
    assert all(word in general for word in ("invert", "demo", "info", "z points up", "nT", "A/m"))
    assert cli.main(["invert", "--help"]) == 0
    printed = capsys.readouterr().out
    assert "mmtjax invert --scan scan_tesla.txt" in printed
    # Every option has a line of its own.
    for option in ("--grains-z", "--noise", "--crop", "--surface", "--memory-limit", "--no-figures", "--overwrite"):
        assert re.search(rf"{option}\b.* \w+", printed), option


def test_the_command_computes_in_double_precision() -> None:
    jax.config.update("jax_enable_x64", False)
    try:
        assert cli.main(["--version"]) == 0
        assert jax.config.jax_enable_x64
    finally:
        jax.config.update("jax_enable_x64", True)
