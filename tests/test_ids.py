"""Ids of grains: whole numbers that are kept exactly, or refused with the line."""

import numpy as np
import pytest

from mmtjax import Grains
from mmtjax.errors import InputError
from mmtjax.io import read_grains, read_moments
from mmtjax.sources import Multipoles

LARGE = 2**53
CUBE = [0, 0, -5, 1, 1, 1]
POSITION = [[0.0, 0, -5], [9, 0, -5]]


@pytest.mark.parametrize(
    "ids", [[LARGE, LARGE + 1], [-LARGE, 1], [1.5, 2], [np.nan, 2], [np.inf, 2], [10**30, 1], ["a", "b"]]
)
def test_ids_that_float64_does_not_hold(ids):
    with pytest.raises(InputError, match="ids must be integers"):
        Grains.from_volumes(POSITION, [1.0, 1.0], ids=ids)
    with pytest.raises(InputError, match="ids must be integers"):
        Multipoles(POSITION, degree=1, ids=ids)


def test_the_largest_ids_are_kept():
    ids = [LARGE - 1, LARGE - 2]
    assert Grains.from_volumes(POSITION, [1.0, 1.0], ids=ids).ids.tolist() == ids
    assert Multipoles(POSITION, degree=1, ids=ids).ids.tolist() == ids


def test_ids_of_cuboids():
    with pytest.raises(InputError, match=f"cuboid 1 has the grain id {LARGE + 1}; ids must be integers below"):
        Grains.from_cuboids([[*CUBE, 1], [9, *CUBE[1:], LARGE + 1]])
    single = np.array([[*CUBE, 2**24], [9, *CUBE[1:], 2**24 + 1]], np.float32)
    with pytest.raises(InputError, match="ids must be integers below 16777216"):
        Grains.from_cuboids(single)


@pytest.mark.parametrize("labels", [(2**64 - 1, 2**63), (LARGE, LARGE + 1)])
def test_labels_of_voxels(labels):
    stack = np.zeros((2, 2, 2), np.uint64)
    stack[0, 0, 0], stack[1, 1, 1] = labels
    with pytest.raises(InputError, match=f"grain 0 has the grain id {labels[0]}; ids must be integers"):
        Grains.from_voxels(stack, spacing=1)


@pytest.mark.parametrize("large", [str(LARGE), str(LARGE + 1), "1e19", "9999999999999999999999999999991"])
def test_large_ids_in_text(write, large):
    exact = "line 2: the {} .* is too large to be exact"
    for name, text, what, options in (
        ("cuboids", f"0 0 -5 1 1 1 7\n9 0 -5 1 1 1 {large}\n", "grain id", {}),
        ("positions", f"1e-5 2e-5 -3e-6 8e-18 4\n2e-5 2e-5 -3e-6 1e-18 {large}\n", "grain id", {}),
        ("voxels", f"1 0 0 0\n{large} 1 0 0\n", "grain id", {"spacing": 1, "origin": (0, 0, -5)}),
        ("voxels", f"1 0 0 0\n1 1 0 {large}\n", "coordinate z", {"spacing": 1, "origin": (0, 0, -5)}),
    ):
        with pytest.raises(InputError, match=exact.format(what)):
            read_grains(write(f"{name}.txt", text), format=name, **options)
    with pytest.raises(InputError, match=exact.format("grain id")):
        read_moments(write("m.txt", f"1e-14 2e-14 3e-14 8e-18 4\n1e-14 2e-14 3e-14 8e-18 {large}\n"))


@pytest.mark.parametrize(
    "ids", [[1.0, np.inf], [1.0, 1e19], [1.0, 1.5], ["1", "b"], np.array([1, 2**63 + 1], np.uint64)]
)
def test_ids_of_an_archive(tmp_path, ids):
    np.savez(tmp_path / "m.npz", inv_multipole_moments=np.eye(2, 3), identifier=ids)
    with pytest.raises(InputError, match="m.npz: 'identifier': .*ids must be integers"):
        read_moments(tmp_path / "m.npz")


def test_moments_that_are_no_numbers(tmp_path):
    np.savez(tmp_path / "m.npz", inv_multipole_moments=[["a", "b", "c"]], identifier=[1])
    with pytest.raises(InputError, match=r"dtype <U1 have shape \(1, 3\); expected .* of real numbers"):
        read_moments(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", inv_multipole_moments=np.eye(3), identifier=[1, 2, 3], moments_std=np.ones(4))
    with pytest.raises(InputError, match=r"'moments_std' has shape \(4,\).*expected as many"):
        read_moments(tmp_path / "m.npz")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1e15, 0, -5, 1e-200, 1, 1, 1]], r"a half-length is 1e-200 µm \(cuboid 0\), and coordinates reach 1e\+15"),
        (
            [[1e15, 0, -5, 1, 1, 1, 1], [0, 0, -5, 0.25, 0.25, 0.25, 2]],
            r"is 0.25 µm \(cuboid 1\).*reach 1e\+15 .*cuboid 0",
        ),
        ([[0, 0, -5, 1e-200, 1e-200, 1e-200, 1]], "beyond what can be computed with"),
        ([[0, 0, -5, 1e200, 1e200, 1e200, 1]], "beyond what can be computed with"),
        ([[1e308, 0, -5, 1e308, 1, 1, 1]], r"to \[inf, 1.0, -4.0\] µm, beyond what can be computed with"),
    ],
)
def test_edges_that_vanish_in_rounding(rows, message):
    with pytest.raises(InputError, match=message):
        Grains.from_cuboids(rows)


def test_voxels_that_vanish_in_rounding():
    with pytest.raises(InputError, match=r"a half-length is 0.0005 µm .* coordinates reach 1e\+15 µm"):
        Grains.from_voxels(np.ones((2, 2, 2), int), spacing=1e-3, origin=(1e15, 0, 0))


def test_voxels_of_a_file_that_vanish_in_rounding(write):
    file = write("voxels.txt", "i x y z\n1 0 0 0\n1 900000000000000 0 0\n")
    with pytest.raises(InputError, match=r"voxels.txt: a half-length is 0.5 µm .*cuboid 1 \(line 3\)"):
        read_grains(file, spacing=1, origin=(0, 0, -5))


def test_cuboids_of_a_file_that_vanish_in_rounding(write):
    text = "# far away\n0 0 -5 1 1 1 7\n1e15 0 -5 1 1e-200 1 3\n"
    with pytest.raises(InputError, match=r"cuboids.txt: a half-length is 1e-200 µm \(cuboid 1 \(line 3\)\)"):
        read_grains(write("cuboids.txt", text), format="cuboids")
