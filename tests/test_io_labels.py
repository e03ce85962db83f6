"""Label stacks: a background that is not 0, masks, pictures, TIFF files of other programs, and their scales."""

import importlib.util

import numpy as np
import pytest
import tifffile

from mmtjax import cli
from mmtjax.io import describe, read_grains
from mmtjax.io.labels import load_labels

PLACE = {"spacing": 0.5, "origin": (0, 0, -20)}


@pytest.fixture
def labels():
    """Three grains that do not touch, with the ids 3, 7 and 11."""
    stack = np.zeros((4, 20, 24), np.int16)
    stack[0:2, 2:5, 2:5] = 3
    stack[1:3, 8:12, 8:9] = 7
    stack[3, 15, 20:22] = 11
    return stack


@pytest.fixture
def tif(tmp_path):
    def write(array, **options):
        tifffile.imwrite(tmp_path / "stack.tif", array, **({"photometric": "minisblack"} | options))
        return tmp_path / "stack.tif"

    return write


@pytest.mark.parametrize("suffix", ["npy", "tif"])
def test_a_negative_background_is_no_grain(tmp_path, labels, suffix):
    file = tmp_path / f"stack.{suffix}"
    labels[labels == 0] = -1
    _save(file, labels)
    with pytest.raises(ValueError, match=r"the label -1 is negative and fills 98.5% of .* with 0 in place of -1"):
        read_grains(file, **PLACE)
    assert "the label -1 is negative" in describe(file)["notes"]


def test_a_positive_background_is_no_grain(tif, labels):
    file = tif(labels.astype(np.uint16) + 1)
    with pytest.raises(
        ValueError, match=r"the label 1 fills all corners and 98.5% of the voxels, .* pass labels='ids'"
    ):
        read_grains(file, **PLACE)
    assert read_grains(file, labels="ids", **PLACE).ids.tolist() == [1, 4, 8, 12]


def test_a_block_of_one_label_is_a_grain(tif):
    assert len(read_grains(tif(np.full((2, 3, 4), 9, np.uint8)), **PLACE)) == 1


@pytest.mark.parametrize("value", [255, 1])
@pytest.mark.parametrize("kind", [np.uint8, bool])
def test_a_mask_is_not_one_grain_in_pieces(tmp_path, labels, value, kind):
    file = tmp_path / "mask.npy"
    np.save(file, np.where(labels > 0, value, 0).astype(kind))
    with pytest.raises(ValueError, match=r"in 3 pieces that do not touch; is it a mask .* Pass labels='mask' to make"):
        read_grains(file, **PLACE)
    assert "in 3 pieces" in describe(file)["notes"]
    pieces = read_grains(file, labels="mask", **PLACE)
    assert pieces.ids.tolist() == [1, 2, 3]
    np.testing.assert_allclose(pieces.volume, np.array([18, 8, 2]) / 8)
    whole = read_grains(file, labels="ids", **PLACE)
    np.testing.assert_allclose(whole.volume, [28 / 8])
    with pytest.raises(ValueError, match="labels='both' is not known; use 'ids' or 'mask'"):
        read_grains(file, labels="both", **PLACE)


def test_pieces_of_labels_are_no_mask(tif, labels):
    labels[3, 0, 0] = 3
    file = tif(labels)
    assert read_grains(file, **PLACE).ids.tolist() == [3, 7, 11]
    with pytest.raises(ValueError, match="labels='mask' is for a stack of one value beside 0; this one has several"):
        read_grains(file, labels="mask", **PLACE)


def test_the_option_of_masks_on_the_command_line(tmp_path, tif, labels, capsys):
    np.savetxt(tmp_path / "map_nT.txt", np.ones((5, 5)))
    file = tif((labels > 0).astype(np.uint8))
    given = ["--spacing", "1", "--height", "1", "--noise", "1", "--voxel-spacing", "0.5", "--voxel-origin", "0", "0"]
    files = ["--scan", str(tmp_path / "map_nT.txt"), "--grains", str(file), "--out", str(tmp_path / "out")]
    assert cli.main(["invert", *given, "-20", *files]) != 0
    assert "Pass --labels mask to make every piece a grain, --labels ids" in " ".join(capsys.readouterr().err.split())


