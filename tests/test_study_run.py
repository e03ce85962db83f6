"""Runs of a small study: what they compute, and that it is the same however they are cut, ordered and shared out."""

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import psutil
import pytest
import scipy.optimize
import scipy.special
from distributed import LocalCluster
from threadpoolctl import threadpool_limits

from mmtjax import greens_matrix
from mmtjax.parallel import cluster
from mmtjax.solvers.base import AbstractSolver
from mmtjax.solvers.cholesky import Cholesky
from mmtjax.solvers.orthogonal import Orthogonal
from mmtjax.study import Cell, geometry, open_study, run
from mmtjax.study.geometry import run_geometry, sample_of
from mmtjax.study.run import StudyError, StudyProgress, run_study
from mmtjax.study.store import complete_cells, log_of
from tests import study_process
from tests.study_process import LONGER, SMALL, files_of

CELLS = len(SMALL.cells())


@pytest.fixture(autouse=True)
def _double_precision(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Double precision here, and one cache of compiled functions for all processes that are started."""
    jax.config.update("jax_enable_x64", True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "compiled"))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run that nothing disturbed."""
    jax.config.update("jax_enable_x64", True)
    store = tmp_path_factory.mktemp("undisturbed") / "store.zarr"
    run_study(SMALL, store, workers=0)
    return store


def test_every_cell_holds_what_an_inversion_says(undisturbed: Path) -> None:
    """Against C = σ²(QᵀQ)⁻¹ and the least squares of NumPy, from the sample that the key of the cell gives."""
    study = open_study(undisturbed)
    assert study.cells() == sorted(SMALL.cells())
    assert not study.status().failures
    for cell in study.cells():
        data = study.load(cell)
        assert data.attrs | cell._asdict() == data.attrs
        sample = sample_of(SMALL, cell.geometry)
        np.testing.assert_array_equal(data["position"], sample.grains.position)
        np.testing.assert_array_equal(data["magnetization_true"], sample.magnetization)
        scans = [sample.sample(spacing=cell.interval, noise=noise) for noise in SMALL.noise]
        matrix = np.asarray(greens_matrix(sample.grains, scans[0].grid))
        # Columns of norm one: deep and shallow grains differ by decades.
        norm = np.linalg.norm(matrix, axis=0)
        inverse = np.linalg.inv((matrix / norm).T @ (matrix / norm)) / np.outer(norm, norm)
        blocks = np.array([inverse[at : at + 3, at : at + 3] for at in range(0, len(norm), 3)])
        for level, (noise, scan) in enumerate(zip(SMALL.noise, scans, strict=True)):
            reading = np.asarray(scan.field).ravel()
            solved = np.linalg.lstsq(matrix / norm, reading)[0] / norm
            found = data["magnetization"].values[level]
            np.testing.assert_allclose(found, solved.reshape(-1, 3), atol=1e-6 * np.abs(solved).max())
            radius = data["confidence_radius"].values[level]
            np.testing.assert_allclose(radius, _radius(noise**2 * blocks), rtol=1e-6)
            np.testing.assert_allclose(data["uncertainty_ratio"][level] * np.linalg.norm(found, axis=1), radius)
            square = np.sum((reading - matrix @ solved) ** 2) / (noise**2 * (reading.size - solved.size))
            np.testing.assert_allclose(data["reduced_chi_square"][level], square, rtol=1e-6)
        volume, position = data["volume"].values, data["position"].values
        np.testing.assert_allclose(data["diameter"], np.cbrt(6 * volume / np.pi))
        ssr = volume / ((SMALL.height - position[:, 2]) ** 3 * data["diameter"].values)
        np.testing.assert_allclose(data["signal_strength_ratio"], ssr)
        assert (np.abs(data["reduced_chi_square"] - 1) < 6 * np.sqrt(2 / (cell.side / cell.interval) ** 2)).all()


def _radius(covariance: np.ndarray) -> np.ndarray:
    """Radius that holds 95 % of the errors of each grain: P(|δ| ≤ u) as the mean over directions of the whitened error.

    Along each of them the norm of the whitened error is that of three standard normal numbers.
    """
    axis, weight = np.polynomial.legendre.leggauss(60)
    turn = np.arange(120) * np.pi / 60
    across = np.sqrt(1 - axis**2)[:, None]
    direction = np.stack([across * np.cos(turn), across * np.sin(turn), axis[:, None] + 0 * turn], axis=-1)
    radii = []
    for block in covariance:
        stretch = np.sqrt(direction**2 @ np.linalg.eigvalsh(block))

        def beyond(radius: float, stretch: np.ndarray = stretch) -> float:
            return weight @ scipy.special.gammainc(1.5, (radius / stretch) ** 2 / 2).mean(axis=1) / 2 - SMALL.level

        radii.append(scipy.optimize.brentq(beyond, 0, 10 * stretch.max(), rtol=1e-12))
    return np.array(radii)


@pytest.mark.parametrize("kind", [Cholesky, Orthogonal])
def test_each_interval_is_factored_once_for_all_levels_of_noise(
    monkeypatch: pytest.MonkeyPatch, kind: type[AbstractSolver]
) -> None:
    """Rows are reduced once for each interval, and the number of factorizations does not depend on the noise levels."""
    calls: list[str] = []

    def counted(name: str) -> Callable[..., object]:
        method = getattr(kind, name)

        def call(*arguments: object, **options: object) -> object:
            calls.append(name)
            return method(*arguments, **options)

        return call

    for name in ("init", "compute"):
        monkeypatch.setattr(kind, name, counted(name))
    if kind is Orthogonal:
        monkeypatch.setattr(geometry, "invert_series", functools.partial(geometry.invert_series, method="orthogonal"))
    factorizations = []
    for noise in ((5.0,), (5.0, 20.0, 50.0, 100.0)):
        calls.clear()
        config = dataclasses.replace(SMALL, noise=noise)
        results = list(run_geometry(config, config.geometries()[0], config.interval))
        assert [(data.attrs["method"], data.sizes["noise"]) for _, data in results] == [
            (kind.__name__.lower(), len(noise))
        ] * 2
        assert calls.count("init") == 2
        factorizations.append(calls.count("compute"))
    assert factorizations[0] == factorizations[1] > 0


def test_radii_go_with_the_noise(undisturbed: Path) -> None:
    study = open_study(undisturbed)
    for cell in study.cells():
        radius = study.load(cell)["confidence_radius"].values
        np.testing.assert_allclose(radius[1], 4 * radius[0], rtol=1e-9)


def test_spheres_hold_the_truth(undisturbed: Path) -> None:
    """Of 36 errors 95 % lie within their radius, if errors and radii are of one kind."""
    study = open_study(undisturbed)
    inside = []
    for cell in study.cells():
        if cell.interval == 1:
            data = study.load(cell)
            error = np.linalg.norm(data["magnetization"] - data["magnetization_true"], axis=2)
            inside.append((error <= data["confidence_radius"].values).ravel())
    share = np.concatenate(inside)
    assert len(share) == 36
    assert abs(share.mean() - 0.95) < 4 * np.sqrt(0.95 * 0.05 / len(share))


def test_all_intervals_and_levels_see_one_sample(undisturbed: Path) -> None:
    study = open_study(undisturbed)
    for cell in study.cells():
        fine = study.load(cell._replace(interval=1.0))
        for name in ("position", "volume", "magnetization_true"):
            np.testing.assert_array_equal(study.load(cell)[name], fine[name])
    first, second = (study.load(Cell(40.0, 30.0, 1.25e5, repeat, 1.0)) for repeat in (0, 1))
    assert not np.any(first["position"].values[:, 0] == second["position"].values[:, 0])


def test_a_cell_alone_or_in_a_smaller_study_is_the_same(undisturbed: Path, tmp_path: Path) -> None:
    smaller = dataclasses.replace(SMALL, interval=(2.0,), repeats=1)
    run_study(smaller, tmp_path / "store.zarr", workers=0)
    found, expected = files_of(tmp_path / "store.zarr"), files_of(undisturbed)
    assert sum("condition/c" in name for name in found) == 1
    assert found == {name: expected[name] for name in found}
    one_level = dataclasses.replace(SMALL, noise=(20.0,))
    sample = SMALL.geometries()[0]
    [(_, alone)] = run_geometry(one_level, sample, [2.0])
    both = open_study(undisturbed).load(Cell(*sample, 2.0))
    np.testing.assert_allclose(alone["magnetization"][0], both["magnetization"][1], rtol=1e-9)
    np.testing.assert_allclose(alone["confidence_radius"][0], both["confidence_radius"][1], rtol=1e-9)


def test_the_threads_that_blas_may_use_change_no_byte() -> None:
    """The sample is large enough that products are shared out: without the limit, four of the variables differ."""
    config = dataclasses.replace(SMALL, side=(100,), thickness=(50,), density=(3.2e5,), noise=(5.0,))
    datasets = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            [(_, data)] = run_geometry(config, config.geometries()[0], [2.0])
        datasets.append(data)
    one, two = datasets
    assert one.sizes["grain"] == 160
    assert {str(name): values.values.tobytes() for name, values in one.variables.items()} == {
        str(name): values.values.tobytes() for name, values in two.variables.items()
    }


def test_the_command_computes_with_one_thread_of_jax_whatever_the_environment_says(tmp_path: Path) -> None:
    """Sums as a process gives them that has one thread from its start; those of two differ, on more than one core."""
    (tmp_path / "small.toml").write_text(
        "[study]\nname = 'small'\nseed = 7\nrepeats = 1\n[parameters]\nside = [40]\nthickness = [30]\n"
        "density = [1.25e5]\ninterval = [2]\nnoise = [5]\n"
    )
    code = (
        "import os, sys, jax, numpy as np\n"
        "from mmtjax.cli.main import main\n"
        "from mmtjax.study import run\n"
        "from tests.study_process import run_made_up\n"
        "def sums():\n"
        "    values = np.random.default_rng(0).normal(size=(600, 2000))\n"
        "    print('sums', np.asarray(jax.numpy.sum(values**2, axis=0)).tobytes().hex())\n"
        "def summed(*arguments, **options):\n"
        "    sums()\n"
        "    return run_made_up(*arguments)\n"
        "run.run_geometry = summed\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "sums() if sys.argv[1:] == [] else main(['study', 'run', *sys.argv[1:], '--workers', '0'])"
    )

    def sums_of(threads: str, *arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NPROC": threads}
        out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        return next(line for line in out.splitlines() if line.startswith("sums "))

    by_command = sums_of("2", str(tmp_path / "small.toml"), "--out", str(tmp_path / "store.zarr"))
    assert by_command == sums_of("1")


def test_a_complete_study_is_not_computed_again(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "run_geometry", lambda *_, **__: pytest.fail("it was computed again"))
    reported: list[StudyProgress] = []
    run_study(SMALL, undisturbed, progress=reported.append)
    assert reported == [StudyProgress(CELLS, CELLS, 0.0, None, "")]


@pytest.fixture(scope="module")
def made_up_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a run of the longer study that nothing disturbed, of results that are made up."""
    store = tmp_path_factory.mktemp("made_up") / "store.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "run_geometry", study_process.run_made_up)
        run_study(LONGER, store, workers=0)
    return store


def test_a_run_that_ends_early_is_continued_with_more_repeats(
    made_up_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "run_geometry", study_process.run_made_up)
    store = tmp_path / "store.zarr"
    reported: list[StudyProgress] = []

    def stop(progress: StudyProgress) -> None:
        reported.append(progress)
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(SMALL, store, workers=0, progress=stop)
    assert [progress.done for progress in reported] == [0, 1, 2, 3]
    assert reported[0].seconds_left is None
    assert 0.01 < reported[3].seconds_left < 1
    assert open_study(store).cells() == sorted(SMALL.cells()[:3])
    run_study(LONGER, store, workers=0, progress=reported.append)
    assert [progress.done for progress in reported] == [*range(4), *range(3, len(LONGER.cells()) + 1)]
    assert files_of(store) == files_of(made_up_store)


def _killed_again_and_again(store: Path, *, kills: int, seed: int, results: str, workers: int, moment: float) -> None:
    """Start the study in a process, kill it, and so on; then let it end.

    A fifth of the kills fall before the study has begun, the others a moment after so many of its cells were completed.
    Some cells must have been completed between the kills, and some be left after the last.
    """
    rng = np.random.default_rng(seed)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.study_process", str(store), results, str(workers)]
    counts = [0]
    for number in range(kills + 1):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            if number < kills:
                if rng.random() < 0.2:
                    time.sleep(rng.uniform(0, 2))
                else:
                    for _ in range(1 + rng.integers(0, 4)):
                        process.stdout.readline()
                    time.sleep(rng.uniform(0, moment))
                process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split()
            process.wait()
        counts.append(len(complete_cells(store)))
    assert process.returncode == 0
    assert int(lines[-1]) == counts[-1] == len(LONGER.cells())
    completed = np.diff(counts)
    assert np.count_nonzero(completed[:-1]) >= kills / 3
    assert completed[-1] > 0


def _moment(store: Path) -> float:
    """Seconds in which a process completes a cell, or not."""
    return 2 * float(np.median([entry["seconds"] for entry in log_of(store) if "seconds" in entry]))


def test_a_study_killed_three_times_ends_as_an_undisturbed_one(made_up_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "store.zarr"
    _killed_again_and_again(store, kills=3, seed=1, results="made up", workers=0, moment=_moment(made_up_store))
    assert files_of(store) == files_of(made_up_store)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "kills"), [(0, 20), (1, 6)])
def test_a_study_killed_while_it_computes_ends_as_an_undisturbed_one(workers: int, kills: int, tmp_path: Path) -> None:
    run_study(LONGER, tmp_path / "undisturbed.zarr", workers=0)
    store, moment = tmp_path / "store.zarr", _moment(tmp_path / "undisturbed.zarr")
    _killed_again_and_again(store, kills=kills, seed=2, results="computed", workers=workers, moment=moment)
    assert files_of(store) == files_of(tmp_path / "undisturbed.zarr")


def is_worker(process: psutil.Process) -> bool:
    """Whether a process is a worker of Dask; one that has just ended is none."""
    try:
        return "multiprocessing.spawn" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_a_worker_that_dies_is_replaced(made_up_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_work", study_process.work_made_up)
    # As if one worker had many cores to itself.
    monkeypatch.setattr(cluster, "cores", lambda: 4)
    me, killed = psutil.Process(), []

    def kill_one(progress: StudyProgress) -> None:
        workers = [child for child in me.children(recursive=True) if is_worker(child)]
        if not killed and progress.done == 1 and workers:
            workers[0].kill()
            killed.append(workers[0].pid)

    before = dict(os.environ)
    run_study(LONGER, tmp_path / "store.zarr", workers=1, progress=kill_one)
    assert killed
    assert dict(os.environ) == before
    assert files_of(tmp_path / "store.zarr") == files_of(made_up_store)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_local_workers_compute_the_same(workers: int, undisturbed: Path, tmp_path: Path) -> None:
    run_study(SMALL, tmp_path / "store.zarr", workers=workers)
    assert files_of(tmp_path / "store.zarr") == files_of(undisturbed)


def test_large_samples_have_small_ones_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a limit of 4 units samples of 35 µm take 3, those of 30 µm one."""
    monkeypatch.setattr(run, "_work", study_process.work_noted)
    monkeypatch.setattr(run, "memory_of", lambda geometry, _: 2**30 * (3 if geometry.thickness == 35 else 1))
    (tmp_path / "notes").mkdir()
    config = dataclasses.replace(SMALL, name=str(tmp_path / "notes"), thickness=(30.0, 35.0), repeats=4)
    with pytest.raises(
        MemoryError, match="40 × 40 × 35 µm .* takes about 3.38 GiB, and 3 GiB are allowed by memory_limit"
    ):
        run_study(config, tmp_path / "store.zarr", workers=2, memory_limit=3 * 2**30)
    study = run_study(config, tmp_path / "store.zarr", workers=2, memory_limit=4 * 2**30 + run._MASTER)
    assert not study.status().missing
    spans = [tuple(map(float, file.read_text().split())) for file in (tmp_path / "notes").iterdir()]
    together = [
        {one[0], other[0]}
        for number, one in enumerate(spans)
        for other in spans[:number]
        if one[1] < other[2] and other[1] < one[2]
    ]
    assert len(spans) == 8
    assert {35.0} not in together
    assert {30.0, 35.0} in together


def test_a_cluster_computes_by_the_address_of_its_scheduler(
    made_up_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was started as the how-to has it, by other means than those of the study."""
    for name, value in {"JAX_ENABLE_X64": "1", "NPROC": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(run, "_work", study_process.work_made_up)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as other:
        run_study(LONGER, tmp_path / "store.zarr", scheduler=other.scheduler_address)
        assert other.scheduler.workers
    assert files_of(tmp_path / "store.zarr") == files_of(made_up_store)


def test_a_sample_that_kills_its_workers_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_work", study_process.die)
    with pytest.raises(StudyError, match=r"the sample of 40 × 40 × 30 µm .* 3 workers died during it"):
        run_study(dataclasses.replace(SMALL, repeats=1), tmp_path / "store.zarr", workers=1)


def test_an_error_of_a_sample_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ValueError("no room for the last grain")

    monkeypatch.setattr(geometry, "simulate", refuse)
    with pytest.raises(
        StudyError, match=r"40 × 40 × 30 µm with 125000 grains per mm³, repeat 0 .* no room for the last"
    ):
        run_study(SMALL, tmp_path / "store.zarr", workers=0)


def test_more_unknowns_than_sensors_are_a_failure_that_is_stored() -> None:
    config = dataclasses.replace(SMALL, interval=(1.0, 20.0))
    [(_, data)] = run_geometry(config, config.geometries()[0], [20.0])
    assert data.attrs["failure"] == "9 sensors cannot determine 18 unknowns"
    assert np.isinf(data["uncertainty_ratio"]).all()
    assert np.isnan(data["confidence_radius"]).all()


def test_a_condition_beyond_trust_keeps_the_numbers_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def beyond(*arguments: object, **options: object) -> list[object]:
        return [dataclasses.replace(one, failure="beyond trust") for one in inverted(*arguments, **options)]

    inverted = geometry.invert_series
    monkeypatch.setattr(geometry, "invert_series", beyond)
    [(_, data)] = run_geometry(SMALL, SMALL.geometries()[0], [2.0])
    assert data.attrs["failure"] == "beyond trust"
    assert np.isfinite(data["uncertainty_ratio"]).all()


def test_invalid_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="workers must be 0"):
        run_study(SMALL, tmp_path / "store.zarr", workers=-1)
    with pytest.raises(ValueError, match="not both"):
        run_study(SMALL, tmp_path / "store.zarr", workers=1, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(ValueError, match="memory_limit is for local workers"):
        run_study(SMALL, tmp_path / "store.zarr", scheduler="tcp://127.0.0.1:1", memory_limit=2**33)
    assert not (tmp_path / "store.zarr").exists()
