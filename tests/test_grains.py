"""Grains from cuboids, voxels and volumes: their bodies, their order, and what is refused."""

import numpy as np
import pytest

from mmtjax import Grains
from mmtjax.physics.monomials import monomials
from mmtjax.sources.body_moments import central_moments
from mmtjax.sources.cutting import part_tree
from tests.samples import ragged_cuboids


def test_a_body_of_touching_cuboids_keeps_its_outer_corners_only():
    halves = [[0.5, 0, -5, 0.5, 1, 1, 3], [1.5, 0, -5, 0.5, 1, 1, 3]]
    grains = Grains.from_cuboids(halves)
    assert len(grains.corner_weight) == 8
    np.testing.assert_allclose(grains.volume, 8)
    np.testing.assert_allclose(grains.position, [[1, 0, -5]])
    np.testing.assert_allclose(grains.bounding_radius, np.sqrt(3))
    np.testing.assert_allclose(grains.equivalent_diameter, (48 / np.pi) ** (1 / 3))
    np.testing.assert_allclose(grains.top, [-4])


def test_rounded_coordinates_of_a_file_cancel_and_keep_the_volume():
    exact = ragged_cuboids(1, voxels=40)
    rounded = np.round(exact + np.random.default_rng(0).uniform(-4e-7, 4e-7, exact.shape) * [1, 1, 1, 0, 0, 0, 0], 9)
    ours, reference = Grains.from_cuboids(rounded), Grains.from_cuboids(exact)
    assert len(ours.corner_weight) == len(reference.corner_weight)
    np.testing.assert_allclose(ours.volume, np.prod(2 * rounded[:, 3:6], axis=1).sum(), rtol=1e-12)


@pytest.mark.parametrize("power", [(0, 0, 0), (1, 0, 0), (2, 0, 0), (1, 1, 0), (2, 1, 1), (0, 4, 0), (3, 2, 1)])
def test_central_moments_are_those_of_quadrature(power):
    """Gauss–Legendre over each cuboid is exact for polynomials."""
    cuboids = ragged_cuboids(4, voxels=12)
    grains = Grains.from_cuboids(cuboids)
    node, weight = np.polynomial.legendre.leggauss(5)
    expected = 0.0
    for row in cuboids:
        factors = [
            (weight * row[3 + axis]) @ (row[axis] + row[3 + axis] * node - grains.position[0, axis]) ** power[axis]
            for axis in range(3)
        ]
        expected += np.prod(factors)
    body = np.column_stack([grains.corner_offset, grains.corner_weight])
    ours = central_moments(body, 6)[monomials(6).index(power)]
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-9)


def test_order_is_that_of_first_appearance_and_ids_are_carried():
    rows = [[0, 0, -5, 1, 1, 1, 9], [5, 0, -5, 1, 1, 1, 2], [0, 2, -5, 1, 1, 1, 9], [9, 0, -5, 1, 1, 1, 4]]
    grains = Grains.from_cuboids(rows)
    np.testing.assert_array_equal(grains.ids, [9, 2, 4])
    np.testing.assert_allclose(grains.volume, [16, 8, 8])
    labels = np.zeros((2, 2, 4), int)
    labels[0, 0, 3], labels[1, 0, 0], labels[0, 1, 1] = 7, 1, 5
    np.testing.assert_array_equal(Grains.from_voxels(labels, spacing=1).ids, [7, 5, 1])


def test_voxels_are_placed_by_the_centre_of_the_first():
    labels = np.zeros((3, 4, 5), np.uint16)
    labels[2, 1, 3] = 8
    grains = Grains.from_voxels(labels, spacing=(0.5, 1.0, 2.0), origin=(10, 20, -30))
    np.testing.assert_allclose(grains.position, [[11.5, 21, -26]])
    np.testing.assert_allclose(grains.volume, [1.0])


def test_select_and_translate():
    grains = Grains.from_volumes([[0, 0, -5], [9, 0, -6], [0, 9, -7]], [1.0, 8.0, 27.0], ids=[4, 6, 5])
    chosen = grains.select(np.array([True, False, True]))
    np.testing.assert_array_equal(chosen.ids, [4, 5])
    np.testing.assert_allclose(chosen.volume, [1, 27])
    np.testing.assert_allclose(chosen.translate([0, 0, -1]).top, [-5.5, -6.5])
    with pytest.raises(ValueError, match="no grain"):
        grains.select(np.zeros(3, bool))


