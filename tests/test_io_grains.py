"""Reading grains: every format, what each refuses, and the peculiarities of real files."""

import json

import numpy as np
import pytest
import tifffile

from mmtjax import Grains
from mmtjax.io import (
    describe,
    read_cuboids,
    read_domainbounds,
    read_dragonfly,
    read_grains,
    sensor_grid_from_metadict,
)

CUBOIDS = "0 0 5 1 1 1 7\n2 0 5 1 1 1 7\n9 9 8 1 2 1 3\n"
HEADINGS = (
    "Time Step;Label Index;Name (NA);Voxel count;Volume (mm³);"
    "Center Of Mass X (mm);Center Of Mass Y (mm);Center Of Mass Z (mm)"
)
ROWS = "0;4;;12.0;8e-9;0.010;0.020;0.110\n0;9;;2.0;1e-9;0.030;0.040;0.140\n"


def test_cuboids_with_z_down(write):
    grains = read_grains(write("cuboids.txt", CUBOIDS), z="down")
    assert grains.ids.tolist() == [7, 3]
    np.testing.assert_allclose(grains.position, [[1, 0, -5], [9, 9, -8]])
    np.testing.assert_allclose(grains.volume, [16, 16])


def test_cuboids_above_the_surface_need_z(write):
    file = write("cuboids.txt", CUBOIDS)
    with pytest.raises(ValueError, match=r"3 of 3 values of z are positive .* Pass z='down' if z is a depth, z='up'"):
        read_grains(file)
    assert read_cuboids(file, z="up").position[0, 2] == 5
    below = read_grains(write("below.txt", CUBOIDS.replace(" 5 ", " -5 ").replace(" 8 ", " -8 ")))
    assert below.position[:, 2].tolist() == [-5, -8]
    with pytest.raises(ValueError, match="z='deep' is not known; use 'up' or 'down'"):
        read_grains(file, z="deep")


def test_full_lengths_in_place_of_half_lengths(write):
    file = write("edges.txt", CUBOIDS.replace("1 1 1 7", "2 2 2 7"))
    with pytest.raises(ValueError, match=r"overlap.*pass lengths='full'"):
        read_grains(file, z="down")
    assert read_grains(file, z="down", lengths="full").volume[0] == pytest.approx(16)
    with pytest.raises(ValueError, match="lengths='whole' is not known"):
        read_grains(file, z="down", lengths="whole")


