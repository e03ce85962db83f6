"""Made-up samples: magnetizations of the right distribution, maps of the right noise, and files that are read back."""

from pathlib import Path

import jax
import numpy as np
import pytest
import xarray
from scipy import stats

from mmtjax import Grains, SampleSpec, Simulation, cli, simulate
from mmtjax.io import read_cuboids, read_results, read_scan
from mmtjax.io.output import LIST_OF_FILES
from mmtjax.io.tables import read_table
from mmtjax.sources.magnetization import draw_magnetization, magnetization_of_volume
from mmtjax.sources.shape_library import ShapeLibrary
from tests.oracle import exact_coefficients

OPTIONS = {"side": 40, "thickness": 30, "density": 2e5}


@pytest.fixture(scope="module")
def sample() -> Simulation:
    return simulate(jax.random.key(3), noise=20, **OPTIONS)


def test_magnetizations_scatter_about_equation_1() -> None:
    volume = np.repeat([np.pi / 6, np.pi / 6 * 1000], 4000)
    drawn = np.asarray(draw_magnetization(jax.random.key(1), volume))
    decades = np.log10(np.linalg.norm(drawn, axis=1))
    # A sphere of 10 µm: 46.5 kA/m × 1000^-0.355.
    for part, median in ((slice(0, 4000), 46.5e3), (slice(4000, None), 46.5e3 * 1000**-0.355)):
        assert stats.kstest(decades[part], "norm", args=(np.log10(median), 0.5)).pvalue > 1e-3
    assert magnetization_of_volume(np.pi / 6) == pytest.approx(46.5e3)
    for quantile in (0.025, 0.8):
        below = np.mean(10 ** decades[:4000] < magnetization_of_volume(np.pi / 6, quantile))
        assert below == pytest.approx(quantile, abs=0.025)


