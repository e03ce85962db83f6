"""Windows iterated to agreement: the answer of the whole factorization, whoever works and whatever interrupts."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from distributed import KilledWorker

import mmtjax
from mmtjax.errors import InversionError, InversionWarning
from mmtjax.greens.blockwise import BlockFrame, BlockwiseGreen
from mmtjax.greens.compressed.operator import CompressedGreen
from mmtjax.parallel.cluster import WorkerError, connected
from mmtjax.subdomains import rounds, work
from mmtjax.subdomains.windows import divide_sample, divide_sensors
from mmtjax.unknowns import Unknowns
from tests import subdomains_process
from tests.inversions import largest_difference
from tests.subdomains_process import NOISE, by_windows, sample


@functools.cache
def whole() -> mmtjax.Solution:
    scan, grains = sample()
    return mmtjax.invert(scan, grains, NOISE, method="orthogonal")


def test_every_grain_has_one_core_and_every_sensor_one_block() -> None:
    scan, grains = sample()
    position = np.asarray(grains.position)
    windows = divide_sample(position, scan.grid, core=40, buffer=25, margin=10)
    answered = np.concatenate([window.grains[window.core] for window in windows])
    assert len(windows) == 16
    assert sorted(answered) == list(range(len(grains)))
    for window in windows:
        own = position[window.grains[window.core], :2]
        near = np.all((position[:, :2] >= own.min(axis=0) - 25) & (position[:, :2] <= own.max(axis=0) + 25), axis=1)
        assert set(np.flatnonzero(near)) <= set(window.grains)
    seen = np.zeros(scan.grid.shape, int)
    for part in divide_sensors(scan.grid, edge=40):
        seen[part] += 1
    assert np.all(seen == 1)


@pytest.mark.parametrize(
    ("length", "edge", "size", "count"),
    [(4473, 560, 1024, 25), (1790, 560, 512, 16), (633, 560, 512, 4), (200, 100, 64, 16), (101, 5, 32, 16)],
)
def test_blocks_begin_and_end_with_squares_of_the_tree(length: int, edge: float, size: int, count: int) -> None:
    grid = mmtjax.SensorGrid(origin=(0, 0), spacing=(0.5, 0.7), shape=(length, length), height=1)
    parts = divide_sensors(grid, edge=edge / 2)
    assert len(parts) == count
    assert {part.start % size for pair in parts for part in pair} == {0}
    assert {part.stop - part.start for pair in parts for part in pair} <= {size, length % size}


@pytest.mark.parametrize("weighted", [False, True])
def test_the_operator_of_a_window_is_that_of_its_grains(weighted: bool) -> None:
    scan, grains = sample()
    own = np.arange(3, 200, 4)
    halves = {0: (slice(0, 60), slice(0, 101)), 1: (slice(60, 101), slice(0, 101))}
    made = [CompressedGreen(grains, scan.grid.window(*part)) for part in halves.values()]
    frame = BlockFrame(scan.grid, halves)
    unknowns = grains.select(own).unknowns
    order = np.random.default_rng(0).permutation(unknowns.size)
    green = BlockwiseGreen(frame, lambda block: made[block].among(own), Unknowns((unknowns,)), order)
    columns = np.asarray(mmtjax.greens_matrix(grains.select(own), scan.grid))
    rng = np.random.default_rng(1)
    magnetization, field = (jnp.asarray(rng.normal(size=size)) for size in (unknowns.size, scan.grid.shape))
    peak = np.abs(columns).max()
    np.testing.assert_allclose(green.mv(magnetization).ravel(), columns @ np.asarray(magnetization), atol=1e-6 * peak)
    np.testing.assert_allclose(green.rmv(field), np.ravel(field) @ columns, atol=1e-5 * peak)
    weight = jnp.asarray(rng.uniform(0.5, 2, scan.grid.shape)) if weighted else None
    rows = columns if weight is None else columns * np.asarray(weight).ravel()[:, None]
    gram = rows.T @ rows
    np.testing.assert_allclose(green.gram(weight), gram, atol=1e-7 * gram.max())
    root = np.asarray(green.root(weight))
    np.testing.assert_array_equal(root, np.triu(root))
    np.testing.assert_allclose(root.T @ root, gram, atol=1e-7 * gram.max())


def test_magnetizations_and_radii_are_those_of_the_whole() -> None:
    solution = by_windows(*sample(), draws=64)
    assert largest_difference(solution, whole()) < 1e-2
    ratio = np.asarray(solution.confidence_radius / whole().confidence_radius)
    # Draws are random: deviations are held against the standard deviations that are stated.
    deviation = (ratio - 1) / np.maximum(solution.radius_error, 1e-4)
    assert np.abs(deviation).max() < 5
    assert 0.5 < np.std(deviation) < 1.5
    assert np.max(solution.radius_error) < 0.03
    np.testing.assert_allclose(solution.forward, whole().forward, atol=NOISE / 10)
    assert float(solution.reduced_chi_square) == pytest.approx(float(whole().reduced_chi_square), rel=1e-6)


@pytest.mark.slow
def test_windows_alone_understate_radii_and_the_correction_mends_it() -> None:
    scan, grains = sample()
    solution = by_windows(scan, grains, core=50, buffer=15, draws=256)
    ratio = np.asarray(solution.confidence_radius / whole().confidence_radius)
    lowest = _radii_alone(scan, grains, core=50, buffer=15) / np.asarray(whole().confidence_radius)
    assert np.all(lowest < 1 + 1e-6)
    assert lowest.min() < 0.9
    assert abs(np.median(ratio) - 1) < 1e-3
    assert np.abs((ratio - 1) / np.maximum(solution.radius_error, 1e-4)).max() < 5


def _radii_alone(scan: mmtjax.Scan, grains: mmtjax.Grains, *, core: float, buffer: float) -> np.ndarray:
    """Radii of the grains of each core with those beyond its buffer known, from the whole dense matrix."""
    matrix = np.asarray(mmtjax.greens_matrix(grains, scan.grid)) / NOISE
    found = np.zeros(len(grains))
    for window in divide_sample(np.asarray(grains.position), scan.grid, core=core, buffer=buffer, margin=buffer):
        columns = (3 * window.grains[:, None] + np.arange(3)).ravel()
        inverse = np.linalg.inv(np.linalg.qr(matrix[:, columns], mode="r"))
        blocks = np.einsum("gik,gjk->gij", *2 * [inverse.reshape(-1, 3, len(columns))])
        found[window.grains[window.core]] = mmtjax.confidence_radius(blocks[window.core])
    return found


def test_memory_is_given_back_after_a_block_and_after_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(work, "give_back_memory", lambda: given.append(None))
    by_windows(*sample(), core=1e3, buffer=1.0, draws=2)
    assert len(given) == 2


def test_one_window_is_the_whole() -> None:
    scan, grains = sample()
    solution = by_windows(scan, grains, core=1e3, buffer=1.0)
    np.testing.assert_allclose(solution.confidence_radius, whole().confidence_radius, rtol=1e-6)
    assert largest_difference(solution, whole()) < 1e-2


@pytest.mark.parametrize(
    "case",
    [
        "noise map",
        "residual",
        "prior",
        pytest.param("orthogonal with a mask", marks=pytest.mark.slow),
        pytest.param("mask", marks=pytest.mark.slow),
        pytest.param("orthogonal", marks=pytest.mark.slow),
    ],
)
def test_options_mean_what_they_mean_for_the_whole(case: str) -> None:
    scan, grains = sample()
    noise, prior = NOISE, None
    method = "orthogonal" if "orthogonal" in case else "auto"
    if "mask" in case:
        rng = np.random.default_rng(1)
        mask = rng.uniform(size=scan.grid.shape) > 0.4
        scan = mmtjax.Scan(np.where(mask, scan.field, np.nan), scan.grid, mask)
    elif case == "noise map":
        noise = NOISE * np.random.default_rng(2).uniform(0.5, 2, scan.grid.shape)
    elif case == "residual":
        noise = "residual"
    elif case == "prior":
        prior = 3e3
    exact = mmtjax.invert(scan, grains, noise, prior=prior, method="orthogonal")
    solution = by_windows(scan, grains, noise, prior=prior, draws=64, method=method)
    assert largest_difference(solution, exact) < 1e-2
    ratio = np.asarray(solution.confidence_radius / exact.confidence_radius)
    assert np.abs(ratio - 1).max() < 0.05
    assert float(solution.effective_unknowns) == pytest.approx(float(exact.effective_unknowns), rel=5e-3)
    assert float(solution.reduced_chi_square) == pytest.approx(float(exact.reduced_chi_square), rel=1e-3)


def test_a_run_that_was_ended_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan, grains = sample()
    undisturbed = by_windows(scan, grains, store=tmp_path / "undisturbed")
    # Shapes of all grains, 60 kB here, would be read with each block in each round. Numbers of sensors take 8 bytes,
    # and a square has up to three indices of each grain.
    block = work._grains_green(tmp_path / "undisturbed", 0)
    squares = sum(len(level) for level in block.levels)
    indices = 8 * (sum(len(own) for own in block.sensors) + 3 * len(grains) * squares)
    assert work.block_file(tmp_path / "undisturbed", 0).stat().st_size < block.nbytes + indices + 4096
    moments = {"columns": 3, "windows": 2, "corrections": 12, "directions": 5, "comparison": 1}
    for stage, moment in moments.items():
        heard: list[int] = []

        def end(name: str, *_: int, stage: str = stage, moment: int = moment, heard: list[int] = heard) -> None:
            heard.append(name == stage)
            if sum(heard) == moment:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            by_windows(scan, grains, store=tmp_path / "disturbed", progress=end)

    def refused(*_: object) -> None:
        raise AssertionError("a window was factored anew")

    monkeypatch.setattr(work, "strategy_for", refused)
    monkeypatch.setattr(CompressedGreen, "__init__", refused)
    again = by_windows(scan, grains, store=tmp_path / "disturbed")
    assert eqx.tree_equal(undisturbed.magnetization, again.magnetization)
    assert eqx.tree_equal(undisturbed.covariance, again.covariance)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    """Each time a moment after so many pieces of work: while columns are made, windows factored, and maps moved."""
    rng, heard = np.random.default_rng(4), []
    for store, pieces in [("undisturbed", None), *(("killed", pieces) for pieces in (2, 6, 10, 25, 60, 120, None))]:
        command = [sys.executable, "-m", "tests.subdomains_process", tmp_path / store, tmp_path / f"{store}.npz"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(pieces or 0):
                heard.append(process.stdout.readline().strip())
            if pieces is not None:
                time.sleep(rng.uniform(0, 0.2))
                process.send_signal(signal.SIGKILL)
            process.stdout.read()
        assert (process.returncode == 0) == (pieces is None)
    assert {"columns", "windows", "corrections", "directions"} <= set(heard)
    undisturbed, killed = (np.load(tmp_path / f"{store}.npz") for store in ("undisturbed", "killed"))
    for name in undisturbed:
        np.testing.assert_array_equal(undisturbed[name], killed[name])


class Backwards(Executor):
    """An executor that does the last work first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, Callable[..., object], tuple[object, ...]]] = []

    def submit(self, fn: Callable[..., object], /, *args: object) -> Future:
        future = _Lazy(self)
        self.waiting.append((future, fn, args))
        return future

    def work(self) -> None:
        while self.waiting:
            future, task, arguments = self.waiting.pop()
            if not future.cancelled():
                future.set_result(task(*arguments))


