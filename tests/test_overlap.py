"""The pairs of boxes that share volume are those that a look at all pairs finds."""

import itertools

import numpy as np
import pytest

from mmtjax.sources import overlap
from mmtjax.sources.grains import Grains
from mmtjax.sources.overlap import overlaps


def all_pairs(low: np.ndarray, high: np.ndarray) -> dict[tuple[int, int], float]:
    """Volume that each pair of boxes shares, where it does."""
    found = {}
    for one, other in itertools.combinations(range(len(low)), 2):
        depth = np.minimum(high[one], high[other]) - np.maximum(low[one], low[other])
        if np.all(depth > 1e-6 * np.min(high - low)):
            found[one, other] = float(np.prod(depth))
    return found


def boxes_on_a_lattice(count: int, *, span: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes with whole coordinates, many of which touch, lie within each other or are the same."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, span, (count, 3)).astype(float)
    return low, low + rng.integers(1, 5, (count, 3))


def assert_as_all_pairs(low: np.ndarray, high: np.ndarray) -> None:
    pairs, volume = overlaps(low, high)
    found = dict(zip(map(tuple, pairs.tolist()), volume.tolist(), strict=True))
    assert found == all_pairs(low, high)
    assert len(found) == len(pairs)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 64, 65, 300])
def test_boxes_of_one_size_of_all_sizes_and_touching(count: int) -> None:
    assert_as_all_pairs(*boxes_on_a_lattice(count, span=14, seed=count))
    rng = np.random.default_rng(count)
    low = rng.random((count, 3)) * [10, 10, 1]
    assert_as_all_pairs(low, low + rng.lognormal(-1, 1, (count, 3)))
    assert_as_all_pairs(low, low + 0.7)


def test_touching_faces_nested_and_repeated_boxes_are_told_apart() -> None:
    low = np.array([[0, 0, 0], [2, 0, 0], [0.5, 0.5, 0.5], [0, 0, 2], [2, 0, 0], [4 - 1e-7, 0, 0]], float)
    high = np.array([[2, 2, 2], [4, 2, 2], [1, 1, 1], [2, 2, 3], [4, 2, 2], [5, 2, 2]], float)
    pairs, volume = overlaps(low, high)
    assert pairs.tolist() == [[0, 2], [1, 4]]
    assert volume.tolist() == [0.125, 8.0]
    assert_as_all_pairs(low, high)


def test_parts_that_memory_asks_for_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = boxes_on_a_lattice(200, span=8, seed=3)
    pairs, volume = overlaps(*boxes)
    monkeypatch.setattr(overlap, "_PAIRS_AT_ONCE", 50)
    in_parts, its_volume = overlaps(*boxes)
    np.testing.assert_array_equal(in_parts, pairs)
    np.testing.assert_array_equal(its_volume, volume)


def test_the_check_of_grains_looks_within_one_and_between_two() -> None:
    low, high = boxes_on_a_lattice(60, span=30, seed=8)
    cuboids = np.column_stack([(low + high) / 2, (high - low) / 2, np.arange(60)])
    shared = all_pairs(low, high)
    volume = np.prod(high - low, axis=1)
    one, other = max(shared, key=lambda pair: shared[pair] / volume[list(pair)].min())
    with pytest.raises(ValueError, match=f"grains {one} and {other} overlap"):
        Grains.from_cuboids(cuboids)
    cuboids[[one, other], 6] = 99
    with pytest.raises(ValueError, match=f"cuboids {one} and {other} of grain 99.*overlap"):
        Grains.from_cuboids(cuboids)
