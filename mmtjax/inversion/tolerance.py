"""Choose the tolerance of the columns of Green's matrix for a condition number, which multiplies their errors."""

#: Condition number times tolerance up to which errors of the columns are harmless, and its value after the tolerance
#: was reduced. Measured with 1,875 grains in 75 µm: at 190, magnetizations change by 0.1 of a radius and radii by 0.07,
#: at 19 by 0.009 and 0.0005, at 2 by 0.0009 and 0.00007; with 160 grains at 80 by 0.065 and 0.009. Smaller errors take
#: time and memory: the inversion took 60, 99 and 105 s at 190, 6 and 1.5.
_HARMLESS = 12.0
_WANTED = 8.0

#: Condition number times tolerance at which magnetizations may change by a whole radius, extrapolated from the above.
_MEANINGLESS = 2e3

#: The smallest tolerance: with a smaller one more corners are summed, and their rounding is as large.
_FINEST = 1e-11


def tightened(tolerance: float, *, condition: float) -> float:
    """Return the tolerance of the columns, reduced if the condition number needs a smaller one.

    Parameters
    ----------
    tolerance
        Error of the columns as a share of the peak of each source.
    condition
        Condition number of the equilibrated Q.

    Examples
    --------
    >>> tightened(1e-8, condition=1e5), tightened(1e-8, condition=1e10), tightened(1e-8, condition=1e15)
    (1e-08, 8e-10, 1e-11)
    """
    if not _HARMLESS < condition * tolerance < float("inf"):
        return tolerance
    return min(tolerance, max(_FINEST, float(f"{_WANTED / condition:.0e}")))


def is_too_coarse(tolerance: float, *, condition: float) -> bool:
    """Return whether errors of the columns may change magnetizations by more than a hundredth of their radii.

    Parameters
    ----------
    tolerance
        Error of the columns as a share of the peak of each source.
    condition
        Condition number of the equilibrated Q.
    """
    return condition * tolerance > _HARMLESS


def largest_condition(tolerance: float) -> float:
    """Return the condition number beyond which errors of the columns exceed the radii of the least determined grains.

    Parameters
    ----------
    tolerance
        Error of the columns as a share of the peak of each source.

    Examples
    --------
    >>> largest_condition(1e-8)
    200000000000.0
    """
    return _MEANINGLESS / tolerance