class _Lazy(Future):
    def __init__(self, executor: Backwards) -> None:
        super().__init__()
        self.executor = executor

    def result(self, timeout: float | None = None) -> object:
        self.executor.work()
        return super().result(timeout)


def test_results_do_not_depend_on_who_works_and_in_which_order(tmp_path: Path) -> None:
    scan, grains = sample()
    alone = by_windows(scan, grains)
    other = by_windows(scan, grains, executor=Backwards())
    assert eqx.tree_equal(alone.magnetization, other.magnetization)
    assert eqx.tree_equal(alone.covariance, other.covariance)


@pytest.mark.slow
def test_dask_workers_give_the_same(tmp_path: Path) -> None:
    scan, grains = sample()
    alone = by_windows(scan, grains)
    with connected(2, None) as client:
        other = by_windows(scan, grains, executor=client.get_executor(), store=tmp_path / "store")
    assert largest_difference(alone, other) < 1e-6
    np.testing.assert_allclose(alone.confidence_radius, other.confidence_radius, rtol=1e-6)


class Dying(Executor):
    """An executor whose workers die over the second piece."""

    def __init__(self, error: Exception) -> None:
        self.error, self.submitted = error, 0

    def submit(self, fn: Callable[..., object], /, *args: object) -> Future:
        future: Future = Future()
        self.submitted += 1
        if self.submitted == 2:
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args))
        return future


