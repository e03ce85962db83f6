"""Refuse to make a sample that would take more memory or time than is allowed, before anything is made."""

import math

from mmtjax.errors import InputError
from mmtjax.inversion.memory import require_bytes
from mmtjax.simulation.spec import SampleSpec

#: Bytes of one sensor, in the map, its noise and copies of both, and of one grain with its corners, at least.
_SENSOR_BYTES, _GRAIN_BYTES = 64, 1024

#: Seconds for the field of one grain at one sensor, and for placing one grain, on a slow core.
_PAIR_SECONDS, _GRAIN_SECONDS = 2e-7, 1e-4

_SECONDS_PER_HOUR = 3600.0

#: Hours that work may be estimated to take where no option says otherwise: a month.
LONGEST = 720.0


def require_feasible(
    spec: SampleSpec, *, sensors: int, memory_limit: int | None = None, time_limit: float = math.inf
) -> None:
    """Raise an error if a sample and its map would take more memory or time than is allowed.

    Parameters
    ----------
    spec
        The sample.
    sensors
        Number of sensors of its finest map.
    memory_limit
        Largest number of bytes; by default the memory that is free.
    time_limit
        Largest estimated time, h.

    Raises
    ------
    MemoryError
        If the sample does not fit into memory; the message has the numbers of grains and sensors.
    ValueError
        If it would take too long, and for a limit of time that is not positive.

    Examples
    --------
    >>> require_feasible(SampleSpec(), sensors=201**2, time_limit=1.0)
    >>> require_feasible(SampleSpec(side=1e5), sensors=10**10, memory_limit=2**50, time_limit=1.0)
    Traceback (most recent call last):
    mmtjax.errors.InputError: a sample of 12500000 grains below 10000000000 sensors takes about 6.94e+06 h, ...
    """
    checked_hours(time_limit)
    grains = spec.grain_count
    work, smaller = f"a sample of {grains} grains below {sensors} sensors", "make side or density smaller"
    require_bytes(
        _SENSOR_BYTES * sensors + _GRAIN_BYTES * grains,
        limit=memory_limit,
        work=work,
        remedy=f"{smaller}, or pass memory_limit= to allow more",
    )
    hours = (_PAIR_SECONDS * sensors + _GRAIN_SECONDS) * grains / _SECONDS_PER_HOUR
    require_hours(hours, limit=time_limit, work=f"{work} takes", remedy=f"{smaller}, or pass time_limit= to allow more")


def require_hours(hours: float, *, work: str, remedy: str, limit: float = LONGEST) -> None:
    """Raise an error if work would take longer than is allowed.

    Parameters
    ----------
    hours
        Estimated time, h.
    work, remedy
        What takes it, with the verb, and what a user can do, for the message.
    limit
        Largest time, h.

    Raises
    ------
    ValueError
        If it would take too long.

    Examples
    --------
    >>> require_hours(5e3, work="a search of 10000000 steps takes", remedy="take fewer steps")
    Traceback (most recent call last):
    mmtjax.errors.InputError: a search of 10000000 steps takes about 5e+03 h, and 720 h are allowed; take fewer steps
    """
    if hours > limit:
        msg = f"{work} about {hours:.3g} h, and {limit:g} h are allowed"
        raise InputError(msg, remedy=remedy)


def checked_hours(time_limit: float) -> float:
    """Return a limit of time, h.

    Raises
    ------
    ValueError
        For a limit that is not positive; it may be infinite.
    """
    if not time_limit > 0:
        msg = f"time_limit must be a positive number of hours; got {time_limit!r}"
        raise InputError(msg)
    return float(time_limit)
