"""Placed grains lie inside the sample and apart from each other, in the requested number."""

import jax
import numpy as np
import pytest
from scipy.spatial import cKDTree

from mmtjax import Grains
from mmtjax.sources.cuboids import lattice
from mmtjax.sources.placement import place_grains
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library
from tests.samples import ragged_cuboids

VOXEL = 0.75


def cubes(*edges: float) -> ShapeLibrary:
    """A library of cubes, each without a neighbour."""
    return ShapeLibrary.from_grains(
        Grains.from_cuboids([[100 * i, 0, -50, e / 2, e / 2, e / 2, i + 1] for i, e in enumerate(edges)])
    )


def voxels_of(grains: Grains, index: int) -> np.ndarray:
    """Low ends of the voxels of a grain, from its signed corners alone, (voxel, 3)."""
    planes, indicator = lattice(grains, index)
    for axis, ends in enumerate(planes):
        indicator = indicator.repeat(np.round(np.diff(ends) / VOXEL).astype(int), axis=axis)
    low = [ends[0] for ends in planes]
    return low + VOXEL * np.argwhere(indicator) + np.asarray(grains.position)[index]


def share_volume(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two sets of voxels overlap: two do where all their coordinates differ by less than an edge."""
    one = one[np.all((one > other.min(axis=0) - VOXEL) & (one < other.max(axis=0) + VOXEL), axis=1)]
    return bool(np.any(cKDTree(other).query(one, p=np.inf, distance_upper_bound=VOXEL - 1e-9)[0] < VOXEL))


def bounding_boxes(grains: Grains) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the bounding boxes, from the corners."""
    low, high = np.full((len(grains), 3), np.inf), np.full((len(grains), 3), -np.inf)
    np.minimum.at(low, grains.corner_grain, grains.corners)
    np.maximum.at(high, grains.corner_grain, grains.corners)
    return low, high


@pytest.fixture(scope="module")
def crowded() -> Grains:
    """As many grains as to make a million pairs, at the highest density of the paper."""
    return place_grains(jax.random.key(7), synthetic_library(), side=(600, 500), thickness=50, density=1e5)


def test_no_two_of_a_million_pairs_intersect_and_none_leaves_the_sample(crowded: Grains) -> None:
    low, high = bounding_boxes(crowded)
    assert np.all(low[:, :2] >= -1e-9)
    assert np.all(high[:, :2] <= np.array([600, 500]) + 1e-9)
    assert np.all(low[:, 2] >= -50 - 1e-9)
    assert np.all(high[:, 2] <= 1e-9)
    pairs, close = 0, []
    for index in range(len(crowded)):
        apart = np.any((low[index] >= high[:index]) | (high[index] <= low[:index]), axis=1)
        pairs += index
        close += [(index, int(other)) for other in np.flatnonzero(~apart)]
    assert pairs >= 1_000_000
    # The boxes of many neighbours do overlap, else their shapes would not be looked at.
    assert len(close) > 300
    bodies = {index: voxels_of(crowded, index) for index in {index for pair in close for index in pair}}
    assert not any(share_volume(bodies[one], bodies[other]) for one, other in close)


def test_the_oracle_sees_grains_that_do_intersect(crowded: Grains) -> None:
    body = voxels_of(crowded, 0)
    assert len(body) * VOXEL**3 == pytest.approx(float(crowded.volume[0]))
    assert share_volume(body, body + 0.7)
    assert not share_volume(body, body + np.ptp(body, axis=0) * [1, 0, 0] + [VOXEL, 0, 0])


@pytest.mark.parametrize("density", [2.5e3, 2.5e4, 1e5])
def test_densities_are_met(density: float) -> None:
    grains = place_grains(jax.random.key(1), synthetic_library(), side=200, thickness=75, density=density)
    assert len(grains) == round(density * 200 * 200 * 75 / 1e9)
    assert grains.ids.tolist() == list(range(1, len(grains) + 1))


def test_tops_are_uniform_from_the_surface_to_the_clearance() -> None:
    grains = place_grains(jax.random.key(2), cubes(1.0), side=1000, thickness=50, density=4e4)
    top = np.sort(np.asarray(grains.top))
    # Kolmogorov–Smirnov: with 2,000 grains a distance of 0.0436 is passed once in a thousand.
    uniform = (top + 40) / 40
    rank = np.arange(len(top)) / len(top)
    assert np.max(np.abs(uniform - rank)) < 0.0436
    deep = place_grains(jax.random.key(2), cubes(1.0), side=1000, thickness=50, density=4e4, clearance=1.0)
    assert -49.0 <= np.min(np.asarray(deep.top)) < -48.0
    large = place_grains(jax.random.key(2), cubes(20.0), side=1000, thickness=50, density=4e3)
    assert -30.0 <= np.min(np.asarray(large.top)) < -28.0
    for axis in range(2):
        assert np.asarray(grains.position)[:, axis].min() < 5
        assert np.asarray(grains.position)[:, axis].max() > 995


def test_grains_interlock_where_their_boxes_overlap() -> None:
    """Two ells of one shape fit into each other, whose boxes must overlap in so small a sample."""
    ell = Grains.from_cuboids([[0, 0, -1, 10, 1, 1, 1], [-9, 10, -1, 1, 9, 1, 1]])
    library = ShapeLibrary.from_grains(ell)
    density = 2 / (26 * 26 * 2.5) * 1e9
    grains = place_grains(jax.random.key(0), library, side=26, thickness=2.5, density=density, clearance=0)
    low, high = bounding_boxes(grains)
    assert np.all(np.maximum(low[0], low[1]) < np.minimum(high[0], high[1]))


def test_the_same_key_gives_the_same_grains() -> None:
    options = {"side": 100, "thickness": 50, "density": 5e4}
    one, same, other = (place_grains(jax.random.key(k), synthetic_library(), **options) for k in (3, 3, 4))
    np.testing.assert_array_equal(one.position, same.position)
    np.testing.assert_array_equal(one.volume, same.volume)
    assert not np.array_equal(one.position, other.position)


def test_libraries_of_users_are_placed_too() -> None:
    tables = [ragged_cuboids(seed, voxels=30 * seed, edge=0.6) for seed in (1, 2, 3)]
    table = np.concatenate([np.column_stack([t[:, :6], np.full(len(t), i)]) for i, t in enumerate(tables)])
    library = ShapeLibrary.from_grains(Grains.from_cuboids(table, allow_overlap=True))
    grains = place_grains(jax.random.key(5), library, side=40, thickness=30, density=2e6)
    assert len(grains) == 96
    assert set(np.round(grains.volume, 6)) == set(np.round(library.volume, 6))


def test_large_shapes_are_drawn_until_they_fit_no_more() -> None:
    """A cube as wide as the sample leaves no place for a second one, so that small ones take theirs."""
    library = cubes(9.0, 1.0)
    grains = place_grains(jax.random.key(1), library, side=10, thickness=10, density=2e7, clearance=1)
    assert len(grains) == 20
    assert np.sum(np.asarray(grains.volume) > 100) <= 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"side": 50, "thickness": 50, "density": 8e5},
            r"density of 800000 .* cannot be reached: \d+ of 100 grains were placed, \S+ per mm³, which fill \d+%",
        ),
        ({"density": 10}, "puts no grain into 100 × 100 × 100 µm; one grain is 1000 per mm³"),
        ({"density": np.nan}, "puts no grain"),
        ({"side": 0}, "side and thickness must be positive"),
        ({"thickness": -50}, "side and thickness must be positive"),
        ({"clearance": 100}, "clearance must be from 0 to less than the thickness of 100 µm"),
        ({"side": (7, 100)}, "none of the 1 shapes fits into 7 × 100 × 100 µm"),
    ],
)
def test_invalid_values_are_refused(changed: dict[str, object], message: str) -> None:
    options = {"side": 100, "thickness": 100, "density": 1e4} | changed
    with pytest.raises(ValueError, match=message):
        place_grains(jax.random.key(0), cubes(10.0), **options)


def test_progress_is_reported() -> None:
    reported: list[tuple[str, int, int]] = []
    place_grains(
        jax.random.key(0),
        cubes(1.0),
        side=100,
        thickness=100,
        density=1.2e6,
        progress=lambda *values: reported.append(values),
    )
    assert reported == [("placing grains", 500, 1200), ("placing grains", 1000, 1200), ("placing grains", 1200, 1200)]
