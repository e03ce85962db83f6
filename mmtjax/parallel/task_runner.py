"""A runner of numbered tasks, in this process or in those of an executor."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

from mmtjax.parallel.cluster import WorkerError, describe_worker_failure
from mmtjax.progress import StageProgress

Result = TypeVar("Result")


class TaskRunner:
    """A runner of numbered tasks that work in one directory.

    Parameters
    ----------
    place
        The directory.
    executor
        Executor of the tasks, of `concurrent.futures` or of a Dask client; None to run them in this process.
    progress
        Called with the name of the tasks, the number of tasks that are complete, and the number of all tasks.
    """

    def __init__(self, place: Path, executor: Executor | None, progress: StageProgress | None) -> None:
        self.place, self.executor, self.progress = place, executor, progress

    def results(self, name: str, task: Callable[[Path, int], Result], count: int) -> Iterator[Result]:
        """Yield the results of `count` tasks in the order of their numbers.

        Parameters
        ----------
        name
            Name of the tasks in messages and in reports of progress.
        task
            Function of the directory and the number of a task.
        count
            Number of tasks.

        Raises
        ------
        WorkerError
            If workers of the executor die during a task.
        """
        done = 0
        for result in self._done(name, task, count):
            yield result
            done += 1
            self.report(name, done, count)

    def report(self, name: str, done: int, count: int) -> None:
        """Report the number of tasks that are complete, if there is a function for it."""
        if self.progress is not None:
            self.progress(name, done, count)

    def _done(self, name: str, task: Callable[[Path, int], Result], count: int) -> Iterator[Result]:
        """Yield the results of tasks; tasks that have not begun are cancelled if the caller stops early."""
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


def _result_of(future: Future[Result], task: str) -> Result:
    """Return the result of a task, or raise a `WorkerError` if workers died during it."""
    try:
        return future.result()
    except Exception as error:
        why = describe_worker_failure(error)
        if why is None:
            raise
        msg = (
            f"{task}, could not be computed: {why}, or a smaller core or buffer. With a store, complete results are "
            "kept, and the same call continues from them"
        )
        raise WorkerError(msg) from error
