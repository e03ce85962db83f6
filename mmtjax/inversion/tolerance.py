"""The tolerance that columns need at a condition number, which multiplies their errors."""

#: Condition number times tolerance up to which columns are fine enough, and what it is made where it is more. In 1,875
#: grains in 75 µm, 190 moves magnetizations by 0.1 of a radius and radii by 0.07, 19 by 0.009 and 0.0005, 2 by 0.0009
#: and 0.00007; in 160 grains 80 by 0.065 and 0.009. Finer columns take time and memory: 60, 99 and 105 s for 190, 6
#: and 1.5.
_HARMLESS = 12.0
_WANTED = 8.0

#: The same where magnetizations may be off by a whole radius, by the growth of what was measured.
_MEANINGLESS = 2e3

#: The finest tolerance: finer ones sum more corners, whose rounding is no smaller.
_FINEST = 1e-11


def tightened(tolerance: float, *, condition: float) -> float:
    """Return the tolerance of the columns, or what a problem of that condition number needs where this is less.

    Examples
    --------
    >>> tightened(1e-8, condition=1e5), tightened(1e-8, condition=1e10), tightened(1e-8, condition=1e15)
    (1e-08, 8e-10, 1e-11)
    """
    if not _HARMLESS < condition * tolerance < float("inf"):
        return tolerance
    return min(tolerance, max(_FINEST, float(f"{_WANTED / condition:.0e}")))


def is_too_coarse(tolerance: float, *, condition: float) -> bool:
    """Whether magnetizations may be off by more than a hundredth of their radii."""
    return condition * tolerance > _HARMLESS


def carried_condition(tolerance: float) -> float:
    """Return the condition number beyond which columns say nothing of the least determined grains.

    Examples
    --------
    >>> carried_condition(1e-8)
    200000000000.0
    """
    return _MEANINGLESS / tolerance