def test_overlap_that_halving_does_not_mend_has_no_hint(write):
    twice = write("twice.txt", "0 0 -5 1 1 1 7\n0 0 -5 1 1 1 7\n")
    with pytest.raises(ValueError, match="overlap") as caught:
        read_grains(twice)
    assert "lengths" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 -5 1 1 1 7\n2 0 -5 1 1\n", "line 2: 5 columns where 7 are expected.*cut short"),
        ("0 0 -5 1 1 1 7.5\n", "line 1: the grain id must be a whole number; got 7.5"),
        ("# made by hand\n\n0 0 -5 1 -1 1 7\n", r"line 3: lengths \[1.0, -1.0, 1.0\]; all three must be positive"),
        ("0 0 -5 1 1 1 7\n0 0 x 1 1 1 7\n", "line 2: 'x' is not a number"),
        ("0 0 -5 1 1 nan 7\n", "line 1: column 6 is nan"),
        ("0 0 -5 1 1 1\n", "line 1: 6 columns where 7"),
        ("0 0 -5e-6 1e-6 1e-6 1e-6 7\n", "2e-06 µm across.*lengths were read in um, pass .* as unit="),
        ("x y z dx dy dz id\n", "holds no numbers"),
        ("", "is empty"),
        (" \n \n", "holds only white space"),
    ],
)
def test_damaged_cuboids(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_cuboids(write("cuboids.txt", text))


def test_cuboids_in_metres_with_headings_and_commas(write):
    file = write("cuboids.csv", "x,y,z,dx,dy,dz,id\n0,0,-5e-6,1e-6,1e-6,1e-6,7\n")
    np.testing.assert_allclose(read_grains(file, unit="m").volume, 8)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_grains(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="is a directory"):
        read_cuboids(tmp_path)
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(ValueError, match="not a text file"):
        read_grains(tmp_path / "picture.txt")


def test_a_file_of_no_kind_known(write):
    with pytest.raises(ValueError, match="looks like no known format, not like grains.*format=, one of 'cuboids', "):
        read_grains(write("six.txt", "0 0 -5 1 1 1\n0 0 -9 1 1 1\n"))
    with pytest.raises(ValueError, match="looks like no known format"):
        read_grains(write("letter.txt", "Dear colleague,\nhere are the grains\n"))
    with pytest.raises(ValueError, match="format='obj' is not known for grains; use one of 'cuboids'"):
        read_grains(write("a.txt", CUBOIDS), format="obj")
    with pytest.raises(ValueError, match="format 'cuboids' has no option surface.*it has z, lengths, unit"):
        read_grains(write("b.txt", CUBOIDS), surface="zmax")


def test_positions_that_may_be_moments(write):
    file = write("five.txt", "1e-9 2e-9 -1e-9 1e-24 4\n")
    with pytest.raises(ValueError, match="may be 'positions' or 'moments'; if it holds grains, pass format="):
        read_grains(file)
    assert describe(file)["also"] == "moments or text"
    assert len(read_grains(file, format="positions")) == 1


def test_voxels(write):
    file = write("voxels.txt", "  ind x y z\n 2 0 0 0\n 2 1 0 0\n 1 5 5 1\n")
    grains = read_grains(file, spacing=0.5, origin=(10, 20, -8))
    assert grains.ids.tolist() == [2, 1]
    np.testing.assert_allclose(grains.position, [[10.25, 20, -8], [12.5, 22.5, -7.5]])
    np.testing.assert_allclose(grains.volume, [0.25, 0.125])
    deeper = read_grains(file, spacing=0.5, origin=(10, 20, -8), z="down")
    np.testing.assert_allclose(deeper.position[:, 2], [-8, -8.5])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("2 0 0 0\n", {"spacing": 1}, r"Pass spacing=, .* and origin=\(x, y, z\).*got spacing=1, origin=None"),
        ("2 0 0 0\n", {"spacing": 1, "origin": (0, 0)}, "origin"),
        ("2 0 0 0\n", {"spacing": 4e-7, "origin": (0, 0, -5)}, "spacing of 4e-07 µm"),
        ("2 0 0 1\n", {"spacing": 1, "origin": (0, 0, 0)}, "Pass z='down'"),
        ("2 0 0 0\n2 0 0 0\n", {"spacing": 1, "origin": (0, 0, -5)}, r"the voxel \[0, 0, 0\] is listed 2 times"),
        ("2 0 0 0\n2 0 0.5 0\n", {"spacing": 1, "origin": (0, 0, -5)}, "line 2: the coordinate y must be a whole"),
        ("2 0 0 0\n2 0 0\n", {"spacing": 1, "origin": (0, 0, -5)}, "line 2: 3 columns where 4"),
    ],
)
def test_refused_voxels(write, text, options, message):
    with pytest.raises(ValueError, match=message):
        read_grains(write("voxels.txt", text), format="voxels", **options)


@pytest.fixture
def labels():
    stack = np.zeros((3, 4, 5), np.uint16)
    stack[0, 1, 1:3] = 6
    stack[1:, 2, 4] = 2
    return stack


@pytest.mark.parametrize("name", ["stack.npy", "stack.tif", "stack.TIFF"])
def test_stack(tmp_path, labels, name):
    _save_stack(tmp_path / name, labels)
    grains = read_grains(tmp_path / name, spacing=(1, 2, 3), origin=(0, 0, -20))
    same = Grains.from_voxels(labels, spacing=(1, 2, 3), origin=(0, 0, -20))
    np.testing.assert_array_equal(grains.corners, same.corners)
    assert grains.ids.tolist() == [6, 2]


def test_stack_with_deeper_slices_later(tmp_path, labels):
    file = tmp_path / "stack.npy"
    np.save(file, labels)
    with pytest.raises(ValueError, match="Pass z='down'"):
        read_grains(file, spacing=1, origin=(0, 0, 0))
    grains = read_grains(file, spacing=1, origin=(0, 0, -1), z="down")
    turned = Grains.from_voxels(labels[::-1], spacing=1, origin=(0, 0, -3))
    assert grains.ids.tolist() == [6, 2]
    for mine, other in zip([0, 1], [1, 0], strict=True):
        np.testing.assert_allclose(grains.position[mine], turned.position[other])
        assert _corners_of(grains, mine) == _corners_of(turned, other)


