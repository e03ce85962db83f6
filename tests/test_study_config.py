"""The configuration of a study: what it accepts, what it refuses, and what its samples are named and keyed by."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import pytest

from mmtjax.study import Cell, Geometry, StudyConfig, read_config
from mmtjax.study.cell import cell_of_path, geometry_key, grain_count, sensor_count
from mmtjax.study.config import FREE
from mmtjax.study.cost import seconds_left

FOLDER = Path(__file__).resolve().parents[1] / "experiments" / "limits_of_mmt"

SMALL = """
[study]
name = "small"
seed = 3
repeats = 2

[parameters]
side = [200, 100]
thickness = [50]
density = [1e4]
interval = [1, 2, 5]
noise = [20, 5.0]
"""

Write = Callable[..., Path]


def test_the_published_study_is_table_1_of_the_paper() -> None:
    config = read_config(FOLDER / "study.toml")
    assert config.models == 448
    assert len(config.geometries()) == 28 * 15
    assert len(config.cells()) == 28 * 15 * 4
    # 0.29 mm² of both sides × 0.125 mm of both thicknesses × 267,500 of all densities, but for rounding.
    assert sum(map(grain_count, config.geometries())) / 15 == pytest.approx(0.29 * 0.125 * 267_500, abs=10)
    assert grain_count(Geometry(500, 75, 1e5, 0)) == 1875
    assert sensor_count(Cell(200, 50, 1e4, 0, 5)) == 1681


def test_no_cell_of_the_published_study_has_fewer_sensors_than_unknowns() -> None:
    cells = read_config(FOLDER / "study.toml").cells()
    assert min(sensor_count(cell) - 3 * grain_count(cell.geometry) for cell in cells) > 0


def test_the_reduced_study_is_a_part_of_the_published_one() -> None:
    whole, part = read_config(FOLDER / "study.toml"), read_config(FOLDER / "reduced.toml")
    assert set(part.cells()) < set(whole.cells())
    assert set(part.noise) < set(whole.noise)
    for name in ("seed", "level", "height", "directions", "tolerance", "library"):
        assert getattr(part, name) == getattr(whole, name)


def test_values_are_sorted_numbers(write: Write) -> None:
    config = read_config(write("study.toml", SMALL))
    assert config.side == (100.0, 200.0)
    assert config.noise == (5.0, 20.0)
    assert config.level == 0.95


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("repeats", "repeat", r"unknown key 'repeat' in \[study\]; it may have name, seed"),
        ("[parameters]", "[parameter]", "unknown table or key 'parameter'"),
        ("seed = 3", "", "'seed' is missing"),
        ("thickness = [50]", "", "'thickness' is missing"),
        ("seed = 3", "seed = 3.5", "seed must be a whole number, 0 or more; got 3.5"),
        ("seed = 3", "seed = true", "seed must be a whole number"),
        ("repeats = 2", "repeats = 0", "repeats must be a whole number, 1 or more; got 0"),
        ("repeats = 2", "level = 95", "level must be a probability, such as 0.95; got 95"),
        ("repeats = 2", "directions = 'north'", "directions must be 'printed' or 'isotropic'; got 'north'"),
        ("repeats = 2", "library = ''", "library must be 'synthetic', or a file of grains; got ''"),
        ("repeats = 2", "library_z = 'north'", "library_z must be 'up' or 'down', whether z of that file"),
        ("repeats = 2", "library_voxel_spacing = 0", "library_voxel_spacing must be the edge of a voxel of that file"),
        ("repeats = 2", "library_voxel_spacing = 'fine'", "library_voxel_spacing must be the edge of a voxel"),
        ("repeats = 2", "height = -1", "height must be a height in µm"),
        ("repeats = 2", "tolerance = '1e-6'", "tolerance must be a share"),
        ("[1e4]", "1e4", r"density must be a list of different positive numbers \(1/mm³\); got 10000.0"),
        ("[1e4]", "[]", "density must be a list of different positive numbers"),
        ("[1e4]", "[-1e4]", "density must be a list of different positive numbers"),
        ("[1e4]", "[inf]", "density must be a list of different positive numbers"),
        ("[1e4]", "['many']", "density must be a list of different positive numbers"),
        ("[1e4]", "[1]", "puts no grain into 100 × 100 × 50 µm"),
        ("[1, 2, 5]", "[1, 2.5]", "interval of 2.5 µm is no multiple of 1 µm"),
        ("[1, 2, 5]", "[1, 3]", "side of 100 µm is no whole number of sampling intervals of 3 µm"),
        ("[20, 5.0]", "[20, 20]", "noise must be a list of different"),
        ("[study]", "[study", "study.toml: "),
    ],
)
def test_invalid_values_are_refused(write: Write, old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(ValueError, match=message):
        read_config(write("study.toml", SMALL.replace(old, new)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="give the TOML file of a study"):
        read_config(tmp_path / "none.toml")


def test_the_fingerprint_covers_all_but_the_names_and_the_repeats() -> None:
    config = read_config(FOLDER / "reduced.toml")
    changes = {
        "seed": 1,
        "side": (100.0,),
        "thickness": (75.0,),
        "density": (1e4,),
        "interval": (1.0,),
        "noise": (5.0,),
        "level": 0.9,
        "height": 1.0,
        "directions": "isotropic",
        "tolerance": 1e-5,
        "name": "other",
        "repeats": 3,
        "library": "mine.txt",
        "library_z": "up",
        "library_voxel_spacing": 0.5,
    }
    assert set(changes) == {field.name for field in dataclasses.fields(StudyConfig)}
    for name, value in changes.items():
        changed = dataclasses.replace(config, **{name: value})
        assert (changed.fingerprint == config.fingerprint) == (name in FREE), name


def test_repeats_come_one_after_the_other_and_large_samples_first() -> None:
    order = read_config(FOLDER / "study.toml").geometries()
    assert [geometry.repeat for geometry in order] == sorted(geometry.repeat for geometry in order)
    assert order[0] == Geometry(500, 75, 1e5, 0)
    first = [grain_count(geometry) for geometry in order[:28]]
    assert first == sorted(first, reverse=True)
    assert order[27] == Geometry(200, 50, 2.5e3, 0)


def test_keys_belong_to_values() -> None:
    data = jax.random.key_data
    geometry = Geometry(200.0, 50.0, 1e4, 3)
    same = geometry_key(1, Geometry(200, 50, 10_000, 3))
    assert (data(geometry_key(1, geometry)) == data(same)).all()
    others = [geometry_key(2, geometry)]
    others += [geometry_key(1, geometry._replace(**{name: 1})) for name in geometry._fields]
    keys = {tuple(data(key).tolist()) for key in [same, *others]}
    assert len(keys) == len(others) + 1


def test_a_cell_is_read_from_its_name() -> None:
    for cell in [*read_config(FOLDER / "study.toml").cells(), Cell(12.5, 1 / 3, 1e-3, 123, 7.0)]:
        assert cell_of_path(str(cell)) == cell


def test_time_left_follows_what_was_measured() -> None:
    """Cells that cost a constant and a term in grains² × sensors are predicted, also where they are larger."""

    def seconds(cell: Cell) -> float:
        return 0.5 + 3e-9 * grain_count(cell.geometry) ** 2 * sensor_count(cell)

    cells = read_config(FOLDER / "study.toml").cells()
    small = [cell for cell in cells if cell.side == 200 and cell.repeat == 0]
    large = [cell for cell in cells if cell.side == 500 and cell.repeat == 1]
    log = [{"event": "start"}, *({"event": "cell", "cell": str(cell), "seconds": seconds(cell)} for cell in small)]
    expected = sum(map(seconds, large))
    assert seconds_left(large, log) == pytest.approx(expected, rel=1e-6)
    assert seconds_left(large, log, workers=4) == pytest.approx(expected / 4, rel=1e-6)
    assert seconds_left([], log) == 0
    assert seconds_left(large, log[:1]) is None
