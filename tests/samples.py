"""Grains and grids that several tests use."""

import numpy as np

from mmtjax import Grains


def ragged_cuboids(seed: int, *, top: float = -1.0, voxels: int = 30, edge: float = 1.0) -> np.ndarray:
    """A grain grown from one voxel to many by random neighbours, highest face at `top`; (voxel, 7)."""
    rng = np.random.default_rng(seed)
    body = {(0, 0, 0)}
    while len(body) < voxels:
        x, y, z = sorted(body)[rng.integers(len(body))]
        axis, step = rng.integers(3), rng.choice([-1, 1])
        neighbour = [x, y, z]
        neighbour[axis] += step
        body.add(tuple(neighbour))
    places = np.array(sorted(body), float) * edge
    places[:, 2] += top - edge / 2 - places[:, 2].max()
    return np.column_stack([places, np.full((len(places), 3), edge / 2), np.ones(len(places))])


def small_sample(*, grains: int = 6, seed: int = 0, width: float = 24.0, depth: float = 8.0) -> Grains:
    """Cubes on a jittered lattice, well apart, between 1 µm and `depth` below the surface."""
    rng = np.random.default_rng(seed)
    per_side = int(np.ceil(np.sqrt(grains)))
    cell = width / per_side
    rows = []
    for number in range(grains):
        half = rng.uniform(0.4, 0.9, size=3)
        x, y = (np.array(divmod(number, per_side)) + 0.5) * cell + rng.uniform(-0.2, 0.2, 2) * cell
        rows.append([x, y, -rng.uniform(1.0 + half[2], depth), *half, number + 1])
    return Grains.from_cuboids(rows)