def test_slight_overlap_of_grains_warns():
    with pytest.warns(UserWarning, match="1 pairs of grains overlap, at worst grains 1 and 2, which share 25% of"):
        Grains.from_cuboids([[0, 0, -5, 1, 1, 1, 1], [1.5, 0, -5, 1, 1, 1, 2]])


CUBE = [0.0, 0.0, -5.0, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([CUBE[:6]], r"must be \(N, 7\).*got shape \(1, 6\)"),
        (np.zeros((0, 7)), "there are no cuboids"),
        ([[np.nan, *CUBE[1:]]], "cuboid 0 holds a value that is not finite"),
        ([[*CUBE[:5], 0.0, 1]], r"half-lengths \[1.0, 1.0, 0.0\]; all three must be positive"),
        ([[*CUBE[:5], -1.0, 1]], "must be positive"),
        ([[*CUBE[:6], 1.5]], "grain id 1.5; ids must be integers"),
        ([CUBE, CUBE], "cuboids 0 and 1 of grain 1.*overlap"),
        ([CUBE, [*CUBE[:6], 2]], "grains 1 and 2 overlap: 100% of the smaller one.*same grain there twice"),
        ([CUBE, [0.9, *CUBE[1:6], 2]], "grains 1 and 2 overlap: 55%"),
        ("nonsense", "cuboids must be an array of real numbers"),
    ],
)
def test_cuboids_that_cannot_be(rows, message):
    with pytest.raises(ValueError, match=message):
        Grains.from_cuboids(rows)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((2, 2)), {"spacing": 1}, r"three-dimensional array \[z, y, x\] of integers; got shape \(2, 2\)"),
        (np.ones((2, 2, 2)), {"spacing": 1}, "of integers.*float64"),
        (np.zeros((2, 2, 2), int), {"spacing": 1}, "hold no grain"),
        (np.ones((2, 2, 2), int), {"spacing": 0}, "spacing must be positive"),
        (np.ones((2, 2, 2), int), {"spacing": 1, "origin": (0, 0, np.inf)}, "origin must be finite"),
    ],
)
def test_voxels_that_cannot_be(labels, options, message):
    with pytest.raises(ValueError, match=message):
        Grains.from_voxels(labels, **options)


@pytest.mark.parametrize(
    ("position", "volume", "ids", "message"),
    [
        ([[0, 0, -5]], [0.0], None, "volumes must be positive"),
        ([[0, 0, -5]], [1.0, 2.0], None, "position, volume and ids must be"),
        ([[0, 0, -5], [0, 0, -5]], [1.0, 2.0], None, "the same grain twice: 2 grains have the position"),
        ([[0, 0, -5], [9, 0, -5]], [1.0, 2.0], [3, 3], "the same grain twice: 2 grains have the id"),
    ],
)
def test_volumes_that_cannot_be(position, volume, ids, message):
    with pytest.raises(ValueError, match=message):
        Grains.from_volumes(position, volume, ids=ids)


@pytest.mark.parametrize("seed", range(3))
def test_parts_are_the_grain(seed):
    """Moments of the halves of a part add up to those of the part, and all parts are small."""
    whole = Grains.from_cuboids(ragged_cuboids(seed, voxels=200))
    body = np.column_stack([whole.corner_offset, whole.corner_weight])
    tree = part_tree(body, corners=24)
    uncut = [part for part, halves in zip(tree.corners, tree.halves, strict=True) if halves[0] < 0]
    assert len(uncut) > 4
    assert max(len(part) for part in uncut) <= 24
    for cut in np.flatnonzero(tree.halves[:, 0] >= 0):
        for order in (0, 3):
            halves = sum(central_moments(tree.corners[half], order) for half in tree.halves[cut])
            np.testing.assert_allclose(halves, central_moments(tree.corners[cut], order), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(sum(central_moments(part, 0) for part in uncut), whole.volume[0], rtol=1e-12)
    extent = [np.ptp(part[:, :3], axis=0).max() for part in (*uncut, body)]
    assert max(extent[:-1]) < 0.7 * extent[-1]
