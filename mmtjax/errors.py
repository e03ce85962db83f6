"""Errors and warnings of an inversion."""


class InversionError(RuntimeError):
    """An inversion that failed, or whose uncertainties are not reliable; the message says what to do."""


class InversionWarning(UserWarning):
    """An inversion whose result must not be used without a closer look; the message says why."""
