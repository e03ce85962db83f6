"""Libraries of shapes: that they are what they say, and give the signal strengths of the paper."""

import jax
import numpy as np
import pytest
from scipy import ndimage

from mmtjax import Grains, signal_strength_ratio
from mmtjax.sources.placement import place_grains
from mmtjax.sources.shape_library import ShapeLibrary, synthetic_library
from tests.samples import ragged_cuboids

VOXEL = 0.75

#: Fig. 3b of the paper: thickness (µm) and share of the grains at or above an SSR (1/µm).
FIG_3B = {50: {9.8e-4: 0.70, 2.4e-3: 0.55, 3.4e-3: 0.50}, 75: {2.3e-4: 0.70}}


def voxels(library: ShapeLibrary, shape: int) -> np.ndarray:
    """Occupied voxels of a shape, painted from its cuboids; a voxel painted twice counts twice."""
    part = slice(library.first_cuboid[shape], library.first_cuboid[shape + 1])
    low = np.round((library.cuboid_low[part] - library.low[shape]) / VOXEL).astype(int)
    high = np.round((library.cuboid_high[part] - library.low[shape]) / VOXEL).astype(int)
    painted = np.zeros(high.max(axis=0), int)
    for start, end in zip(low, high, strict=True):
        painted[tuple(slice(*ends) for ends in zip(start, end, strict=True))] += 1
    return painted


def test_synthetic_shapes_are_connected_ragged_bodies_of_voxels() -> None:
    library = synthetic_library()
    diameter = library.equivalent_diameter
    assert len(library) >= 200
    assert diameter.min() > 1
    assert diameter.min() < 2
    assert 19 < diameter.max() < 20
    # Most grains of the paper are smaller than 10 µm.
    assert np.mean(diameter < 10) > 0.5
    elongation, filling = [], []
    for shape in range(0, len(library), 7):
        body = voxels(library, shape)
        assert body.max() == 1
        assert ndimage.label(body)[1] == 1
        assert body.sum() * VOXEL**3 == pytest.approx(library.volume[shape], rel=1e-12)
        centre = (np.argwhere(body) + 0.5).mean(axis=0) * VOXEL
        np.testing.assert_allclose(centre, -library.low[shape], atol=1e-9)
        np.testing.assert_allclose(np.array(body.shape) * VOXEL, (library.high - library.low)[shape], atol=1e-9)
        if diameter[shape] > 4:
            spread = np.linalg.eigvalsh(np.cov(np.argwhere(body).T))
            elongation.append(np.sqrt(spread[2] / spread[0]))
            filling.append(body.mean())
    assert np.median(elongation) > 1.3
    assert np.median(filling) < np.pi / 6


def test_libraries_keep_the_shapes_of_grains() -> None:
    tables = [ragged_cuboids(seed, top=-20.0 * seed, voxels=10 * seed) for seed in (1, 2, 3)]
    grains = Grains.from_cuboids(
        np.concatenate([np.column_stack([t[:, :6], np.full(len(t), 9 - i)]) for i, t in enumerate(tables)])
    )
    library = ShapeLibrary.from_grains(grains)
    again = library.grains(np.arange(3), np.asarray(grains.position))
    for name in ("position", "corner_offset", "corner_weight", "corner_grain", "volume", "bounding_radius"):
        np.testing.assert_allclose(getattr(again, name), getattr(grains, name), atol=1e-12)
    assert again.ids.tolist() == [1, 2, 3]
    for shape, table in enumerate(tables):
        np.testing.assert_allclose(library.low[shape], (table[:, :3] - table[:, 3:6]).min(0) - grains.position[shape])
        np.testing.assert_allclose(library.high[shape], (table[:, :3] + table[:, 3:6]).max(0) - grains.position[shape])


def test_grains_may_have_one_shape_and_many_corners() -> None:
    library = synthetic_library()
    shape = np.array([250, 3, 250, 0])
    grains = library.grains(shape, np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(grains.volume, library.volume[shape])
    np.testing.assert_array_equal(np.bincount(grains.corner_grain), np.diff(library.first_corner)[shape])
    first, third = (grains.corner_offset[grains.corner_grain == index] for index in (0, 2))
    np.testing.assert_array_equal(first, third)


@pytest.mark.parametrize("thickness", FIG_3B)
@pytest.mark.parametrize(("density", "side"), [(2.5e3, 12000), (5e4, 2000)])
def test_placed_grains_have_the_signal_strengths_of_the_paper(thickness: int, density: float, side: int) -> None:
    key = jax.random.key(11)
    grains = place_grains(key, synthetic_library(), side=side, thickness=thickness, density=density)
    strength = np.asarray(signal_strength_ratio(grains, 0.0))
    for threshold, share in FIG_3B[thickness].items():
        assert np.mean(strength >= threshold) == pytest.approx(share, abs=0.02)
