"""Those who do pieces of work: this process, or an executor."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import TypeVar

from mmtjax.inversion.reduce import StageProgress

Result = TypeVar("Result")


class Crew:
    """Does numbered pieces of work in a directory, by an executor as of `concurrent.futures` or of a Dask client."""

    def __init__(self, place: Path, executor: Executor | None, progress: StageProgress | None) -> None:
        self.place, self.executor, self.progress = place, executor, progress

    def results(self, name: str, task: Callable[[Path, int], Result], count: int) -> Iterator[Result]:
        """Results of the pieces 0 to `count`, in this order, whoever does them and when."""
        done = 0
        for result in self._done(task, count):
            yield result
            done += 1
            self.tell(name, done, count)

    def tell(self, name: str, done: int, count: int) -> None:
        """Tell how far the work is."""
        if self.progress is not None:
            self.progress(name, done, count)

    def _done(self, task: Callable[[Path, int], Result], count: int) -> Iterator[Result]:
        if self.executor is None:
            yield from (task(self.place, number) for number in range(count))
            return
        waiting = [self.executor.submit(task, self.place, number) for number in range(count)]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()
