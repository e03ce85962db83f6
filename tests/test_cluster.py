"""Local workers: what they keep between pieces of work, and where."""

import contextlib
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

from mmtjax.parallel import cluster
from mmtjax.parallel.cluster import connected, drop_programs, give_back_memory
from mmtjax.study import run
from mmtjax.study.batch import Batch
from tests.study_process import SMALL


def _programs() -> dict[str, object]:
    """What a worker holds of a compiled function before and after it drops its programs, and what is on disk."""
    directory = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    double = jax.jit(lambda values: 2 * values + 1)
    first, held = double(jnp.arange(3.0)), double._cache_size()
    too_few = drop_programs(10**6)
    kept = double._cache_size()
    dropped = drop_programs(0)
    left, on_disk = double._cache_size(), len(list(directory.iterdir()))
    again = double(jnp.arange(3.0))
    return {
        "sizes": (held, kept, left),
        "dropped": (too_few, dropped),
        "on disk": (on_disk, len(list(directory.iterdir()))),
        "directory": str(directory),
        "same": np.array_equal(first, again),
    }


def test_a_worker_drops_its_programs_and_finds_them_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.delenv(name, raising=False)
    with connected(1, None, threads=1) as client:
        found = client.submit(_programs).result()
    assert found["sizes"] == (1, 1, 0)
    assert found["dropped"] == (False, True)
    before, after = found["on disk"]
    assert before > 0
    assert after == before, "what was dropped was compiled anew"
    assert found["same"]
    assert not Path(found["directory"]).exists()


def test_local_workers_listen_to_this_computer_only_and_serve_no_pages() -> None:
    with connected(1, None, threads=1) as client:
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        listening = [
            entry.laddr
            for process in processes
            for entry in process.net_connections(kind="inet")
            if entry.status == psutil.CONN_LISTEN
        ]
        assert len(listening) >= 3, "scheduler, worker, and the pages of either"
        assert {address.ip for address in listening} == {"127.0.0.1"}
        pages = client.cluster.scheduler.http_server.port
        assert pages in {address.port for address in listening}
        for page in ("", "status", "health", "json/identity.json", "info/main/workers.html", "metrics", "statics/a.js"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{pages}/{page}", timeout=30)


def _held_before_and_after() -> tuple[int, int]:
    """Pages that a worker holds when small arrays between two that stay are gone, and after it gave back memory."""
    arrays = [np.ones(128) for _ in range(300_000)]
    del arrays[1:-1]
    before = _pages()
    give_back_memory()
    return before, _pages()


def _pages() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted by Linux")
def test_a_worker_gives_back_memory_between_what_it_still_uses() -> None:
    with connected(1, None, threads=1) as client:
        before, after = client.submit(_held_before_and_after).result()
    assert (before - after) * os.sysconf("SC_PAGE_SIZE") > 150e6


def test_a_worker_of_a_study_drops_its_programs_after_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(run, "_timed", lambda *_: iter(done.append("sample") or ()))
    monkeypatch.setattr(run, "check_worker", lambda _: None)
    monkeypatch.setattr(run, "drop_programs", lambda: done.append("dropped"))
    assert run._work(SMALL, Batch(SMALL.geometries()[:1], [1.0]), None, "") == []
    assert done == ["sample", "dropped"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_workers_start_acts_when_they_have(number, monkeypatch):
    """Dask cannot close what it is starting, and would print a traceback when Python ends."""
    started = []

    def start(**_):
        signal.raise_signal(number)
        started.append(number)
        return contextlib.nullcontext()

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    monkeypatch.setattr(cluster.distributed, "LocalCluster", start)
    try:
        with pytest.raises(KeyboardInterrupt), cluster.connected(1, None):
            pytest.fail("the workers are used")
        assert started == [number]
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
