"""Options that are passed as one value, or as its fields by keyword."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar

T = TypeVar("T")


def value_or_fields(value: T | None, make: Callable[..., T], *, fields: Mapping[str, object]) -> T:
    """Return a value that a caller passed, or one made of the fields that the caller passed instead.

    Parameters
    ----------
    value
        The value; None where fields are passed.
    make
        The class, or a function that makes the value from fields.
    fields
        Fields by name.

    Raises
    ------
    TypeError
        If both a value and fields were passed, and for a name that is no field.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Options:
    ...     level: float = 0.95
    >>> value_or_fields(None, Options, fields={"level": 0.9})
    Options(level=0.9)
    """
    if value is not None and fields:
        raise TypeError(f"give either a {type(value).__name__} or its fields, not both; got {', '.join(fields)} too")
    if value is not None:
        return value
    if dataclasses.is_dataclass(make):
        known = [field.name for field in dataclasses.fields(make) if field.init]
        if unknown := [name for name in fields if name not in known]:
            raise TypeError(f"there is no option {unknown[0]!r}; there are {', '.join(known)}")
    return make(**fields)
