"""Accept options as one value, or as its fields by keyword."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

from mmtjax.errors import InputTypeError, require_type

T = TypeVar("T")


def value_or_fields(value: T | None, make: Callable[..., T], *, fields: Mapping[str, object]) -> T:
    """Return the options that a caller passed as one value, or make them from the fields that it passed instead.

    Parameters
    ----------
    value
        The options; None if fields were passed.
    make
        The class of the options, or a function that makes them from fields.
    fields
        Fields by name.

    Raises
    ------
    TypeError
        If both options and fields were passed, or a name is not that of a field.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     level: float = 0.95
    >>> value_or_fields(None, Options, fields={"level": 0.9})
    Options(level=0.9)
    """
    if value is not None and fields:
        msg = f"give either {type(value).__name__} or its fields, not both; got {', '.join(fields)} too"
        raise InputTypeError(msg)
    if value is not None:
        if inspect.isclass(make):
            require_type(value, make, name="options")
        return value
    if inspect.isclass(make) and dataclasses.is_dataclass(make):
        known = [field.name for field in dataclasses.fields(make) if field.init]
        if unknown := [name for name in fields if name not in known]:
            msg = f"there is no option {unknown[0]!r}; the options are {', '.join(known)}"
            raise InputTypeError(msg)
    return make(**fields)
