"""A made-up study, whose ratios follow a simple known law in the five parameters."""

from collections.abc import Iterator

import numpy as np

from mmtjax.study.pool import Pool

NOISES = (5.0, 20.0, 50.0, 100.0)
INTERVALS = (1.0, 2.0, 4.0, 5.0)
DENSITIES = (2500.0, 10000.0, 25000.0, 100000.0)


def made_up_pools(
    *, side: float, thickness: float, density: float, repeats: int = 3, seed: int = 0
) -> dict[float, Pool]:
    """Return pools of one sample by interval: radius = noise · interval · c(grain), ratio = radius / magnetization."""
    rng = np.random.default_rng([seed, int(side), int(thickness), int(density)])
    count = max(4, round(density * side**2 * thickness / 1e9)) * repeats
    diameter = np.exp(rng.uniform(np.log(1.0), np.log(20.0), count))
    volume = np.pi / 6 * diameter**3
    depth = rng.uniform(0.0, thickness - 10, count) + diameter / 2
    strength = volume / (depth**3 * diameter)
    magnetization = 46.5e3 * diameter**-1.065
    # Worse by a decade for each decade of density, and as the cube of the depth over the thickness.
    base = 1e-3 * np.exp(rng.normal(0, 1.0, count)) * (density / 1e4) * (thickness / 50) ** 6 / strength
    base *= rng.choice([1.0, 1e-3], count)
    pools = {}
    for interval in INTERVALS:
        radius = np.outer(NOISES, base * interval)
        pools[interval] = Pool(
            side=side,
            thickness=thickness,
            density=density,
            interval=interval,
            noise=np.array(NOISES),
            repeat=np.repeat(np.arange(repeats), count // repeats),
            depth=depth,
            volume=volume,
            signal_strength_ratio=strength,
            crowded_signal_strength=strength,
            confidence_radius=radius,
            uncertainty_ratio=radius / magnetization,
        )
    return pools


def made_up_samples(*, repeats: int = 3, densities: tuple[float, ...] = DENSITIES) -> Iterator[dict[float, Pool]]:
    """Yield samples of two sides, two thicknesses and some densities."""
    for side in (200.0, 500.0):
        for thickness in (50.0, 75.0):
            for density in densities:
                yield made_up_pools(side=side, thickness=thickness, density=density, repeats=repeats)
