"""Merged cuboids are the same bodies, disjoint and few; outlines enclose what lies below them."""

from pathlib import Path

import numpy as np
import pytest

from mmtjax.io import read_cuboids, read_voxels
from mmtjax.sources.cuboids import footprints, merge_cuboids
from mmtjax.sources.grains import Grains
from mmtjax.sources.overlap import overlaps


def corner_set(grains: Grains) -> np.ndarray:
    """Rows grain, x, y, z, weight, sorted."""
    rows = np.column_stack([grains.corner_grain, np.round(grains.corners, 9), grains.corner_weight])
    return rows[np.lexsort(np.round(rows, 6).T[::-1])]


def assert_same_bodies(one: Grains, other: Grains) -> None:
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_allclose(one.volume, other.volume, rtol=1e-12)
    np.testing.assert_allclose(corner_set(one), corner_set(other), rtol=0, atol=1e-8)


@pytest.fixture
def ragged() -> Grains:
    """Three grains of a 9 × 8 × 7 stack, one of them in two pieces."""
    rng = np.random.default_rng(4)
    labels = np.zeros((9, 8, 7), int)
    labels[:4] = 5 * (rng.random((4, 8, 7)) < 0.6)
    labels[5:, :4] = 2
    labels[6, 2, 3] = 0
    labels[5:, 5:] = 9 * (rng.random((4, 3, 7)) < 0.5)
    return Grains.from_voxels(labels, spacing=(0.5, 0.7, 1.1), origin=(10, 20, -30))


def test_a_voxel_grain_comes_back_from_few_disjoint_cuboids(ragged: Grains) -> None:
    cuboids = merge_cuboids(ragged)
    assert_same_bodies(Grains.from_cuboids(cuboids), ragged)
    pairs, _ = overlaps(cuboids[:, :3] - cuboids[:, 3:6], cuboids[:, :3] + cuboids[:, 3:6])
    assert len(pairs) == 0
    # A box with one voxel missing inside is six cuboids.
    assert np.sum(cuboids[:, 6] == 2) == 6


def test_the_largest_box_is_taken_by_volume_not_by_cells() -> None:
    cells = [[0.5, 0.5, -5, 0.5, 0.5, 0.5, 1], [6, 0.5, -5, 5, 0.5, 0.5, 1], [0.5, 1.5, -5, 0.5, 0.5, 0.5, 1]]
    cuboids = merge_cuboids(Grains.from_cuboids(cells))
    assert np.prod(2 * cuboids[:, 3:6], axis=1).tolist() == pytest.approx([11, 1])


def test_a_lattice_larger_than_one_search_is_cut_and_whole() -> None:
    labels = np.zeros((1, 3, 40), int)
    labels[0, 1] = 1
    labels[0, 0, ::2] = labels[0, 2, ::2] = 1
    grains = Grains.from_voxels(labels, spacing=1.0, origin=(0, 0, -9))
    assert_same_bodies(Grains.from_cuboids(merge_cuboids(grains)), grains)


def test_the_published_voxel_grain_has_its_twenty_voxels(data: Path) -> None:
    grains = read_voxels(data / "voxel-grain" / "grain_voxel_data.txt", spacing=1.0, origin=(0, 0, -20))
    cuboids = merge_cuboids(grains)
    assert np.prod(2 * cuboids[:, 3:6], axis=1).sum() == pytest.approx(20, rel=1e-12)
    assert len(cuboids) < 10
    assert_same_bodies(Grains.from_cuboids(cuboids), grains)


def test_published_grains_need_no_more_cuboids_than_were_published(data: Path) -> None:
    grains = read_cuboids(data / "qdm-tutorial" / "cuboids.txt", z="down", allow_overlap=True)
    cuboids = merge_cuboids(grains)
    assert len(cuboids) <= 1244
    assert_same_bodies(Grains.from_cuboids(cuboids, allow_overlap=True), grains)


def test_volume_counted_twice_in_one_grain_stays_counted_twice() -> None:
    twice = Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [1, 0, -5, 1, 1, 1, 1]], allow_overlap=True)
    assert_same_bodies(Grains.from_cuboids(merge_cuboids(twice), allow_overlap=True), twice)


def test_outlines_have_the_length_of_the_border_holes_included() -> None:
    ring = np.ones((1, 5, 5), int)
    ring[0, 1:4, 1:4] = 0
    (outline,) = footprints(Grains.from_voxels(ring, spacing=2.0, origin=(1, 1, -9)))
    assert np.linalg.norm(np.diff(outline, axis=1)[:, 0], axis=1).sum() == pytest.approx(4 * 10 + 4 * 6)
    assert outline.reshape(-1, 2).min(axis=0).tolist() == [0, 0]
    assert outline.reshape(-1, 2).max(axis=0).tolist() == [10, 10]


def test_outlines_see_through_what_lies_at_different_depths() -> None:
    stairs = Grains.from_cuboids([[0, 0, -9, 1, 1, 1, 3], [2, 0, -5, 1, 1, 1, 3]])
    (outline,) = footprints(stairs)
    assert np.linalg.norm(np.diff(outline, axis=1)[:, 0], axis=1).sum() == pytest.approx(2 * (4 + 2))
