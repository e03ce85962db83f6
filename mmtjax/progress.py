"""How far a piece of work is: the functions that callers pass to hear of it."""

from collections.abc import Callable

#: Called with the work that is done and the whole of it.
Progress = Callable[[int, int], None]

#: Called with the name of a stage, the work that is done and the whole of it.
StageProgress = Callable[[str, int, int], None]


def stage(progress: StageProgress | None, name: str) -> Progress | None:
    """Return the progress of one stage.

    Examples
    --------
    >>> stage(print, "field")(1, 2)
    field 1 2
    """
    return None if progress is None else lambda done, total: progress(name, done, total)
