"""A study whose grains have the shapes of a user's own file."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from mmtjax import Grains, cli
from mmtjax.sources.shape_library import ShapeLibrary
from mmtjax.study import StudyConfig, ThresholdCase, open_study, run_study
from mmtjax.study.example import example_of
from mmtjax.study.geometry import sample_of
from mmtjax.study.store import write_cell, writing
from mmtjax.study.stored_shapes import shapes_fingerprint
from tests.study_process import SMALL, files_of, made_up

#: A plate of 1 × 2 × 6 µm, and an L of three cubes of 1 µm: rows of centre, half edges and number of the grain.
PLATE = [[4.0, 4.0, -4.0, 0.5, 1.0, 3.0, 8]]
CORNER = [[x, y, -4.5, 0.5, 0.5, 0.5, 9] for x, y in ((20.0, 4.0), (21.0, 4.0), (20.0, 5.0))]
MINE = dataclasses.replace(SMALL, repeats=2, library="shapes/mine.txt")

CONFIGURATION = """
[study]
name = "mine"
seed = 7
repeats = 2
library = "shapes/mine.txt"

[parameters]
side = [40]
thickness = [30]
density = [1.25e5]
interval = [1, 2]
noise = [5, 20]
"""


def mine() -> ShapeLibrary:
    return ShapeLibrary.from_grains(Grains.from_cuboids(PLATE + CORNER))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with the configuration of a study, and its shapes below."""
    (tmp_path / "shapes").mkdir()
    np.savetxt(tmp_path / "shapes" / "mine.txt", PLATE + CORNER)
    (tmp_path / "study.toml").write_text(CONFIGURATION)
    return tmp_path


def run(folder: Path, **options: object) -> int:
    requested = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return cli.main(["study", "run", str(folder / "study.toml"), "--out", str(folder / "store.zarr"), *requested])


def test_grains_have_the_shapes_of_the_file_that_the_configuration_names(folder: Path) -> None:
    assert run(folder, workers=0) == 0
    study = open_study(folder / "store.zarr")
    records = study.records(interval=1, noise=5)
    assert len(records) == 12
    # The volumes by hand; both shapes are drawn.
    np.testing.assert_allclose(np.unique(records["volume"].round(9)), [3.0, 12.0])
    # The same in Python, and of the key of the sample alone.
    run_study(MINE, folder / "python.zarr", library=mine(), workers=0)
    assert files_of(folder / "python.zarr") == files_of(folder / "store.zarr")
    geometry = MINE.geometries()[1]
    sample = sample_of(MINE, geometry, library=mine())
    np.testing.assert_array_equal(records[records["repeat"] == 1][["x", "y", "z"]], sample.grains.position)
    # What the run was made of is on record.
    attributes = json.loads((folder / "store.zarr" / "zarr.json").read_text())["attributes"]
    assert {Path(read["path"]).name for read in attributes["provenance"]["inputs"]} == {"study.toml", "mine.txt"}


def test_a_store_keeps_its_shapes_for_figures(folder: Path) -> None:
    with writing(folder / "store.zarr", MINE, library=mine()):
        pass
    kept = open_study(folder / "store.zarr").library()
    for field in dataclasses.fields(ShapeLibrary):
        values, expected = getattr(kept, field.name), getattr(mine(), field.name)
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)
    example = example_of(MINE, library=kept)
    np.testing.assert_allclose(np.unique(np.round(example.solution.grains.volume, 9)), [3.0, 12.0])
    with writing(folder / "plain.zarr", SMALL):
        pass
    assert open_study(folder / "plain.zarr").library() is None


