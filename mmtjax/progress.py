"""Types of the functions that report the progress of long computations."""

from collections.abc import Callable

from mmtjax.errors import InputTypeError

#: A function that is called with the amount of work done and the total amount.
Progress = Callable[[int, int], None]

#: A function that is called with the name of a stage, the amount of work done and the total amount.
StageProgress = Callable[[str, int, int], None]


def check_progress(progress: object) -> None:
    """Raise an error unless progress can be reported: to a function, or to nothing.

    Parameters
    ----------
    progress
        What a user passes.

    Raises
    ------
    TypeError
        For anything but a function and None.
    """
    if progress is not None and not callable(progress):
        msg = f"progress must be a function, called as progress(stage, done, total), or None; got {progress!r:.60}"
        raise InputTypeError(msg)


def stage(progress: StageProgress | None, name: str) -> Progress | None:
    """Return the function that reports the progress of one stage; None where there is nothing to report to.

    Parameters
    ----------
    progress
        Called as ``progress(stage, done, total)``, or None.
    name
        Name of the stage.

    Examples
    --------
    >>> stage(print, "field")(1, 2)
    field 1 2
    """
    return None if progress is None else lambda done, total: progress(name, done, total)
