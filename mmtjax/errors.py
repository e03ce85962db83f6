"""Errors that mmtjax raises on purpose, and the warning of an inversion.

Each is also the error of Python that fits, so that ``except ValueError`` and the like keep their meaning; any other
error that leaves the package is a bug in it.
"""

import contextlib
from collections.abc import Iterator
from types import UnionType
from typing import get_args


class MmtjaxError(Exception):
    """An error whose message says what is wrong, where, and what to do.

    Parameters
    ----------
    what
        What is wrong, with the value that is, and what to do where `remedy` is not given.
    where
        The file, line or key that it is about; the message begins with it.
    remedy
        What to do; the message ends with it.

    Examples
    --------
    >>> print(MmtjaxError("got 2 columns, expected 6", where="grains.txt, line 3", remedy="add the edges of the grain"))
    grains.txt, line 3: got 2 columns, expected 6; add the edges of the grain
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what, self.where, self.remedy = what, where, remedy

    def __str__(self) -> str:
        """Return the message."""
        begin = f"{self.where}: " if self.where else ""
        return begin + self.what + (f"; {self.remedy}" if self.remedy else "")


class InputError(MmtjaxError, ValueError):
    """A value, an option or a file that cannot be used."""


class InputTypeError(InputError, TypeError):
    """A value of a type that cannot be used."""


class UnknownNameError(InputError, KeyError):
    """A name that nothing has."""


class MissingFileError(InputError, FileNotFoundError):
    """A file that does not exist."""


class ExistingFileError(InputError, FileExistsError):
    """A file or directory that would be replaced or is in the way."""


class OutputError(MmtjaxError, OSError):
    """Standard output that cannot be written, because a disk is full or the like."""


class MemoryLimitError(MmtjaxError, MemoryError):
    """A computation that does not fit into memory, or into the limit that was set."""


class NotFiniteError(MmtjaxError, FloatingPointError):
    """A computation that ended in numbers that are not finite."""


class SetupError(MmtjaxError, RuntimeError):
    """A process in which mmtjax cannot compute, because of settings of JAX or of the system."""


class MissingPackageError(MmtjaxError, ImportError):
    """A package that is not installed, and that what was asked for needs; the message has the line that installs it."""


class InversionError(MmtjaxError, RuntimeError):
    """An inversion that failed, or whose uncertainties are not reliable; the message says what to do."""


class InversionWarning(UserWarning):
    """An inversion whose result must not be used without a closer look; the message says why."""


@contextlib.contextmanager
def located(where: str, *, remedy: str | None = None) -> Iterator[None]:
    """Context in which an `InputError` gets the place that it is about, and a remedy.

    Parameters
    ----------
    where, remedy
        As for `MmtjaxError`.

    Examples
    --------
    >>> with located("map.nc"):
    ...     raise InputError("there is no mask")
    Traceback (most recent call last):
        ...
    mmtjax.errors.InputError: map.nc: there is no mask
    """
    try:
        yield
    except InputError as error:
        raise InputError(str(error), where=where, remedy=remedy) from error


def require_type(value: object, kind: type | UnionType, *, name: str) -> None:
    """Raise an error unless a value is of one of some types.

    Parameters
    ----------
    value
        What a user passes.
    kind
        The type, or a union of types.
    name
        Name of the argument in the error message.

    Raises
    ------
    TypeError
        If the value is of another type.

    Examples
    --------
    >>> require_type([1.0], int | float, name="limit")
    Traceback (most recent call last):
    mmtjax.errors.InputTypeError: limit must be of the type int or float; got [1.0]
    """
    if not isinstance(value, kind):
        kinds = " or ".join(one.__name__ for one in (get_args(kind) if isinstance(kind, UnionType) else (kind,)))
        text = f"{value!r:.60}".partition("\n")[0]
        msg = f"{name} must be of the type {kinds}; got {text}"
        raise InputTypeError(msg)