def _corners_of(grains, grain):
    chosen = grains.corner_grain == grain
    return sorted(zip(grains.corners[chosen].round(9).tolist(), grains.corner_weight[chosen].tolist(), strict=True))


def test_refused_stacks(tmp_path, labels):
    place = {"spacing": 1, "origin": (0, 0, -9)}
    np.save(tmp_path / "floats.npy", labels * 1.0)
    with pytest.raises(ValueError, match="of whole numbers; got shape"):
        read_grains(tmp_path / "floats.npy", format="stack", **place)
    np.save(tmp_path / "empty.npy", labels * 0)
    with pytest.raises(ValueError, match="holds no grain"):
        read_grains(tmp_path / "empty.npy", **place)
    for name in ("cut.npy", "cut.tif"):
        file = tmp_path / name
        _save_stack(file, np.tile(labels, (1, 20, 20)))
        file.write_bytes(file.read_bytes()[:-900])
        with pytest.raises(ValueError, match="cut short"):
            read_grains(file, **place)


def _save_stack(file, labels):
    if file.suffix == ".npy":
        np.save(file, labels)
    else:
        tifffile.imwrite(file, labels, photometric="minisblack")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "latin-1"])
@pytest.mark.parametrize("heading", ["Voxel count", "Voxel count (NA)"])
@pytest.mark.parametrize("unit", ["mm³", "mmÂ³"])
def test_dragonfly_headings(write, encoding, heading, unit):
    text = HEADINGS.replace("Voxel count", heading).replace("mm³", unit) + "\n" + ROWS
    grains = read_grains(write("grain_loc.csv", text, encoding), surface="zmax")
    assert grains.ids.tolist() == [4, 9]
    np.testing.assert_allclose(grains.position, [[10, 20, -30], [30, 40, 0]], atol=1e-9)
    np.testing.assert_allclose(grains.volume, [8, 1])


def test_dragonfly_with_trailing_empty_columns(write):
    text = HEADINGS + ";\n" + ROWS.replace("\n", ";\n")
    assert len(read_dragonfly(write("grain_loc.csv", text), surface="zmax")) == 2


@pytest.mark.parametrize(
    ("surface", "depths"), [("zmax", [-30, 0]), ("zmin", [0, -30]), (150.0, [-40, -10]), (100, [-10, -40])]
)
def test_dragonfly_surface(write, surface, depths):
    grains = read_grains(write("grain_loc.csv", HEADINGS + "\n" + ROWS), surface=surface)
    np.testing.assert_allclose(grains.position[:, 2], depths, atol=1e-9)


def test_dragonfly_selection(write):
    file = write("grain_loc.csv", HEADINGS + "\n" + ROWS)
    kept = read_grains(file, surface="zmax", min_voxels=10, x=(0, 20), y=(0, 30), origin=(5, 6))
    np.testing.assert_allclose(kept.position, [[5, 14, -30]], atol=1e-9)
    with pytest.raises(ValueError, match="none of the 2 grains has min_voxels=100"):
        read_grains(file, surface="zmax", min_voxels=100)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (ROWS, {}, "neither where z points .* got surface=None. Pass surface='zmax' .* surface='zmin'"),
        (ROWS, {"surface": 120}, "both sides of surface=120 µm"),
        (ROWS, {"surface": "top"}, "got surface='top'"),
        (ROWS[:-12], {"surface": "zmax"}, "line 3: 7 cells where the headings have 8; is the file cut short"),
        (ROWS.replace("0.040", "0,040"), {"surface": "zmax"}, r"line 3: Center Of Mass Y \(mm\) is '0,040'"),
        ("", {"surface": "zmax"}, "headings and no grains"),
        (ROWS.replace("8e-9", "8e9"), {"surface": "zmax"}, r"its heading says 'Volume \(mm³\)'"),
    ],
)
def test_refused_dragonfly(write, text, options, message):
    with pytest.raises(ValueError, match=message):
        read_grains(write("grain_loc.csv", HEADINGS + "\n" + text), **options)


def test_dragonfly_without_volume(write):
    with pytest.raises(ValueError, match="no column 'Volume"):
        read_grains(write("grain_loc.csv", HEADINGS.replace("Volume (mm³)", "Name") + "\n" + ROWS), surface="zmax")


