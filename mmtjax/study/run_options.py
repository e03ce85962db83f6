"""Options of how a study is computed, on which its numbers do not depend but for the last digits."""

import dataclasses
from typing import TypedDict

from mmtjax.errors import InputError
from mmtjax.inversion.memory import checked_limit
from mmtjax.parallel.cluster import check_helpers
from mmtjax.simulation.feasibility import LONGEST, checked_hours


class RunFields(TypedDict, total=False):
    """The fields of `RunOptions`, for functions that take them by keyword."""

    workers: int | None
    scheduler: str | None
    batch: int | None
    memory_limit: int | None
    time_limit: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Who computes a study, and how much at once.

    Parameters
    ----------
    workers
        Number of local processes of one thread; 0 computes in this process. By default one for each core, as far as
        the memory goes if there is no limit; with fewer, cores idle. If this process has used JAX before it computes,
        and was not started with the environment variable ``NPROC=1``, JAX keeps its threads, and last digits may differ
        from those of workers.
    scheduler
        Address of the scheduler of a Dask cluster that computes instead, ``tcp://host:8786``. Its workers need this
        version of mmtjax and the environment variables ``JAX_ENABLE_X64=1`` and ``NPROC=1``; only this process writes
        to the store.
    batch
        Number of samples of a model that are solved at once, where they are small. By default several if JAX computes
        on an accelerator, in this process then, and one elsewhere. With more than one, last digits may depend on the
        batch.
    memory_limit
        Bytes that local workers and this process may use together: large samples then run beside small ones. By default
        the only limit is the memory that is free when the number of workers is chosen.
    time_limit
        Hours that the cells which are missing may be estimated to take, on local workers or those of a cluster.

    Raises
    ------
    ValueError
        For a negative number of workers, workers together with a scheduler, a batch of no samples, a limit that is not
        positive, and a limit of memory for the workers of a cluster.

    Examples
    --------
    >>> RunOptions(workers=0).batch is None
    True
    """

    workers: int | None = None
    scheduler: str | None = None
    batch: int | None = None
    memory_limit: int | None = None
    time_limit: float = LONGEST

    def __post_init__(self) -> None:
        """Check all values."""
        check_helpers(self.workers, self.scheduler)
        if self.batch is not None and self.batch < 1:
            msg = f"batch must be a number of samples, 1 or more; got {self.batch}"
            raise InputError(msg)
        checked_hours(self.time_limit)
        if checked_limit(self.memory_limit) is not None and self.scheduler is not None:
            msg = "memory_limit is for local workers; those of a cluster have limits of their own"
            raise InputError(msg)
