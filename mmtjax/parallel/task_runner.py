"""A runner of numbered tasks: in this process, or by an executor."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

from mmtjax.parallel.cluster import WorkerError, describe_worker_failure
from mmtjax.progress import StageProgress

Result = TypeVar("Result")


class TaskRunner:
    """Runs numbered tasks in a directory, by an executor as of `concurrent.futures` or of a Dask client.

    Parameters
    ----------
    place
        Directory that tasks work in.
    executor
        Who runs them; None for this process.
    progress
        Called with the name of the tasks, how many are done, and all of them.
    """

    def __init__(self, place: Path, executor: Executor | None, progress: StageProgress | None) -> None:
        self.place, self.executor, self.progress = place, executor, progress

    def results(self, name: str, task: Callable[[Path, int], Result], count: int) -> Iterator[Result]:
        """Yield results of the tasks 0 to `count`, in this order, whoever runs them and when.

        Raises
        ------
        WorkerError
            If workers of the executor die over a task.
        """
        done = 0
        for result in self._done(name, task, count):
            yield result
            done += 1
            self.report(name, done, count)

    def report(self, name: str, done: int, count: int) -> None:
        """Report how far the work is."""
        if self.progress is not None:
            self.progress(name, done, count)

    def _done(self, name: str, task: Callable[[Path, int], Result], count: int) -> Iterator[Result]:
        if self.executor is None:
            yield from (task(self.place, number) for number in range(count))
            return
        waiting = [self.executor.submit(task, self.place, number) for number in range(count)]
        try:
            for number, future in enumerate(waiting):
                yield _result_of(future, f"{name}, task {number + 1} of {count}")
        finally:
            for future in waiting:
                future.cancel()


def _result_of(future: Future, task: str) -> Result:
    try:
        return future.result()
    except Exception as error:
        why = describe_worker_failure(error)
        if why is None:
            raise
        raise WorkerError(
            f"{task}, could not be done: {why}, or a smaller core or buffer. What was complete is kept where a store "
            "was given; the same call continues"
        ) from error