def test_positions(write):
    grains = read_grains(write("position_grains.txt", "1e-5 2e-5 -3e-6 8e-18 4\n2e-5 2e-5 -3e-6 1e-18 2\n"))
    assert grains.ids.tolist() == [4, 2]
    np.testing.assert_allclose(grains.position[0], [10, 20, -3])
    np.testing.assert_allclose(grains.volume, [8, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e-5 2e-5 3e-6 8e-18 4\n", "Pass z='down'"),
        ("1e-5 2e-5 -3e-6 -8e-18 4\n", "line 1: the volume is -8e-18"),
        ("1e-5 2e-5 -3e-6 8e-18 4\n1e-5 2e-5 -9e-6 8e-18 4\n", "the same grain twice"),
        ("10 20 -3 8 4\n", "lengths were read in m, pass the unit of the file"),
        ("1e-5 2e-5 -3e-6 8e-18 4\n1e-5 2e-5 -9e-6\n", "line 2: 3 columns where 5"),
    ],
)
def test_refused_positions(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_grains(write("position_grains.txt", text), format="positions")


@pytest.mark.filterwarnings("ignore:9 pairs of grains overlap")
def test_cuboids_of_the_tutorial(data):
    file = data / "qdm-tutorial" / "cuboids.txt"
    with pytest.raises(ValueError, match="1244 of 1244 values of z are positive"):
        read_grains(file)
    grains = read_grains(file, z="down")
    assert len(grains) == 99
    assert -64 < grains.position[:, 2].min() < grains.position[:, 2].max() < -5
    assert "99 grains of 1244 cuboids" in describe(file)["contents"]


def test_dragonfly_table_gives_the_positions_of_the_protocol(data):
    folder = data / "basalt-af" / "NRM"
    bounds = read_domainbounds(folder / "domainbounds.txt")
    x, y = bounds.origin(1.2)
    grains = read_grains(
        folder / "grain_loc.csv",
        surface="zmax",
        min_voxels=10,
        x=(x, x + bounds.x_pixels * 1.2),
        y=(y, y + bounds.y_pixels * 1.2),
        origin=(x, y),
    )
    published = read_grains(folder / "position_grains.txt")
    assert len(grains) == 4347
    np.testing.assert_array_equal(grains.ids, published.ids)
    np.testing.assert_allclose(grains.position, published.position, atol=1e-9)
    np.testing.assert_allclose(grains.volume, published.volume, rtol=1e-12)
    assert sensor_grid_from_metadict(folder / "MetaDict_dipoles.json", grains=published).shape == (951, 771)


def test_both_dragonfly_exports(data):
    folder = data / "basalt-af"
    full = read_grains(folder / "all_grains.csv", surface="zmax", min_voxels=10)
    assert len(full) == len(read_grains(folder / "NRM" / "grain_loc.csv", surface="zmax", min_voxels=10)) == 4910
    with pytest.raises(ValueError, match="Pass surface="):
        read_grains(folder / "all_grains.csv")


def test_voxels_of_the_real_grain(data):
    grains = read_grains(data / "voxel-grain" / "grain_voxel_data.txt", spacing=0.7, origin=(0, 0, -9))
    assert grains.volume == pytest.approx([20 * 0.7**3])


@pytest.mark.parametrize("name", ["grain_loc.csv", "position_grains.txt", "stable_moments.txt", "domainbounds.txt"])
def test_descriptions_of_the_basalt(data, name):
    described = describe(data / "basalt-af" / "NRM" / name)
    assert {"file", "kind", "contents", "notes", "reading"} <= set(described)
    json.dumps(described)


def test_descriptions_of_voxels_and_stacks(tmp_path, write, labels):
    assert "2 grains of 3 voxels" in describe(write("voxels.txt", "i x y z\n1 0 0 0\n1 1 0 0\n2 5 0 0\n"))["contents"]
    np.save(tmp_path / "stack.npy", labels)
    assert "(3, 4, 5), uint16, 2 grains" in describe(tmp_path / "stack.npy")["contents"]


def test_arrays_and_texts_of_no_kind_known(tmp_path, write):
    np.save(tmp_path / "line.npy", np.ones(3))
    np.savez(tmp_path / "other.npz", np.ones(3))
    for file in (tmp_path / "line.npy", tmp_path / "other.npz", write("notes.txt", "# only a comment\n"), tmp_path):
        with pytest.raises(ValueError, match="of no known kind"):
            describe(file)


def test_blank_lines_in_a_dragonfly_export(write):
    assert len(read_dragonfly(write("grain_loc.csv", HEADINGS + "\n\n" + ROWS + "\n"), surface="zmax")) == 2