def test_shapes_decide_not_where_their_file_lies(folder: Path) -> None:
    store = folder / "store.zarr"
    with writing(store, MINE, library=mine()):
        write_cell(store, MINE.cells()[0], made_up(MINE.cells()[0]))
    moved = dataclasses.replace(MINE, library="elsewhere.txt", library_z="up", library_voxel_spacing=0.5)
    with writing(store, moved, library=mine()):
        pass
    assert open_study(store).config.library == "elsewhere.txt"
    other_order = ShapeLibrary.from_grains(Grains.from_cuboids(CORNER + PLATE))
    wider = ShapeLibrary.from_grains(Grains.from_cuboids([*PLATE, *CORNER, [9, 20, -9, 1, 1, 1, 10]]))
    for library in (other_order, wider):
        with (
            pytest.raises(ValueError, match="samples of other grains than this study: .* 'elsewhere.txt', this one is"),
            writing(store, MINE, library=library),
        ):
            pass
    with pytest.raises(ValueError, match="samples of other grains .* this one is 'synthetic'"):
        run_study(SMALL, store, workers=0)
    # Stores of before a study could have shapes of its own have synthetic ones.
    root = folder / "old.zarr" / "zarr.json"
    with writing(root.parent, SMALL):
        pass
    content = json.loads(root.read_text())
    del content["attributes"]["shapes"]
    for name in ("library_z", "library_voxel_spacing"):
        del content["attributes"]["config"][name]
    content["attributes"]["fingerprint"] = "of before"
    root.write_text(json.dumps(content))
    with writing(root.parent, SMALL):
        pass
    with pytest.raises(ValueError, match="samples of other grains"), writing(root.parent, MINE, library=mine()):
        pass


def test_shapes_that_a_killed_run_left_half_written_are_written_again(folder: Path) -> None:
    store = folder / "store.zarr"
    with writing(store, MINE, library=mine()):
        pass
    half = store / ".shapes.partial-1"
    shutil.move(store / "shapes", half)
    with writing(store, MINE, library=mine()):
        pass
    assert not half.exists()
    assert shapes_fingerprint(open_study(store).library()) == shapes_fingerprint(mine())


def test_a_configuration_goes_with_its_shapes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="draws its grains from 'shapes/mine.txt', but no shapes were passed"):
        run_study(MINE, tmp_path / "store.zarr", workers=0)
    with pytest.raises(ValueError, match="shapes were passed, but the study has library = 'synthetic'"):
        run_study(SMALL, tmp_path / "store.zarr", library=mine(), workers=0)
    assert not (tmp_path / "store.zarr").exists()


def test_the_command_tells_what_is_wrong_with_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(folder / "stack.npy", np.pad(np.ones((2, 2, 2), np.int32), 1))
    (folder / "study.toml").write_text(CONFIGURATION.replace("shapes/mine.txt", "stack.npy"))
    assert run(folder, workers=0) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "does not hold its scale. Pass library_voxel_spacing =, the edge of a voxel in µm" in error
    (folder / "study.toml").write_text(CONFIGURATION.replace("shapes/mine.txt", "none.txt"))
    assert run(folder, workers=0) == 1
    assert "none.txt" in capsys.readouterr().err
    assert not (folder / "store.zarr").exists()


@pytest.mark.parametrize("given", ["none", "the same", "others"])
def test_a_threshold_is_of_the_grains_of_the_study(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    """A study answers for its own shapes only; what it does not cover is run with them."""
    drawn: list[str] = []

    def refuse(key: jax.Array, case: ThresholdCase, **_: object) -> None:
        drawn.append(shapes_fingerprint(case.sample.library))
        raise ValueError("enough")

    monkeypatch.setattr("mmtjax.cli.threshold.find_threshold", refuse)
    with writing(folder / "store.zarr", MINE, library=mine()):
        pass
    np.savetxt(folder / "others.txt", PLATE)
    case = {"side": 40, "thickness": 30, "density": 1.25e5, "interval": 1, "noise": 5, "study": folder / "store.zarr"}
    if given != "none":
        case["grains"] = folder / ("shapes/mine.txt" if given == "the same" else "others.txt")
    assert cli.main(["threshold", *(str(part) for name, value in case.items() for part in (f"--{name}", value))]) == 1
    error = capsys.readouterr().err
    others = ShapeLibrary.from_grains(Grains.from_cuboids(PLATE))
    assert drawn == [shapes_fingerprint(others if given == "others" else mine())]
    reason = "grains of other shapes than its own" if given == "others" else "has 0 complete repeats"
    assert reason in " ".join(error.split())


@pytest.mark.slow
def test_workers_draw_the_same_shapes(folder: Path) -> None:
    run_study(MINE, folder / "here.zarr", library=mine(), workers=0)
    assert run(folder, workers=2) == 0
    assert files_of(folder / "store.zarr") == files_of(folder / "here.zarr")
    assert StudyConfig.from_dict(json.loads((folder / "store.zarr" / "zarr.json").read_text())["attributes"]["config"])