def test_pictures_are_no_labels(tif, tmp_path):
    picture = np.zeros((30, 40, 3), np.uint8)
    np.save(tmp_path / "picture.npy", picture)
    stack = np.zeros((2, 30, 40, 3), np.uint8)
    for file in (tif(picture, photometric="rgb"), tmp_path / "picture.npy", tif(stack, photometric="rgb")):
        with pytest.raises(ValueError, match=r"is a picture in colours \(RGB\), of shape .*export the labels"):
            read_grains(file, format="stack", **PLACE)
    with pytest.raises(ValueError, match="picture in colours"):
        describe(tif(picture, photometric="rgb"))


def test_slices_that_are_called_channels(tif, labels):
    file = tif(labels, imagej=True, metadata={"axes": "CYX"})
    with pytest.warns(UserWarning, match=r"the axes are CYX; the channels \(C\) are taken as slices"):
        assert read_grains(file, **PLACE).ids.tolist() == [3, 7, 11]


def test_pages_that_are_series_of_their_own(tmp_path, labels):
    file = tmp_path / "pages.tif"
    for page in labels:
        tifffile.imwrite(file, page, photometric="minisblack", append=True)
    with tifffile.TiffFile(file) as content:
        assert len(content.series) == len(labels)
    np.testing.assert_array_equal(load_labels(file).values, labels)
    assert read_grains(file, **PLACE).ids.tolist() == [3, 7, 11]
    tifffile.imwrite(file, np.zeros((3, 3), np.uint8), photometric="minisblack", append=True)
    with pytest.raises(ValueError, match=r"holds 5 series of images \(\(20, 24\) int16, .* save the slices"):
        read_grains(file, **PLACE)


def test_lzw_reads_or_names_the_package(tif, labels, data):
    file = data.parent / "cases" / "stack-lzw" / "lzw.tif"
    if not file.exists():
        pytest.skip(f"no test data: {file} does not exist")
    if importlib.util.find_spec("imagecodecs"):
        assert load_labels(file).values.ndim == 3
        return
    with pytest.raises(ValueError, match="is compressed with LZW, .* imagecodecs reads; install it") as caught:
        load_labels(file)
    assert "cut short" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "um", "spacing": 0.5}}, None),
        (
            {"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX", "unit": "um", "spacing": 2.0}},
            "0.5 × 0.5 × 2 µm",
        ),
        ({"imagej": True, "resolution": (2e-3, 2e-3), "metadata": {"axes": "ZYX", "unit": "nm"}}, None),
        ({"imagej": True, "resolution": (2, 2), "metadata": {"axes": "ZYX"}}, None),
        ({"resolution": (10_000 / 0.75, 10_000 / 0.75), "resolutionunit": "CENTIMETER"}, "0.75 × 0.75 µm"),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.4, "PhysicalSizeY": 0.4}}, "0.4 × 0.4 µm"),
        (
            {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 500.0, "PhysicalSizeXUnit": "nm"}},
            None,
        ),
    ],
)
def test_a_scale_that_contradicts_the_option(tif, labels, recwarn, options, words):
    file = tif(labels.astype(np.uint16), **options)
    assert read_grains(file, **PLACE).ids.tolist() == [3, 7, 11]
    messages = [str(warning.message) for warning in recwarn]
    if words is None:
        assert messages == []
    else:
        assert len(messages) == 1
        assert f"the file says that a voxel is {words}" in messages[0]
        assert "spacing=0.5 is used instead" in messages[0]
        assert words in describe(file)["notes"]


def test_stacks_of_other_programs(data):
    folder = data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no test data: {folder} does not exist")
    for name, text in {
        "stack-background-minus-one/h.tif": "the label -1 is negative and fills 99",
        "stack-binary-mask/j.tif": "the only label is 255, in 3 pieces",
        "stack-rgb/rgb.tif": "picture in colours",
    }.items():
        with pytest.raises(ValueError, match=text):
            read_grains(folder / name, z="down", **PLACE)


def _save(file, array):
    if file.suffix == ".npy":
        np.save(file, array)
    else:
        tifffile.imwrite(file, array, photometric="minisblack")
