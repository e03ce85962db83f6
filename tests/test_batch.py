"""Samples that are solved side by side are solved as they are alone."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy

from mmtjax import Grains, Scan, SensorGrid, Simulation, greens_matrix, invert_series, simulate
from mmtjax.inversion.batch import MOST_UNKNOWNS, batch_bytes, invert_batch
from mmtjax.study import Geometry, StudyConfig, batch, open_study, run_study
from mmtjax.study.batch import in_batches, run_batch
from mmtjax.study.geometry import run_geometry
from tests.study_process import SMALL

NOISE = [5.0, 20.0]

#: How far apart tiles are cut depends on all grains, and values within the tolerance on that: leave it no room.
FINE = 1e-11


def samples(count: int, *, thickness: float = 30.0) -> list[Simulation]:
    return [simulate(jax.random.key(n), side=40, thickness=thickness, density=2.5e5) for n in range(count)]


def maps_of(sample: Simulation) -> list[Scan]:
    return [sample.sample(noise=noise) for noise in NOISE]


@pytest.fixture(scope="module")
def few() -> list[Simulation]:
    jax.config.update("jax_enable_x64", True)
    return samples(3)


def test_side_by_side_is_as_alone(few: list[Simulation]) -> None:
    together = invert_batch(
        [maps_of(one) for one in few], [one.grains for one in few], NOISE, level=0.9, tolerance=FINE
    )
    for sample, found in zip(few, together, strict=True):
        options = {"method": "cholesky", "level": 0.9, "tolerance": FINE}
        alone = invert_series(maps_of(sample), sample.grains, NOISE, **options)
        for ours, theirs in zip(found, alone, strict=True):
            radius = np.asarray(theirs.confidence_radius)
            off = np.linalg.norm(np.asarray(ours.magnetization - theirs.magnetization), axis=1)
            # Alone, the solution ends at 1e-11 of its norm, which is up to 1e6 standard deviations.
            assert np.all(off <= 1e-5 * radius)
            np.testing.assert_allclose(ours.confidence_radius, radius, rtol=1e-8)
            close = {"rtol": 0, "atol": 1e-10 * np.abs(theirs.forward).max()}
            np.testing.assert_allclose(ours.forward, theirs.forward, **close)
            np.testing.assert_allclose(ours.residual, theirs.residual, **close)
            np.testing.assert_allclose(ours.reduced_chi_square, theirs.reduced_chi_square, rtol=1e-8)
            np.testing.assert_allclose(ours.condition, theirs.condition, rtol=0.05)
            assert (ours.method, ours.level, ours.failure) == ("cholesky", 0.9, None)
            assert ours.warnings == theirs.warnings


def test_masks_of_samples_may_differ(few: list[Simulation]) -> None:
    """Against the least squares of NumPy on the rows that are used, and C = σ²(QᵀQ)⁻¹."""
    rng = np.random.default_rng(4)
    scans = [[Scan(one.scan.field, one.scan.grid, mask=rng.random((41, 41)) < 0.7)] for one in few]
    together = invert_batch(scans, [one.grains for one in few], [5.0], tolerance=FINE)
    for [scan], sample, [found] in zip(scans, few, together, strict=True):
        rows = np.asarray(greens_matrix(sample.grains, scan.grid, tolerance=FINE))[scan.mask.ravel()]
        expected, misfit, *_ = np.linalg.lstsq(rows, scan.field.ravel()[scan.mask.ravel()])
        np.testing.assert_allclose(found.magnetization.ravel(), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
        whole = 25.0 * scipy.linalg.inv(rows.T @ rows)
        blocks = [whole[3 * n : 3 * n + 3, 3 * n : 3 * n + 3] for n in range(len(sample.grains))]
        np.testing.assert_allclose(found.covariance, blocks, rtol=1e-6, atol=1e-8 * np.max(blocks))
        freedom = scan.mask.sum() - rows.shape[1]
        np.testing.assert_allclose(found.reduced_chi_square, misfit[0] / freedom / 25, rtol=1e-8)


def cubes(gap: float) -> Grains:
    """Two small deep cubes so far apart, and a third."""
    return Grains.from_cuboids(
        [[0, 0, -20, 0.2, 0.2, 0.2, 1], [gap, 0, -20, 0.2, 0.2, 0.2, 2], [9, 9, -5, 1, 1, 1, 3]], allow_overlap=True
    )


def test_samples_that_normal_equations_cannot_carry_are_left_out() -> None:
    grid = SensorGrid(origin=(-20, -20), spacing=1, shape=(41, 41), height=1)
    scans = [[Scan(1e-4 * np.random.default_rng(2).normal(size=(41, 41)), grid)] for _ in range(3)]
    found = invert_batch(scans, [cubes(9.0), cubes(1e-6), cubes(8.0)], [5.0])
    assert [one is None for one in found] == [False, True, False]
    # Nor what would need finer columns than were asked for.
    [[close]] = invert_batch(scans[:1], [cubes(0.01)], [5.0])
    assert 2e3 < close.condition < 3e6
    assert invert_batch(scans[:1], [cubes(0.01)], [5.0], tolerance=1e-2) == [None]


def test_what_is_not_alike_is_refused(few: list[Simulation]) -> None:
    scans, grains = [maps_of(one) for one in few], [one.grains for one in few]
    with pytest.raises(ValueError, match="must have equal numbers of grains; got"):
        invert_batch(scans, [grains[0], grains[1], grains[2].select([0, 1])], NOISE)
    with pytest.raises(ValueError, match="for each of 1 levels of noise; got 2"):
        invert_batch(scans, grains, [5.0])
    with pytest.raises(ValueError, match="one entry for each sample, and at least one; got 2 and 3 entries"):
        invert_batch(scans[:2], grains, NOISE)
    coarse = [few[2].sample(spacing=2, noise=noise) for noise in NOISE]
    with pytest.raises(ValueError, match="must have the same sensors, and their maps the same mask"):
        invert_batch([*scans[:2], coarse], grains, NOISE)
    masked = Scan(scans[0][0].field, scans[0][0].grid, mask=np.arange(41 * 41).reshape(41, 41) > 9)
    with pytest.raises(ValueError, match="must have the same sensors, and their maps the same mask"):
        invert_batch([[scans[0][0], masked], *scans[1:]], grains, NOISE)
    with pytest.raises(ValueError, match="noise"):
        invert_batch(scans, grains, [5.0, -1.0])
    many = Grains.from_volumes(np.random.default_rng(0).uniform(-9, -1, (MOST_UNKNOWNS // 3 + 1, 3)), np.ones(342))
    with pytest.raises(ValueError, match="samples of up to 341 grains are solved at once; got 342"):
        invert_batch(scans[:1], [many], NOISE)


STUDY = StudyConfig(
    name="batches",
    seed=1,
    side=(100, 500),
    thickness=(50,),
    density=(1e4, 1e5),
    interval=(1, 2),
    noise=(5, 20),
    repeats=5,
)


def test_repeats_of_a_model_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "device_memory", lambda: 1e12)
    missing = {geometry: [1.0, 2.0] for geometry in STUDY.geometries()}
    missing[Geometry(100, 50, 1e4, 3)] = [2.0]
    found = in_batches(STUDY, missing, most=2)
    assert sorted(one for members, _ in found for one in members) == sorted(STUDY.geometries())
    repeats = {(members[0][:3], tuple(one.repeat for one in members), *intervals) for members, intervals in found}
    assert {part for part in repeats if part[0] == (100, 50, 1e4)} == {
        ((100, 50, 1e4), (0, 1), 1.0, 2.0),
        ((100, 50, 1e4), (2, 4), 1.0, 2.0),
        ((100, 50, 1e4), (3,), 2.0),
    }
    # 1,250 grains are no small sample.
    assert {part[1] for part in repeats if part[0] == (500, 50, 1e5)} == {(0,), (1,), (2,), (3,), (4,)}
    assert all(len(members) == 1 for members, _ in in_batches(STUDY, missing, most=1))


def test_no_more_go_together_than_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    each = batch_bytes(5, 101**2, maps=2)
    monkeypatch.setattr(batch, "device_memory", lambda: 2 * 3.5 * each)
    missing = {Geometry(100, 50, 1e4, repeat): [1.0, 2.0] for repeat in range(5)}
    assert [len(members) for members, _ in in_batches(STUDY, missing, most=16)] == [3, 2]


def test_a_study_in_batches_is_the_study(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, interval=(1.0, 20.0), thickness=(30.0, 35.0))
    geometries = [one for one in config.geometries() if one.thickness == 30]
    found = dict(run_batch(config, geometries, config.interval))
    assert sorted(found) == sorted(cell for cell in config.cells() if cell.thickness == 30)
    for cell, ours in found.items():
        [(_, theirs)] = run_geometry(config, cell.geometry, [cell.interval])
        assert ours.attrs == theirs.attrs
        assert (cell.interval == 20) == ("cannot determine" in ours.attrs["failure"])
        radius = theirs["confidence_radius"].values[..., None]
        for name in set(theirs) - {"magnetization", "condition"}:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6, err_msg=name)
        off = np.abs(ours["magnetization"] - theirs["magnetization"]).values
        assert np.all((off <= 1e-5 * radius) | np.isnan(radius))
    run_study(config, tmp_path / "store.zarr", workers=0, batch=2)
    store = open_study(tmp_path / "store.zarr")
    assert not store.status().missing
    for cell, ours in found.items():
        np.testing.assert_allclose(store.load(cell)["confidence_radius"], ours["confidence_radius"], rtol=1e-9)


def test_on_an_accelerator_this_process_solves_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(*arguments: object, most: int) -> list[object]:
        asked.append(most)
        return []

    monkeypatch.setattr("mmtjax.study.run.on_accelerator", lambda: True)
    monkeypatch.setattr("mmtjax.study.run.in_batches", noted)
    monkeypatch.setattr("mmtjax.study.run.connected", None)
    run_study(SMALL, tmp_path / "store.zarr")
    run_study(SMALL, tmp_path / "store.zarr", batch=3)
    assert asked == [batch.ON_ACCELERATOR, 3]
    with pytest.raises(ValueError, match="batch must be a number of samples, 1 or more; got 0"):
        run_study(SMALL, tmp_path / "store.zarr", batch=0)
