"""What the middle of a sample tells about the condition of the whole."""

import jax
import numpy as np
import pytest

from mmtjax import greens_matrix, invert
from mmtjax.inversion import subsample_condition as subsample
from mmtjax.inversion.subsample_condition import least_condition, subsample_condition
from mmtjax.simulation import simulate
from mmtjax.solvers.cholesky import Cholesky


@pytest.mark.filterwarnings("ignore::mmtjax.InversionWarning")
@pytest.mark.parametrize(("thickness", "crowded"), [(20, False), (75, True)])
def test_the_middle_has_the_smaller_condition_and_tells_the_solver(thickness, crowded, monkeypatch):
    """Against singular values of the whole: Cholesky is passed over where it would be refused, and only there."""
    monkeypatch.setattr(subsample, "_GRAINS", 48)
    monkeypatch.setattr(subsample, "_FEW", 3 * 48)
    sample = simulate(jax.random.key(3), side=130, thickness=thickness, density=8.9e6 / thickness, noise=5.0)
    scan = sample.sample(spacing=4, noise=5.0)
    matrix = np.asarray(greens_matrix(sample.grains, scan.grid))
    whole = np.linalg.cond(np.linalg.qr(matrix / np.linalg.norm(matrix, axis=0), mode="r"))
    assert len(sample.grains) > 3 * 48
    assert subsample_condition(sample.grains, scan.grid) < whole
    assert (least_condition(sample.grains, scan.grid) > Cholesky.limit) == crowded == (whole > Cholesky.limit)
    stages = set()
    solution = invert(
        scan, sample.grains, progress=lambda stage, done, total: stages.add(stage), throw=False, method="auto"
    )
    assert solution.method == ("orthogonal" if crowded else "cholesky")
    assert ("normal equations" in stages) != crowded


def test_sensors_far_from_the_middle_of_the_grains_do_not_break_it():
    sample = simulate(jax.random.key(3), side=100, thickness=20, density=5e4, noise=5.0)
    scan = sample.sample(spacing=5, noise=5.0)
    aside = sample.grains.translate((1e4, 0, 0))
    assert least_condition(aside, scan.grid) == 1
    assert subsample_condition(aside, scan.grid) > 1