@pytest.mark.parametrize(
    ("error", "who"),
    [
        pytest.param(BrokenProcessPool(), "a worker died", marks=pytest.mark.slow),
        (KilledWorker("piece", None, 2), "3 workers died"),
    ],
)
def test_the_death_of_workers_is_told_and_survived(error: Exception, who: str, tmp_path: Path) -> None:
    scan, grains = sample()
    with pytest.raises(
        WorkerError, match=rf"columns, task 2 of 4, could not be computed: {who} during it, most likely for"
    ):
        by_windows(scan, grains, store=tmp_path / "store", executor=Dying(error))
    again = by_windows(scan, grains, store=tmp_path / "store")
    assert eqx.tree_equal(again.magnetization, by_windows(scan, grains).magnetization)


def test_other_errors_of_workers_come_through() -> None:
    with pytest.raises(OSError, match="no space left"):
        by_windows(*sample(), executor=Dying(OSError("no space left")))


def test_a_memory_limit_too_small_for_a_window_is_refused_before_any_work(tmp_path: Path) -> None:
    message = (
        r"a window of \d+ grains takes about .* GiB, and 0.25 GiB are allowed by memory_limit; pass core= or buffer="
    )
    with pytest.raises(MemoryError, match=f"{message} smaller than 50 and 30 µm"):
        by_windows(*sample(), memory_limit=2**28, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()
    with pytest.raises(ValueError, match=r"if you mean 4 GiB, pass 4 \* 2\*\*30"):
        by_windows(*sample(), memory_limit=4)


def test_a_memory_limit_too_small_for_a_block_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, grains = sample()
    monkeypatch.setattr("mmtjax.subdomains.memory.usual_bytes", lambda count: count * 2**30)
    # Blocks end at the 64th sensor along both axes.
    beyond = np.asarray(grains.position)[:, :2] >= float(scan.grid.x[64])
    beneath = np.unique(beyond, axis=0, return_counts=True)[1].max()
    message = f"a block of sensors above {beneath} grains takes about {beneath} GiB, and 4 GiB are allowed"
    with pytest.raises(MemoryError, match=message):
        by_windows(scan, grains, memory_limit=2**32)


def test_grains_under_a_large_mask_are_named_before_any_rounds() -> None:
    """Two fifths of the map are missing in one piece, with all the sensors that some windows look at."""
    scan, grains = sample()
    mask = np.ones(scan.grid.shape, bool)
    mask[:, 60:] = False
    stages = set()
    with pytest.raises(InversionError, match=r"lie beside the map or under its mask"):
        by_windows(
            mmtjax.Scan(np.where(mask, scan.field, np.nan), scan.grid, mask),
            grains,
            progress=lambda stage, done, total: stages.add(stage),
        )
    assert "corrections" not in stages


def test_windows_that_do_not_agree_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_ROUNDS", 3)
    scan, grains = sample()
    with pytest.raises(InversionError, match=r"did not converge: after 3 rounds, .* pass a larger buffer"):
        by_windows(scan, grains)
    with pytest.warns(InversionWarning, match="did not converge") as caught:
        solution = by_windows(scan, grains, throw=False)
    assert [entry.filename for entry in caught] == [subdomains_process.__file__]
    assert solution.failure is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"core": -1.0}, r"core must be a positive length in µm; got -1\.0"),
        ({"buffer": float("nan")}, "buffer must be a positive length in µm; got nan"),
        ({"draws": 1}, "draws must be 2 or more, because their scatter is needed; got 1"),
        ({"noise": "residual", "prior": 1e5}, "is not solved by windows; pass the noise in nT"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        by_windows(*sample(), **options)


def test_grains_far_beside_the_map_are_named() -> None:
    scan, grains = sample()
    beside = grains.translate(np.where(np.arange(len(grains))[:, None] == 0, 1e4, 0.0) * np.array([1.0, 0, 0]))
    with pytest.raises(ValueError, match=r"no sensor lies within 113.9\d* µm of 1 grains near x = 1"):
        by_windows(scan, beside)


@pytest.mark.parametrize("apart", [1e-12, 1e-11])
def test_two_grains_at_one_place_end_in_a_clear_error(apart: float) -> None:
    """Whether the factorization breaks down or its condition number tells, before there are any rounds."""
    scan, grains = sample()
    place = np.vstack([np.asarray(grains.position), np.asarray(grains.position)[:1] + apart])
    twice = mmtjax.Grains.from_volumes(place, np.append(grains.volume, grains.volume[0]))
    stages = set()
    with pytest.raises(InversionError, match="grains are indistinguishable"):
        by_windows(scan, twice, progress=lambda stage, done, total: stages.add(stage))
    assert "corrections" not in stages


def test_what_only_the_whole_factor_knows_is_refused() -> None:
    solution = by_windows(*sample())
    assert solution.factor is None
    with pytest.raises(ValueError, match="correlations between grains are not known"):
        solution.covariance_matrix()
    assert "radius_error" in solution.table().columns
    assert "radius_error" not in whole().table().columns
