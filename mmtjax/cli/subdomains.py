"""The part of ``mmtjax invert`` for very large samples: overlapping windows, worked on by one process or several."""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

import jax

from mmtjax.inversion.memory import available_memory
from mmtjax.inversion.solution import Solution
from mmtjax.parallel.cluster import check_helpers, connected
from mmtjax.progress import StageProgress
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.subdomains.invert import invert_subdomains


class Division(NamedTuple):
    """How a sample is divided, and who works on it; None means the default."""

    store: Path
    core: float | None
    buffer: float | None
    draws: int | None
    seed: int | None
    workers: int | None
    scheduler: str | None


def chosen_division(store: Path | None, **options: object) -> Division | None:
    """The division that was asked for, or None.

    Raises
    ------
    ValueError
        For options of a division that was not asked for, workers together with a scheduler, or fewer than 0.
    """
    if store is None:
        given = [f"--{name}" for name, value in options.items() if value is not None]
        if given:
            raise ValueError(f"{', '.join(given)} belong to --subdomains DIR, which is not given")
        return None
    division = Division(store, **options)
    check_helpers(division.workers, division.scheduler)
    return division


def solved_by_windows(
    division: Division,
    scan: Scan,
    grains: Grains,
    noise: object,
    *,
    memory_limit: int | None,
    progress: StageProgress,
    **options: object,
) -> Solution:
    """The solution by `invert_subdomains`, with the options it shares with `invert`; local workers share memory."""
    if division.workers:
        memory_limit = (available_memory() if memory_limit is None else memory_limit) // division.workers
    sizes: Mapping[str, object] = {
        name: getattr(division, name) for name in ("core", "buffer", "draws") if getattr(division, name) is not None
    }
    with _workers(division) as executor:
        return invert_subdomains(
            jax.random.key(0 if division.seed is None else division.seed),
            scan,
            grains,
            noise,
            store=division.store,
            executor=executor,
            memory_limit=memory_limit,
            progress=progress,
            **sizes,
            **options,
        )


@contextlib.contextmanager
def _workers(division: Division) -> Iterator[Executor | None]:
    if not division.workers and division.scheduler is None:
        yield None
        return
    with connected(division.workers or 1, division.scheduler) as client:
        yield client.get_executor()