@pytest.mark.parametrize("directions", ["printed", "isotropic"])
def test_directions_are_as_printed_or_isotropic(directions: str) -> None:
    drawn = np.asarray(draw_magnetization(jax.random.key(2), np.ones(4000), directions=directions))
    unit = drawn / np.linalg.norm(drawn, axis=1)[:, None]
    azimuth = np.arctan2(unit[:, 1], unit[:, 0]) % (2 * np.pi)
    assert stats.kstest(azimuth, "uniform", args=(0, 2 * np.pi)).pvalue > 1e-3
    polar, height = np.arccos(unit[:, 2]) / np.pi, (unit[:, 2] + 1) / 2
    even, uneven = (polar, height) if directions == "printed" else (height, polar)
    assert stats.kstest(even, "uniform").pvalue > 1e-3
    assert stats.kstest(uneven, "uniform").pvalue < 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_magnetization(jax.random.key(0), [1.0, -1.0]), "positive, in µm³"),
        (lambda: draw_magnetization(jax.random.key(0), [1.0], directions="up"), "'printed' or 'isotropic'; got 'up'"),
        (lambda: magnetization_of_volume(1.0, 1.0), "quantile must be a share"),
        (lambda: simulate(jax.random.key(0), side=40.5), "side must be a whole number of µm"),
        (lambda: simulate(jax.random.key(0), spacing=1.5), "spacing must be a whole number of µm up to 200"),
        (lambda: simulate(jax.random.key(0), noise=-1), "noise must be a standard deviation in nT"),
        (lambda: simulate(jax.random.key(0), thickness=8), "clearance must be from 0 to less than the thickness"),
        (lambda: SampleSpec(side=-5), r"side and thickness must be positive, in µm; got \[-5.0, -5.0\] and 50.0"),
        (lambda: SampleSpec(density=0.1), "density of 0.1 grains per mm³ puts no grain into 200 × 200 × 50 µm"),
        (lambda: SampleSpec(clearance=50), "less than the thickness of 50 µm: .*; got 50"),
        (lambda: SampleSpec(height=-1), "height must be a height in µm, 0 or more; got -1"),
        (lambda: SampleSpec(directions="up"), "'printed' or 'isotropic'; got 'up'"),
    ],
)
def test_invalid_values_are_refused(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_sample_is_described_by_a_value_or_its_fields(sample: Simulation) -> None:
    spec = SampleSpec(**OPTIONS)
    assert len(sample.grains) == spec.grain_count
    described = simulate(jax.random.key(3), spec, noise=20)
    np.testing.assert_array_equal(described.scan.field, sample.scan.field)
    with pytest.raises(TypeError, match="give either SampleSpec or its fields, not both; got side too"):
        simulate(jax.random.key(3), spec, side=50)


def test_sensors_reach_from_edge_to_edge(sample: Simulation) -> None:
    assert sample.scan.field.shape == sample.field.shape == (41, 41)
    assert sample.grid.x.tolist() == sample.grid.y.tolist() == list(range(41))
    assert float(sample.scan.grid.height) == 0
    assert len(sample.grains) == 10


def test_the_field_is_that_of_the_grains() -> None:
    """Against 50-digit arithmetic at two sensors of 1 µm, in a plane above the surface."""
    brick = Grains.from_cuboids([[0, 0, -5, 1.5, 1.0, 0.5, 1]])
    sample = simulate(jax.random.key(5), library=ShapeLibrary.from_grains(brick), height=2.0, **OPTIONS)
    for row, column in ((0, 40), (17, 31)):
        expected = 0.0
        for place, magnetization in zip(np.asarray(sample.grains.position), sample.magnetization, strict=True):
            box = np.array([[*place, 1.5, 1.0, 0.5]])
            expected += float(exact_coefficients(box, (column, row, 2.0), 1.0) @ magnetization)
        assert float(sample.field[row, column]) == pytest.approx(expected, rel=1e-4)


def test_noise_is_drawn_on_the_finest_grid_and_sampled_afterwards(sample: Simulation) -> None:
    fine = sample.sample(spacing=1, noise=20)
    np.testing.assert_array_equal(fine.field, sample.scan.field)
    noise = (np.asarray(fine.field) - sample.field) / 20
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    for spacing in (2, 4, 5):
        coarse = sample.sample(spacing=spacing, noise=20)
        np.testing.assert_array_equal(coarse.field, np.asarray(fine.field)[::spacing, ::spacing])
        np.testing.assert_array_equal(coarse.grid.side, [1, 1])
        np.testing.assert_array_equal(coarse.grid.x, np.arange(0, 41, spacing))
        assert float(coarse.noise) == 20
    louder = (np.asarray(sample.sample(noise=100).field) - sample.field) / 100
    assert abs(np.corrcoef(louder.ravel(), noise.ravel())[0, 1]) < 0.1
    other = np.asarray(sample.sample(noise=20, key=jax.random.key(99)).field)
    assert not np.array_equal(other, np.asarray(fine.field))
    silent = sample.sample(noise=0)
    np.testing.assert_array_equal(silent.field, sample.field)
    assert silent.noise is None


def test_a_sample_does_not_depend_on_the_map_that_is_asked_for(sample: Simulation) -> None:
    again = simulate(jax.random.key(3), noise=5, spacing=4, **OPTIONS)
    np.testing.assert_array_equal(again.grains.position, sample.grains.position)
    np.testing.assert_array_equal(again.magnetization, sample.magnetization)
    np.testing.assert_array_equal(again.field, sample.field)
    np.testing.assert_array_equal(again.sample(noise=20).field, sample.scan.field)


def test_the_command_writes_files_that_invert_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sample"
    requested = [
        "--side",
        "40",
        "--thickness",
        "30",
        "--density",
        "2e5",
        "--seed",
        "3",
        "--noise",
        "20",
        "--spacing",
        "2",
    ]
    assert cli.main(["simulate", "--out", str(out), *requested]) == 0
    assert "10 grains under a map of 21 × 21 sensors" in capsys.readouterr().out
    written = {"map.nc", "grains.txt", "truth.csv", "provenance.json"}
    assert {file.name for file in out.iterdir()} == written | {LIST_OF_FILES}
    expected = simulate(jax.random.key(3), noise=20, spacing=2, **OPTIONS)
    scan, grains, truth = read_scan(out / "map.nc"), read_cuboids(out / "grains.txt"), read_table(out / "truth.csv")
    np.testing.assert_array_equal(scan.field, expected.scan.field)
    np.testing.assert_array_equal(scan.grid.side, [1, 1])
    np.testing.assert_array_equal(np.unique(scan.noise), [20])
    assert xarray.load_dataset(out / "map.nc")["bz"].attrs["units"] == "nT"
    np.testing.assert_allclose(grains.position, expected.grains.position, atol=2e-9)
    np.testing.assert_allclose(grains.volume, expected.grains.volume, rtol=1e-8)
    np.testing.assert_allclose(truth[["mx", "my", "mz"]], expected.magnetization, rtol=1e-5)
    assert truth.attrs["units"]["mx"] == "A/m"
    files = ["--scan", str(out / "map.nc"), "--grains", str(out / "grains.txt")]
    assert cli.main(["invert", *files, "--out", str(tmp_path / "results"), "--no-figures"]) == 0
    table = read_results(tmp_path / "results").table
    distance = np.linalg.norm(table[["mx", "my", "mz"]].to_numpy() - truth[["mx", "my", "mz"]].to_numpy(), axis=1)
    assert np.sum(distance <= table["confidence_radius"]) >= 8
    assert "cannot explain" not in capsys.readouterr().err


def test_the_command_takes_shapes_of_the_user_and_refuses_invalid_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("0 0 -9 1 1 1 4\n2 0 -9 1 0.5 1 4\n")
    requested = ["--side", "12", "--thickness", "12", "--grains", str(tmp_path / "mine.txt")]
    assert cli.main(["simulate", "--out", str(tmp_path / "out"), "--density", "2e6", *requested]) == 0
    np.testing.assert_allclose(read_cuboids(tmp_path / "out" / "grains.txt").volume, np.full(3, 12.0))
    stack = np.zeros((4, 4, 4), np.int32)
    stack[1, 1:3, 1:4] = 1
    np.save(tmp_path / "mine.npy", stack)
    voxels = ["--grains", str(tmp_path / "mine.npy"), "--voxel-spacing", "0.75", "--grains-z", "up", *requested[:4]]
    assert cli.main(["simulate", "--out", str(tmp_path / "voxels"), "--density", "2e6", *voxels]) == 0
    np.testing.assert_allclose(read_cuboids(tmp_path / "voxels" / "grains.txt").volume, np.full(3, 6 * 0.75**3))
    capsys.readouterr()
    assert cli.main(["simulate", "--out", str(tmp_path / "full"), "--density", "8e7", *requested]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert not (tmp_path / "full").exists()
