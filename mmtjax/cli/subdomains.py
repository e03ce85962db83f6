"""The part of ``mmtjax invert`` for very large samples: overlapping windows, solved by one process or several."""

import contextlib
import dataclasses
from collections.abc import Iterator
from concurrent.futures import Executor

from mmtjax.cli.inputs import SolveInput, SubdomainInput
from mmtjax.inversion.memory import available_memory
from mmtjax.inversion.solution import Solution
from mmtjax.parallel.cluster import connected
from mmtjax.precision import random_key
from mmtjax.progress import StageProgress
from mmtjax.scan.scan import Scan
from mmtjax.sources.grains import Grains
from mmtjax.subdomains.invert import invert_subdomains

#: Default number of maps of noise that are solved in addition to the measured one.
_DRAWS = 16


def invert_by_windows(
    scan: Scan,
    grains: Grains,
    solve: SolveInput,
    *,
    subdomains: SubdomainInput,
    progress: StageProgress,
) -> Solution:
    """Invert a map by `invert_subdomains`; local workers share the memory that may be used.

    Parameters
    ----------
    scan, grains
        The map and the grains below it.
    solve
        Options of the inversion.
    subdomains
        Directory of the work, sizes of the windows, and the processes that solve them.
    progress
        Called as ``progress(stage, done, total)``.
    """
    options = solve.options()
    if subdomains.workers:
        shared = available_memory() if options.memory_limit is None else options.memory_limit
        options = dataclasses.replace(options, memory_limit=shared // subdomains.workers)
    with _workers(subdomains) as executor:
        return invert_subdomains(
            random_key(subdomains.seed or 0),
            scan,
            grains,
            solve.noise,
            store=subdomains.subdomains,
            core=subdomains.core,
            buffer=subdomains.buffer,
            draws=_DRAWS if subdomains.draws is None else subdomains.draws,
            executor=executor,
            options=options,
            progress=progress,
        )


@contextlib.contextmanager
def _workers(subdomains: SubdomainInput) -> Iterator[Executor | None]:
    """Context with the executor of the processes that solve windows; None for this process alone."""
    if not subdomains.workers and subdomains.scheduler is None:
        yield None
        return
    with connected(subdomains.workers or 1, subdomains.scheduler) as client:
        yield client.get_executor()
