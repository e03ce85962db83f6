"""How fine columns have to be for a condition number, which multiplies their errors."""

#: Condition number times tolerance up to which columns are fine enough, and what it is made where it is more: in 1,875
#: grains in 75 µm, 190 moves magnetizations by 0.1 of a radius and radii by 0.07, 19 by 0.009 and 0.0005, 2 by a tenth
#: of that. From the last number on a solution is not to be left without a word.
_HARMLESS = 3.0
_WANTED = 1.0
_HARMFUL = 12.0

#: The finest tolerance: finer ones sum more corners, whose rounding is no smaller.
_FINEST = 1e-11


def tightened(tolerance: float, *, condition: float) -> float:
    """The tolerance of the columns, or what a problem of that condition number needs where this is less.

    Examples
    --------
    >>> tightened(1e-8, condition=1e5), tightened(1e-8, condition=1e9), tightened(1e-8, condition=1e15)
    (1e-08, 1e-09, 1e-11)
    """
    if not _HARMLESS < condition * tolerance < float("inf"):
        return tolerance
    return min(tolerance, max(_FINEST, float(f"{_WANTED / condition:.0e}")))


def is_too_coarse(tolerance: float, *, condition: float) -> bool:
    """Whether magnetizations may be off by more than some hundredths of their radii."""
    return condition * tolerance > _HARMFUL
